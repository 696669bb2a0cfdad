"""Checks the arguments of `GaussianMixture` before any work."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_random_state

from .. import em
from ..backends import check_weights
from ..backends.memory import parse_size
from ..backends.threads import check_threads
from ..em.regularisation import AUTO
from ..errors import DataError, DataTypeError
from ..mixture.families import FAMILIES
from ..mixture.params import covariance_shape
from ..mixture.resolution import check_resolution
from ..sources import select_kept
from ..starts import starting
from ..starts.partition import check_labels


def check_parameters(model):
    """Check the parameters of a `GaussianMixture`, as far as possible without the data.

    Checks that scikit-learn makes, too, have its messages: people's tests match them.

    Returns
    -------
    em.Settings

    Raises
    ------
    DataError
        `DataTypeError` where the type is wrong.
    """
    _integer(model, "n_components", 1)
    _choice(model, "covariance_type", FAMILIES)
    _integer(model, "n_init", 1)
    _real(model, "effort", "a float in the range [0.0, inf); 0 is the race of starts alone")
    _choice(model, "init_params", starting.METHODS)
    seed_of(model.random_state, look_only=True)
    if not isinstance(model.warm_start, bool | np.bool_):
        raise _refusal(model, "warm_start", _BOOLEAN, DataTypeError)
    if not isinstance(model.verbose, bool | np.bool_):
        _integer(model, "verbose", 0, f", {_BOOLEAN}")
    _integer(model, "verbose_interval", 1)
    if model.threads is not None:
        check_threads(_integer(model, "threads", 1, " or None"))
    if model.dtype is not None and not _computable(model.dtype):
        raise _refusal(model, "dtype", "'float32', 'float64' or None")
    memory_bytes(model.memory)
    decay_of(model)
    return em.Settings(
        tol=_real(model, "tol"),
        max_iter=_integer(model, "max_iter", 0),
        reg_covar=_reg_covar(model),
        resolution=_resolution(model),
    )


def _reg_covar(model):
    value, rule = model.reg_covar, "'auto' or a float in the range [0.0, inf)"
    if isinstance(value, str):
        if value != AUTO:
            raise _refusal(model, "reg_covar", rule)
        return value
    return _real(model, "reg_covar", rule)


def _resolution(model):
    try:
        check_resolution(model.resolution)
    except DataError:
        rule = "'auto', None, a float in the range [0.0, inf), or an array of them, of each feature"
        raise _refusal(model, "resolution", rule) from None
    if model.resolution is None or isinstance(model.resolution, str):
        return model.resolution
    return np.asarray(model.resolution, np.float64)


_BOOLEAN = "an instance of 'bool' or an instance of 'numpy.bool'"


def _refusal(model, name, rule, error=DataError):
    """The error that says what a parameter must be, and what it is."""
    who, value = type(model).__name__, getattr(model, name)
    return error(f"The '{name}' parameter of {who} must be {rule}. Got {value!r} instead.")


def _integer(model, name, least, otherwise=""):
    """A parameter as an int, checked to be at least `least`; `otherwise` names other values."""
    value, rule = getattr(model, name), f"an int in the range [{least}, inf){otherwise}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise _refusal(model, name, rule, DataTypeError)
    if value < least:
        raise _refusal(model, name, rule)
    return int(value)


def _real(model, name, rule="a float in the range [0.0, inf)", most=np.inf):
    """A parameter as a float, checked to be finite and in 0..`most`."""
    value = getattr(model, name)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _refusal(model, name, rule, DataTypeError)
    try:
        number = float(value)  # first, as NumPy does not take fractions and very large integers
    except OverflowError:
        number = np.inf
    if not (np.isfinite(number) and 0 <= number <= most):
        raise _refusal(model, name, rule)
    return number


def _choice(model, name, options):
    """Check that a parameter is one of `options`."""
    value = getattr(model, name)
    if not (isinstance(value, str) and value in options):
        rule = "a str among {" + ", ".join(map(repr, options)) + "}"
        raise _refusal(model, name, rule, DataError if isinstance(value, str) else DataTypeError)


def decay_of(model):
    """`learning_decay` as a float, checked."""
    return _real(model, "learning_decay", "a float in the range [0.0, 1.0]", most=1.0)


def memory_bytes(memory):
    return None if memory is None else parse_size(memory)


def _computable(dtype):
    try:
        return np.dtype(dtype) in (np.float32, np.float64)
    except Exception:  # NumPy parses anything, and fails in many ways
        return False


def seed_of(random_state, *, look_only=False):
    """A seed: an integer as it is, else drawn from a `RandomState` or from NumPy's global one.

    `look_only` draws nothing, it only checks.

    Raises
    ------
    DataError
        Not a non-negative integer, a `numpy.random.RandomState` or None.
    """
    if isinstance(random_state, Integral) and random_state >= 0:
        return int(random_state)
    try:
        generator = check_random_state(random_state)
    except ValueError:
        raise DataError(
            "The 'random_state' parameter of GaussianMixture must be an int in the range "
            "[0, inf), an instance of 'numpy.random.mtrand.RandomState' or None. "
            f"Got {random_state!r} instead."
        ) from None
    return None if look_only else int(generator.randint(2**31))


def given_start(model, n_features):
    """The given starting values, checked; None for those not given.

    Messages are scikit-learn's, plus the name of the argument.
    """
    k, d, family = int(model.n_components), n_features, model.covariance_type
    shapes = {
        "weights": ((k,), "weights"),
        "means": ((k, d), "means"),
        "precisions": (covariance_shape(family, k, d), f"{family} precision"),
    }
    given = {name: _array(model, f"{name}_init", *shapes[name]) for name in shapes}
    if given["weights"] is not None:
        _check_weights(given["weights"])
    if given["precisions"] is not None:
        _check_precisions(given["precisions"], family)
        _check_inverses(given["precisions"], family)
    return given


def _array(model, name, shape, word):
    """A parameter as a float64 array of finite numbers, checked, or None."""
    value = getattr(model, name)
    if value is None:
        return None
    if np.isscalar(value) or not (hasattr(value, "__len__") or hasattr(value, "__array__")):
        raise _refusal(model, name, "an array-like or None", DataTypeError)
    try:
        if getattr(getattr(value, "dtype", None), "kind", None) == "c":
            raise TypeError  # NumPy would only warn and take the real parts
        found = np.array(value, np.float64)
    except (TypeError, ValueError, OverflowError):  # the last: an integer beyond float64
        raise DataTypeError(f"{name} is not an array of numbers") from None
    if found.shape != shape:
        raise DataError(
            f"The parameter '{word}' should have the shape of {shape}, but got {found.shape} "
            f"in {name}"
        )
    if not np.isfinite(found).all():
        what = "NaN" if np.isnan(found).any() else "infinity"
        raise DataError(f"{name} contains {what}; starting values must be finite")
    return found


def _check_weights(weights):
    """Raise DataError unless given weights are in 0..1 and sum to 1."""
    if (weights < 0).any() or (weights > 1).any():
        raise DataError(
            "The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{weights.max():.5f}, min value {weights.min():.5f} in weights_init"
        )
    if abs(weights.sum() - 1) > 1e-6:
        raise DataError(
            "The parameter 'weights' should be normalized, but got sum(weights) = "
            f"{weights.sum():.5f}; divide weights_init by its sum"
        )


def weights_of(source, sample_weight):
    """`sample_weight` for the rows of `source`, checked.

    Given for the rows of `source`, or for all rows of its data.
    """
    return check_weights(select_kept(source, sample_weight), source.n_samples)


def labels_of(source, labels, n_components):
    """`labels` to start from, for the rows of `source`, checked; see `weights_of`."""
    return check_labels(select_kept(source, labels), source.n_samples, n_components)


def check_enough(model, source):
    """Raise DataError if there are fewer samples than components."""
    k, n = int(model.n_components), source.n_samples
    if n < k:  # in scikit-learn's words
        raise DataError(
            f"Expected n_samples >= n_components but got n_components = {k}, n_samples = {n}: "
            f"{source.name} has too few rows; ask for at most {n} component{'s'[: n > 1]}"
        )


def _check_precisions(precisions, covariance_type):
    """Raise DataError unless given precisions are symmetric and positive definite."""
    family = FAMILIES[covariance_type]
    if not family.matrices:
        wrong = np.argwhere(~(precisions > 0))
        if len(wrong):
            place = ", ".join(map(str, wrong[0]))
            raise DataError(
                f"'{covariance_type} precision' should be positive: precisions_init[{place}] is "
                f"{precisions[tuple(wrong[0])]}"
            )
        return
    for k, matrix in enumerate(family.as_stack(precisions)):
        where = "precisions_init" if family.shared else f"precisions_init[{k}]"
        problem = _matrix_problem(matrix)
        if problem:
            raise DataError(
                f"'{covariance_type} precision' should be symmetric, positive-definite: {where} is "
                f"not {problem}"
            )


def _check_inverses(precisions, covariance_type):
    """Raise DataError if the covariances of given precisions overflow."""
    with np.errstate(all="ignore"):
        try:
            covariances = FAMILIES[covariance_type].invert(precisions)
        except np.linalg.LinAlgError:
            covariances = np.inf
    if not np.isfinite(covariances).all():
        raise DataError("precisions_init holds values so small that covariances overflow")


def _matrix_problem(matrix):
    """What a precision matrix should be but is not; None if it is valid."""
    if not np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-8 * abs(matrix).max()):
        return "symmetric"
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return "positive definite"
    return None
