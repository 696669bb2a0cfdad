"""Small data and starts for the tests of the Python API."""

import numpy as np

FAMILIES = ("full", "tied", "diag", "spherical")


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
