"""`GaussianMixture` beside scikit-learn's, and what it promises on its own."""

import copy
import io
import pickle
import warnings
from fractions import Fraction

import joblib
import numpy as np
import pyarrow as pa
import pytest
import sklearn.mixture
from blobs import FAMILIES, blobs, identity_precisions
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmm_fast import DataError, GaussianMixture
from gmm_fast.em import FitResult
from gmm_fast.params import Params

K, D = 3, 2
FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@pytest.fixture(scope="module")
def x():
    return blobs(seed=1, sizes=(90, 60, 50), d=D, apart=5)


@pytest.fixture(scope="module")
def new():
    """Data that no model was fitted to, some of it far out."""
    return np.random.default_rng(9).normal(3, 8, (70, D))


def given(x, family):
    """A start, the same for both libraries."""
    return {
        "n_components": K,
        "covariance_type": family,
        "weights_init": np.array([0.2, 0.3, 0.5]),
        "means_init": x[[3, 100, 190]] + 0.5,
        "precisions_init": 0.7 * identity_precisions(family, K, D),
    }


def pair(x, family, **parameters):
    """Both libraries' fits from one start by the same number of iterations."""
    call = given(x, family) | {"tol": 0.0, "max_iter": 7, "reg_covar": 1e-6} | parameters
    with pytest.warns(ConvergenceWarning):
        theirs = sklearn.mixture.GaussianMixture(**call).fit(x)
    with pytest.warns(ConvergenceWarning):
        ours = GaussianMixture(**call).fit(x)
    return ours, theirs


@pytest.fixture(scope="module", params=FAMILIES)
def both(request, x):
    return pair(x, request.param)


@pytest.fixture(scope="module")
def fitted(x):
    return GaussianMixture(K, random_state=0).fit(x)


def state(model):
    """A copy of all of a model's attributes."""
    return copy.deepcopy(vars(model))


def same_state(a, b):
    return pickle.dumps(a) == pickle.dumps(b)


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
    assert {k for k in theirs if theirs[k] != ours[k]} == {"init_params"}


def _known_failures(estimator):
    """Checks of words in messages about data, which here name the file and say what to do."""
    words = "the message says the same in other words"
    return {
        "check_complex_data": words,
        "check_estimators_empty_data_messages": words,
        "check_estimators_nan_inf": words,
        "check_fit2d_predict1d": words,
        "check_dtype_object": "arrays of Python objects are refused",
    }


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([GaussianMixture()], expected_failed_checks=_known_failures)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


# -- as part of scikit-learn -----------------------------------------------------------------------


def test_clone_and_parameters(fitted):
    copied = clone(fitted.set_params(tol=1e-3))
    assert copied.get_params() == fitted.get_params()
    assert not hasattr(copied, "means_")
    assert copied.set_params(n_components=5).n_components == 5
    with pytest.raises(ValueError, match="Invalid parameter 'k'"):
        copied.set_params(k=3)


@pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy"])
def test_round_trips(fitted, new, way):
    if way == "pickle":
        back = pickle.loads(pickle.dumps(fitted))
    elif way == "joblib":
        file = io.BytesIO()
        joblib.dump(fitted, file)
        file.seek(0)
        back = joblib.load(file)
    else:
        back = copy.deepcopy(fitted)
    assert back.get_params() == fitted.get_params()
    for name in FITTED:
        np.testing.assert_array_equal(getattr(back, name), getattr(fitted, name))
    np.testing.assert_array_equal(back.predict_proba(new), fitted.predict_proba(new))


def test_pipeline(x):
    pipe = make_pipeline(StandardScaler(), GaussianMixture(K, random_state=0)).fit(x)
    scaled = StandardScaler().fit_transform(x)
    alone = GaussianMixture(K, random_state=0).fit(scaled)
    np.testing.assert_array_equal(pipe.predict(x), alone.predict(scaled))
    assert pipe.score(x) == alone.score(scaled)


def test_grid_search_finds_the_number_of_components(x):
    grid = GridSearchCV(
        GaussianMixture(random_state=0),
        {"n_components": [1, 2, 3], "tol": np.logspace(-4, -3, 2)},
        cv=3,
    ).fit(x[np.random.default_rng(0).permutation(len(x))])
    assert grid.best_params_["n_components"] == 3
    scores = grid.cv_results_["mean_test_score"].reshape(3, 2)
    assert (np.diff(scores[:, 0]) > 0.1).all()


