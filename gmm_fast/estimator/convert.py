"""Converts mixtures from and to arrays and scikit-learn's estimators."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .. import checks, em
from ..errors import DataError
from ..mixture.families import FAMILIES, get_family
from ..mixture.params import Params, check_params, covariance_shape

# How far from 1 the sum of weights may be: rounding, even of float32.
ROUNDING = 1e-6


def precisions(params):
    """Precisions and their Cholesky factors, in scikit-learn's layout.

    Returns
    -------
    precisions : ndarray
        Of the shape of the covariances.
    factors : ndarray
        full and tied: upper triangular U, precision = U U'; diag and spherical: 1 / sigma.
    """
    return params.family.precisions(params.factor)


def params_from_arrays(weights, means, covariances, covariance_type=None):
    """`Params` from arrays, checked.

    Parameters
    ----------
    weights : (K,) array-like
    means : (K, d) array-like
    covariances : array-like
        full (K, d, d), tied (d, d), diag (K, d), spherical (K,).
    covariance_type : str, optional
        By default the family that the shape of the covariances implies, if there is only one.

    Returns
    -------
    Params

    Raises
    ------
    DataError
    """
    means = _numbers("means", means)
    if means.ndim != 2 or 0 in means.shape:
        raise DataError(f"means have shape {means.shape}; (K, d) is needed")
    k, d = means.shape
    means = checks.array("means", means, (k, d))
    weights = _weights(weights, k)
    covariances = _numbers("covariances", covariances)
    family = _family(covariances.shape, k, d, covariance_type)
    expected = covariance_shape(family.name, k, d)
    covariances = checks.array(f"covariances ({family.name})", covariances, expected)
    _check_covariances(covariances, family)
    return check_params(Params(weights, means, covariances, family.name))


def _numbers(name, value):
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: not an array of numbers") from None


def _weights(weights, k):
    weights = checks.array("weights", weights, (k,))
    if (weights < 0).any():
        j = int(np.argmin(weights))
        raise DataError(f"weights must not be negative; that of component {j} is {weights[j]}")
    total = weights.sum()
    if abs(total - 1) > ROUNDING:
        raise DataError(f"weights must sum to 1, not {total:.10g}; divide them by their sum")
    return _normalise(weights)


def _normalise(weights):
    # weights that already sum to 1 in float64 keep their bits; NumPy draws from no others
    total = weights.sum()
    return weights / total if abs(total - 1) > 1e-13 else weights.copy()


def _family(shape, k, d, covariance_type):
    """The named family, or the only one with covariances of that shape."""
    if covariance_type is not None:
        if not isinstance(covariance_type, str):
            raise DataError(f"covariance_type must be a str, not {covariance_type!r}")
        return get_family(covariance_type)
    shapes = {name: covariance_shape(name, k, d) for name in FAMILIES}
    fitting = [name for name in shapes if shapes[name] == shape]
    if not fitting:
        known = ", ".join(f"{name} {shapes[name]}" for name in shapes)
        raise DataError(
            f"covariances have shape {shape}; for {k} components in {d} dimensions it is {known}"
        )
    if len(fitting) > 1:
        raise DataError(
            f"covariances of shape {shape} may be {' or '.join(fitting)}; say which: "
            f"covariance_type={fitting[0]!r}"
        )
    return get_family(fitting[0])


def _check_covariances(covariances, family):
    """Raise DataError unless covariances are symmetric and positive definite, up to rounding."""
    _refuse(family.asymmetric(covariances, 1e-8), family, "not symmetric")
    _refuse(family.inverse_cholesky(covariances)[1], family, "not positive definite")


def check_definite(params):
    """Raise DataError unless the covariances of `Params` are positive definite."""
    _refuse(params.factored[1], params.family, "not positive definite")


def _refuse(bad, family, what):
    if not bad.any():
        return
    whose = f"the {family.name} covariance" if family.shared else ""
    whose = whose or f"the covariance of component {np.flatnonzero(bad)[0]} (counting from 0)"
    raise DataError(f"covariances: {whose} is {what}")


def result_of(params, n_samples, mean_log_likelihood=np.nan, **facts):
    """A `FitResult` for parameters from elsewhere, which count for `n_samples` samples.

    Raises
    ------
    DataError
        `n_samples` is not a positive number.
    """
    n_samples = checks.real("n_samples", n_samples)
    if n_samples == 0:
        raise DataError("n_samples must be positive")
    how = {"trace": [], "n_iter": 0, "converged": False, "stop_reason": "no fit"} | facts
    how["trace"] = [bound * n_samples for bound in how["trace"]]
    return em.FitResult(
        params=params,
        log_likelihood=mean_log_likelihood * n_samples,
        log_max_resp=np.nan,
        total_weight=n_samples,
        n_samples=round(n_samples),
        **how,
    )


def result_of_sklearn(model, n_samples):
    """A `FitResult` for a fitted mixture of scikit-learn.

    Raises
    ------
    DataError
        Not a mixture of scikit-learn.
    sklearn.exceptions.NotFittedError
    """
    # imported late: it is slow, and loads what nothing else here needs
    from sklearn.mixture import BayesianGaussianMixture, GaussianMixture

    if not isinstance(model, GaussianMixture | BayesianGaussianMixture):
        raise DataError(
            "a GaussianMixture or BayesianGaussianMixture of scikit-learn is needed, not "
            f"{type(model).__module__}.{type(model).__qualname__}"
        )
    check_is_fitted(model)
    params = params_from_arrays(
        model.weights_, model.means_, model.covariances_, model.covariance_type
    )
    facts = {
        "n_iter": int(getattr(model, "n_iter_", 0)),
        "converged": bool(getattr(model, "converged_", False)),
    }
    facts["stop_reason"] = "tolerance" if facts["converged"] else "max_iter"
    bound = np.nan
    if isinstance(model, GaussianMixture):  # the Bayesian bound is another quantity
        bound = float(getattr(model, "lower_bound_", np.nan))
        facts["trace"] = [float(b) for b in getattr(model, "lower_bounds_", [bound])]
    return result_of(params, n_samples, bound, **facts)


def shared_parameters(model):
    """Constructor parameters that scikit-learn's mixture has, too, by name."""
    from sklearn.mixture import GaussianMixture

    names = set(GaussianMixture().get_params()) - {"n_components", "covariance_type"}
    return {name: value for name, value in model.get_params().items() if name in names}


