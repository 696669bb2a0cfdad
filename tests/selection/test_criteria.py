"""Criteria against scikit-learn, mclust, and their definitions."""

import numpy as np
import pytest
import sklearn.mixture
from blobs import FAMILIES, blobs, identity_precisions
from sklearn.metrics import silhouette_score

from gmm_fast import em
from gmm_fast.backends import LocalBackend, threads
from gmm_fast.kernels import pairs
from gmm_fast.mixture.params import Params
from gmm_fast.selection import criteria
from gmm_fast.sources import ArraySource

MCLUST = {"full": "VVV", "tied": "EEE", "diag": "VVI", "spherical": "VII"}


@pytest.fixture(scope="module")
def x():
    return blobs(seed=4, sizes=(80, 50, 40), d=3, apart=2)


def result_on(x, params, **options):
    backend = LocalBackend(ArraySource(np.asarray(x)), **options)
    return em.FitResult.of(params, backend.stats(params), backend.n_samples)


def theirs(x, family):
    return sklearn.mixture.GaussianMixture(3, covariance_type=family, random_state=0).fit(x)


def params_of(model):
    return Params(model.weights_, model.means_, model.covariances_, model.covariance_type)


# -- likelihood criteria ---------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_bic_and_aic_are_scikit_learns(x, family):
    model = theirs(x, family)
    result = result_on(x, params_of(model))
    assert criteria.bic(result) == pytest.approx(model.bic(x), rel=1e-12)
    assert criteria.aic(result) == pytest.approx(model.aic(x), rel=1e-12)
    assert criteria.n_parameters(result.params) == model._n_parameters()


