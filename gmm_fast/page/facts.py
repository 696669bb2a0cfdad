"""What a report tells, as plain data: of the data, the chosen fit, the versions."""

import platform
import time
from importlib import metadata

import numpy as np

from .. import __version__
from ..selection import criteria
from ..selection.criteria import HIGHER

# Distributions whose versions decide the last digits.
DISTRIBUTIONS = ("numpy", "numba", "scipy", "scikit-learn")
# What a row of the table of candidates has, besides what only a search finds.
_ROW = (
    "n_components", "covariance_type", "log_likelihood", "n_parameters", "bic", "aic", "icl",
    "silhouette", "n_iter", "converged", "stop_reason", "effort", "moves", "events",
)  # fmt: skip


def now():
    """The time, to the minute, with its distance from UTC."""
    return time.strftime("%Y-%m-%d %H:%M %z")


def versions():
    """What computed, name -> version; the system last."""
    found = {"gmm-fast": __version__, "Python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # bundled by a freezer
            found[name] = None
    return found | {"platform": platform.platform()}


def data_facts(backend, name, features=None, weights=None):
    """What is known of data without another pass over it, if its survey was made before.

    Parameters
    ----------
    backend : Backend
    name : str or None
        Of the data, as the user gave it.
    features : list of str, optional
    weights : str, optional
        Where sample weights came from.

    Returns
    -------
    dict
        name, n_samples, n_features, dtype (as stored), computed (what kernels compute in),
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


def fit_facts(result, silhouette=None, silhouette_samples=0):
    """What a fit found.

    Parameters
    ----------
    result : em.FitResult
    silhouette : float, optional
        Measured on `silhouette_samples` samples.

    Returns
    -------
    dict
        The keys of a row of a search, and n_features, mean_log_likelihood, silhouette_samples,
        reg_covar, resolution, rounded, seconds, weights (K,), means (K, d), deviations (K, d),
        covariances.
    """
    params = result.params
    variances = params.family.component_variances(params)
    return {
        "n_components": params.n_components,
        "n_features": params.n_features,
        "covariance_type": params.covariance_type,
        **criteria.likelihood_facts(result),
        "silhouette": silhouette,
        "silhouette_samples": silhouette_samples,
        "n_iter": result.n_iter,
        "converged": result.converged,
        "stop_reason": result.stop_reason,
        "effort": result.effort,
        "moves": result.moves,
        "events": list(result.events),
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
        As `fit_facts` gives them.
    data : dict or None
        As `data_facts` gives them.
    rows : list of dict, optional
        The candidates of a search; the fit alone by default.
    criterion : str, optional
        What the best was judged by; None for a fit.
    **more
        Other keys of `rendering.render`. Where there is no ``margin`` or it is None, margin and
        runner-up are found in `rows`.

    Returns
    -------
    facts : dict
    rows : list of dict
    """
    if rows is None:
        rows = [{name: best[name] for name in _ROW}]
    facts = {"best": best, "data": data, "criterion": criterion, "versions": versions()} | more
    if criterion is not None and facts.get("margin") is None:
        facts |= _runner_up(best, rows, criterion)
    return facts, rows


def is_number(value):
    """Whether a value is there and finite."""
    return value is not None and bool(np.isfinite(value))


def order(rows, criterion):
    """The rows that have a value of `criterion`, the best first, the first of equals first."""
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
    """The best's value of `criterion`: only its row has the ones that a search measures."""
    return next((row.get(criterion) for row in rows if is_same(row, best)), None)


def is_same(row, fit):
    """Whether a row is that of a fit: each family and number of components is tried once."""
    names = ("n_components", "covariance_type")
    return all(row[name] == fit[name] for name in names)
