"""A start for K + 1 components from a fit of K: one more component where the fit is worst.

A split finds a component that should be two of its like. It does not find few samples beside a
large component: for these a component of their own is put among the samples that the fit has least
expected, as in greedy EM (Verbeek, Vlassis & Kröse 2003, "Efficient greedy learning of Gaussian
mixture models", Neural Computation 15).
"""

import numpy as np

from .families import get_family
from .params import Params

# Places that are tried, and how many steps of EM each of the new components makes there alone.
PLACES = 16
STEPS = 8
# Share of the samples, the least expected ones, that places are taken from.
TAIL = 0.02
# Weight and variance (in units of the covariance within components) that a new component begins
# with, and the least variance it may come to.
WEIGHT, VARIANCE, LEAST = 0.01, 0.5, 1e-3
# Logarithm of the most that a density is to another: its exponential is finite.
MOST_LOG = 700.0
# Samples that are looked at together: what is computed of them stays in the cache.
PIECE = 2048


def insertion(backend, sample, params):
    """`params` with one component more, or None where there is no place for one: see `newcomer`."""
    found = newcomer(backend, sample, params)
    return None if found is None else with_component(params, *found)


def newcomer(backend, sample, params):
    """A component that a mixture lacks.

    The mixture stays as it is while the new component, of one variance in the space in which the
    covariance within components is the unit matrix, moves by EM; of several places the one that
    gains most likelihood is taken.

    Parameters
    ----------
    backend : Backend
        Of the sample.
    sample : Sample
    params : Params
        A fit to it.

    Returns
    -------
    (weight, mean, variance) or None
        Its variance in units of the covariance within components. None where there is no place.
    """
    try:
        lower = np.linalg.cholesky(_within(params))
    except np.linalg.LinAlgError:
        return None
    n, d = sample.x.shape
    log_prob, labels = _scored(backend, params)
    z = np.linalg.solve(lower, (sample.x - sample.mean).T)  # (d, n)
    # of ln N(x) the part that is the density of z
    log_prob = log_prob + np.log(np.diagonal(lower)).sum()
    surprise = _log_peaks(params)[labels] - log_prob
    tail = np.argsort(-surprise, kind="stable")[: max(int(TAIL * n), min(n, 2 * (d + 1)))]
    places = tail[:: max(1, len(tail) // PLACES)][:PLACES]
    best = _grow(z, sample.weights, log_prob, z[:, places].T)
    if best is None:
        return None
    weight, centre, variance = best
    return weight, sample.mean + lower @ centre, variance


def _scored(backend, params):
    """ln p(x) and the label of each sample."""
    outs = [
        (o.log_prob.astype(np.float64), o.labels.copy())
        for _, o in backend.score(params, log_prob=True, labels=True)
    ]
    return np.concatenate([o[0] for o in outs]), np.concatenate([o[1] for o in outs])


def _within(params):
    """Covariance within components, (d, d)."""
    covariances, d = params.covariances, params.n_features
    if params.covariance_type == "tied":
        return covariances
    pooled = np.tensordot(params.weights, covariances, 1)
    return pooled if params.covariance_type == "full" else np.diag(np.broadcast_to(pooled, d))


def _log_peaks(params):
    """Ln of weight x density at the mean of each component, (K,), but for a constant."""
    family = get_family(params.covariance_type)
    factor = family.inverse_cholesky(params.covariances)[0]
    diagonal = factor
    if params.covariance_type in ("full", "tied"):
        diagonal = np.diagonal(factor, axis1=-2, axis2=-1)
    logs = np.log(diagonal)
    if params.covariance_type == "spherical":
        logs = logs[:, None] * np.ones(params.n_features)
    with np.errstate(divide="ignore"):  # of a weight of 0
        return np.log(params.weights) + logs.sum(axis=-1)


def _grow(z, weights, log_prob, centres):
    """EM of one new component at each of the places, (P, d), beside a mixture that stays.

    Returns
    -------
    (weight, centre, variance) of the best, or None
    """
    d, total = len(z), weights.sum()
    norms = (z * z).sum(axis=0)
    share = np.full(len(centres), WEIGHT)
    variance = np.full(len(centres), VARIANCE)
    least = (d + 1) * total / len(weights)
    base = log_prob + 0.5 * d * np.log(2 * np.pi)
    pieces = [slice(start, start + PIECE) for start in range(0, len(weights), PIECE)]

    def ratios(piece):
        """Joint densities of the new components to that of the mixture as it is, (P, m)."""
        ratio = centres @ z[:, piece]
        ratio *= -2
        ratio += norms[piece]
        ratio += (centres**2).sum(axis=1)[:, None]
        np.maximum(ratio, 0, out=ratio)
        ratio *= (-0.5 / variance)[:, None]
        ratio += (np.log(share) - 0.5 * d * np.log(variance))[:, None]
        ratio -= base[piece]
        return np.exp(np.minimum(ratio, MOST_LOG, out=ratio), out=ratio)

    for _ in range(STEPS):
        n_k, first, second = np.zeros(len(centres)), np.zeros(centres.shape), 0.0
        for piece in pieces:
            resp = ratios(piece)
            resp /= resp + (1 - share)[:, None]
            resp *= weights[piece]
            n_k += resp.sum(axis=1)
            first += resp @ z[:, piece].T
            second += resp @ norms[piece]
        n_k = np.maximum(n_k, 1e-300)
        centres = first / n_k[:, None]
        variance = np.maximum((second / n_k - (centres**2).sum(axis=1)) / d, LEAST)
        share = np.clip(n_k / total, 1e-12, 0.5)
    gain = sum(np.log(ratios(piece) + (1 - share)[:, None]) @ weights[piece] for piece in pieces)
    gain[share * total < least] = -np.inf
    best = int(np.argmax(gain))
    return (share[best], centres[best], variance[best]) if gain[best] > 0 else None


def with_component(params, weight, mean, variance):
    """`params` and one component behind the last, of `variance` x the covariance within."""
    weights = np.append((1 - weight) * params.weights, weight)
    means = np.vstack([params.means, mean])
    covariances = params.covariances
    if params.covariance_type != "tied":
        pooled = np.tensordot(params.weights, covariances, 1)
        covariances = np.concatenate([covariances, variance * np.asarray(pooled)[None]])
    return Params(weights / weights.sum(), means, covariances, params.covariance_type)
