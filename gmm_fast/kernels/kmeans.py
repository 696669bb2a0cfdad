"""Distances to centres, and the nearest centre, for k-means++ and Lloyd's steps."""

import numba
import numpy as np

from ._options import serial_kernel
from .vector import choose, fma, lanes, load, smaller, splat, spread, store, subtract

BLOCK = 256  # samples come in whole blocks: callers pad


@serial_kernel
def distances(start, stop, zt, centers, squared, nearest, labels):
    """squared[t, i] = |z_i - centers[t]|^2, and for each sample the least of them.

    Parameters
    ----------
    start, stop : int
        Range of samples, whole blocks.
    zt : (d, n) float64, C order, n a multiple of `BLOCK`
    centers : (T, d) float64
    squared : (T, n) float64, written; or (0, n)
    nearest : (n,) float64, written
    labels : (n,) float64, written: number of the nearest centre, the first of equals
    """
    for b in range(start, stop, lanes(zt, 4)):
        best = splat(np.inf, 4)
        which = splat(0.0, 4)
        for t in range(centers.shape[0]):
            q = splat(0.0, 4)
            for j in range(zt.shape[0]):
                y = subtract(load(zt, (j, b), 4), spread(centers, (t, j), 4))
                q = fma(y, y, q)
            if squared.shape[0] > 0:
                store(squared, (t, b), q)
            which = choose(best, q, splat(np.float64(t), 4), which)
            best = smaller(q, best)
        store(nearest, (b,), best)
        store(labels, (b,), which)


def _plain_distances(start, stop, zt, centers, squared, nearest, labels):
    some = slice(start, stop)
    found = np.stack([((zt[:, some] - c[:, None]) ** 2).sum(axis=0) for c in centers])
    squared[:, some] = found[: len(squared)]
    nearest[some] = found.min(axis=0)
    labels[some] = found.argmin(axis=0)


if numba.config.DISABLE_JIT:
    distances = _plain_distances
