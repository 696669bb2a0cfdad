"""The commands that fit models: `fit` and `search`."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from .. import em, fitting
from ..errors import DataError
from ..estimator.recipe import Recipe
from ..files.modelfile import read_model
from ..mixture.params import Params
from ..mixture.resolution import check_steps
from ..names import FAMILY
from ..selection import criteria, grid
from ..selection.choice import FIT, Candidate, candidate_row, doubts
from ..sources import check_columns, describe_transforms
from ..starts import starting
from . import inputs, plotting, printing
from .outputs import Outputs, check_names
from .progress import Progress, SearchProgress
from .resuming import Kept, shape_of


def fit(settings, given, as_json, command):
    """`gmm-fast fit`."""
    kept = Kept("fit", settings, given, printing.note)
    settings = kept.options
    check_names(settings)
    plotting.check_pictures(settings)
    start, recipe = _start_of_fit(kept)
    data, k, covariance = settings["data"], settings["k"], settings["covariance"]
    source = inputs.open_data(settings, recipe)
    if isinstance(start, Params):
        check_columns(source, start.n_features, settings["from_model"])
        source = _on_scale_of(source, recipe, settings)
    kept.check_data(data, shape_of(source))
    if source.n_samples < k:  # checked again, with the weights, when kernels are compiled
        raise DataError(
            f"{data}: {source.n_samples:,} samples are fewer than {k:,} components; ask for at "
            f"most {source.n_samples:,}"
        )
    if settings["from_labels"] is not None and not kept.keeper.begun:
        start = replace(start, labels=inputs.read_labels(kept, source, k))
    outputs = Outputs(kept, source)
    with _backend(kept, outputs, source, [covariance], [k]) as (backend, opening, events, progress):
        progress.say(f"K={k} {covariance}")
        recorder = plotting.recorder_of(settings)
        result = fitting.fit(
            backend,
            k,
            covariance,
            start,
            _em(settings).of(k),
            callback=progress.iteration,
            keeper=kept.keeper,
            on_state=recorder,
        )
        progress.say("silhouette")
        silhouettes = criteria.Silhouettes(backend, settings["silhouette_rows"], settings["seed"])
        result.events[:0] = events
        candidate = Candidate.of(result, silhouettes.of([result.params])[0])
        outputs.write(backend, candidate, progress)
        facts = {"command": command, "silhouette_rows": silhouettes.n_rows}
        facts["warnings"] = doubts(result)
        outputs.write_report(backend, candidate, opening, progress, **facts)
        plotting.draw_fit(backend, result, outputs.recipe, settings, recorder, progress)
    facts = _fit_facts(backend, candidate, silhouettes.n_rows, opening, outputs, settings)
    if as_json:
        printing.print_json(facts)
    else:
        printing.print_fit(data, result, facts)
    printing.print_notes(result, events)


def search(settings, given, as_json, command):
    """`gmm-fast search`."""
    kept = Kept("search", settings, given, printing.note)
    settings = kept.options
    data, families, criterion = (settings[name] for name in ("data", "families", "criterion"))
    numbers = range(settings["lo"], settings["hi"] + 1)
    how = {"silhouette_rows": settings["silhouette_rows"], "folds": _folds(settings)}
    grid.check_search(numbers, families, criterion, **how)
    check_names(settings)
    plotting.check_pictures(settings)
    source = inputs.open_data(settings)
    kept.check_data(data, shape_of(source))
    grid.check_search(numbers, families, criterion, source.n_samples, **how)
    outputs = Outputs(kept, source)
    opened = _backend(kept, outputs, source, families, numbers, search=True, folds=how["folds"])
    with opened as (backend, opening, events, progress):
        table = grid.search(
            backend,
            numbers,
            families,
            criterion,
            _start(settings),
            _em(settings),
            early_stop=settings["early_stop"],
            watch=SearchProgress(progress, numbers),
            keeper=kept.keeper,
            **how,
        )
        best, measured = table.best, table.silhouette_rows
        best.result.events[:0] = events
        outputs.write(backend, best, progress)
        rows, choice = [candidate_row(c) for c in table.candidates], _choice_facts(table)
        facts = {"command": command, "silhouette_rows": measured, "rows": rows}
        outputs.write_report(backend, best, opening, progress, **facts, **choice)
        plotting.draw_search(rows, settings)
    facts = _fit_facts(backend, best, measured, opening, outputs, settings)
    if as_json:
        facts |= {"cv": best.cv, "cv_se": best.cv_se}
        printing.print_json(choice | {"folds": table.folds, "best": facts, "candidates": rows})
    else:
        printing.print_candidates(table)
        printing.show()
        printing.print_fit(data, best.result, facts, len(table.candidates))
    printing.print_notes(best.result, [*events, *table.warnings])
    printing.print_doubts(table.warnings)


@contextmanager
def _backend(kept, outputs, source, families, numbers, **more):
    """A context for the work of a fit or a search; it completes the checkpoint at its end.

    Yields the backend, the seconds of opening it, the events of the data, and the progress.
    """
    settings = kept.options
    progress = Progress(source.n_samples, settings["max_iter"], settings["quiet"])
    with outputs.working(progress), inputs.workers(settings, progress) as client:
        backend, seconds, events = inputs.open_backend(
            source, families, numbers, kept, progress, client, **more
        )
        check_steps(_em(settings).resolution, backend)
        yield backend, seconds, events, progress
        kept.keeper.complete()
        if settings["verbose"]:
            printing.print_reading(backend)


def _folds(settings):
    """The number of folds, or None; raises DataError where cross-validation cannot run."""
    folds = grid.folds_of(settings["criterion"], settings["folds"])
    if folds is not None and not (settings["workers"] is settings["scheduler"] is None):
        raise DataError(
            "cross-validation does not run on Dask workers; leave --workers and --scheduler out, "
            "or --folds and --criterion cv"
        )
    return folds


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
    """Where `fit` starts, except for labels, and the `Recipe` of the model of --from, or None.

    Writes K and the family of that model into the options.
    """
    settings, path = kept.options, kept.options["from_model"]
    if path is None or kept.keeper.begun:  # the fit may have replaced the model with its own
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


def _on_scale_of(source, recipe, settings):
    """`source` on the scale of the model of --from.

    Writes what the recipe decides into the options, so that a resumed fit reads the same way.
    """
    path, given = settings["from_model"], settings["transform"]
    if given is not None and source.transforms != recipe.transforms:
        transforms = recipe.transforms
        own = "it has none" if transforms is None else describe_transforms(transforms, recipe.names)
        raise DataError(
            f"--transform differs from that of {path}, whose components are on its scale: {own}; "
            "leave --transform out"
        )
    names = recipe.names
    if names and source.feature_names and len(set(names)) == len(names):
        settings["columns"] = source.feature_names
    settings |= {name: v for name, v in source.given.items() if settings[name] is None}
    if given is None:
        settings["transform"] = recipe.transforms
    return recipe.apply(source)


def _choice_facts(table):
    """The choice of a search, as the report and `search --json` tell it."""
    other = table.runner_up
    return {
        "criterion": table.criterion,
        "margin": table.margin,
        "runner_up": None if other is None else [other.n_components, other.covariance_type],
        "warnings": table.warnings,
        "early_stop": table.stopped_at,
    }


def _fit_facts(backend, candidate, silhouette_rows, opening, outputs, settings):
    """The keys of `fit --json`."""
    result = candidate.result
    return {
        "n_samples": backend.n_samples,
        "n_features": backend.n_features,
        **candidate_row(candidate, FIT),
        "silhouette_samples": silhouette_rows,
        "warnings": doubts(result),
        "resolution": result.resolution,
        "rounded": result.rounded,
        "excess": result.excess,
        "seed": settings["seed"],
        "threads": backend.threads,
        "dtype": str(backend.dtype),
        "seconds": outputs.seconds(opening, result),
        "features": outputs.features,
        "transforms": outputs.recipe.transforms,
        "weights": result.params.weights,
        "means": result.params.means,
        **outputs.facts(),
    }