def test_not_fitted(x):
    for method in ("predict", "predict_proba", "score", "score_samples", "aic", "bic", "icl"):
        with pytest.raises(NotFittedError):
            getattr(GaussianMixture(), method)(x)
    with pytest.raises(NotFittedError):
        GaussianMixture().sample()


class Frame:
    """As much of a data frame as the estimator looks at."""

    def __init__(self, x, columns):
        self.x, self.columns = x, columns

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.x, dtype)


def test_names_of_features(x):
    model = GaussianMixture(2, random_state=0).fit(Frame(x, ["a", "b"]))
    assert model.feature_names_in_.tolist() == ["a", "b"]
    np.testing.assert_array_equal(model.predict(Frame(x, ["a", "b"])), model.fit_predict(x))
    assert not hasattr(model, "feature_names_in_")  # forgotten by the fit to an array
    with pytest.warns(UserWarning, match="fitted without feature names"):
        model.predict(Frame(x, ["a", "b"]))
    model.fit(Frame(x, ["a", "b"]))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.score(x)
    with pytest.raises(DataError, match="should match those .* a, b, in this order; not b, a"):
        model.predict(Frame(x, ["b", "a"]))
    assert not hasattr(GaussianMixture(2).fit(Frame(x, [0, 1])), "feature_names_in_")


def test_names_of_an_arrow_table_without_its_values(x, monkeypatch):
    table = pa.table({"a": x[:, 0], "b": x[:, 1]})
    made, asarray = [], np.asarray

    def watched(*args, **kwargs):
        made.append(asarray(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(np, "asarray", watched)
    model = GaussianMixture(2, random_state=0).fit(table)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    assert max(a.size for a in made if a.dtype == object) == 2
    with pytest.raises(DataError, match="should match those .* a, b, in this order; not b, a"):
        model.predict(table.select(["b", "a"]))


# -- on its own ------------------------------------------------------------------------------------


def test_fit_predict_is_fit_then_predict(x):
    one, two = (GaussianMixture(K, random_state=3) for _ in range(2))
    labels = one.fit_predict(x)
    np.testing.assert_array_equal(labels, two.fit(x).predict(x))
    assert labels.dtype == np.int64
    assert set(labels) == {0, 1, 2}
    np.testing.assert_array_equal(one.means_, two.means_)


def test_labels_and_responsibilities_agree(fitted, new):
    resp = fitted.predict_proba(new)
    np.testing.assert_array_equal(resp.argmax(axis=1), fitted.predict(new))
    np.testing.assert_allclose(resp.sum(axis=1), 1, rtol=1e-12)


def test_precisions_are_inverses(x):
    for family in FAMILIES:
        model = GaussianMixture(K, covariance_type=family, random_state=0).fit(x)
        upper = model.precisions_cholesky_
        if family in ("full", "tied"):
            product = model.precisions_ @ model.covariances_
            np.testing.assert_allclose(
                product, np.broadcast_to(np.eye(D), product.shape), atol=1e-9
            )
            np.testing.assert_array_equal(upper, np.triu(upper))
            again = upper @ np.swapaxes(upper, -1, -2)
        else:
            np.testing.assert_allclose(model.precisions_ * model.covariances_, 1)
            again = upper**2
        np.testing.assert_allclose(again, model.precisions_)


def test_its_own_precisions_are_a_start(x):
    """Also where features differ by ten orders of magnitude."""
    wild = x * np.array([1e-5, 1e5])
    for family in ("full", "tied"):
        kind = {"n_components": K, "covariance_type": family, "reg_covar": 0}
        first = GaussianMixture(**kind, random_state=0, tol=1e-9, max_iter=500).fit(wild)
        given = {f"{n}_init": getattr(first, f"{n}_") for n in ("weights", "means", "precisions")}
        again = GaussianMixture(**kind, **given, tol=1e-6).fit(wild)
        assert again.n_iter_ == 2  # the fewest
        np.testing.assert_allclose(again.means_, first.means_, rtol=1e-4)


def test_warm_start_goes_on(x):
    call = given(x, "full") | {"tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole = GaussianMixture(**call, max_iter=7).fit(x)
        parts = GaussianMixture(**call, max_iter=4, warm_start=True).fit(x)
        first = parts.lower_bounds_
        parts.set_params(max_iter=3).fit(x)
        cold = GaussianMixture(**call, max_iter=4).fit(x).set_params(max_iter=3).fit(x)
    np.testing.assert_array_equal(parts.means_, whole.means_)
    np.testing.assert_array_equal(parts.covariances_, whole.covariances_)
    assert first + parts.lower_bounds_[1:] == whole.lower_bounds_
    assert cold.lower_bounds_ == whole.lower_bounds_[:4]  # without warm_start: from the start


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        ({"n_components": 4}, 2, "3 components of family full, now 4 of full"),
        ({"covariance_type": "diag"}, 2, "now 3 of diag"),
        ({}, 1, "X has 1 features, the last fit had 2"),
    ],
)
def test_warm_start_with_something_else(x, change, columns, message):
    model = GaussianMixture(K, random_state=0, warm_start=True).fit(x)
    with pytest.raises(DataError, match=message):
        model.set_params(**change).fit(x[:, :columns])


def test_a_fit_keeps_its_family_when_parameters_change(x, new):
    model = GaussianMixture(2, random_state=0).fit(x)
    before = model.predict_proba(new)
    np.testing.assert_array_equal(
        model.set_params(covariance_type="tied").predict_proba(new), before
    )


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


def test_verbose(x, capsys):
    call = given(x, "full") | {"tol": 0.0, "max_iter": 6, "verbose_interval": 2}
    with pytest.warns(ConvergenceWarning, match="did not converge in 6 iterations"):
        model = GaussianMixture(**call, verbose=1).fit(x)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:-1]] == [f"iteration {i}" for i in (2, 4, 6)]
    assert f"{model.lower_bounds_[4]:.6f}" in lines[1]
    assert lines[-1] == f"6 iterations, {model.lower_bound_:.6f}: max_iter"
    with pytest.warns(ConvergenceWarning):
        GaussianMixture(**call).fit(x)
    assert capsys.readouterr() == ("", "")


