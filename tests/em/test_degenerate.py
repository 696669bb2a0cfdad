"""Data that breaks other implementations ends with a valid model, and an event that says why."""

import re
import warnings
from contextlib import suppress

import numpy as np
import pytest
import sklearn.mixture
from conftest import FAMILIES
from pairwise import pairwise
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from gmm_fast import DataError, FitError, GaussianMixture

RNG = np.random.default_rng(0)
BLOBS = np.concatenate([RNG.normal(8 * i, 1, (100, 3)) for i in range(3)])
LABELS = np.repeat([0, 1, 2], 100)


def with_rows(rows):
    """The blobs with some of their rows far away."""
    x = BLOBS.copy()
    x[[7, 50, 100][: len(rows)]] = rows
    return x


# name: (data, number of components, words of an event that has to be there)
CASES = {
    "a few distinct rows": (np.repeat(RNG.normal(size=(5, 2)), 40, 0), 7, "distinct rows"),
    "one row again and again": (np.full((50, 3), 3.3), 4, "are constant"),
    "one row": (np.array([[1.0, 2.0]]), 1, "are constant"),
    "a constant feature": (np.c_[BLOBS, np.full(300, 7.0)], 3, "feature 3 .* is constant"),
    "a constant feature of 1e9": (np.c_[BLOBS, np.full(300, 1e9)], 3, "feature 3 .* is constant"),
    "collinear": (np.c_[BLOBS, 2 * BLOBS[:, 0] - BLOBS[:, 1]], 3, None),
    "collinear, large": (1e9 * np.c_[BLOBS, 2 * BLOBS[:, 0] - BLOBS[:, 1]], 3, None),
    "fewer samples than features": (RNG.normal(size=(10, 25)), 2, None),
    "as many components as samples": (RNG.normal(size=(8, 2)), 8, None),
    "an outlier of 1e12": (with_rows([1e12]), 3, None),
    "outliers of 1e12": (with_rows([[1e12] * 3, [-1e12] * 3, [1e12, -1e12, 0]]), 6, None),
    "a far point for each component": (1e6 * RNG.normal(size=(4, 2)), 4, None),
    "far points beside a cluster": (
        np.concatenate([RNG.normal(size=(200, 2)), 1e6 * RNG.normal(size=(3, 2))]),
        4,
        None,
    ),
    "units of 1e-9": (1e-9 * BLOBS, 3, None),
    "units of 1e9": (1e9 * BLOBS, 3, None),
    "units of 1e-9 and of 1e9": (BLOBS * [1e-9, 1, 1e9], 3, None),
    "an offset of 1e6": (BLOBS + 1e6, 3, None),
    "an offset of 1e9": (BLOBS + 1e9, 3, None),
    "small integers": (RNG.integers(0, 3, (200, 2)).astype(float), 5, None),
    "mostly zeros": (
        np.where(RNG.uniform(size=(500, 3)) < 0.9, 0, RNG.exponential(size=(500, 3))),
        4,
        None,
    ),
}


def fitted(x, k, **parameters):
    model = GaussianMixture(k, random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x)


def assert_valid(model, x):
    """Everything finite, weights that sum to one, covariances that are positive definite."""
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert np.isfinite(getattr(model, name)).all(), name
    assert (model.weights_ >= 0).all()
    assert model.weights_.sum() == pytest.approx(1, abs=1e-12)
    if model.covariance_type in ("full", "tied"):
        np.linalg.cholesky(model.covariances_)
    else:
        assert (model.covariances_ > 0).all()
    assert np.isfinite(model.lower_bounds_).all()
    assert np.isfinite(model.score_samples(x)).all()
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1, rtol=1e-5)
    assert np.isfinite(model.sample(20)[0]).all()


@pairwise(name=list(CASES), family=FAMILIES, dtype=["float64", "float32"])
def test_a_valid_model(name, family, dtype):
    x, k, said = CASES[name]
    x = x.astype(dtype)
    model = fitted(x, k, covariance_type=family)
    assert_valid(model, x)
    if said is not None:
        assert any(re.search(said, event) for event in model.events_)


