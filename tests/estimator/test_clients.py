"""Code written for scikit-learn's class: hooks, attributes set by hand, private methods."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from blobs import FAMILIES, K
from sklearn.base import clone

from gmm_fast import DataError, GaussianMixture, load, save

# -- hooks of subclasses ---------------------------------------------------------------------------

HOOKS = (
    "_initialize", "_initialize_parameters", "_e_step", "_m_step", "_estimate_log_prob",
    "_estimate_log_weights", "_estimate_weighted_log_prob", "_estimate_log_prob_resp",
)  # fmt: skip


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_that_are_not_called_are_refused(x, name):
    Weighted = type("Weighted", (GaussianMixture,), {name: lambda self, *args: None})
    for method in ("fit", "fit_predict", "partial_fit"):
        with pytest.raises(DataError, match=f"^Weighted overrides {name}, which .* not call"):
            getattr(Weighted(2), method)(x)
    model = Weighted.from_params([1.0], [[0.0, 0.0]], [1.0], "spherical")
    with pytest.raises(DataError, match=f"overrides {name}"):
        model.predict(x)
    patched = GaussianMixture(2)
    setattr(patched, name, print)
    with pytest.raises(DataError, match=f"overrides {name}"):
        patched.fit(x)


def test_what_to_use_instead_of_a_hook():
    """A mixture of weighted samples, as for coresets, that overrides scikit-learn's M-step."""
    X = np.array([0, 0.1, -0.1, 5, 5.1, 4.9] * 20)[:, None]
    weights = np.array([1, 1, 1, 9, 9, 9] * 20)

    class Coreset(GaussianMixture):
        def _initialize_parameters(self, X, random_state, xp=None):
            super()._initialize_parameters(X, random_state)

        def _m_step(self, X, log_resp, xp=None):
            super()._m_step(X, log_resp + np.log(weights)[:, None])

    with pytest.raises(DataError, match=r"overrides _initialize_parameters, _m_step.*") as error:
        Coreset(2).fit(X)
    assert "means_init" in str(error.value)
    assert "fit(X, sample_weight=...)" in str(error.value)
    model = GaussianMixture(2, random_state=0).fit(X, sample_weight=weights)
    np.testing.assert_allclose(np.sort(model.weights_), [0.1, 0.9], atol=1e-6)


def test_subclasses_without_hooks_are_as_their_parent(x):
    class Both(GaussianMixture, sklearn.mixture.GaussianMixture):
        """For what asks `isinstance` of scikit-learn's class, whose hooks it inherits."""

        def _n_parameters(self):
            return 100

    model = Both(K, random_state=0).fit(x)
    parent = GaussianMixture(K, random_state=0).fit(x)
    np.testing.assert_array_equal(model.means_, parent.means_)
    more = 100 - parent._n_parameters()
    assert model.aic(x) == pytest.approx(parent.aic(x) + 2 * more)
    assert model.bic(x) == pytest.approx(parent.bic(x) + more * np.log(len(x)))


def test_scores_call_the_score_samples_of_a_subclass(x):
    ours, theirs = (
        type("Flat", (parent,), {"score_samples": lambda self, X: np.full(len(X), -2.0)})(2).fit(x)
        for parent in (GaussianMixture, sklearn.mixture.GaussianMixture)
    )
    for name in ("score", "bic", "aic"):
        assert getattr(ours, name)(x) == pytest.approx(getattr(theirs, name)(x))
    assert ours.score(x, sample_weight=np.arange(len(x))) == pytest.approx(-2)


@pytest.mark.parametrize("kind", ["score", "score_samples"])
def test_criteria_call_the_score_of_a_subclass(x, kind):
    """As there, also where it takes what the model alone would refuse."""
    hook = {
        "score": lambda self, X, y=None, sample_weight=None: float(np.mean(X[:, 2])),
        "score_samples": lambda self, X: X[:, 2],
    }[kind]
    ours, theirs = (
        type("Third", (parent,), {kind: hook})(2, random_state=0).fit(x)
        for parent in (GaussianMixture, sklearn.mixture.GaussianMixture)
    )
    wider = np.column_stack([x, np.arange(len(x))])
    for name in ("score", "bic", "aic"):
        assert getattr(ours, name)(wider) == pytest.approx(getattr(theirs, name)(wider))
    with_weights = -2 * (len(x) - 1) / 2 * 2 * len(x) + 2 * ours._n_parameters()
    assert ours.aic(wider, sample_weight=np.full(len(x), 2.0)) == pytest.approx(with_weights)


def test_a_score_of_a_subclass_is_in_the_icl(x):
    class Half(GaussianMixture):
        def score(self, X, y=None, sample_weight=None):
            return super().score(X, sample_weight=sample_weight) / 2

    model, parent = (kind(K, random_state=0).fit(x) for kind in (Half, GaussianMixture))
    gain = parent.score(x) * len(x)
    for name in ("aic", "bic", "icl"):
        assert getattr(model, name)(x) == pytest.approx(getattr(parent, name)(x) + gain)


