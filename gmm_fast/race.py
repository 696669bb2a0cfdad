"""Which start goes on: short EM runs side by side, the worse half dropped after each leg."""

from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np

from .families import get_family
from .params import Params
from .short import short_run

# Iterations of the first leg; every further leg is twice as long. After 5 iterations instead of 10
# one start in twenty that would have won was dropped (bench/starts_cases.py, overlapping).
LEG = 10
# So many run on until they settle, or for this many iterations: EM may look settled on its way,
# and which of two starts is the better one is seen late.
FINALISTS = 3
LONGEST = 320
# Starts settle at this share of the tolerance of the fit, but no later than at that one: it is
# enough to see which of them is the best.
FINER, FINEST = 0.1, 1e-5

# Share of the samples at either end of a feature that does not count for the spread of the data.
RARE = 0.01
# What a sample gains in each feature at most, where a variance shrinks to a millionth.
MOST_GAIN = 0.5 * np.log(1e6)


@dataclass(eq=False)
class _Runner:
    """A start on its way."""

    number: int
    params: Params
    score: float = -np.inf
    settled: bool = False
    events: list = field(default_factory=list)

    def run(self, backend, settings, spread):
        result = short_run(backend, self.params, settings)
        self.params, self.settled = result.params, result.converged
        self.score = score_of(result, spread)
        self.events += result.events


def best_start(backend, candidates, settings, told=None):
    """The candidate that ends highest, as far as it got.

    Parameters
    ----------
    backend : Backend
        Of a sample.
    candidates : list of Params
    settings : em.Settings
    told : list of list of str, optional
        What happened to each of them before.

    Returns
    -------
    params : Params
    events : list of str
        What happened to it.
    """
    spread = spread_of(backend)
    weight = backend.survey(candidates[0].covariance_type).total_weight
    told = told or [[] for _ in candidates]
    runners = [
        _Runner(i, p, events=e) for i, (p, e) in enumerate(zip(candidates, told, strict=True))
    ]
    tol = max(FINER * settings.tol, FINEST)
    # a fit of no iterations is asked for to see the start: nothing moves it then
    leg = LEG if settings.max_iter else 0
    while len(runners) > 1 and leg <= LONGEST and not all(r.settled for r in runners):
        heat = replace(settings, max_iter=leg, tol=tol)
        for runner in runners:
            if not runner.settled:
                runner.run(backend, heat, spread)
        going_on = max(FINALISTS, ceil(len(runners) / 2)) if leg else 1
        runners = _first(runners, going_on, tol * weight)
        leg *= 2
    winner = _first(runners, 1, tol * weight)[0]
    return winner.params, winner.events


def _first(runners, count, level):
    """So many that scored highest; of those level with the last, by less than `level`, the first in
    number, so that rounding does not choose."""
    last = sorted(r.score for r in runners)[-min(count, len(runners))]
    better = [r for r in runners if r.score > last + level]
    alike = [r for r in runners if abs(r.score - last) <= level]
    return better + sorted(alike, key=lambda r: r.number)[: count - len(better)]


def score_of(result, spread):
    """What a fit to a sample is judged by: its likelihood, less its `spuriousness`."""
    return result.log_likelihood - spuriousness(result.params, spread, result.n_samples)


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
    likelihood alone. It is bounded by what as few samples as d + 1 can gain, for a single sample
    far away deserves its component.

    Parameters
    ----------
    params : Params
    spread : (d, d) float64
        Cholesky factor of S, the covariance of the data.
    n_samples : int
    """
    d = params.n_features
    factor = get_family(params.covariance_type).inverse_cholesky(params.covariances)[0]
    if params.covariance_type in ("full", "tied"):
        traces = ((factor @ spread) ** 2).sum(axis=(-2, -1))
    else:
        traces = (np.reshape(factor, (len(factor), -1)) ** 2 * (spread**2).sum(axis=1)).sum(axis=1)
    return float(np.clip(traces / n_samples - 1, 0, MOST_GAIN * d * (d + 1)).sum())
