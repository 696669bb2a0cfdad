"""Benchmarks of what kernels do (EM passes, scoring, starts, silhouettes) and of default fits.

pytest bench --benchmark-only -k "pass and full"
"""

import numpy as np
import pytest
from work import FAMILIES, Row, Work, blobs

from gmm_fast import GaussianMixture, em, search
from gmm_fast.backends import LocalBackend
from gmm_fast.mixture.params import Params
from gmm_fast.selection.criteria import SilhouetteSample
from gmm_fast.sources import open_source
from gmm_fast.starts import initial, starting

SHAPES = ((100_000, 2, 16), (100_000, 8, 8), (20_000, 32, 16))


def data(n, d, k, **more):
    return blobs(n, d, k, np.random.default_rng(0), **more)[0]


def backend_and_params(n, d, k, family, dtype):
    work = Work.make(Row(n, d, k, family))
    backend = LocalBackend(open_source(work.x.astype(dtype)))
    start = work.start
    return backend, Params(start.weights, start.means, start.covariances, family)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_pass(benchmark, family, dtype, shape):
    """One look at all the data: responsibilities and their statistics."""
    backend, params = backend_and_params(*shape, family, dtype)
    stats = benchmark(backend.stats, params)
    assert np.isclose(stats.n_k.sum(), shape[0])


@pytest.mark.parametrize("what", ["labels", "log_prob"])
@pytest.mark.parametrize("family", FAMILIES)
def test_score(benchmark, family, what):
    backend, params = backend_and_params(100_000, 8, 8, family, "float64")
    rows = benchmark(
        lambda: sum(len(getattr(o, what)) for _, o in backend.score(params, **{what: True}))
    )
    assert rows == 100_000


@pytest.mark.parametrize("method", ["kmeans", "k-means++", "auto"])
def test_start(benchmark, method):
    backend, _ = backend_and_params(100_000, 8, 8, "full", "float64")
    start, settings = starting.Start(method), em.Settings()
    found = benchmark(initial.initial_params, backend, 8, "full", start, settings, None)
    assert found.params.n_components == 8


def test_silhouette(benchmark):
    """Nine labelings of the same 10,000 rows."""
    rng = np.random.default_rng(0)
    sample = SilhouetteSample(LocalBackend(open_source(blobs(10_000, 8, 8, rng)[0])))
    labelings = [rng.integers(0, k, 10_000) for k in range(2, 11)]
    assert len(benchmark(sample.silhouettes, labelings)) == 9


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("family", FAMILIES)
def test_default_fit(benchmark, family, dtype):
    model = GaussianMixture(8, covariance_type=family, random_state=0)
    assert benchmark(model.fit, data(100_000, 8, 8).astype(dtype)).n_iter_ >= 1


def test_search(benchmark):
    """Two to six components, with silhouettes."""
    assert len(benchmark(search, data(20_000, 4, 4, apart=6.0), range(2, 7)).table) == 5