@pytest.mark.parametrize("parent", [GaussianMixture, sklearn.mixture.GaussianMixture])
def test_fit_calls_the_fit_predict_of_a_subclass(x, parent):
    class Standardised(parent):
        def fit_predict(self, X, y=None):
            self.scale_ = X.std(axis=0)
            return super().fit_predict(X / self.scale_, y)

    model = Standardised(K, random_state=0).fit(x)
    np.testing.assert_allclose(model.weights_ @ model.means_, (x / x.std(axis=0)).mean(axis=0))
    assert clone(model).fit_predict(x).shape == (len(x),)


def test_a_fit_predict_that_fits_ends(x):
    class Labels(GaussianMixture):
        calls = 0

        def fit_predict(self, X, y=None, sample_weight=None):
            self.calls += 1
            return self.fit(X, sample_weight=sample_weight).predict(X)

    model = Labels(K, random_state=0).fit(x, sample_weight=np.ones(len(x)))
    assert model.calls == 1
    np.testing.assert_array_equal(model.fit_predict(x), model.predict(x))


def test_samples_by_a_float_that_is_a_number_of_them(x):
    model = GaussianMixture(K, random_state=0).fit(x)
    np.testing.assert_array_equal(model.sample(1e3)[0], model.sample(1000)[0])
    for wrong in (1.5, np.inf, np.nan, True):
        with pytest.raises(DataError, match="'n_samples': it must be an integer"):
            model.sample(wrong)


# -- attributes set by hand ------------------------------------------------------------------------


@pytest.fixture(scope="module", params=FAMILIES)
def pair(request, x):
    """A mixture of scikit-learn's, and ours of the same numbers."""
    theirs = sklearn.mixture.GaussianMixture(K, covariance_type=request.param, random_state=0)
    theirs.fit(x)
    return theirs, GaussianMixture.from_sklearn(theirs)


def test_a_model_built_through_precisions_cholesky(x, pair):
    theirs, _ = pair
    model = GaussianMixture(K, covariance_type=theirs.covariance_type)
    for name in ("weights_", "means_", "precisions_cholesky_"):
        setattr(model, name, getattr(theirs, name))
    np.testing.assert_allclose(model.score_samples(x), theirs.score_samples(x), rtol=1e-9)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(x), theirs.predict(x))


def test_precisions_cholesky_changed_by_hand(x, pair):
    theirs, ours = copy.deepcopy(pair)
    for model in (theirs, ours):
        model.precisions_cholesky_ *= 2  # in place
    for _ in range(2):
        np.testing.assert_allclose(ours.score_samples(x), theirs.score_samples(x), rtol=1e-9)
    for model in (theirs, ours):
        model.precisions_cholesky_ = model.precisions_cholesky_ / 3
    np.testing.assert_allclose(ours.score_samples(x), theirs.score_samples(x), rtol=1e-9)


def test_what_is_set_last_counts(x, pair):
    _, ours = copy.deepcopy(pair)
    want = ours.score(x)
    covariances, precisions = ours.covariances_.copy(), ours.precisions_.copy()
    ours.precisions_cholesky_ = 2 * ours.precisions_cholesky_
    assert ours.score(x) != want
    ours.covariances_ = covariances  # the numbers that it has
    assert ours.score(x) == want
    ours.precisions_ = precisions / 4
    assert ours.score(x) != want
    ours.precisions_ *= 4  # in place
    assert ours.score(x) == pytest.approx(want)


def test_what_contradicts_is_refused(x, pair):
    _, ours = copy.deepcopy(pair)
    ours.covariances_ = 4 * ours.covariances_
    ours.precisions_cholesky_ = ours.precisions_cholesky_ / 2
    quarter = ours.score(x)  # they agree
    ours.covariances_ = ours.covariances_ * 2
    ours.precisions_cholesky_ = ours.precisions_cholesky_ * 2
    for _ in range(2):
        with pytest.raises(DataError, match="covariances_ and precisions_cholesky_ .* contradict"):
            ours.predict(x)
    ours.covariances_, ours.precisions_cholesky_ = (
        ours.covariances_ / 2,
        ours.precisions_cholesky_ / 2,
    )
    assert ours.score(x) == pytest.approx(quarter)
    ours.precisions_cholesky_ = np.zeros(3)[:, None, None, None]
    with pytest.raises(DataError, match="precisions_cholesky_ has shape .*; .* needs"):
        ours.predict(x)


def test_what_was_set_by_hand_is_saved(x, pair, tmp_path):
    _, ours = copy.deepcopy(pair)
    ours.precisions_cholesky_ = 2 * ours.precisions_cholesky_
    save(ours, tmp_path / "m.npz")
    same = load(tmp_path / "m.npz")
    assert same.score(x) == pytest.approx(ours.score(x))
    assert same.stop_reason_ == "no fit"