def test_the_warning_points_at_the_caller(x):
    model = GaussianMixture(**given(x, "full"), max_iter=1)
    for method in (model.fit, model.fit_predict):
        with pytest.warns(ConvergenceWarning) as caught:
            method(x)
        assert [w.filename for w in caught] == [__file__]


# -- random_state, sample --------------------------------------------------------------------------


def fit_random(x, state):
    return GaussianMixture(K, init_params="random", max_iter=2, tol=1e9, random_state=state).fit(x)


def test_random_state(x):
    def means(state):
        return fit_random(x, state).means_

    np.testing.assert_array_equal(means(5), means(np.int64(5)))
    assert not np.array_equal(means(5), means(6))
    # a RandomState moves on, and two of the same seed agree
    one, two = np.random.RandomState(5), np.random.RandomState(5)
    first = means(one)
    np.testing.assert_array_equal(first, means(two))
    assert not np.array_equal(first, means(one))
    # None is NumPy's global one
    np.random.seed(5)  # noqa: NPY002 - random_state=None means it
    np.testing.assert_array_equal(first, means(None))
    assert not np.array_equal(first, means(None))


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


def test_sample_shapes_and_dtypes(fitted):
    drawn, labels = fitted.sample(50)
    assert drawn.shape == (50, D)
    assert drawn.dtype == np.float64
    assert labels.shape == (50,)
    assert labels.dtype == np.int64
    assert (np.diff(labels) >= 0).all()
    assert fitted.sample()[0].shape == (1, D)
    for wrong in (0, -3, 2.5, "7", True):
        with pytest.raises(DataError, match="number of samples must be"):
            fitted.sample(wrong)


# -- data ------------------------------------------------------------------------------------------


