"""Sums of pairwise distances by cluster, for the silhouette of several labelings at once."""

import numba
import numpy as np

from ._options import helper, serial_kernel
from .vector import add, fma, lanes, load, splat, spread, sqrt, store, subtract

ROWS = 64  # samples come in whole groups: callers pad


@helper
def _group(xt, clusters, n_clusters, first, out):
    sums = np.zeros((n_clusters, ROWS))
    for j in range(clusters.shape[0]):
        for r in range(0, ROWS, lanes(xt, 4)):
            q = splat(0.0, 4)
            for f in range(xt.shape[0]):
                y = subtract(load(xt, (f, first + r), 4), spread(xt, (f, j), 4))
                q = fma(y, y, q)
            distance = sqrt(q)
            for labeling in range(clusters.shape[1]):
                c = clusters[j, labeling]
                store(sums, (c, r), add(load(sums, (c, r), 4), distance))
    for r in range(ROWS):
        for c in range(n_clusters):
            out[first + r, c] = sums[c, r]


@serial_kernel
def cluster_distance_sums(start, stop, xt, clusters, n_clusters, out):
    """out[i, c] = sum of |x_i - x_j| over the samples j of cluster c.

    Each distance is computed once for all labelings, and added for a strip of samples i at a time:
    one by one, additions to the same sum would wait for each other.

    Parameters
    ----------
    start, stop : int
        Range of samples i, whole groups.
    xt : (d, n) float64, C order, n a multiple of `ROWS`
    clusters : (m, L) int64, C order, m <= n
        The cluster of each sample in each labeling; labelings share no cluster numbers.
    n_clusters : int
        Number of clusters of all labelings together.
    out : (n, n_clusters) float64, written; rows from m on are meaningless
    """
    for first in range(start, stop, ROWS):
        _group(xt, clusters, n_clusters, first, out)


def _plain_cluster_distance_sums(start, stop, xt, clusters, n_clusters, out):
    some = xt[:, start:stop]
    out[start:stop] = 0
    for j, its in enumerate(clusters):
        out[start:stop, its] += np.sqrt(((some - xt[:, j : j + 1]) ** 2).sum(axis=0))[:, None]


if numba.config.DISABLE_JIT:
    cluster_distance_sums = _plain_cluster_distance_sums
