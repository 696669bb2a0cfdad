"""Finds components that a mixture lacks, among the samples it expects least.

A split finds a component that should be two similar ones. It misses a few samples beside a large
component: for these a new component is put among the samples that the fit expects least, as in
greedy EM (Verbeek, Vlassis & Kröse 2003, "Efficient greedy learning of Gaussian mixture models",
Neural Computation 15).
"""

import numpy as np

from ..backends.threads import share_out
from ..kernels import newcomers as kernel

# Places to try, and EM steps of the new component at each.
PLACES = 16
STEPS = 8
# How many of the best are returned.
MOST = 4
# Share of the samples, the least expected ones, that places are taken from.
TAIL = 0.02
# Initial weight and variance of a new component, and its least variance, in units of the
# within-component covariance.
WEIGHT, VARIANCE, LEAST = 0.01, 0.5, 1e-3
# Bound on the logarithm of a ratio of densities: its exponential stays finite.
MOST_LOG = 700.0


def newcomers(sample, params, log_prob, labels, threads):
    """Components that a mixture lacks, the one that gains the most likelihood first.

    The mixture stays fixed while EM moves a new component from each of several places. The new
    component has one variance in the space where the within-component covariance is the unit
    matrix.

    Parameters
    ----------
    sample : Sample
    params : Params
        A fit to the sample.
    log_prob : (n,) float64
        ln p(x) under the fit.
    labels : (n,) int
        The most responsible component.
    threads : int

    Returns
    -------
    list of (gain, weight, mean, variance)
        At most `MOST`, possibly none; variances in units of the within-component covariance.
    """
    try:
        within = params.family.within(params.covariances, params.weights)
        lower = np.linalg.cholesky(params.family.matrix(within, params.n_features))
    except np.linalg.LinAlgError:
        return []
    n, d = sample.x.shape
    z = np.linalg.inv(lower) @ (sample.x - sample.mean).T  # (d, n)
    # the density of z instead of that of x
    log_prob = log_prob + np.log(np.diagonal(lower)).sum()
    surprise = _log_peaks(params)[labels] - log_prob
    tail = np.argsort(-surprise, kind="stable")[: max(int(TAIL * n), min(n, 2 * (d + 1)))]
    places = tail[:: max(1, len(tail) // PLACES)][:PLACES]
    found = _grow(z, sample.weights, log_prob, z[:, places].T, threads)
    return [(g, w, sample.mean + lower @ c, v) for g, w, c, v in found]


def _log_peaks(params):
    """Ln of weight times density at the mean of each component, (K,), up to a constant."""
    logs = np.log(params.family.diagonal(params.factor, params.n_features))
    with np.errstate(divide="ignore"):  # a weight may be 0
        return np.log(params.weights) + logs.sum(axis=-1)


def _grow(z, weights, log_prob, centres, threads):
    """EM of one new component from each of the centres, (P, d), beside a fixed mixture.

    Returns
    -------
    list of (gain, weight, centre, variance)
        Without duplicates, the best first.
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
    """The best of those that ended in the same place."""
    kept = []
    for gain, share, centre, variance in found:
        apart = (((centre - other[2]) ** 2).sum() > max(variance, other[3]) for other in kept)
        if len(kept) < MOST and all(apart):
            kept.append((gain, share, centre, variance))
    return kept


def _in_blocks(array):
    """`array` padded with zero columns to whole blocks of the kernel."""
    padding = -array.shape[-1] % kernel.BLOCK
    return np.pad(array, [(0, 0)] * (array.ndim - 1) + [(0, padding)])


def _log_front(share, variance, d):
    """Logarithm of the joint density of components at their means."""
    return np.log(share) - 0.5 * d * np.log(2 * np.pi * variance)


def _gain(z, weights, log_prob, share, centre, variance):
    """Log-likelihood gained by a component that joins a mixture scaled by `1 - share`."""
    squared = ((z - centre[:, None]) ** 2).sum(axis=0)
    joint = _log_front(share, variance, len(z)) - 0.5 * squared / variance
    ratio = np.exp(np.minimum(joint - log_prob, MOST_LOG))
    return weights @ np.log(ratio + (1 - share))