def to_sklearn(model, params):
    """A fitted `sklearn.mixture.GaussianMixture`.

    Parameters
    ----------
    model : gmm_fast.GaussianMixture
        Fitted; its constructor parameters are carried over.
    params : Params
        Its mixture.
    """
    from sklearn.mixture import GaussianMixture

    known = shared_parameters(model)
    defaults = GaussianMixture().get_params()
    for name in ("init_params", "reg_covar"):  # 'auto' is ours alone
        if isinstance(known[name], str) and known[name] == "auto":
            known[name] = defaults[name]
    other = GaussianMixture(params.n_components, covariance_type=params.covariance_type, **known)
    other.weights_ = _normalise(params.weights)
    other.means_ = params.means.copy()
    other.covariances_ = params.covariances.copy()
    other.precisions_, other.precisions_cholesky_ = (a.copy() for a in precisions(params))
    other.converged_ = getattr(model, "converged_", False)
    other.n_iter_ = getattr(model, "n_iter_", 0)
    other.lower_bound_ = getattr(model, "lower_bound_", np.nan)
    other.lower_bounds_ = list(getattr(model, "lower_bounds_", []))
    other.n_features_in_ = params.n_features
    if hasattr(model, "feature_names_in_"):
        other.feature_names_in_ = model.feature_names_in_.copy()
    return other