@pytest.mark.parametrize("data", ["iris", "faithful"])
@pytest.mark.parametrize("family", FAMILIES)
def test_df_and_bic_are_mclusts(data, family, mclust, iris, faithful):
    x = {"iris": iris[0], "faithful": faithful}[data]
    model = mclust[data]["models"][MCLUST[family]]
    full = np.array(model["covariances"])
    covariances = {
        "full": full,
        "tied": full[0],
        "diag": np.diagonal(full, axis1=1, axis2=2),
        "spherical": full[:, 0, 0],
    }[family]
    params = Params(np.array(model["weights"]), np.array(model["means"]), covariances, family)
    result = result_on(x, params)
    assert criteria.n_parameters(params) == model["df"]
    assert result.log_likelihood == pytest.approx(model["loglik"], abs=1e-6)
    assert criteria.bic(result) == pytest.approx(-model["bic_mclust"], abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_icl_by_its_definition(x, family):
    model = theirs(x, family)
    result = result_on(x, params_of(model))
    penalty = -2 * np.log(model.predict_proba(x).max(axis=1)).sum()
    assert penalty > 1
    assert criteria.icl(result) == pytest.approx(model.bic(x) + penalty, rel=1e-10)


def test_weights_count(x):
    """n is the sum of the weights: a weight of 3 is the row three times."""
    weights = np.random.default_rng(0).integers(0, 4, len(x)).astype(float)
    params = params_of(theirs(x, "full"))
    weighted = result_on(x, params, weights=weights)
    repeated = result_on(np.repeat(x, weights.astype(int), axis=0), params)
    for criterion in (criteria.bic, criteria.aic, criteria.icl):
        assert criterion(weighted) == pytest.approx(criterion(repeated), rel=1e-12)
    # only BIC and ICL see n
    doubled = result_on(x, params, weights=np.full(len(x), 2.0))
    plain = result_on(x, params)
    p = criteria.n_parameters(params)
    extra = p * np.log(2)
    assert criteria.bic(doubled) == pytest.approx(
        2 * criteria.bic(plain) - p * np.log(len(x)) + extra
    )


def test_one_component_is_certain(x):
    params = Params(np.ones(1), x.mean(axis=0)[None], np.cov(x.T)[None], "full")
    result = result_on(x, params)
    assert criteria.icl(result) == criteria.bic(result)


# -- silhouette ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, pairs.ROWS - 1, pairs.ROWS, 2 * pairs.ROWS + 3])
@pytest.mark.parametrize("d", [1, 5])
def test_pairs_kernel(n, d):
    rng = np.random.default_rng(n + d)
    x = rng.normal(size=(n, d))
    clusters = rng.integers(0, 4, size=(n, 2)) + np.array([0, 4])
    columns = np.pad(np.ascontiguousarray(x.T), ((0, 0), (0, -n % pairs.ROWS)))
    out = np.empty((columns.shape[1], 8))
    pairs.cluster_distance_sums(0, columns.shape[1], columns, clusters, 8, out)
    distances = np.sqrt(((x[:, None] - x) ** 2).sum(axis=2))
    member = (clusters[:, :, None] == np.arange(8)).any(axis=1)
    np.testing.assert_allclose(out[:n], distances @ member, rtol=1e-12, atol=1e-13)
    plain = np.empty_like(out)
    pairs._plain_cluster_distance_sums(0, columns.shape[1], columns, clusters, 8, plain)
    np.testing.assert_allclose(plain[:n], out[:n], rtol=1e-12, atol=1e-13)


def labelings_of(rng, n):
    """Labelings with 2 to 6 clusters, some with gaps between the labels, some with singletons."""
    gaps = rng.integers(0, 3, n) * 4
    lonely = rng.integers(0, 2, n)
    lonely[[3, 9]] = 5, 6
    return [rng.integers(0, k, n) for k in (2, 3, 6)] + [gaps, lonely]


@pytest.mark.parametrize("d", [1, 4])
def test_silhouettes_are_scikit_learns(d):
    rng = np.random.default_rng(d)
    x = blobs(seed=d, sizes=(60, 50, 40), d=d, apart=2)
    labelings = [np.repeat([0, 1, 2], [60, 50, 40]), *labelings_of(rng, len(x))]
    found = criteria.silhouettes(x, labelings, 2)
    expected = [silhouette_score(x, labels) for labels in labelings]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert all(isinstance(score, float) for score in found)


def test_silhouettes_far_from_zero():
    """Shifting the data does not change them."""
    x = np.round(blobs(seed=1, sizes=(30, 30), d=2, apart=3), 3)
    labels = np.repeat([0, 1], 30)
    near = criteria.silhouettes(x, [labels], 1)
    far = criteria.silhouettes(x + 2.0**30, [labels], 1)
    np.testing.assert_allclose(far, near, rtol=1e-6)


def test_silhouettes_in_turns(monkeypatch):
    """However many labelings are measured at a time, the bits are the same."""
    x = blobs(seed=2, sizes=(70, 80), d=2, apart=1)
    labelings = labelings_of(np.random.default_rng(0), len(x))
    together = criteria.silhouettes(x, labelings, 1)
    sizes = []
    kernel = pairs.cluster_distance_sums

    def counted(start, stop, xt, labels, n_clusters, out):
        sizes.append(out.nbytes)
        kernel(start, stop, xt, labels, n_clusters, out)

    monkeypatch.setattr(pairs, "cluster_distance_sums", counted)
    # labels run to 8, so 9 clusters at most: two labelings at a time
    rows = -(-len(x) // pairs.ROWS) * pairs.ROWS
    monkeypatch.setattr(criteria, "SUMS_BYTES", 2 * 9 * 8 * rows)
    assert criteria.silhouettes(x, labelings, 1) == together
    assert len(sizes) == 3
    assert max(sizes) <= criteria.SUMS_BYTES
    monkeypatch.setattr(criteria, "SUMS_BYTES", 1)
    assert criteria.silhouettes(x, labelings, 1) == together
    assert len(sizes) == 3 + 5


def test_silhouettes_at_any_number_of_threads(monkeypatch):
    monkeypatch.setattr(threads, "THREAD_WORK", 1)
    x = blobs(seed=3, sizes=(200, 300), d=3, apart=2)
    labelings = labelings_of(np.random.default_rng(1), len(x))
    assert criteria.silhouettes(x, labelings, 1) == criteria.silhouettes(x, labelings, 2)


def test_silhouettes_without_meaning():
    x = blobs(seed=3, sizes=(4, 4), d=2, apart=2)
    one, every = np.zeros(8, int), np.arange(8)
    two = np.repeat([0, 1], 4)
    found = criteria.silhouettes(x, [one, two, every, np.full(8, 5)], 1)
    np.testing.assert_array_equal(np.isnan(found), [True, False, True, True])
    assert criteria.silhouettes(x, [], 1) == []
    assert np.isnan(criteria.silhouettes(x[:1], [one[:1]], 1)).all()


def test_silhouettes_of_identical_points():
    """All distances are zero: nothing is nearer than anything, 0 and not NaN."""
    labels = np.array([0, 0, 1, 1, 1])
    assert criteria.silhouettes(np.ones((5, 2)), [labels], 1) == [0.0]
    # two stacks of identical points, told apart: perfect
    x = np.repeat([[0.0], [1.0]], [2, 3], axis=0)
    assert criteria.silhouettes(x, [labels], 1) == [1.0]
    assert silhouette_score(x, labels) == 1.0


# -- the sample ------------------------------------------------------------------------------------


def test_the_sample_is_all_of_small_data(x):
    sample = criteria.SilhouetteSample(LocalBackend(ArraySource(x)), rows=len(x), seed=3)
    np.testing.assert_array_equal(sample.x, x)


def test_the_sample_is_seeded():
    backend = LocalBackend(ArraySource(np.arange(1000.0)[:, None]))
    one, same, other = (criteria.SilhouetteSample(backend, 100, seed).x for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert len(np.unique(one)) == 100
    assert not np.array_equal(one, other)


def test_the_sample_is_uniform():
    """Each row is drawn equally often, also the first and last."""
    n, rows, draws = 40, 10, 800
    backend = LocalBackend(ArraySource(np.arange(float(n))[:, None]))
    counts = np.zeros(n)
    for seed in range(draws):
        counts[criteria.SilhouetteSample(backend, rows, seed).x[:, 0].astype(int)] += 1
    p = rows / n
    z = (counts - draws * p) / np.sqrt(draws * p * (1 - p))
    assert np.abs(z).max() < 4
    # chi-square with n - 1 degrees of freedom (a little less: each draw is without replacement)
    assert 15 < (z**2).sum() < 70


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_of_the_sample_are_those_of_the_data(dtype):
    x = blobs(seed=8, sizes=(900, 900), d=2, apart=1).astype(dtype)
    params = Params(
        np.array([0.5, 0.5]),
        np.array([[0.0, 0], [1, 1]]),
        1 / identity_precisions("diag", 2, 2),
        "diag",
    )
    backend = LocalBackend(ArraySource(x))
    everywhere = np.concatenate([o.labels.copy() for _, o in backend.score(params, labels=True)])
    sample = criteria.SilhouetteSample(backend, 500, seed=0)
    rows = [np.flatnonzero((x == row).all(axis=1))[0] for row in sample.x]
    np.testing.assert_array_equal(sample.labels(params), everywhere[rows])
    labels = sample.labels(params)
    assert sample.silhouettes([labels]) == criteria.silhouettes(sample.x, [labels], 1)
