"""Small data and starts for the tests of the Python API."""

import numpy as np

FAMILIES = ("full", "tied", "diag", "spherical")
FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
# Components and features of what `given` starts.
K, D = 3, 2


def blobs(seed, sizes, d, apart):
    """Round clusters of variance 1 on a diagonal, `apart` in each feature, one after another."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(apart * k, 1, (n, d)) for k, n in enumerate(sizes)])


def identity_precisions(family, k, d):
    """Precisions of variances of 1, in the layout of the family."""
    return {
        "full": np.stack([np.eye(d)] * k),
        "tied": np.eye(d),
        "diag": np.ones((k, d)),
        "spherical": np.ones(k),
    }[family]


def given(x, family):
    """A start for data of three blobs, the same for both libraries; keyword arguments."""
    return {
        "n_components": K,
        "covariance_type": family,
        "weights_init": np.array([0.2, 0.3, 0.5]),
        "means_init": x[[3, 100, 190]] + 0.5,
        "precisions_init": 0.7 * identity_precisions(family, K, D),
        "reg_covar": 1e-6,
    }
