"""Sums of pairwise distances by cluster, for the silhouette of several labelings at once."""

import numpy as np
from numba import prange

from ._options import helper, kernel

TILE = 128


@helper
def _row_distances(xt, i, start, m, out):
    """Euclidean distances from sample i to samples start..start + m."""
    out[:m] = 0.0
    for j in range(xt.shape[0]):
        c = xt[j, i]
        row = xt[j, start : start + m]
        for b in range(m):
            v = row[b] - c
            out[b] += v * v
    for b in range(m):
        out[b] = np.sqrt(out[b])


@kernel
def cluster_distance_sums(xt, labels, n_clusters, out):
    """out[i, l, c] = sum of |x_i - x_j| over the samples j of cluster c in labeling l.

    Every pair is measured once for all labelings.

    Parameters
    ----------
    xt : (d, n) float64, C order
    labels : (n, L) int32, C order
    n_clusters : int
        Clusters of the richest labeling.
    out : (n, L, n_clusters) float64, zeros
    """
    n = xt.shape[1]
    n_labelings = labels.shape[1]
    for i in prange(n):
        distance = np.empty(TILE)
        for start in range(0, n, TILE):
            m = min(TILE, n - start)
            _row_distances(xt, i, start, m, distance)
            for b in range(m):
                for labeling in range(n_labelings):
                    out[i, labeling, labels[start + b, labeling]] += distance[b]
