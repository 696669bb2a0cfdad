"""What a `GaussianMixture` is called with, checked before any work."""

import numpy as np
from sklearn.utils import check_random_state

from . import checks, em, init
from .errors import DataError
from .families import get_family
from .memory import parse_size
from .params import covariance_shape
from .threads import check_threads


def check_parameters(model):
    """Check what can be checked of the parameters of a `GaussianMixture` without the data.

    Returns
    -------
    em.Settings

    Raises
    ------
    DataError
    """
    checks.integer("n_components", model.n_components, 1)
    if not isinstance(model.covariance_type, str):
        raise DataError(f"covariance_type must be a str, not {model.covariance_type!r}")
    get_family(model.covariance_type)
    checks.integer("n_init", model.n_init, 1)
    if not isinstance(model.init_params, str):
        raise DataError(f"init_params must be a str, not {model.init_params!r}")
    init.Start(model.init_params)
    checks.integer("verbose_interval", model.verbose_interval, 1)
    if model.threads is not None:
        check_threads(checks.integer("threads", model.threads, 1))
    if model.dtype is not None and not _computable(model.dtype):
        raise DataError(f"dtype must be 'float32', 'float64' or None, not {model.dtype!r}")
    memory_bytes(model.memory)
    return em.Settings(
        tol=checks.real("tol", model.tol),
        max_iter=checks.integer("max_iter", model.max_iter, 1),
        reg_covar=checks.real("reg_covar", model.reg_covar),
    )


def memory_bytes(memory):
    return None if memory is None else parse_size(memory)


def _computable(dtype):
    try:
        return np.dtype(dtype) in (np.float32, np.float64)
    except Exception:  # NumPy parses what it is given, and fails in many ways
        return False


def seed_of(random_state):
    """A seed: an integer as it is, else the next number of a `RandomState` or of NumPy's own.

    Raises
    ------
    DataError
        Neither a non-negative integer, nor a `numpy.random.RandomState`, nor None.
    """
    if isinstance(random_state, int | np.integer) and random_state >= 0:
        return int(random_state)
    try:
        return int(check_random_state(random_state).randint(2**31))
    except ValueError:
        raise DataError(
            "random_state must be a non-negative integer, a numpy.random.RandomState or None, "
            f"not {random_state!r}"
        ) from None


def given_start(model, n_features):
    """The starting values that were given, checked; None where there are none."""
    k, d = int(model.n_components), n_features
    shapes = {
        "weights": (k,),
        "means": (k, d),
        "precisions": covariance_shape(model.covariance_type, k, d),
    }
    given = {name: getattr(model, f"{name}_init") for name in shapes}
    for name, shape in shapes.items():
        if given[name] is not None:
            given[name] = checks.array(f"{name}_init", given[name], shape)
    weights = given["weights"]
    if weights is not None and ((weights < 0).any() or abs(weights.sum() - 1) > 1e-6):
        raise DataError("weights_init must not be negative and must sum to 1")
    if given["precisions"] is not None:
        _check_precisions(given["precisions"], model.covariance_type)
    return given


def feature_names(X):
    """Column names of a data frame as an object array; None unless all are strings."""
    # the columns of an Arrow table are its data, of which `asarray` would make objects
    columns = getattr(X, "column_names", getattr(X, "columns", None))
    if columns is None:
        return None
    names = list(columns)
    if not all(isinstance(name, str) for name in names):
        return None
    return np.asarray(names, dtype=object)


def _check_precisions(precisions, covariance_type):
    """Raise DataError unless given precisions are those of covariances."""
    if covariance_type not in ("full", "tied"):
        if not (precisions > 0).all():
            raise DataError("precisions_init must be positive")
    else:
        _check_matrices(precisions)
    with np.errstate(all="ignore"):
        try:
            covariances = get_family(covariance_type).invert(precisions)
        except np.linalg.LinAlgError:
            covariances = np.inf
    if not np.isfinite(covariances).all():
        raise DataError("precisions_init holds values so small that covariances overflow")


def _check_matrices(precisions):
    transposed = np.swapaxes(precisions, -1, -2)
    if not np.allclose(precisions, transposed, rtol=1e-6, atol=1e-8 * abs(precisions).max()):
        raise DataError("precisions_init must be symmetric")
    try:
        np.linalg.cholesky(precisions)
    except np.linalg.LinAlgError:
        raise DataError("precisions_init must be positive definite") from None
