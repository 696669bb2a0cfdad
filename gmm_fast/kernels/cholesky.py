"""Inverse Cholesky factors of many small matrices in one call.

For a small matrix, the overhead of a call of NumPy and LAPACK is ten times the work.
"""

import numpy as np

from ._options import serial_kernel

# Features up to which the plain loops are faster than LAPACK's blocks.
MOST_FEATURES = 32


@serial_kernel
def inverse_cholesky(matrices, tolerance, inverse, singular):
    """L^-1 of each matrix L L', column by column.

    Parameters
    ----------
    matrices : (K, d, d) float64
        Only the lower triangles are read.
    tolerance : float
        A matrix is singular if a pivot is at most this share of its diagonal entry.
    inverse : (K, d, d) float64
        Zeros; the lower triangles are written. The identity for singular matrices.
    singular : (K,) bool
        Written.
    """
    d = matrices.shape[1]
    lower = np.empty((d, d))
    for k in range(matrices.shape[0]):
        singular[k] = False
        for j in range(d):
            pivot = matrices[k, j, j]
            for i in range(j):
                pivot -= lower[j, i] * lower[j, i]
            # written so that NaN is singular
            if not (pivot > tolerance * abs(matrices[k, j, j]) and pivot < np.inf):
                singular[k] = True
                break
            root = np.sqrt(pivot)
            lower[j, j] = root
            for i in range(j + 1, d):
                rest = matrices[k, i, j]
                for m in range(j):
                    rest -= lower[i, m] * lower[j, m]
                lower[i, j] = rest / root
        if singular[k]:
            for j in range(d):
                for i in range(d):
                    inverse[k, j, i] = 1.0 if i == j else 0.0
            continue
        for j in range(d):
            inverse[k, j, j] = 1.0 / lower[j, j]
            for i in range(j + 1, d):
                rest = 0.0
                for m in range(j, i):
                    rest -= lower[i, m] * inverse[k, m, j]
                inverse[k, i, j] = rest / lower[i, i]
