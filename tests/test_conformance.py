"""Beside scikit-learn's `GaussianMixture`: the same values, behaviour and words; what is not."""

import numpy as np
import pytest
import sklearn.mixture
from blobs import FAMILIES, FITTED, D, K, blobs, given
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    parametrize_with_checks,
)

from gmm_fast import DataError, GaussianMixture
from gmm_fast.init import METHODS


@pytest.fixture(scope="module")
def x():
    return blobs(seed=1, sizes=(90, 60, 50), d=D, apart=5)


@pytest.fixture(scope="module")
def new():
    """Data that no model was fitted to, some of it far out."""
    return np.random.default_rng(9).normal(3, 8, (70, D))


@pytest.fixture(scope="module")
def fitted(x):
    return GaussianMixture(K, random_state=0).fit(x)


def pair(x, family, **parameters):
    """Both libraries' fits from one start by the same number of iterations."""
    call = given(x, family) | {"tol": 0.0, "max_iter": 7} | parameters
    with pytest.warns(ConvergenceWarning):
        theirs = sklearn.mixture.GaussianMixture(**call).fit(x)
    with pytest.warns(ConvergenceWarning):
        ours = GaussianMixture(**call).fit(x)
    return ours, theirs


@pytest.fixture(scope="module", params=FAMILIES)
def both(request, x):
    return pair(x, request.param)


# -- beside scikit-learn ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
def test_parameters_are_scikit_learns(both, name):
    ours, theirs = both
    expected = getattr(theirs, name)
    assert getattr(ours, name).shape == expected.shape
    assert getattr(ours, name).dtype == np.float64
    np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("rows", ["training", "new"])
def test_methods_are_scikit_learns(both, x, new, rows):
    ours, theirs = both
    data = {"training": x, "new": new}[rows]
    for method in ("predict", "predict_proba", "score_samples", "score", "aic", "bic"):
        found, expected = getattr(ours, method)(data), getattr(theirs, method)(data)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9, err_msg=method)
        assert np.shape(found) == np.shape(expected)
        assert getattr(found, "dtype", float) == getattr(expected, "dtype", float)
    assert ours._n_parameters() == theirs._n_parameters()


def test_lower_bounds_are_scikit_learns_and_one_more(both, x):
    ours, theirs = both
    assert ours.n_iter_ == theirs.n_iter_ == 7
    assert ours.converged_ is False
    assert ours.stop_reason_ == "max_iter"
    assert len(ours.lower_bounds_) == 8
    np.testing.assert_allclose(ours.lower_bounds_[:-1], theirs.lower_bounds_, rtol=1e-10)
    # scikit-learn's lower_bound_ is that of the parameters before the last M-step
    assert ours.lower_bound_ == ours.lower_bounds_[-1] == ours.score(x)


@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-5])
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_it_stops_where_scikit_learn_does(x, family, tol):
    call = given(x, family) | {"tol": tol, "max_iter": 500}
    ours = GaussianMixture(**call).fit(x)
    theirs = sklearn.mixture.GaussianMixture(**call).fit(x)
    assert ours.converged_ is theirs.converged_ is True
    assert ours.stop_reason_ == "tolerance"
    assert 2 < ours.n_iter_ == theirs.n_iter_
    changes = np.abs(np.diff(ours.lower_bounds_))
    assert (changes[-2:] < tol).all()


def test_only_means_given(x):
    """Weights and covariances are found, the means are where they were put."""
    means = x[[3, 100, 190]] + 0.5
    model = GaussianMixture(K, means_init=means, random_state=0, max_iter=200, tol=1e-7).fit(x)
    theirs = sklearn.mixture.GaussianMixture(
        K, means_init=means, random_state=0, max_iter=200, tol=1e-7
    ).fit(x)
    # same basin, so same order of components
    np.testing.assert_allclose(model.means_, theirs.means_, atol=1e-2)


def test_every_parameter_of_scikit_learn_is_there():
    ours, theirs = GaussianMixture().get_params(), sklearn.mixture.GaussianMixture().get_params()
    assert set(theirs) <= set(ours)
    assert {k for k in theirs if theirs[k] != ours[k]} <= {"init_params", "reg_covar"}


def instances():
    """Instances of all kinds for scikit-learn's checks."""
    yield GaussianMixture()
    for family in FAMILIES[1:]:
        yield GaussianMixture(covariance_type=family)
    for start in METHODS[1:]:
        yield GaussianMixture(init_params=start)
    yield GaussianMixture(warm_start=True)
    yield GaussianMixture(dtype="float32")
    yield GaussianMixture(2, reg_covar=1e-3, max_iter=500)
    yield GaussianMixture(2, covariance_type="diag", n_init=2, max_iter=500)


def _other_draws(estimator):
    """With several components a start draws rows, others where rows are weighted or repeated.

    So it is with scikit-learn's k-means; from a given start they are the same: `test_weights`.
    """
    if estimator.n_components == 1:
        return {}
    return {"check_sample_weight_equivalence_on_dense_data": "the start draws other rows"}


@parametrize_with_checks(list(instances()), expected_failed_checks=_other_draws)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_more_of_scikit_learns_own_checks():
    """Which it runs on its own estimators only."""
    check_dataframe_column_names_consistency("GaussianMixture", GaussianMixture())


# -- samples; models made by hand ------------------------------------------------------------------


def test_sample_is_repeated_or_not_as_in_scikit_learn(x):
    for model in (
        GaussianMixture(K, random_state=1).fit(x),
        sklearn.mixture.GaussianMixture(K, random_state=1).fit(x),
    ):
        np.testing.assert_array_equal(model.sample(5)[0], model.sample(5)[0])
        model.set_params(random_state=np.random.RandomState(2))
        assert not np.array_equal(model.sample(5)[0], model.sample(5)[0])
        model.set_params(random_state=None)
        assert not np.array_equal(model.sample(5)[0], model.sample(5)[0])


def test_a_model_made_by_hand(both, new):
    """As people do with scikit-learn: set the attributes, then use it."""
    _, theirs = both
    model = GaussianMixture(K, covariance_type=theirs.covariance_type)
    model.weights_, model.means_ = theirs.weights_, theirs.means_
    model.covariances_ = theirs.covariances_
    np.testing.assert_allclose(model.predict_proba(new), theirs.predict_proba(new), atol=1e-9)
    model.means_ = model.means_[:, :1]
    if theirs.covariance_type != "spherical":
        with pytest.raises(DataError, match="the model: covariances have shape"):
            model.predict(new[:, :1])