@pairwise(
    name=list(CASES),
    init=["k-means++", "kmeans", "random", "random_from_data"],
    reg_covar=[0.0, 1e-6, "auto"],
    family=["full", "spherical"],
)
@pytest.mark.filterwarnings("ignore:reg_covar .* is not small:UserWarning")
def test_a_valid_model_from_every_start(name, init, reg_covar, family):
    x, k, _ = CASES[name]
    model = fitted(x, k, init_params=init, covariance_type=family, reg_covar=reg_covar)
    assert_valid(model, x)


def test_a_start_that_leaves_components_empty(family):
    means = np.array([[4.0, 4, 4], [1e9, 0, 0], [-1e9, 1e9, 0]])
    model = fitted(BLOBS, 3, means_init=means, covariance_type=family)
    assert_valid(model, BLOBS)
    assert (model.weights_ > 1e-3).all()
    assert any("died" in event for event in model.events_)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_an_outlier_gets_a_component_and_the_rest_keeps_its_clusters(family, dtype):
    x = with_rows([1e12]).astype(dtype)
    labels = fitted(x, 4, covariance_type=family).predict(x)
    others = np.arange(300) != 7
    assert adjusted_rand_score(LABELS[others], labels[others]) == 1
    assert (labels == labels[7]).sum() == 1


def test_components_on_one_point_are_told():
    model = fitted(CASES["as many components as samples"][0], 8)
    assert any("fewer samples than features" in event for event in model.events_)


# -- units, and what is added to the variances -----------------------------------------------------


