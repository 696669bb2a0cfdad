"""The one judge of starts: how far they run on a sample, what they are worth, which are sound."""

import numpy as np
from scipy.special import psi

from ..mixture.families import get_family
from ..mixture.resolution import resolves
from .short import ENDLESS, ShortRuns

# Starts settle at this share of the tolerance of the fit, but no later than at that one: it is
# enough to see which of them is the best.
FINER, FINEST = 0.1, 1e-5
# Iterations after which a start is taken as it is.
LONGEST = 320

# Share of the samples at either end of a feature that does not count for the spread of the data.
RARE = 0.01
# What a sample gains in each feature at most, where a variance shrinks to a millionth.
MOST_GAIN = 0.5 * np.log(1e6)


class Judge:
    """Runs starts on a sample, and says which of two is the better one.

    Parameters
    ----------
    backend : LocalBackend
        Of the sample.
    covariance_type : str
    settings : em.Settings
        With the `reg_covar` of the data.

    Attributes
    ----------
    tol : float
        Of its runs.
    weight : float
        Of the sample.
    level : float
        Log-likelihoods that are apart by less are level.
    """

    def __init__(self, backend, covariance_type, settings):
        self.backend = backend
        self.settings = settings
        self.runs = ShortRuns(backend, covariance_type, settings)
        self.tol = max(FINER * settings.tol, FINEST)
        self.weight = self.runs.total_weight
        self.level = self.tol * self.weight
        self._family = get_family(covariance_type)
        # under the likelihood that takes it into account nothing is won below the rounding
        self._hidden = settings.hidden() if settings.rounding is None else None
        self._spread = spread_of(backend)

    def run(self, params, iterations=LONGEST, patience=ENDLESS):
        """The `short.Run` of so many iterations at most; see `ShortRuns`."""
        return self.runs(params, iterations, self.tol, patience)

    def score(self, run):
        """What a run is judged by: its log-likelihood, less what chance may have given to it.

        Of each component that is its `spuriousness` or its `overfit`, whichever is more.
        """
        n, d = self.runs.n_samples, self.runs.n_features
        thin = spuriousness(run.params, self._spread, n)
        few = overfit(self._family, run.params.weights * n, d)
        return run.log_likelihood - float(np.maximum(thin, few).sum())

    def resolves(self, params):
        """Whether a solution has no component that is narrower than the data's rounding."""
        return resolves(params, self._hidden)

    def within(self, params):
        """Variances within components, (d,)."""
        return params.weights @ self._family.component_variances(params)

    def few(self, run):
        """Components on so few samples that they may have found a plane through them by chance."""
        samples = run.params.weights * self.runs.n_samples
        return int((samples < 2 * self._family.directions(self.runs.n_features)).sum())


def spread_of(backend):
    """Cholesky factor of the covariance of a sample, (d, d); its diagonal where it is singular.

    Of most of it: single samples far away would make every component look thin.
    """
    x = np.concatenate([chunk for _, chunk in backend.data_chunks()])
    x = np.clip(x, *np.quantile(x, (RARE, 1 - RARE), axis=0))
    covariance = np.cov(x, rowvar=False, aweights=backend.weights, bias=True)
    covariance = covariance.reshape(x.shape[1], x.shape[1])
    try:
        return np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return np.diag(np.sqrt(np.diagonal(covariance)))


def spuriousness(params, spread, n_samples):
    """What likelihoods are lowered by for components that are thin beside the data.

    A component on a few samples that happen to lie in a plane has a likelihood without bound, and
    without meaning. tr(S inv(Sigma_k)) / n is the penalty of Chen and Tan (2009, "Inference for
    multivariate normal mixtures", J. Multivariate Anal. 100), with which the maximum is
    consistent. Of honest components it is less than 1, which is taken off: they are judged by
    likelihood alone. It is bounded by what its samples, or d + 1 of them, can gain: few samples far
    away deserve their component.

    Parameters
    ----------
    params : Params
    spread : (d, d) float64
        Cholesky factor of S, the covariance of the data.
    n_samples : int

    Returns
    -------
    (K,) float64, or (1,) for a covariance that all components share
    """
    d = params.n_features
    traces = params.family.traces_in(params.factor, spread)
    rows = params.weights * n_samples if len(traces) > 1 else np.full(1, d + 1.0)
    return np.clip(traces / n_samples - 1, 0, MOST_GAIN * d * np.minimum(rows, d + 1))


def overfit(family, rows, d):
    """What likelihoods are lowered by for covariances that are estimated from few samples, (K,).

    The likelihood of n_k samples at their own mean and covariance is above that at the true ones by

        G(n_k) = n_k / 2 (d ln(n_k / 2) - sum over i = 1..d of psi((n_k - i) / 2)),

    expected of a Gaussian in d dimensions (from E ln|W| of a Wishart matrix, Bishop 2006, equation
    B.81): half the free parameters of many samples, and more of few. What two times it is above
    that, as in AIC, is taken off: else a component on hardly more samples than features wins
    whatever they are. Fewer than d + 1 samples are no more likely to be there by chance.

    Parameters
    ----------
    family : Family
    rows : (K,) float64
        Samples of each component.
    d : int
    """
    order = family.order(d)
    if order < 1:
        return np.zeros(len(rows))
    half = 0.5 * np.maximum(rows, order + 1)
    logs = psi(half[:, None] - 0.5 * np.arange(1, order + 1)).sum(axis=1)
    gained = half * (order * np.log(half) - logs)
    free = 0.5 * order * (order + 3)
    return d / order * np.maximum(2 * gained - free, 0)
