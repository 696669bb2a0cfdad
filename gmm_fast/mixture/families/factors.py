"""Computes inverse Cholesky factors of covariance matrices, and which matrices are singular."""

from contextlib import suppress

import numpy as np
from scipy.linalg.lapack import dtrtri

from ...kernels import cholesky

EPS = float(np.finfo(np.float64).eps)


def inverse_cholesky(covariances):
    """L^-1 of (K, d, d) matrices, and which of them are numerically singular.

    Pivots are compared with the variance of their feature, so that units do not matter.
    """
    d = covariances.shape[1]
    tolerance = 10 * d * EPS
    if d <= cholesky.MOST_FEATURES:
        if not (covariances.flags.c_contiguous and covariances.flags.writeable):
            covariances = covariances.copy()  # other layouts would compile the kernel anew
        inverse, singular = np.zeros(covariances.shape), np.empty(len(covariances), bool)
        cholesky.inverse_cholesky(covariances, tolerance, inverse, singular)
        return inverse, singular
    least = tolerance * np.abs(np.diagonal(covariances, axis1=1, axis2=2))
    lower = _cholesky(covariances)
    singular = ~(np.diagonal(lower, axis1=1, axis2=2) ** 2 > least).all(axis=1)
    if singular.any():
        lower[singular] = np.eye(d)  # any valid placeholder
    inverse = np.empty_like(lower)
    for k, one in enumerate(lower):
        inverse[k] = dtrtri(one, lower=1)[0]
    return inverse, singular


def _cholesky(matrices):
    """Cholesky factors of (K, d, d) matrices; zeros where there is none."""
    try:
        return np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        lower = np.zeros_like(matrices)
        for k, matrix in enumerate(matrices):
            with suppress(np.linalg.LinAlgError):
                lower[k] = np.linalg.cholesky(matrix)
        return lower