@pytest.mark.parametrize("unit", [1e-30, 1e-12, 1e-6, 1e-3, 1e6, 1e30])
def test_units_do_not_change_the_clusters(family, unit):
    """Neither labels nor iterations; the likelihood moves by the units alone."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(3 * i, 1 + i, (100, 3)) for i in range(3)])
    one = fitted(x, 3, covariance_type=family)
    other = fitted(unit * x, 3, covariance_type=family)
    np.testing.assert_array_equal(one.predict(x), other.predict(unit * x))
    assert one.n_iter_ == other.n_iter_
    assert other.lower_bound_ + 3 * np.log(unit) == pytest.approx(one.lower_bound_, abs=1e-5)
    np.testing.assert_allclose(other.means_ / unit, one.means_, atol=1e-4)


def test_units_of_single_features_do_not_change_the_clusters():
    units = np.array([1e-9, 1.0, 1e9])
    labels = fitted(BLOBS * units, 3).predict(BLOBS * units)
    assert adjusted_rand_score(LABELS, labels) == 1


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_ordinary_data_gets_scikit_learns_number(family, scale):
    """1e-6 where all variances are 1 or more: the same parameters from the same start."""
    x = scale * BLOBS
    call = {
        "covariance_type": family,
        "means_init": x[[3, 150, 250]],
        "weights_init": [0.3, 0.3, 0.4],
        "precisions_init": fitted(x, 3, covariance_type=family).precisions_,
    }
    ours = GaussianMixture(3, **call).fit(x)
    theirs = sklearn.mixture.GaussianMixture(3, **call).fit(x)
    np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-10)


def test_auto_is_a_share_of_small_variances():
    """One component's covariance is the data's and what was added."""
    units = np.array([1e-5, 0.5, 7.0])
    x = np.random.default_rng(1).normal(size=(5000, 3)) * units
    added = np.diagonal(fitted(x, 1).covariances_[0]) - x.var(axis=0)
    np.testing.assert_allclose(added, 1e-6 * np.minimum(1, x.var(axis=0)), rtol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_explicit_number_is_what_it_is(family):
    x = 1e-3 * BLOBS
    with pytest.warns(UserWarning, match="reg_covar") as caught:
        model = GaussianMixture(1, covariance_type=family, reg_covar=0.5).fit(x)
    theirs = sklearn.mixture.GaussianMixture(1, covariance_type=family, reg_covar=0.5).fit(x)
    np.testing.assert_allclose(model.covariances_, theirs.covariances_, rtol=1e-10)
    assert [w.filename for w in caught] == [__file__]
    assert str(caught[0].message) in model.events_


def test_the_warning_names_a_fitting_value():
    """And with that value there is none."""
    x = 1e-6 * BLOBS * [1, 1e9, 1]
    with pytest.warns(UserWarning, match=r"variance of features 0, 2 \(counting") as caught:
        GaussianMixture(3, reg_covar=1e-6, random_state=0).fit(x)
    value = float(str(caught[0].message).split("lower it to ")[1].split()[0])
    assert value == pytest.approx(1e-6 * x.var(axis=0).min(), rel=0.5)
    labels = GaussianMixture(3, reg_covar=value, random_state=0).fit_predict(x)
    assert adjusted_rand_score(LABELS, labels) == 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("far", [1e30, 1e160, 1e300])
def test_a_given_mean_beyond_all_squares(family, dtype, far):
    means = [BLOBS[0], [far, 0, 0]]
    model = fitted(BLOBS, 2, means_init=means, covariance_type=family, dtype=dtype)
    assert_valid(model, BLOBS)
    assert np.abs(model.means_).max() < 100


@pytest.mark.parametrize("x", [np.full((3, 2), 1e200), np.array([[1e160, 2.0]])])
def test_a_single_row_whose_square_overflows(family, x):
    with pytest.raises(DataError, match="so large that their squares overflow"):
        GaussianMixture(1, covariance_type=family).fit(x)


def test_a_tied_covariance_is_symmetric():
    """Also what is left where nearly all of it cancels."""
    x = np.random.default_rng(0).normal(size=(9, 5)) + 1e3
    model = fitted(x, 6, covariance_type="tied", means_init=x[:6])
    np.testing.assert_array_equal(model.covariances_, model.covariances_.T)


@pytest.mark.parametrize("far", [1e30, 1e149])
@pytest.mark.parametrize("k", [1, 2])
def test_a_model_beyond_float32_and_float32_rows(family, k, far):
    """What float32 kernels cannot tell is refused, by all methods; in float64 they can."""
    x = np.array([[far], [0.0]])[:k]
    model = fitted(x, k, covariance_type=family, init_params="random")
    row = np.array([[0.2]], np.float32)
    for method in (model.predict, model.predict_proba, model.score_samples):
        with pytest.raises(DataError, match="overflow float32; use dtype='float64'"):
            method(row)
    model.set_params(dtype="float64")
    assert np.isfinite(model.score_samples(row)).all()
    np.testing.assert_allclose(model.predict_proba(row).sum(axis=1), 1)


def test_a_variance_without_bound_beside_constant_data(family):
    """A component that dies is revived along the widest feature, though no number says how wide."""
    model = fitted(np.full((8, 1), -0.14), 2, covariance_type=family, reg_covar=1e300)
    assert np.isfinite(model.means_).all()


def test_a_variance_without_bound_beside_a_huge_weight(family):
    """Their product, the second moment of what was seen, is not finite; found by fuzzing."""
    row, weight = np.array([[0.2]]), np.array([1.9e19])
    model = GaussianMixture(1, covariance_type=family).fit(row, sample_weight=weight)
    model.set_params(reg_covar=1e300)
    with suppress(FitError):
        model.partial_fit(row)
    assert np.isfinite(model.score(row))


def test_all_given_means_beyond_all_squares(family):
    x = np.array([[3.1, -0.6], [3.2, 0.7], [-5.5, 1.95]], np.float32)
    means = [[4.5e200, 4.7e199], [-3.7e200, -4.6e200], [-2.3e200, 1.1e200]]
    with suppress(DataError, FitError):
        assert_valid(fitted(x, 3, covariance_type=family, means_init=means), x)


def test_float32_rows_whose_squares_overflow_are_refused_before_anything_changes(family):
    model = fitted(np.array([[0.2]]), 1, covariance_type=family)
    with pytest.raises(DataError, match="overflow float32; use dtype='float64'"):
        model.fit_predict(np.array([[-1e30]], np.float32))
    np.testing.assert_array_equal(model.means_, [[0.2]])


def test_a_batch_whose_total_likelihood_overflows(family):
    """The mean is finite, times the samples seen so far it is not: refused, or a valid model."""
    model = GaussianMixture(1, covariance_type=family, random_state=0)
    model.partial_fit([[0.2]], sample_weight=[1e19])
    with suppress(DataError, FitError):
        model.partial_fit([[2.4e149]])
    assert np.isfinite(model.lower_bounds_).all()
    assert np.isfinite(model.covariances_).all()
