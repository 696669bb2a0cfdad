"""Distances and assignments for k-means++ and Lloyd's steps, on data held feature by feature."""

import numpy as np
from numba import prange

from ._options import helper, kernel

BLOCK = 256


@helper
def _distances(zt, start, m, center, out):
    """Squared distances from samples start..start + m to one centre."""
    out[:] = 0.0
    for j in range(zt.shape[0]):
        c = center[j]
        row = zt[j, start : start + m]
        for b in range(m):
            v = row[b] - c
            out[b] += v * v


@kernel
def squared_distances(zt, centers, out):
    """out[t, i] = |z_i - centers[t]|^2.

    Parameters
    ----------
    zt : (d, n) float64, C order
    centers : (T, d) float64
    out : (T, n) float64
    """
    n = zt.shape[1]
    for block in prange((n + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        m = min(BLOCK, n - start)
        for t in range(centers.shape[0]):
            _distances(zt, start, m, centers[t], out[t, start : start + m])


@helper
def _assign_block(zt, start, m, centers, labels, nearest):
    distance = np.empty(m)
    best = np.full(m, np.inf)
    which = np.zeros(m, np.int64)
    new_best = np.empty(m)
    new_which = np.empty(m, np.int64)
    for k in range(centers.shape[0]):
        _distances(zt, start, m, centers[k], distance)
        for b in range(m):  # into other arrays: in place these would be masked stores
            closer = distance[b] < best[b]
            new_best[b] = distance[b] if closer else best[b]
            new_which[b] = k if closer else which[b]
        best, new_best = new_best, best
        which, new_which = new_which, which
    labels[start : start + m] = which
    nearest[start : start + m] = best


@kernel
def assign(zt, weights, centers, labels, nearest, sums, counts):
    """Nearest centre of every sample, and the weighted sums that the next centres need.

    Parameters
    ----------
    zt : (d, n) float64, C order
    weights : (n,) float64
    centers : (K, d) float64
    labels : (n,) int64, written
    nearest : (n,) float64, written: squared distance to the nearest centre
    sums : (L, K, d) float64, zeros; lane by lane
    counts : (L, K) float64, zeros
    """
    d, n = zt.shape
    n_lanes = counts.shape[0]
    n_blocks = (n + BLOCK - 1) // BLOCK
    for lane in prange(n_lanes):
        for block in range(lane * n_blocks // n_lanes, (lane + 1) * n_blocks // n_lanes):
            start = block * BLOCK
            stop = min(start + BLOCK, n)
            _assign_block(zt, start, stop - start, centers, labels, nearest)
            for i in range(start, stop):
                k = labels[i]
                counts[lane, k] += weights[i]
                for j in range(d):
                    sums[lane, k, j] += weights[i] * zt[j, i]
