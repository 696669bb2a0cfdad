"""Models from arrays, and from and to scikit-learn."""

import copy
import json
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from blobs import FAMILIES, blobs
from cases import random_params
from click.testing import CliRunner
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from gmm_fast import DataError, GaussianMixture, load, save
from gmm_fast.cli.main import main

K, D = 3, 2
FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@pytest.fixture(scope="module")
def x():
    return blobs(seed=1, sizes=(90, 60, 50), d=D, apart=5)


def theirs(x, family="full", **parameters):
    return sklearn.mixture.GaussianMixture(
        K, covariance_type=family, random_state=0, **parameters
    ).fit(x)


def arrays(family, k=K, d=D):
    params = random_params(np.random.default_rng(0), family, k, d)
    return params.weights, params.means, params.covariances


def assert_same_predictions(a, b, x):
    new = np.concatenate([x, 3 * x + 1])
    for method in ("predict", "predict_proba", "score_samples", "score", "aic", "bic"):
        found, want = getattr(a, method)(new), getattr(b, method)(new)
        np.testing.assert_allclose(found, want, rtol=1e-9, atol=1e-9, err_msg=method)


def assert_usable(model, x, tmp_path):
    """Everything that a fitted model does, it does."""
    assert model.predict(x).shape == (len(x),)
    assert np.isfinite([model.score(x), model.bic(x), model.aic(x), model.icl(x)]).all()
    assert model.sample(7)[0].shape == (7, D)
    save(model, tmp_path / "model.npz")
    back = load(tmp_path / "model.npz")
    for name in FITTED:
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
    for name in ("n_iter_", "converged_", "stop_reason_", "lower_bound_", "n_samples_seen_"):
        np.testing.assert_equal(getattr(back, name), getattr(model, name))
    warm = copy.deepcopy(model).set_params(warm_start=True, max_iter=500, tol=1e-3)
    warm.fit(x)
    assert warm.lower_bounds_[0] == pytest.approx(model.score(x), rel=1e-9)
    assert warm.score(x) > model.score(x) - 1e-9
    step = copy.deepcopy(model).partial_fit(x[:1]).partial_fit(x)
    assert step.n_samples_seen_ == model.n_samples_seen_ + 1 + len(x)
    assert np.isfinite(step.score(x))


# -- from arrays -----------------------------------------------------------------------------------


def test_from_params(family, x, tmp_path):
    weights, means, covariances = arrays(family)
    model = GaussianMixture.from_params(
        weights.tolist(), means.tolist(), covariances.tolist(), covariance_type=family
    )
    assert (model.n_components, model.covariance_type, model.n_features_in_) == (K, family, D)
    np.testing.assert_allclose(model.weights_, weights, rtol=1e-15)
    np.testing.assert_array_equal(model.means_, means)
    np.testing.assert_array_equal(model.covariances_, covariances)
    assert (model.n_iter_, model.converged_, model.stop_reason_) == (0, False, "no fit")
    assert np.isnan(model.lower_bound_)
    assert model.lower_bounds_ == model.events_ == []
    assert_usable(model, x, tmp_path)


def test_the_family_is_that_of_the_shape(family):
    """Of three components in two dimensions no two are alike."""
    assert GaussianMixture.from_params(*arrays(family)).covariance_type == family


def test_a_shape_of_two_families():
    _, means, covariances = arrays("diag", 2, 2)
    call = ([0.5, 0.5], means, covariances)
    with pytest.raises(DataError, match=r"shape \(2, 2\) may be tied or diag; say which: covar"):
        GaussianMixture.from_params(*call)
    model = GaussianMixture.from_params(*call, "diag")
    assert model.covariance_type == "diag"


def test_parameters_of_the_constructor(x):
    call = arrays("full")
    model = GaussianMixture.from_params(*call, random_state=3, tol=0.5)
    assert (model.random_state, model.tol) == (3, 0.5)
    with pytest.raises(TypeError, match="colour"):
        GaussianMixture.from_params(*call, colour="red")


def test_weights_are_summed_to_one_where_rounding_left_them():
    _, means, covariances = arrays("full")
    weights = np.full(3, 1 / 3, np.float32)
    model = GaussianMixture.from_params(weights, means, covariances)
    assert abs(model.weights_.sum() - 1) < 1e-15
    model = GaussianMixture.from_params([0, 0.25, 0.75], means, covariances)
    assert model.weights_.tolist() == [0, 0.25, 0.75]