def same_fit(a, b):
    for name in FITTED:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def read_only(x):
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    "how",
    [
        np.asfortranarray,
        read_only,
        lambda x: x.tolist(),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x.astype(">f8"),
    ],
    ids=["fortran", "read-only", "list", "strided", "big-endian"],
)
def test_the_same_data_in_another_layout(fitted, x, how):
    data = how(x)
    model = GaussianMixture(K, random_state=0).fit(data)
    same_fit(model, fitted)
    np.testing.assert_array_equal(model.predict_proba(data), fitted.predict_proba(x))
    np.testing.assert_array_equal(np.asarray(data, float), x)


def test_a_path(fitted, x, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, x)
    for name in (path, str(path)):
        model = GaussianMixture(K, random_state=0)
        labels = model.fit_predict(name)
        same_fit(model, fitted)
        np.testing.assert_array_equal(labels, fitted.predict(x))
        np.testing.assert_array_equal(fitted.score_samples(name), fitted.score_samples(x))
        assert fitted.bic(name) == fitted.bic(x)


def test_integers_and_bools(x):
    ints = np.round(10 * x).astype(np.int16)
    same_fit(
        GaussianMixture(K, random_state=0).fit(ints),
        GaussianMixture(K, random_state=0).fit(ints.astype(float)),
    )
    bools = np.random.default_rng(0).random((60, 3)) < 0.4
    model = GaussianMixture(1).fit(bools)
    np.testing.assert_allclose(model.means_[0], bools.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(
        model.covariances_[0], np.cov(bools.T, bias=True) + 1e-6 * np.eye(3), rtol=1e-9
    )


def test_float32(x, fitted):
    """Parameters stay float64, scores are float32; `dtype` overrules."""
    single = x.astype(np.float32)
    call = given(x, "full")
    model = GaussianMixture(**call).fit(single)
    wide = GaussianMixture(**call, dtype="float64").fit(single)
    assert model.means_.dtype == model.covariances_.dtype == model.weights_.dtype == np.float64
    assert model.predict_proba(single).dtype == model.score_samples(single).dtype == np.float32
    assert wide.predict_proba(single).dtype == np.float64
    assert model.predict_proba(x).dtype == np.float64
    assert isinstance(model.score(single), float)
    same_fit(wide, GaussianMixture(**call).fit(single.astype(float)))
    assert 0 < np.abs(model.means_ - wide.means_).max() < 1e-4
    forced = GaussianMixture(**call, dtype=np.float32).fit(x)
    assert forced.score_samples(x).dtype == np.float32
    np.testing.assert_allclose(forced.means_, wide.means_, atol=1e-4)


def test_threads_give_the_same_bits(x):
    data = np.tile(x, (20, 1))
    one, two = (GaussianMixture(K, random_state=0, threads=t).fit(data) for t in (1, 2))
    same_fit(one, two)
    assert one.lower_bounds_ == two.lower_bounds_


@pytest.mark.parametrize("family", FAMILIES)
def test_a_weight_is_a_repetition(x, family):
    counts = np.random.default_rng(0).integers(0, 4, len(x))
    call = given(x, family)
    weighted = GaussianMixture(**call).fit(x, sample_weight=counts)
    repeated = GaussianMixture(**call).fit(np.repeat(x, counts, axis=0))
    assert weighted.n_iter_ == repeated.n_iter_
    for name in FITTED:
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-9)
    many = np.repeat(x, counts, axis=0)
    assert weighted.score(x, sample_weight=counts) == pytest.approx(repeated.score(many), rel=1e-12)
    assert weighted.score(x) != pytest.approx(repeated.score(many), rel=1e-6)
    np.testing.assert_array_equal(
        weighted.predict(x), GaussianMixture(**call).fit_predict(x, sample_weight=counts)
    )


def test_y_is_ignored(x, fitted):
    y = np.array(["no"] * len(x))
    model = GaussianMixture(K, random_state=0).fit(x, y)
    same_fit(model, fitted)
    assert model.score(x, y) == fitted.score(x)
    np.testing.assert_array_equal(model.fit_predict(x, y), fitted.predict(x))


def test_labels_are_a_start(x):
    labels = np.repeat([2, 0, 1], [90, 60, 50])
    model = GaussianMixture(K, max_iter=2, tol=1e9).fit(x, labels=labels)
    # the start is the M-step of the labels: its likelihood is that of the parts' moments
    parts = [x[labels == k] for k in range(K)]
    start = GaussianMixture(K)
    start.weights_ = np.array([60, 50, 90]) / 200
    start.means_ = np.stack([p.mean(axis=0) for p in parts])
    start.covariances_ = np.stack([np.cov(p.T, bias=True) + 1e-6 * np.eye(D) for p in parts])
    assert model.lower_bounds_[0] == pytest.approx(start.score(x), rel=1e-12)


