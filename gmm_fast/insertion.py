"""A start for K + 1 components from a fit of K: one more component where the fit is worst.

A split finds a component that should be two of its like. It does not find few samples beside a
large component: for these a component of their own is put among the samples that the fit has least
expected, as in greedy EM (Verbeek, Vlassis & Kröse 2003, "Efficient greedy learning of Gaussian
mixture models", Neural Computation 15).
"""

import numpy as np

from .families import get_family
from .kernels import newcomers
from .params import Params
from .threads import share_out

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
    z = np.linalg.inv(lower) @ (sample.x - sample.mean).T  # (d, n)
    # of ln N(x) the part that is the density of z
    log_prob = log_prob + np.log(np.diagonal(lower)).sum()
    surprise = _log_peaks(params)[labels] - log_prob
    tail = np.argsort(-surprise, kind="stable")[: max(int(TAIL * n), min(n, 2 * (d + 1)))]
    places = tail[:: max(1, len(tail) // PLACES)][:PLACES]
    best = _grow(z, sample.weights, log_prob, z[:, places].T, backend.threads)
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


def _grow(z, weights, log_prob, centres, threads):
    """EM of one new component at each of the places, (P, d), beside a mixture that stays.

    Returns
    -------
    (weight, centre, variance) of the best, or None
    """
    d, total = len(z), weights.sum()
    least = (d + 1) * total / len(weights)
    share = np.full(len(centres), WEIGHT)
    variance = np.full(len(centres), VARIANCE)
    z, weights, log_prob = (_in_blocks(a) for a in (z, weights, log_prob))
    n = len(weights)
    sums = np.empty((n // newcomers.BLOCK, len(centres), 2 + d))
    for _ in range(STEPS):
        precision, front = 0.5 / variance, _log_front(share, variance, d)

        def add_up(start, stop, at=(centres, precision, front, 1 - share)):
            newcomers.moments(start, stop, z, log_prob, weights, *at, sums)

        share_out(add_up, n, newcomers.BLOCK, threads, 0.3 * n * centres.size)
        n_k, second, first = np.split(sums.sum(axis=0), [1, 2], axis=1)
        n_k = np.maximum(n_k, 1e-300)
        centres = centres + first / n_k
        variance = (second / n_k - ((first / n_k) ** 2).sum(axis=1, keepdims=True))[:, 0] / d
        variance = np.maximum(variance, LEAST)
        share = np.clip(n_k[:, 0] / total, 1e-12, 0.5)
    gain = np.array(
        [_gain(z, weights, log_prob, *each) for each in zip(share, centres, variance, strict=True)]
    )
    gain[share * total < least] = -np.inf
    best = int(np.argmax(gain))
    return (share[best], centres[best], variance[best]) if gain[best] > 0 else None


def _in_blocks(array):
    """With zeros behind the last column, in whole blocks of the kernel."""
    padding = -array.shape[-1] % newcomers.BLOCK
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, padding)])


def _log_front(share, variance, d):
    """Logarithm of the joint density of components at their means."""
    return np.log(share) - 0.5 * d * np.log(2 * np.pi * variance)


def _gain(z, weights, log_prob, share, centre, variance):
    """Log-likelihood that a component adds beside `1 - share` of a mixture."""
    squared = ((z - centre[:, None]) ** 2).sum(axis=0)
    joint = _log_front(share, variance, len(z)) - 0.5 * squared / variance
    ratio = np.exp(np.minimum(joint - log_prob, MOST_LOG))
    return weights @ np.log(ratio + (1 - share))


def with_component(params, weight, mean, variance):
    """`params` and one component behind the last, of `variance` x the covariance within."""
    weights = np.append((1 - weight) * params.weights, weight)
    means = np.vstack([params.means, mean])
    covariances = params.covariances
    if params.covariance_type != "tied":
        pooled = np.tensordot(params.weights, covariances, 1)
        covariances = np.concatenate([covariances, variance * np.asarray(pooled)[None]])
    return Params(weights / weights.sum(), means, covariances, params.covariance_type)