def test_a_mixture_is_worth_as_many_samples_as_is_said(x):
    moved = []
    for n in (50, 5000):
        model = GaussianMixture.from_params(*arrays("full"), n_samples=n)
        assert model.n_samples_seen_ == n
        moved.append(np.abs(model.partial_fit(x[:20]).means_ - arrays("full")[1]).max())
    assert moved[1] < 0.1 * moved[0]


def test_the_command_line_reads_it(tmp_path):
    save(GaussianMixture.from_params(*arrays("full")), tmp_path / "model.npz")
    for options in ([], ["--json"]):
        run = CliRunner().invoke(main, ["info", str(tmp_path / "model.npz"), *options])
        assert run.exit_code == 0, run.output
    assert json.loads(run.output)["stop_reason"] == "no fit"


def changed(name, value):
    call = dict(zip(("weights", "means", "covariances"), arrays("full"), strict=True))
    return call | {name: value}


def with_entry(index, value):
    covariances = arrays("full")[2].copy()
    covariances[index] = value
    return covariances


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("weights", [0.5, 0.5], r"weights has shape \(2,\); \(3,\) is needed"),
        ("weights", [0.5, 0.6, -0.1], "must not be negative; that of component 2 is -0.1"),
        ("weights", [0.3, 0.3, 0.3], "weights must sum to 1, not 0.9; divide them by their sum"),
        ("weights", [0.5, 0.5, np.nan], "weights holds values that are not finite"),
        ("weights", "even", "weights is not an array of numbers"),
        ("means", np.zeros(3), r"means have shape \(3,\); \(K, d\) is needed"),
        ("means", np.zeros((3, 0)), r"means have shape \(3, 0\)"),
        ("means", np.full((3, 2), np.inf), "means holds values that are not finite"),
        ("means", [[1, 2], [3]], "means: not an array of numbers"),
        ("covariances", np.ones((2, 3)), r"have shape \(2, 3\); for 3 comp.* tied \(2, 2\), diag"),
        ("covariances", with_entry((1, 0, 1), np.nan), "holds values that are not finite"),
        ("covariances", with_entry((2, 0, 1), 3.0), "of component 2 .* is not symmetric"),
        ("covariances", with_entry((1, 0, 0), -1.0), "of component 1 .* not positive definite"),
        ("covariances", with_entry(1, 1.0), "of component 1 .* not positive definite"),
        ("covariances", [[1, 2], [2, 1]], "the tied covariance is not positive definite"),
        ("covariances", [[1, 1], [1, 0], [1, 1]], "of component 1 .* not positive definite"),
        ("covariances", [1, 1, 0], "of component 2 .* not positive definite"),
        ("covariance_type", "round", "unknown covariance family 'round'"),
        ("covariance_type", 7, "covariance_type must be a str, not 7"),
        ("covariance_type", "diag", r"covariances \(diag\) has shape \(3, 2, 2\); \(3, 2\) is n"),
        ("n_samples", 0, "n_samples must be positive"),
        ("n_samples", "many", "n_samples must be a number"),
    ],
)
def test_arrays_that_are_no_mixture(name, value, message):
    with pytest.raises(DataError, match=message):
        GaussianMixture.from_params(**changed(name, value))


# -- from scikit-learn -----------------------------------------------------------------------------


def test_from_sklearn(family, x, tmp_path):
    other = theirs(x, family, tol=1e-4, max_iter=200, reg_covar=1e-5)
    model = GaussianMixture.from_sklearn(other)
    for name in FITTED:
        np.testing.assert_allclose(getattr(model, name), getattr(other, name), rtol=1e-9)
    for name, value in other.get_params().items():
        assert model.get_params()[name] == value, name
    assert (model.n_iter_, model.converged_) == (other.n_iter_, True)
    assert model.stop_reason_ == "tolerance"
    assert (model.lower_bound_, model.lower_bounds_) == (other.lower_bound_, other.lower_bounds_)
    assert model.n_features_in_ == 2
    assert not hasattr(model, "feature_names_in_")
    assert_same_predictions(model, other, x)
    assert_usable(model, x, tmp_path)


