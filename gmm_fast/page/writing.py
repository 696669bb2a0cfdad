"""Write a report from Python: `write_report`."""

import os

from sklearn.utils.validation import check_is_fitted

from .. import fitting
from ..errors import DataError
from ..estimator.arguments import memory_bytes, weights_of
from ..estimator.gaussian_mixture import GaussianMixture
from ..files.outputs import check_writable
from ..selection import criteria
from ..selection.choice import Candidate, doubts
from .facts import data_facts, fit_facts, is_same, now, report_facts
from .pictures import write_illustrated
from .rendering import check_report

# Parameters of the estimator that a report shows as settings, and their names there.
_SETTINGS = {
    "init_params": "start",
    "n_init": "rounds of starts",
    "effort": "effort of the search for the optimum",
    "random_state": "seed",
    "tol": "tolerance",
    "max_iter": "most iterations",
    "dtype": "dtype asked for",
    "threads": "threads",
    "memory": "memory",
}


def write_report(found, path, X=None, *, sample_weight=None, name=None, command=None, date=None):
    """Write a report on a search or a fit: one HTML page to pass on, which loads nothing else.

    Parameters
    ----------
    found : SearchResult or GaussianMixture
        The result of `search`, or a fitted model.
    path : str or path
        Must end in .html or .htm.
    X : (n, d) array-like, table, Dask array, path, or what `open_source` returns, optional
        The data of the fit. The page summarises it, which takes one more pass over it, and pictures
        show a sample of it; without it, the page has neither.
    sample_weight : (n,) array-like, optional
        As in the fit.
    name : str, optional
        Name of the data on the page; by default its path, if it has one.
    command : str, optional
        The call to show on the page.
    date : str, optional
        By default now; with the same date, the same result gives the same bytes.

    Raises
    ------
    DataError
        A ValueError: `path` does not name a page or cannot be written, jinja2 or matplotlib is
        missing, `found` is something else, or `X` is wrong or has other columns.
    sklearn.exceptions.NotFittedError
        The model was not fitted.
    FitError
        A RuntimeError: writing failed.

    Examples
    --------
    >>> import numpy as np
    >>> from gmm_fast import search
    >>> from gmm_fast.page import write_report
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> write_report(search(X, range(1, 4)), "report.html", X)  # doctest: +SKIP
    """
    check_report(path)
    check_writable(path)
    model, rows, criterion, more = _parts(found)
    backend = data = None
    if X is not None:
        backend, data = _open_data(model, X, sample_weight, name)
    row = next((r for r in rows or () if is_same(r, _key(model))), {})
    result = model._result()
    best = fit_facts(Candidate.of(result, row.get("silhouette")))
    parameters = model.get_params()
    settings = {text: parameters[parameter] for parameter, text in _SETTINGS.items()}
    more |= {"date": now() if date is None else date, "command": command, "settings": settings}
    facts, rows = report_facts(best, data, rows, criterion, **more)
    write_illustrated(
        path,
        facts,
        rows,
        result,
        backend=backend,
        names=None if data is None else data["features"],
        labels=model._recipe().labels,
        silhouette_rows=criteria.SILHOUETTE_ROWS,
    )


def _key(model):
    return {"n_components": model.n_components, "covariance_type": model.covariance_type}


def _parts(found):
    """(model, rows, criterion, further facts) of the argument of `write_report`."""
    if isinstance(found, GaussianMixture):
        check_is_fitted(found, "means_")
        return found, None, None, {"warnings": doubts(found._result())}
    names = ("best", "table", "criterion")
    if not all(hasattr(found, name) for name in names):
        raise DataError(
            f"a report needs the result of search or a GaussianMixture, not {type(found)}"
        )
    other = found.runner_up
    more = {name: getattr(found, name) for name in ("margin", "warnings", "early_stop")}
    more["runner_up"] = None if other is None else _key(other)
    return found.best, found.table, found.criterion, more


def _open_data(model, X, sample_weight, name):
    """A backend over the data, and the facts of the data."""
    source = model._open(X)
    n_samples = model._result().n_samples
    if source.n_samples != n_samples:
        raise DataError(
            f"{source.name} has {source.n_samples:,} samples, the fit had {n_samples:,}; give the "
            "data of the fit"
        )
    backend = fitting.scoring_backend(
        source,
        dtype=model.dtype,
        weights=weights_of(source, sample_weight),
        threads=model.threads,
        memory=memory_bytes(model.memory),
    )
    backend.survey(model.covariance_type)
    if name is None:
        name = os.fsdecode(X) if isinstance(X, str | bytes | os.PathLike) else None
    features = source.feature_names
    if features is None:
        features = getattr(model, "feature_names_in_", None)
    weights = None if sample_weight is None else "sample_weight"
    return backend, data_facts(backend, name, features, weights)