# -- wrong calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("n_components", 0, "n_components must be at least 1, not 0"),
        ("n_components", 2.0, "n_components must be an integer, not 2.0"),
        ("n_components", "3", "n_components must be an integer, not '3'"),
        ("n_components", True, "n_components must be an integer"),
        ("covariance_type", "round", "unknown covariance family 'round'; choose from full"),
        ("covariance_type", ["full"], "covariance_type must be a str"),
        ("tol", -1e-3, "tol must be 0 or more"),
        ("tol", np.nan, "tol must be 0 or more"),
        ("tol", "small", "tol must be a number"),
        ("tol", 10**400, "tol must be 0 or more and finite"),
        ("reg_covar", -1, "reg_covar must be 0 or more"),
        ("reg_covar", Fraction(-1, 3), "reg_covar must be 0 or more and finite, not -1/3"),
        ("max_iter", 0, "max_iter must be at least 1"),
        ("max_iter", 2.5, "max_iter must be an integer"),
        ("n_init", 0, "n_init must be at least 1"),
        ("n_init", 1.5, "n_init must be an integer"),
        ("init_params", "luck", "unknown init 'luck'; choose from auto"),
        ("init_params", np.array(["auto", "kmeans"]), "init_params must be a str"),
        ("random_state", -1, "random_state must be a non-negative integer"),
        ("random_state", "seed", "random_state must be"),
        ("verbose_interval", 0, "verbose_interval must be at least 1"),
        ("threads", 0, "threads must"),
        ("threads", 1.0, "threads must be an integer"),
        ("threads", 10**6, "threads must lie between 1 and"),
        ("dtype", "float16", "dtype must be 'float32', 'float64' or None"),
        ("dtype", "wide", "dtype must be"),
        ("dtype", ",", "dtype must be"),
        ("dtype", {"names": ["a"]}, "dtype must be"),
        ("weights_init", [1.0], r"weights_init has shape \(1,\); \(3,\) is needed"),
        ("weights_init", [0.5, 0.5, 0.5], "weights_init must not be negative and must sum to 1"),
        ("weights_init", [1.5, -0.5, 0.0], "weights_init must not be negative"),
        ("means_init", np.zeros((3, 1)), r"means_init has shape \(3, 1\); \(3, 2\) is needed"),
        ("means_init", np.full((3, 2), np.inf), "means_init holds values that are not finite"),
        ("means_init", "far", "means_init is not an array of numbers"),
        ("means_init", [[10**400, 0]] * 3, "means_init is not an array of numbers"),
        ("means_init", np.full((3, 2), 1j), "means_init is not an array of numbers"),
        ("precisions_init", np.ones(3), "precisions_init has shape"),
        ("precisions_init", 1e-320 * np.stack([np.eye(2)] * 3), "covariances overflow"),
        ("precisions_init", np.full((3, 2, 2), 1.0), "must be positive definite"),
        ("precisions_init", -np.stack([np.eye(2)] * 3), "must be positive definite"),
        ("precisions_init", np.stack([[[1, 0.5], [0, 1]]] * 3), "must be symmetric"),
    ],
)
def test_wrong_parameters(x, monkeypatch, parameter, value, message):
    """A clear message, before any work, and the model of before is untouched."""
    model = GaussianMixture(K, random_state=0).fit(x).set_params(**{parameter: value})
    before = state(model)
    monkeypatch.setattr("gmm_fast.fitting.open_backend", None)
    with pytest.raises(DataError, match=message):
        model.fit(x)
    assert same_state(vars(model), before)


@pytest.mark.parametrize("value", [np.zeros((3, 2)), np.full((3, 2), -1.0)])
def test_wrong_diagonal_precisions(x, value):
    with pytest.raises(DataError, match="precisions_init must be positive"):
        GaussianMixture(3, covariance_type="diag", precisions_init=value).fit(x)


