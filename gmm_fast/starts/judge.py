"""Judges starts: runs them on a sample, scores them, and tells which are sound."""

import numpy as np
from scipy.special import psi

from ..mixture.families import get_family
from ..mixture.resolution import resolves
from .short import ENDLESS, ShortRuns

# Starts run to this share of the fit's tolerance, but no finer than `FINEST`: enough to see which
# is best.
FINER, FINEST = 0.1, 1e-5
# Most iterations of a start.
LONGEST = 320

# Share of the samples at either end of a feature that the spread of the data ignores.
RARE = 0.01
# The most a sample can gain in each feature: that of a variance shrunk to a millionth.
MOST_GAIN = 0.5 * np.log(1e6)


class Judge:
    """Runs starts on a sample and scores them.

    Parameters
    ----------
    backend : LocalBackend
        Backend of the sample.
    covariance_type : str
    settings : em.Settings
        With the `reg_covar` of the data.

    Attributes
    ----------
    tol : float
        Tolerance of the runs.
    weight : float
        Total weight of the sample.
    level : float
        Log-likelihoods closer than this count as equal.
    """

    def __init__(self, backend, covariance_type, settings):
        self.backend = backend
        self.settings = settings
        self.runs = ShortRuns(backend, covariance_type, settings)
        self.tol = max(FINER * settings.tol, FINEST)
        self.weight = self.runs.total_weight
        self.level = self.tol * self.weight
        self._family = get_family(covariance_type)
        # the rounding-aware likelihood gains nothing below the rounding
        self._hidden = settings.hidden_variance() if settings.rounding is None else None
        self._spread = spread_of(backend)

    def run(self, params, iterations=LONGEST, patience=ENDLESS):
        """A `short.Run` of at most that many iterations; see `ShortRuns`."""
        return self.runs(params, iterations, self.tol, patience)

    def score(self, run):
        """The log-likelihood of a run, less what chance may have contributed.

        For each component that is its `spuriousness` or its `overfit`, whichever is larger.
        """
        n, d = self.runs.n_samples, self.runs.n_features
        thin = spuriousness(run.params, self._spread, n)
        few = overfit(self._family, run.params.weights * n, d)
        return run.log_likelihood - float(np.maximum(thin, few).sum())

    def resolves(self, params):
        """Whether no component of a solution is narrower than the data's rounding."""
        return resolves(params, self._hidden)

    def within(self, params):
        """Average variances within components, (d,)."""
        return params.weights @ self._family.component_variances(params)

    def few(self, run):
        """How many components have so few samples that those may lie in a plane by chance."""
        samples = run.params.weights * self.runs.n_samples
        return int((samples < 2 * self._family.directions(self.runs.n_features)).sum())


def spread_of(backend):
    """Cholesky factor of the covariance of a sample, (d, d); its diagonal where it is singular.

    Extreme values are clipped: a few distant samples would make every component look thin.
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
    """Penalty for components that are thin compared with the data.

    A component on a few samples that happen to lie in a plane has an unbounded, meaningless
    likelihood. tr(S inv(Sigma_k)) / n is the penalty of Chen and Tan (2009, "Inference for
    multivariate normal mixtures", J. Multivariate Anal. 100), which makes the maximum consistent.
    It is below 1 for honest components; 1 is subtracted, so likelihood alone judges them. It is
    bounded by what the component's samples, or d + 1 of them, can gain: a few distant samples
    deserve their component.

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
    """Penalty for covariances estimated from few samples, (K,).

    In d dimensions the log-likelihood of n_k Gaussian samples at their own mean and covariance is
    expected to exceed that at the true ones by

        G(n_k) = n_k / 2 (d ln(n_k / 2) - sum over i = 1..d of psi((n_k - i) / 2))

    (from E ln|W| of a Wishart matrix, Bishop 2006, equation B.81): half the number of free
    parameters for many samples, more for few. The penalty is what 2 G, as in AIC, has above the
    number of free parameters. Without it a component on hardly more samples than features wins
    whatever they are. Below d + 1 samples it does not grow.

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