def test_a_fit_of_theirs_that_did_not_converge(x):
    with pytest.warns(ConvergenceWarning):
        other = theirs(x, max_iter=1, tol=0.0)
    model = GaussianMixture.from_sklearn(other, max_iter=9)
    assert (model.converged_, model.stop_reason_, model.n_iter_) == (False, "max_iter", 1)
    assert model.max_iter == 9


def test_a_bayesian_one_gives_its_point_estimates(family, x, tmp_path):
    other = sklearn.mixture.BayesianGaussianMixture(
        n_components=K, covariance_type=family, random_state=0
    )
    other.fit(x)
    model = GaussianMixture.from_sklearn(other)
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_allclose(getattr(model, name), getattr(other, name), rtol=1e-12)
    assert np.isnan(model.lower_bound_)
    assert (model.predict(x) == other.predict(x)).mean() > 0.98
    assert_usable(model, x, tmp_path)


def test_what_is_no_fitted_mixture_of_theirs(x):
    with pytest.raises(NotFittedError):
        GaussianMixture.from_sklearn(sklearn.mixture.GaussianMixture(3))
    for wrong in (None, x, GaussianMixture(3).fit(x), sklearn.mixture.GaussianMixture):
        with pytest.raises(DataError, match="of scikit-learn is needed, not "):
            GaussianMixture.from_sklearn(wrong)
    with pytest.raises(DataError, match=r"covariances \(tied\) has shape"):
        GaussianMixture.from_sklearn(theirs(x).set_params(covariance_type="tied"))


# -- to scikit-learn -------------------------------------------------------------------------------


def test_to_sklearn(family, x):
    model = GaussianMixture(K, covariance_type=family, random_state=0, tol=1e-4).fit(x)
    other = model.to_sklearn()
    assert type(other) is sklearn.mixture.GaussianMixture
    for name in (*FITTED, "converged_", "n_iter_", "lower_bound_", "lower_bounds_"):
        np.testing.assert_array_equal(getattr(other, name), getattr(model, name))
    assert other.n_features_in_ == 2
    assert (other.tol, other.random_state, other.init_params) == (1e-4, 0, "kmeans")
    assert (other.n_components, other.covariance_type) == (K, family)
    assert_same_predictions(model, other, x)
    assert_same_predictions(model, pickle.loads(pickle.dumps(other)), x)
    assert other.sample(9)[0].shape == (9, 2)
    # its arrays are its own
    other.means_[:] = other.precisions_[:] = 0
    assert np.abs(model.means_).max() > 1
    assert np.abs(model.precisions_).max() > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clone(other).fit(x)  # its parameters are such as it takes


def test_there_and_back(family, x):
    model = GaussianMixture(K, covariance_type=family, random_state=0).fit(x)
    back = GaussianMixture.from_sklearn(model.to_sklearn())
    for name in FITTED:
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
    assert back.lower_bounds_ == model.lower_bounds_


@pytest.mark.parametrize("family", FAMILIES)
def test_after_partial_fit_by_hand_and_from_arrays(family, x):
    weights, means, covariances = arrays(family)
    made = GaussianMixture(K, covariance_type=family)
    made.weights_, made.means_, made.covariances_ = weights, means, covariances
    batches = GaussianMixture(K, covariance_type=family, random_state=0).partial_fit(x)
    for model in (made, batches, GaussianMixture.from_params(weights, means, covariances, family)):
        assert_same_predictions(model, model.to_sklearn(), x)


def test_names_of_features_go_along(x):
    frame = pd.DataFrame(x, columns=["a", "b"])
    other = GaussianMixture(K, random_state=0).fit(frame).to_sklearn()
    assert other.feature_names_in_.tolist() == ["a", "b"]
    other.predict(frame)  # without a warning
    model = GaussianMixture.from_sklearn(theirs(frame))
    assert model.feature_names_in_.tolist() == ["a", "b"]
    model.predict(frame)


def test_a_family_that_was_changed_since(x):
    model = GaussianMixture(K, random_state=0).fit(x).set_params(covariance_type="tied")
    assert model.to_sklearn().covariance_type == "full"


def test_to_sklearn_before_a_fit():
    with pytest.raises(NotFittedError):
        GaussianMixture().to_sklearn()
