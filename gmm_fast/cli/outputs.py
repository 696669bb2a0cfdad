"""Write what commands produce: models, tables of labels and scores, reports."""

from contextlib import contextmanager

import numpy as np

from .. import page
from ..estimator.recipe import Recipe
from ..files.modelfile import check_model_name, write_model
from ..files.outputs import check_outputs, remove_leftovers
from ..files.tablefiles import check_table, table_writer
from ..sources import count_all_rows, files_of, fill_dropped, stem_of
from .replacing import check_apart, check_written, keeping


def check_names(settings):
    """Raise DataError unless every output has an ending that its format allows."""
    if settings["model_path"] is not None:
        check_model_name("--model", settings["model_path"])
    check_table("--labels", settings["labels_path"])
    if settings["report_path"] is not None:
        page.check_report(settings["report_path"])


class Outputs:
    """The files that `fit` and `search` write, checked before the work begins."""

    def __init__(self, kept, source):
        settings = kept.options
        self.data, self.source = settings["data"], source
        if settings["model_path"] is None and not settings["no_model"]:
            # in the options, so that a fit resumed in another folder writes it here
            ending = ".search.gmm.npz" if kept.command == "search" else ".gmm.npz"
            settings["model_path"] = stem_of(self.data) + ending
        self.model = settings["model_path"]
        self.labels = settings["labels_path"]
        self.report = settings["report_path"]
        self.plot, self.animation = settings.get("plot"), settings.get("animate")
        self.checkpoint = kept.keeper.path
        self.features, self.recipe = source.feature_names, Recipe.of(source)
        # without the model of --from, which a resumed fit may replace
        read = [*files_of(source), settings["weights"], settings.get("from_labels")]
        paths = {"--model": self.model, "--labels": self.labels, "--report": self.report}
        paths |= {"--plot": self.plot, "--animate": self.animation}
        self._kept, self._paths = kept, paths
        if kept.resumed and kept.no_clobber:
            check_outputs(paths, read, replace=False)
        paths = paths | {kept.option: self.checkpoint}
        if kept.resumed:  # the interrupted run may have written some, or half of one
            check_apart(paths, settings)
            check_outputs(paths, read)
            for path in filter(None, paths.values()):
                remove_leftovers(path)
        else:
            check_written(paths, read, settings | {"no_clobber": kept.no_clobber})

    @contextmanager
    def working(self, progress):
        """A context for the work: it keeps the checkpoint and honours --no-clobber.

        The checkpoint itself is replaced all the same, as the work goes on.
        """
        kept = self._kept
        with keeping(self._paths, kept.no_clobber), kept.working(), progress.shown():
            yield

    def seconds(self, opening, result):
        """Seconds by stage; `opening` are those of opening the data."""
        return opening | result.seconds | {"total": self._kept.keeper.seconds}

    def write(self, backend, candidate, progress):
        """Write labels and model, as far as they were asked for."""
        result = candidate.result
        if self.labels is not None:
            write_labels(backend, result.params, self.labels, progress, self.source)
        if self.model is not None:
            facts = result.facts() | {
                "data": str(self.data),
                **self.recipe.facts(),
                "seed": self._kept.options["seed"],
                "dtype": str(backend.dtype),
            }
            write_model(self.model, result.params, facts)

    def write_report(self, backend, candidate, opening, progress, **facts):
        """Write the report, if it was asked for; `facts` are more of `page.command.write`'s."""
        if self.report is None:
            return
        from ..page.command import write

        progress.say("report")
        write(
            self.report,
            backend,
            candidate,
            self._kept.options,
            features=self.features,
            axis_labels=self.recipe.labels,
            seconds=self.seconds(opening, candidate.result),
            model=self.model,
            labels=self.labels,
            **facts,
        )

    def facts(self):
        """The keys of `--json` that name files."""
        return {
            "model": None if self.model is None else str(self.model),
            "labels": self.labels,
            "report": self.report,
            "plot": self.plot,
            "animation": self.animation,
            "checkpoint": self.checkpoint,
        }


def write_labels(backend, params, path, progress, source, kept=None):
    """Write (n,) int32 labels, -1 for dropped rows; return the number of samples by component."""
    progress.say("labels")
    counts = np.zeros(params.n_components, np.int64)

    def labels():
        for start, outputs in backend.score(params, labels=True):
            counts[:] += np.bincount(outputs.labels, minlength=params.n_components)
            yield outputs.labels
            progress.rows(start + len(outputs.labels))

    with table_writer(path, (count_all_rows(source),), np.int32, ["label"], kept) as writer:
        for block in fill_dropped(labels(), source, -1):
            writer.write(block)
    return counts


def write_scores(backend, params, path, progress, source, what, names, kept=None):
    """Write "resp" or "log_prob" of every row, NaN for dropped rows."""

    def scores():
        for start, outputs in backend.score(params, **{what: True}):
            values = getattr(outputs, what)
            yield values
            progress.rows(start + len(values))

    shape = (count_all_rows(source), len(names))[: 2 if what == "resp" else 1]
    with table_writer(path, shape, backend.dtype, names, kept) as writer:
        for block in fill_dropped(scores(), source, np.nan):
            writer.write(block)
