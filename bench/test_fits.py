"""Benchmarks of whole fits with default settings."""

import numpy as np
import pytest
from work import FAMILIES, blobs

from gmm_fast import GaussianMixture, search


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_default_fit(benchmark, family, dtype):
    x = blobs(100_000, 8, 8, np.random.default_rng(0))[0].astype(dtype)
    model = GaussianMixture(8, covariance_type=family, random_state=0)
    assert benchmark(model.fit, x).n_iter_ >= 1


def test_search(benchmark):
    """Two to six components, with silhouettes."""
    x = blobs(20_000, 4, 4, np.random.default_rng(0), apart=6.0)[0]
    assert len(benchmark(search, x, range(2, 7)).table) == 5