def spoiled(x, row, column, value):
    x = x.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda x: spoiled(x, 17, 1, np.nan), r"X: row 17 \(counting from 0\), column 1 is nan"),
        (lambda x: spoiled(x, 0, 0, -np.inf), r"X: row 0 \(counting from 0\), column 0 is -inf"),
        (lambda x: x[:, 0], "one dimension"),
        (lambda x: x[None], "3 dimensions"),
        (lambda x: x[:0], "no rows"),
        (lambda x: x + 1j, "complex"),
        (lambda x: x.astype(str), "X: dtype"),
        (lambda x: x[:2], "2 samples are fewer than 3 components"),
        (lambda x: "nowhere.npy", "nowhere.npy: no such file"),
        (lambda x: 1e200 * x, "squares overflow"),
    ],
)
def test_wrong_data_leaves_a_fitted_model_alone(x, data, message):
    model = GaussianMixture(K, random_state=0).fit(x)
    before = state(model)
    with pytest.raises(DataError, match=message):
        model.fit(data(x))
    assert same_state(vars(model), before)


@pytest.mark.parametrize("k", [10**12, 10**30])
def test_labels_are_not_counted_for_more_components_than_samples(x, k):
    with pytest.raises(DataError, match="X: 200 samples are fewer than 10+ components"):
        GaussianMixture(k).fit(x, labels=np.zeros(len(x), int))


def test_variances_beyond_float32(x):
    """Their inverse is 0 in float32."""
    model = GaussianMixture(1, covariance_type="tied", reg_covar=1e100)
    model.fit(x.astype(np.float32))
    np.testing.assert_allclose(np.diagonal(model.covariances_), 1e100, rtol=1e-9)
    np.testing.assert_allclose(model.means_[0], x.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_component_whose_square_overflows(family):
    """Such a model may be loaded; samples have nothing to do with it, and no warning is given."""
    unit = {"full": np.stack([np.eye(2)] * 2), "tied": np.eye(2), "diag": np.ones((2, 2))}
    params = Params(
        np.full(2, 0.5), np.array([[0, 0], [1e300, 0]]), unit.get(family, np.ones(2)), family
    )
    model = GaussianMixture.from_result(
        FitResult(params, -2.0, -1.0, 2.0, 2, [-2.0], 0, True, "tolerance")
    )
    assert model.predict(np.zeros((3, 2))).tolist() == [0, 0, 0]
    assert model.score(np.zeros((1, 2))) == pytest.approx(np.log(0.5 / (2 * np.pi)))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"sample_weight has shape \(3,\); \(200,\) is needed"),
        (np.r_[np.ones(199), -1], r"sample_weight: row 199 \(counting from 0\) is -1.0"),
        (np.zeros(200), "all weights are zero"),
        (["a"] * 200, "not numbers"),
        ([10**400] * 200, "not numbers"),
        (np.full(200, 1j), "not numbers"),
    ],
)
def test_wrong_weights(fitted, x, weights, message):
    with pytest.raises(DataError, match=message):
        GaussianMixture(K).fit(x, sample_weight=weights)
    with pytest.raises(DataError, match=message):
        fitted.score(x, sample_weight=weights)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(3, int), r"labels have shape \(3,\); \(200,\) is needed"),
        (np.full(200, 3), "for 3 components they must lie in 0..2"),
        (np.zeros(200, int), "labels leave component 1 without samples"),
        (np.zeros(200), "must be integers"),
    ],
)
def test_wrong_labels(x, labels, message):
    with pytest.raises(DataError, match=message):
        GaussianMixture(K).fit(x, labels=labels)


def test_other_number_of_features(fitted, x):
    for method in ("predict", "predict_proba", "score", "score_samples", "aic", "bic", "icl"):
        with pytest.raises(DataError, match="X has 1 features, but GaussianMixture is expecting 2"):
            getattr(fitted, method)(x[:, :1])


def test_bad_values_in_prediction(fitted, x):
    bad = spoiled(x, 5, 0, np.nan)
    for method in ("predict", "predict_proba", "score", "score_samples", "aic", "bic"):
        with pytest.raises(DataError, match=r"X: row 5 \(counting from 0\), column 0 is nan"):
            getattr(fitted, method)(bad)
