"""`sample_weight`: a weight of 2 is the row twice, a weight of 0 is no row."""

import numpy as np
import pytest
from blobs import FAMILIES, FITTED, D, K, blobs, given
from sklearn.exceptions import ConvergenceWarning

from gmm_fast import GaussianMixture
from gmm_fast.backends import rough_centre

# What float32 kernels leave of digits, in parameters and in sums over samples.
LOOSE = {"float64": (1e-10, 1e-12), "float32": (2e-4, 1e-5)}


def data(seed, apart=5):
    return blobs(seed, sizes=(90, 60, 50), d=D, apart=apart)


def model(family, dtype="float64", **parameters):
    """Seven iterations, to the letter."""
    call = {"n_components": K, "covariance_type": family, "random_state": 0} | parameters
    call = {"tol": 0.0, "max_iter": 7, "reg_covar": 1e-6} | call
    return GaussianMixture(**call, dtype=dtype)


def fit(model, *args, **kwargs):
    with pytest.warns(ConvergenceWarning):
        return model.fit(*args, **kwargs)


def assert_same(a, b, dtype="float64"):
    rtol, _ = LOOSE[dtype]
    for name in FITTED:
        found, expected = getattr(a, name), getattr(b, name)
        np.testing.assert_allclose(
            found, expected, rtol=rtol, atol=rtol * abs(expected).max(), err_msg=name
        )
    np.testing.assert_allclose(a.lower_bounds_, b.lower_bounds_, rtol=LOOSE[dtype][1])


def assert_same_criteria(a, x, weights, b, rows, dtype="float64"):
    for name in ("score", "bic", "aic", "icl"):
        found = getattr(a, name)(x, sample_weight=weights)
        assert found == pytest.approx(getattr(b, name)(rows), rel=LOOSE[dtype][1]), name


def with_outliers(x, rng, n=40):
    """Rows of 1e12 strewn among those of `x`, the first and the last row, too; (rows, weights)."""
    places = np.sort(rng.choice(len(x), n - 2))
    places = np.r_[0, places, len(x)]
    rows = np.insert(x, places, 1e12, axis=0)
    return rows, (rows[:, 0] < 1e11).astype(float)


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_integer_weights_are_repeated_rows(family, dtype, seed):
    x = data(seed)
    counts = np.random.default_rng(seed).integers(0, 4, len(x))
    many = np.repeat(x, counts, axis=0)
    weighted = fit(model(family, dtype, **given(x, family)), x, sample_weight=counts)
    repeated = fit(model(family, dtype, **given(x, family)), many)
    assert_same(weighted, repeated, dtype)
    assert_same_criteria(weighted, x, counts, repeated, many, dtype)
    assert weighted.score(x) != pytest.approx(repeated.score(many), rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1])
def test_zero_weights_are_removed_rows(family, dtype, seed):
    x = data(seed)
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 3, len(x)) * (rng.random(len(x)) < 0.7)
    kept = weights > 0
    weighted = fit(model(family, dtype, **given(x, family)), x, sample_weight=weights)
    removed = fit(model(family, dtype, **given(x, family)), x[kept], sample_weight=weights[kept])
    assert_same(weighted, removed, dtype)
    for name in ("score", "bic", "aic", "icl"):
        assert getattr(weighted, name)(x, sample_weight=weights) == pytest.approx(
            getattr(removed, name)(x[kept], sample_weight=weights[kept]), rel=LOOSE[dtype][1]
        )


@pytest.mark.parametrize("start", ["given", "labels", "auto", "k-means++", "kmeans", "random"])
def test_outliers_of_weight_zero_are_not_there(family, start):
    """1e12 beside 1 leaves four digits, were it in a centre of moments."""
    x = data(3)
    rows, weights = with_outliers(x, np.random.default_rng(0))
    settings = {"init_params": start} if start not in ("given", "labels") else {}
    if start == "given":
        settings = given(x, family)
    labels = np.repeat([2, 0, 1], [90, 60, 50])
    among = np.zeros(len(rows), int)
    among[weights > 0] = labels
    with_them, without = (
        fit(
            model(family, **settings),
            z,
            sample_weight=w,
            labels=part if start == "labels" else None,
        )
        for z, w, part in ((rows, weights, among), (x, None, labels))
    )
    assert_same(with_them, without)
    assert_same_criteria(with_them, rows, weights, without, x)
    np.testing.assert_array_equal(with_them.predict(x), without.predict(x))


