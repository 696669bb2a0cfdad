"""Collect the facts of a report as plain data: on the data, the fit and the versions."""

import platform
import time
from importlib import metadata

import numpy as np

from .. import __version__
from ..selection.choice import FIT, candidate_row
from ..selection.criteria import HIGHER

# Distributions whose versions affect the last digits.
DISTRIBUTIONS = ("numpy", "numba", "scipy", "scikit-learn")


def now():
    """The time to the minute, with its offset from UTC."""
    return time.strftime("%Y-%m-%d %H:%M %z")


def versions():
    """Versions of the software by name; the system comes last."""
    found = {"gmm-fast": __version__, "Python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # frozen into an executable
            found[name] = None
    return found | {"platform": platform.platform()}


def data_facts(backend, name, features=None, weights=None):
    """Facts of the data; they take no pass over it once its survey was made.

    Parameters
    ----------
    backend : Backend
    name : str or None
        Name of the data, as the user gave it.
    features : list of str, optional
    weights : str, optional
        Where the sample weights came from.

    Returns
    -------
    dict
        name, n_samples, n_features, dtype (as stored), computed (the dtype of the kernels),
        features, weights, total_weight, in_memory, mean and deviation, both (d,).
    """
    survey = backend.survey()
    stored = getattr(backend, "source_dtype", None)
    return {
        "name": name,
        "n_samples": backend.n_samples,
        "n_features": backend.n_features,
        "dtype": None if stored is None else str(stored),
        "computed": str(backend.dtype),
        "features": None if features is None else [str(f) for f in features],
        "weights": weights,
        "total_weight": survey.total_weight,
        "in_memory": getattr(backend, "in_memory", None),
        "mean": survey.mean,
        "deviation": np.sqrt(survey.variance),
    }


def fit_facts(candidate, silhouette_samples=0):
    """Facts of a fit.

    Parameters
    ----------
    candidate : choice.Candidate
        Its silhouette was measured on `silhouette_samples` samples.

    Returns
    -------
    dict
        The keys `choice.FIT`, and n_features, mean_log_likelihood, silhouette_samples, reg_covar,
        resolution, rounded, seconds, weights (K,), means (K, d), deviations (K, d), covariances.
    """
    result, params = candidate.result, candidate.result.params
    variances = params.family.component_variances(params)
    return {
        **candidate_row(candidate, FIT),
        "n_features": params.n_features,
        "mean_log_likelihood": result.mean_log_likelihood,
        "silhouette_samples": silhouette_samples,
        "seconds": dict(result.seconds),
        "reg_covar": result.reg_covar,
        "resolution": result.resolution,
        "rounded": result.rounded,
        "weights": params.weights,
        "means": params.means,
        "deviations": np.sqrt(variances),
        "covariances": params.covariances,
    }


def report_facts(best, data, rows=None, criterion=None, **more):
    """All facts of a page, and its rows.

    Parameters
    ----------
    best : dict
        As `fit_facts` returns it.
    data : dict or None
        As `data_facts` returns it.
    rows : list of dict, optional
        The candidates of a search; by default the fit alone.
    criterion : str, optional
        The criterion that chose the best; None for a fit.
    **more
        Other keys of `rendering.render`. Without a ``margin``, or if it is None, margin and
        runner-up are taken from `rows`.

    Returns
    -------
    facts : dict
    rows : list of dict
    """
    if rows is None:
        rows = [{name: best[name] for name in FIT}]
    facts = {"best": best, "data": data, "criterion": criterion, "versions": versions()} | more
    if criterion is not None and facts.get("margin") is None:
        facts |= _runner_up(best, rows, criterion)
    return facts, rows


def is_number(value):
    """Whether a value exists and is finite."""
    return value is not None and bool(np.isfinite(value))


def order(rows, criterion):
    """The rows with a value of `criterion`, best first; equals stay in their order."""
    sign = -1 if criterion in HIGHER else 1
    return sorted(
        (row for row in rows if is_number(row.get(criterion))), key=lambda r: sign * r[criterion]
    )


def _runner_up(best, rows, criterion):
    others = [r for r in order(rows, criterion) if not is_same(r, best)]
    if not others or not is_number(value := value_of(best, rows, criterion)):
        return {"margin": None, "runner_up": None}
    return {"margin": abs(others[0][criterion] - value), "runner_up": others[0]}


def value_of(best, rows, criterion):
    """The value of `criterion` in the row of the best fit."""
    return next((row.get(criterion) for row in rows if is_same(row, best)), None)


def is_same(row, fit):
    """Whether a row belongs to a fit: each family and number of components is tried once."""
    names = ("n_components", "covariance_type")
    return all(row[name] == fit[name] for name in names)