def test_weights_that_do_not_sum_to_one(x):
    """scikit-learn takes a pruned model's densities as they are; here the way out is told."""
    model = GaussianMixture(K, random_state=0).fit(x)
    for name in ("weights_", "means_", "covariances_"):
        setattr(model, name, getattr(model, name)[:2])
    with pytest.raises(DataError, match=r"model.weights_ /= model.weights_.sum\(\)"):
        model.predict(x)
    model.weights_ /= model.weights_.sum()
    assert set(model.predict(x)) == {0, 1}


def test_what_is_set_in_place_is_not_what_the_fit_found(x, tmp_path):
    model = GaussianMixture(K, random_state=0).fit(x)
    found = model.result_.params.means.copy()
    model.means_ += 1
    np.testing.assert_array_equal(model.result_.params.means, found)
    save(model, tmp_path / "m.npz")
    assert load(tmp_path / "m.npz").stop_reason_ == "no fit"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("means_", [[0, "a"]], "the model: means_ is not an array of numbers"),
        ("means_", np.zeros((1, 2), complex), "the model: means_ is not an array of numbers"),
        ("means_", [1.0, 2.0], r"the model: means_ has shape \(2,\); \(K, d\) is needed"),
        ("means_", None, r"the model: means_ has shape \(\); \(K, d\) is needed"),
        ("weights_", "a", "the model: weights_ is not an array of numbers"),
        ("covariances_", [[[1, 2], [2, 1]]], "component 0 .* is not positive definite"),
        ("precisions_", [[[1, 2], [2, 1]]], "the model: .* not positive"),
        ("covariances_", [[1, 2], [2, 1]], r"covariances have shape \(2, 2\); full needs"),
    ],
)
def test_what_no_mixture_can_be_is_refused(x, name, value, message):
    model = GaussianMixture(random_state=0).fit(x)
    setattr(model, name, value)
    for _ in range(2):
        for use in (model.predict, model.score, lambda x: model.sample(), model.bic):
            with pytest.raises(DataError, match=message):
                use(x)


def test_lists_are_as_good_as_arrays(x):
    model = GaussianMixture(2)
    model.weights_, model.means_ = [0.5, 0.5], [[0, 0], [6, 6]]
    model.covariances_ = [[[1, 0], [0, 1]]] * 2
    want = GaussianMixture.from_params(model.weights_, model.means_, model.covariances_, "full")
    np.testing.assert_array_equal(model.predict_proba(x), want.predict_proba(x))
    assert model.n_features_in_ == 2


def test_covariances_set_by_hand_are_of_the_family_asked_for(x):
    """Two of two features have the shape of a tied one: what they are is `covariance_type`."""
    model = GaussianMixture(2, covariance_type="tied", random_state=0).fit(x)
    model.set_params(covariance_type="diag")
    before = model.score(x)
    model.covariances_ = np.array([[1.0, 0.5], [0.5, 3.0]])
    want = GaussianMixture.from_params(model.weights_, model.means_, model.covariances_, "diag")
    assert model.score(x) == want.score(x) != before
    model.set_params(covariance_type="tied")
    assert model.score(x) == want.score(x)


def test_means_of_other_features(x):
    """The number of features is that of the means; names of others are gone."""
    data = pd.DataFrame(x, columns=["a", "b"])
    model = GaussianMixture(2, covariance_type="spherical", random_state=0).fit(data)
    model.means_ = model.means_ + 1
    assert model.feature_names_in_.tolist() == ["a", "b"]
    model.means_ = model.means_[:, :1]
    assert model.n_features_in_ == 1
    assert not hasattr(model, "feature_names_in_")
    assert model.predict(x[:, :1]).shape == (len(x),)
    assert model.to_sklearn().n_features_in_ == 1


# -- private methods -------------------------------------------------------------------------------


def test_private_methods_that_others_call(x, pair):
    theirs, ours = pair
    for name in ("_estimate_log_prob", "_estimate_weighted_log_prob"):
        want = getattr(theirs, name)(x)
        np.testing.assert_allclose(getattr(ours, name)(x), want, rtol=1e-9, err_msg=name)
    log_prob, log_resp = theirs._estimate_log_prob_resp(x)
    ours_prob, ours_resp = ours._estimate_log_prob_resp(x)
    np.testing.assert_allclose(ours_prob, log_prob, rtol=1e-9)
    np.testing.assert_allclose(ours_resp, log_resp, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(ours._estimate_log_weights(), theirs._estimate_log_weights())
    other = GaussianMixture(K, covariance_type=ours.covariance_type)
    other._set_parameters(theirs._get_parameters())
    np.testing.assert_allclose(other.precisions_, theirs.precisions_, rtol=1e-9)
    np.testing.assert_allclose(other.score_samples(x), theirs.score_samples(x), rtol=1e-9)
    for found, want in zip(ours._get_parameters(), theirs._get_parameters(), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-7, atol=1e-9)