@pytest.mark.parametrize("start", ["labels", "auto"])
@pytest.mark.parametrize("stored", ["float32", "float64"])
def test_outliers_of_weight_zero_in_float32(family, stored, start):
    """Wider data is moved to an origin of its own, which they must not draw away."""
    x = data(3).astype(stored)
    rows, weights = with_outliers(x, np.random.default_rng(0))
    labels = np.repeat([2, 0, 1], [90, 60, 50])
    among = np.zeros(len(rows), int)
    among[weights > 0] = labels
    with_them, without = (
        fit(
            model(family, "float32"),
            z,
            sample_weight=w,
            labels=part if start == "labels" else None,
        )
        for z, w, part in ((rows, weights, among), (x, None, labels))
    )
    assert_same(with_them, without, "float32")


def test_the_default_start_finds_the_same_model(family):
    """The sample that it looks at is another, the blobs are not."""
    x = data(4, apart=9)
    counts = np.random.default_rng(5).integers(0, 4, len(x))
    settings = {"max_iter": 100, "tol": 1e-9}
    weighted = model(family, **settings).fit(x, sample_weight=counts)
    repeated = model(family, **settings).fit(np.repeat(x, counts, axis=0))
    order, expected = np.argsort(weighted.means_[:, 0]), np.argsort(repeated.means_[:, 0])
    np.testing.assert_allclose(weighted.weights_[order], repeated.weights_[expected], rtol=1e-6)
    np.testing.assert_allclose(weighted.means_[order], repeated.means_[expected], rtol=1e-6)
    assert weighted.lower_bound_ == pytest.approx(repeated.lower_bound_, rel=1e-10)


def test_the_n_of_bic_is_the_sum_of_the_weights(family):
    x = data(6)
    weights = np.random.default_rng(1).uniform(0, 3, len(x))
    fitted = fit(model(family, **given(x, family)), x, sample_weight=weights)
    likelihood = weights @ fitted.score_samples(x)
    p, n = fitted._n_parameters(), weights.sum()
    assert fitted.score(x, sample_weight=weights) == pytest.approx(likelihood / n, rel=1e-12)
    bic = -2 * likelihood + p * np.log(n)
    assert fitted.bic(x, sample_weight=weights) == pytest.approx(bic, rel=1e-12)
    aic = -2 * likelihood + 2 * p
    assert fitted.aic(x, sample_weight=weights) == pytest.approx(aic, rel=1e-12)
    icl = bic - 2 * weights @ np.log(fitted.predict_proba(x).max(axis=1))
    assert fitted.icl(x, sample_weight=weights) == pytest.approx(icl, rel=1e-12)


def test_equal_weights_change_nothing_but_n(family):
    x = data(7)
    plain = fit(model(family, **given(x, family)), x)
    heavy = fit(model(family, **given(x, family)), x, sample_weight=np.full(len(x), 4.0))
    assert_same(heavy, plain)
    p = plain._n_parameters()
    assert heavy.bic(x, np.full(len(x), 4.0)) == pytest.approx(
        4 * (plain.bic(x) - p * np.log(len(x))) + p * np.log(4 * len(x)), rel=1e-12
    )


def test_labels_predicted_by_a_weighted_fit(family):
    x = data(8)
    weights = np.random.default_rng(1).integers(0, 3, len(x))
    call = given(x, family)
    with pytest.warns(ConvergenceWarning):
        labels = model(family, **call).fit_predict(x, sample_weight=weights)
    np.testing.assert_array_equal(
        labels, fit(model(family, **call), x, sample_weight=weights).predict(x)
    )
    assert len(labels) == len(x)  # rows of weight zero have one, too


def test_the_rough_centre_knows_weights():
    x = np.arange(5000.0)[:, None]
    weights = np.ones(5000)
    assert rough_centre(lambda rows: x[rows], 5000, None)[0] == pytest.approx(2499.5, rel=1e-3)
    # every row that an even spread looks at is an outlier
    spread = np.unique(np.linspace(0, 4999, 1000).astype(int))
    far = x.copy()
    far[spread], weights[spread] = 1e12, 0
    assert rough_centre(lambda rows: far[rows], 5000, weights)[0] == pytest.approx(2499.5, rel=1e-2)
    # half of them are, and have next to no weight
    far[spread[::2]], weights[spread] = spread[::2, None], 1
    weights[spread[1::2]] = 1e-300
    assert rough_centre(lambda rows: far[rows], 5000, weights)[0] == pytest.approx(2499.5, rel=1e-2)
    assert rough_centre(lambda rows: x[rows], 5000, np.full(5000, 5e-324))[0] == pytest.approx(
        2499.5, rel=1e-2
    )
