"""Components that a mixture lacks: where it has least expected the samples.

A split finds a component that should be two of its like. It does not find few samples beside a
large component: for these a component of their own is put among the samples that the fit has least
expected, as in greedy EM (Verbeek, Vlassis & Kröse 2003, "Efficient greedy learning of Gaussian
mixture models", Neural Computation 15).
"""

import numpy as np

from ..backends.threads import share_out
from ..kernels import newcomers as kernel

# Places that are tried, and how many steps of EM each of the new components makes there alone.
PLACES = 16
STEPS = 8
# So many of the best are told of.
MOST = 4
# Share of the samples, the least expected ones, that places are taken from.
TAIL = 0.02
# Weight and variance (in units of the covariance within components) that a new component begins
# with, and the least variance it may come to.
WEIGHT, VARIANCE, LEAST = 0.01, 0.5, 1e-3
# Logarithm of the most that a density is to another: its exponential is finite.
MOST_LOG = 700.0


def newcomers(sample, params, log_prob, labels, threads):
    """Components that a mixture lacks, the one that gains most likelihood first.

    The mixture stays as it is while a new component, of one variance in the space in which the
    covariance within components is the unit matrix, moves by EM from each of several places.

    Parameters
    ----------
    sample : Sample
    params : Params
        A fit to it.
    log_prob : (n,) float64
        ln p(x) under it.
    labels : (n,) int
        The most responsible component.
    threads : int

    Returns
    -------
    list of (gain, weight, mean, variance)
        At most `MOST`, none where there is no place; variances in units of the covariance within
        components.
    """
    try:
        within = params.family.within(params.covariances, params.weights)
        lower = np.linalg.cholesky(params.family.matrix(within, params.n_features))
    except np.linalg.LinAlgError:
        return []
    n, d = sample.x.shape
    z = np.linalg.inv(lower) @ (sample.x - sample.mean).T  # (d, n)
    # of ln N(x) the part that is the density of z
    log_prob = log_prob + np.log(np.diagonal(lower)).sum()
    surprise = _log_peaks(params)[labels] - log_prob
    tail = np.argsort(-surprise, kind="stable")[: max(int(TAIL * n), min(n, 2 * (d + 1)))]
    places = tail[:: max(1, len(tail) // PLACES)][:PLACES]
    grown = _grown(z, sample.weights, log_prob, z[:, places].T, threads)
    return [(g, w, sample.mean + lower @ c, v) for g, w, c, v in grown]


def _log_peaks(params):
    """Ln of weight x density at the mean of each component, (K,), but for a constant."""
    logs = np.log(params.family.diagonal(params.factor, params.n_features))
    with np.errstate(divide="ignore"):  # of a weight of 0
        return np.log(params.weights) + logs.sum(axis=-1)


def _grown(z, weights, log_prob, centres, threads):
    """EM of one new component at each of the places, (P, d), beside a mixture that stays.

    Returns
    -------
    list of (gain, weight, centre, variance)
        Of different ones, the best first.
    """
    d, total = len(z), weights.sum()
    least = (d + 1) * total / len(weights)
    share = np.full(len(centres), WEIGHT)
    variance = np.full(len(centres), VARIANCE)
    z, weights, log_prob = (_in_blocks(a) for a in (z, weights, log_prob))
    n = len(weights)
    sums = np.empty((n // kernel.BLOCK, len(centres), 2 + d))
    for _ in range(STEPS):
        precision, front = 0.5 / variance, _log_front(share, variance, d)

        def add_up(start, stop, at=(centres, precision, front, 1 - share)):
            kernel.moments(start, stop, z, log_prob, weights, *at, sums)

        share_out(add_up, n, kernel.BLOCK, threads, 0.3 * n * centres.size)
        n_k, second, first = np.split(sums.sum(axis=0), [1, 2], axis=1)
        n_k = np.maximum(n_k, 1e-300)
        centres = centres + first / n_k
        variance = (second / n_k - ((first / n_k) ** 2).sum(axis=1, keepdims=True))[:, 0] / d
        variance = np.maximum(variance, LEAST)
        share = np.clip(n_k[:, 0] / total, 1e-12, 0.5)
    found = [
        (_gain(z, weights, log_prob, *each), *each)
        for each in zip(share, centres, variance, strict=True)
    ]
    found = [f for f in found if f[0] > 0 and f[1] * total >= least]
    return _different(sorted(found, key=lambda f: -f[0]))


def _different(found):
    """The first of those that came to one place."""
    kept = []
    for gain, share, centre, variance in found:
        apart = (((centre - other[2]) ** 2).sum() > max(variance, other[3]) for other in kept)
        if len(kept) < MOST and all(apart):
            kept.append((gain, share, centre, variance))
    return kept


def _in_blocks(array):
    """With zeros behind the last column, in whole blocks of the kernel."""
    padding = -array.shape[-1] % kernel.BLOCK
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
