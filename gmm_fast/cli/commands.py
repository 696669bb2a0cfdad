"""What the commands of `cli` do: open, work, write, and hand facts to `report`."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from .. import em, fitting, page
from ..errors import DataError
from ..estimator.recipe import Recipe
from ..files.modelfile import (
    check_facts,
    check_model_name,
    read_model,
    write_model,
)
from ..files.outputs import check_outputs, remove_leftovers
from ..files.tablefiles import Kept as KeptColumns
from ..files.tablefiles import check_table, save_table, table_writer
from ..mixture.params import Params
from ..mixture.resolution import check_steps
from ..mixture.sampling import draw
from ..names import FAMILY
from ..selection import criteria, grid
from ..selection.choice import Candidate, candidate_row, doubts
from ..sources import (
    all_rows,
    check_columns,
    files_of,
    notes_of,
    refilled,
    restored,
    stem_of,
    told,
)
from ..starts import starting
from . import inputs, plotting, printing
from .progress import Progress, SearchProgress
from .replacing import check_apart, check_written, keeping
from .resuming import Kept, shape_of


def fit(settings, given, as_json, command):
    """`gmm-fast fit`."""
    kept = Kept("fit", settings, given, printing.note)
    settings, keeper = kept.options, kept.keeper
    _check_names(settings)
    plotting.check_pictures(settings)
    start, recipe = _start_of_fit(kept)
    data, k, covariance = settings["data"], settings["k"], settings["covariance"]
    source = inputs.open_data(settings, recipe)
    if isinstance(start, Params):
        check_columns(source, start.n_features, settings["from_model"])
        source = _as_started_from(source, recipe, settings)
    kept.check_data(data, shape_of(source))
    if source.n_samples < k:  # looked at again, with the weights, when kernels are compiled
        raise DataError(
            f"{data}: {source.n_samples:,} samples are fewer than {k:,} components; ask for at "
            f"most {source.n_samples:,}"
        )
    if settings["from_labels"] is not None and not keeper.begun:
        start = replace(start, labels=inputs.read_labels(kept, source, k))
    outputs = _Outputs(kept, source)
    progress = Progress(source.n_samples, settings["max_iter"], settings["quiet"])
    with outputs.working(kept, progress), inputs.workers(settings, progress) as client:
        backend, seconds, events = inputs.open_backend(
            source, [covariance], [k], kept, progress, client
        )
        check_steps(_em(settings).resolution, backend)
        progress.say(f"K={k} {covariance}")
        recorder = plotting.recorder_of(settings)
        result = fitting.fit(
            backend,
            k,
            covariance,
            start,
            _em(settings).of(k),
            callback=progress.iteration,
            keeper=keeper,
            on_state=recorder,
        )
        progress.say("silhouette")
        silhouettes = criteria.Silhouettes(backend, settings["silhouette_rows"], settings["seed"])
        result.events[:0] = events
        candidate = Candidate.of(result, silhouettes.of([result.params])[0])
        outputs.write(backend, candidate, progress)
        facts = {"command": command, "silhouette_rows": silhouettes.n_rows}
        facts["warnings"] = doubts(result)
        _write_report(kept, outputs, backend, candidate, seconds, progress, **facts)
        plotting.draw_fit(backend, result, outputs.recipe, settings, recorder, progress)
        keeper.complete()
        if settings["verbose"]:
            printing.print_reading(backend)
    seconds = seconds | result.seconds | {"total": keeper.seconds}
    facts = _fit_facts(backend, candidate, silhouettes.n_rows, seconds, settings, outputs)
    if as_json:
        printing.print_json(facts)
    else:
        printing.print_fit(data, result, facts)
    printing.print_notes(result, events)


def search(settings, given, as_json, command):
    """`gmm-fast search`."""
    kept = Kept("search", settings, given, printing.note)
    settings, keeper = kept.options, kept.keeper
    data, families, criterion = (settings[name] for name in ("data", "families", "criterion"))
    numbers = range(settings["lo"], settings["hi"] + 1)
    folds = grid.folds_of(criterion, settings["folds"])
    if folds is not None and not (settings["workers"] is settings["scheduler"] is None):
        raise DataError(
            "cross-validation does not run on Dask workers; leave --workers and --scheduler out, "
            "or --folds and --criterion cv"
        )
    how = {"silhouette_rows": settings["silhouette_rows"], "folds": folds}
    grid.check_search(numbers, families, criterion, **how)
    _check_names(settings)
    plotting.check_pictures(settings)
    source = inputs.open_data(settings)
    kept.check_data(data, shape_of(source))
    grid.check_search(numbers, families, criterion, source.n_samples, **how)
    outputs = _Outputs(kept, source)
    progress = Progress(source.n_samples, settings["max_iter"], settings["quiet"])
    with outputs.working(kept, progress), inputs.workers(settings, progress) as client:
        backend, seconds, events = inputs.open_backend(
            source, families, numbers, kept, progress, client, search=True, folds=folds
        )
        check_steps(_em(settings).resolution, backend)
        table = grid.search(
            backend,
            numbers,
            families,
            criterion,
            _start(settings),
            _em(settings),
            early_stop=settings["early_stop"],
            watch=SearchProgress(progress, numbers),
            keeper=keeper,
            **how,
        )
        best = table.best
        best.result.events[:0] = events
        outputs.write(backend, best, progress)
        rows = [candidate_row(c) for c in table.candidates]
        facts = {
            "command": command,
            "silhouette_rows": table.silhouette_rows,
            "rows": rows,
            "criterion": criterion,
            "runner_up": _runner_up(table),
            "margin": table.margin,
            "warnings": table.warnings,
            "early_stop": table.stopped_at,
        }
        _write_report(kept, outputs, backend, best, seconds, progress, **facts)
        plotting.draw_search(rows, settings)
        keeper.complete()
        if settings["verbose"]:
            printing.print_reading(backend)
    seconds = seconds | best.result.seconds | {"total": keeper.seconds}
    facts = _fit_facts(backend, best, table.silhouette_rows, seconds, settings, outputs)
    if as_json:
        printing.print_json(_search_facts(table, facts))
    else:
        printing.print_candidates(table)
        printing.show()
        printing.print_fit(data, best.result, facts, len(table.candidates))
    printing.print_notes(best.result, [*events, *table.warnings])
    printing.print_doubts(table.warnings)


def _search_facts(table, best):
    """The keys of `search --json`; `best` are those of a fit."""
    return {
        "criterion": table.criterion,
        "best": best | {"cv": table.best.cv, "cv_se": table.best.cv_se},
        "margin": table.margin,
        "runner_up": _runner_up(table),
        "warnings": table.warnings,
        "folds": table.folds,
        "early_stop": table.stopped_at,
        "candidates": [candidate_row(c) for c in table.candidates],
    }


def _runner_up(table):
    other = table.runner_up
    return None if other is None else [other.n_components, other.covariance_type]


def predict(model, out, proba, keep, as_json, settings):
    """`gmm-fast predict`."""
    if keep and out is None:
        raise DataError("--keep needs -o, the name of a table: labels.csv, labels.parquet")
    check_table("--out", out, keep)
    params, facts = read_model(model)
    data = settings["data"]
    source = inputs.open_for(settings, model, params, facts)
    if out is None:
        out = stem_of(data) + (".proba.npy" if proba else ".labels.npy")
    written = check_written({"--out": out}, [*files_of(source), model], settings)
    names = [f"component_{k}" for k in range(params.n_components)] if proba else ["label"]
    kept = KeptColumns(source, keep, names, out) if keep else None
    progress = Progress(source.n_samples, quiet=settings["quiet"])
    with written, progress.shown(), inputs.workers(settings, progress) as client:
        backend = inputs.scoring_backend(source, settings, progress, client)
        if proba:
            _write_scores(backend, params, out, progress, source, "resp", names, kept)
            counts = None
        else:
            counts = _write_labels(backend, params, out, progress, source, kept)
    facts = {
        "n_samples": backend.n_samples,
        "n_components": params.n_components,
        "counts": counts,
        "notes": notes_of(source),
        "out": str(out),
    }
    if as_json:
        printing.print_json(facts)
        return
    rows = [("samples", f"{backend.n_samples:,}")]
    if counts is not None:
        rows += [
            (f"component {k}", f"{count:,} ({count / backend.n_samples:.1%})")
            for k, count in enumerate(counts)
        ]
    rows.append(("responsibilities" if proba else "labels", out))
    printing.print_facts(f"{data} under {model}", rows)


def score(model, out, as_json, settings):
    """`gmm-fast score`."""
    check_table("--samples", out)
    params, facts = read_model(model)
    data = settings["data"]
    source = inputs.open_for(settings, model, params, facts)
    read = [*files_of(source), model, settings["weights"]]
    written = check_written({"--samples": out}, read, settings)
    progress = Progress(source.n_samples, quiet=settings["quiet"])
    with written, progress.shown(), inputs.workers(settings, progress) as client:
        backend = inputs.scoring_backend(source, settings, progress, client)
        result = em.FitResult.of(params, backend.stats(params), backend.n_samples)
        if out is not None:
            _write_scores(backend, params, out, progress, source, "log_prob", ["log_prob"])
    facts = {
        "n_samples": backend.n_samples,
        **criteria.likelihood_facts(result),
        "notes": notes_of(source),
        "samples": None if out is None else str(out),
    }
    if as_json:
        printing.print_json(facts)
        return
    rows = [("samples", f"{backend.n_samples:,}"), *printing.score_rows(facts)]
    if out is not None:
        rows.append(("ln p(x) of samples", out))
    printing.print_facts(f"{data} under {model}", rows)


def sample(model, n, out, labels_path, seed, no_clobber, as_json):
    """`gmm-fast sample`."""
    check_table("--out", out)
    check_table("--labels", labels_path)
    params, facts = read_model(model)
    outputs = {"--out": out, "--labels": labels_path}
    written = check_written(outputs, [model], {"no_clobber": no_clobber})
    x, labels = draw(params, n, seed)
    x = restored(x, facts.get("transforms"))
    names = facts.get("features") or [f"feature_{j}" for j in range(params.n_features)]
    with written:
        save_table(out, x, names)
        if labels_path:
            save_table(labels_path, labels.astype(np.int32), ["label"])
    facts = {
        "n_samples": n,
        "n_features": params.n_features,
        "seed": seed,
        "out": str(out),
        "labels": labels_path,
    }
    if as_json:
        printing.print_json(facts)
        return
    rows = [
        ("samples x features", f"{n:,} x {params.n_features}"),
        ("seed", seed),
        ("samples", out),
    ]
    if labels_path:
        rows.append(("labels", labels_path))
    printing.print_facts(f"drawn from {model}", rows)


def info(model, as_json):
    """`gmm-fast info`."""
    params, facts = read_model(model)
    check_facts(facts, params.n_features, model)
    result = em.FitResult.from_facts(params, facts)
    shown = {
        "n_components": params.n_components,
        "n_features": params.n_features,
        "covariance_type": params.covariance_type,
        **facts,
        **criteria.likelihood_facts(result),
        "weights": params.weights,
        "means": params.means,
        "covariances": params.covariances,
    }
    if as_json:
        printing.print_json(shown)
    else:
        printing.print_info(model, result, shown)


class _Outputs:
    """Files that `fit` and `search` write, checked before the work begins."""

    def __init__(self, kept, source):
        settings = kept.options
        self.data, self.source = settings["data"], source
        if settings["model_path"] is None and not settings["no_model"]:
            # said, so that a fit that goes on in another folder writes it here
            ending = ".search.gmm.npz" if kept.command == "search" else ".gmm.npz"
            settings["model_path"] = stem_of(self.data) + ending
        self.model = settings["model_path"]
        self.labels = settings["labels_path"]
        self.report = settings["report_path"]
        self.plot, self.animation = settings.get("plot"), settings.get("animate")
        self.checkpoint = kept.keeper.path
        self.seed = settings["seed"]
        self.features, self.recipe = source.feature_names, Recipe.of(source)
        # not the model of --from: a fit that goes on may replace it
        read = [*files_of(source), settings["weights"], settings.get("from_labels")]
        paths = {"--model": self.model, "--labels": self.labels, "--report": self.report}
        paths |= {"--plot": self.plot, "--animate": self.animation}
        self._paths = paths
        if kept.resumed and kept.no_clobber:
            check_outputs(paths, read, replace=False)
        paths = paths | {kept.option: self.checkpoint}
        if kept.resumed:  # the one before may have written them, or was killed while it did
            check_apart(paths, settings)
            check_outputs(paths, read)
            for path in filter(None, paths.values()):
                remove_leftovers(path)
        else:
            check_written(paths, read, settings | {"no_clobber": kept.no_clobber})

    @contextmanager
    def working(self, kept, progress):
        """A context for the work: what is done is kept, and no file replaced that must stay.

        But the checkpoint, which is replaced as the work goes on.
        """
        with keeping(self._paths, kept.no_clobber), kept.working(), progress.shown():
            yield

    def write(self, backend, candidate, progress):
        """Write what was asked for."""
        if self.labels is not None:
            _write_labels(backend, candidate.result.params, self.labels, progress, self.source)
        if self.model is not None:
            facts = candidate.result.facts() | {
                "data": str(self.data),
                **self.recipe.facts(),
                "seed": self.seed,
                "dtype": str(backend.dtype),
            }
            write_model(self.model, candidate.result.params, facts)


def _check_names(settings):
    """Make sure that what was asked for can be made, in the formats that names announce."""
    if settings["model_path"] is not None:
        check_model_name("--model", settings["model_path"])
    check_table("--labels", settings["labels_path"])
    if settings.get("report_path") is not None:
        page.check_report(settings["report_path"])


def _write_report(kept, outputs, backend, candidate, seconds, progress, **facts):
    """Write the report that was asked for, if any.

    `seconds` are those of opening the data, `facts` more of what `page.command.write` takes.
    """
    if outputs.report is None:
        return
    from ..page.command import write

    progress.say("report")
    write(
        outputs.report,
        backend,
        candidate,
        kept.options,
        features=outputs.features,
        axis_labels=outputs.recipe.labels,
        seconds=seconds | candidate.result.seconds | {"total": kept.keeper.seconds},
        model=outputs.model,
        labels=outputs.labels,
        **facts,
    )


def _em(settings):
    steps = settings["resolution"]
    if isinstance(steps, list):
        steps = np.asarray(steps, np.float64)
    return em.Settings(settings["tol"], settings["max_iter"], settings["reg_covar"], steps)


def _start(settings):
    return starting.Start(
        method=settings["init"],
        n_init=settings["n_init"],
        seed=settings["seed"],
        effort=settings["effort"],
    )


def _start_of_fit(kept):
    """What `fit` starts from but for labels, and the `Recipe` of a model, if it is one.

    Says in the options which K and family that means.
    """
    settings, path = kept.options, kept.options["from_model"]
    if path is None or kept.keeper.begun:  # the model may have been replaced by the fit's own
        settings["covariance"] = settings["covariance"] or FAMILY
        return _start(settings), None
    params, facts = read_model(path)
    kept.check_input("--from", path)
    if settings["k"] not in (None, params.n_components):
        raise DataError(
            f"{path} has {params.n_components} components, but --k says {settings['k']}; leave "
            "--k out"
        )
    settings |= {"k": params.n_components, "covariance": params.covariance_type}
    return params, Recipe.from_facts(facts)


def _as_started_from(source, recipe, settings):
    """`source` on the scale of the model that a fit starts from.

    Says in the options what was taken over from it, so that a fit that goes on takes it, too.
    """
    path, given = settings["from_model"], settings["transform"]
    if given is not None and source.transforms != recipe.transforms:
        raise DataError(
            f"--transform differs from that of {path}, whose components are on its scale: "
            + (
                "it has none"
                if recipe.transforms is None
                else told(recipe.transforms, recipe.names)
            )
            + "; leave --transform out"
        )
    names = recipe.names
    if names and source.feature_names and len(set(names)) == len(names):
        settings["columns"] = source.feature_names
    settings |= {name: v for name, v in source.given.items() if settings[name] is None}
    if given is None:
        settings["transform"] = recipe.transforms
    return recipe.apply(source)


def _write_labels(backend, params, path, progress, source, kept=None):
    """Write (n,) int32 labels, -1 for rows left out; return how many samples components have."""
    progress.say("labels")
    counts = np.zeros(params.n_components, np.int64)

    def labels():
        for start, outputs in backend.score(params, labels=True):
            counts[:] += np.bincount(outputs.labels, minlength=params.n_components)
            yield outputs.labels
            progress.rows(start + len(outputs.labels))

    with table_writer(path, (all_rows(source),), np.int32, ["label"], kept) as writer:
        for block in refilled(labels(), source, -1):
            writer.write(block)
    return counts


def _write_scores(backend, params, path, progress, source, what, names, kept=None):
    """Write what is asked for of every row; NaN for rows left out."""

    def scores():
        for start, outputs in backend.score(params, **{what: True}):
            values = getattr(outputs, what)
            yield values
            progress.rows(start + len(values))

    shape = (all_rows(source), len(names))[: 2 if what == "resp" else 1]
    with table_writer(path, shape, backend.dtype, names, kept) as writer:
        for block in refilled(scores(), source, np.nan):
            writer.write(block)


def _fit_facts(backend, candidate, silhouette_rows, seconds, settings, outputs):
    """The keys of `fit --json`."""
    result = candidate.result
    return {
        "n_samples": backend.n_samples,
        "n_features": backend.n_features,
        "n_components": candidate.n_components,
        "covariance_type": candidate.covariance_type,
        "log_likelihood": result.log_likelihood,
        "n_parameters": candidate.n_parameters,
        "bic": candidate.bic,
        "aic": candidate.aic,
        "icl": candidate.icl,
        "silhouette": candidate.silhouette,
        "silhouette_samples": silhouette_rows,
        "n_iter": result.n_iter,
        "converged": result.converged,
        "stop_reason": result.stop_reason,
        "events": result.events,
        "warnings": doubts(result),
        "resolution": result.resolution,
        "rounded": result.rounded,
        "excess": result.excess,
        "effort": result.effort,
        "moves": result.moves,
        "seed": settings["seed"],
        "threads": backend.threads,
        "dtype": str(backend.dtype),
        "seconds": seconds,
        "features": outputs.features,
        "transforms": outputs.recipe.transforms,
        "weights": result.params.weights,
        "means": result.params.means,
        "model": None if outputs.model is None else str(outputs.model),
        "labels": outputs.labels,
        "report": outputs.report,
        "plot": outputs.plot,
        "animation": outputs.animation,
        "checkpoint": outputs.checkpoint,
    }
