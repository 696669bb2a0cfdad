"""Private methods of scikit-learn's mixture that other code calls or overrides."""

import numpy as np

from ..errors import DataTypeError
from ..mixture.families import get_family
from . import convert

# What to do here instead of overriding methods that scikit-learn's `fit` calls.
_START = "a start is given as weights_init, means_init and precisions_init, or fit(X, labels=...)"
_STEP = "weights of samples go to fit(X, sample_weight=...)"
_DENSITY = ""
# Methods that scikit-learn's fits or predictions call but ours do not, with the advice for each.
HOOKS = {
    "_initialize_parameters": _START,
    "_initialize": _START,
    "_e_step": _STEP,
    "_m_step": _STEP,
    "_compute_lower_bound": _STEP,
    "_check_parameters": _START,
    "_estimate_log_prob": _DENSITY,
    "_estimate_log_weights": _DENSITY,
    "_estimate_weighted_log_prob": _DENSITY,
    "_estimate_log_prob_resp": _DENSITY,
    "_get_parameters": _DENSITY,
    "_set_parameters": _DENSITY,
}


def overrides(model, name):
    """Whether a subclass of the estimator, or the instance, has its own method of that name."""
    if name in vars(model):
        return True
    owner = next((kind for kind in type(model).__mro__ if name in vars(kind)), None)
    return owner is not None and owner.__module__.split(".")[0] not in ("gmm_fast", "sklearn")


def check_hooks(model):
    """Refuse a subclass that overrides methods which our fits do not call.

    Raises
    ------
    DataTypeError
        It names them, and says what to use instead.
    """
    found = [name for name in HOOKS if overrides(model, name)]
    if not found:
        return
    advice = [text for text in dict.fromkeys(HOOKS[name] for name in found) if text]
    advice.append("or subclass sklearn.mixture.GaussianMixture (from_sklearn takes its result)")
    raise DataTypeError(
        f"{type(model).__name__} overrides {', '.join(found)}, which gmm_fast does not call: its "
        f"E- and M-steps are compiled; {'; '.join(advice)}"
    )


class Privates:
    """Mixin: private methods of scikit-learn's mixture that other code calls, in plain NumPy.

    We do not call them; X is an array.
    """

    def _estimate_log_weights(self):
        """ln of the weights, (K,)."""
        with np.errstate(divide="ignore"):
            return np.log(self._params().weights)

    def _estimate_log_prob(self, X):
        """ln N(x; mu_k, Sigma_k), (n, K)."""
        params = self._params()
        factors = convert.precisions(params)[1]
        return _log_densities(np.asarray(X, np.float64), params, factors)

    def _estimate_weighted_log_prob(self, X):
        """ln of weight times density, (n, K)."""
        return self._estimate_log_prob(X) + self._estimate_log_weights()

    def _estimate_log_prob_resp(self, X):
        """ln p(x), (n,), and ln of the responsibilities, (n, K)."""
        weighted = self._estimate_weighted_log_prob(X)
        log_prob = np.logaddexp.reduce(weighted, axis=1)
        return log_prob, weighted - log_prob[:, None]

    def _get_parameters(self):
        """weights_, means_, covariances_, precisions_cholesky_."""
        params = self._params()
        return params.weights, params.means, params.covariances, convert.precisions(params)[1]

    def _set_parameters(self, params):
        """Set the parameters that `_get_parameters` returned."""
        self.weights_, self.means_, self.covariances_, self.precisions_cholesky_ = params
        family = get_family(self.covariance_type)
        self.precisions_ = family.square_factors(np.asarray(self.precisions_cholesky_))


def _log_densities(x, params, factors):
    d = params.n_features
    logs = np.empty((len(x), params.n_components))
    factors = params.family.each(factors, params.n_components)
    for k, (mean, factor) in enumerate(zip(params.means, factors, strict=True)):
        z = x - mean
        z = z @ factor if factor.ndim == 2 else z * factor
        diagonal = np.diagonal(factor) if factor.ndim == 2 else np.broadcast_to(factor, d)
        logs[:, k] = np.log(diagonal).sum() - 0.5 * (d * np.log(2 * np.pi) + (z * z).sum(axis=1))
    return logs
