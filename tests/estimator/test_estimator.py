"""What `GaussianMixture` promises on its own; beside scikit-learn's: `test_conformance`."""

import copy
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from blobs import FAMILIES, FITTED, D, K, given
from sklearn.exceptions import ConvergenceWarning

from gmm_fast import DataError, GaussianMixture, open_source, search
from gmm_fast.em.loop import FitResult
from gmm_fast.mixture.params import Params


def state(model):
    """A copy of all of a model's attributes."""
    return copy.deepcopy(vars(model))


def same_state(a, b):
    return pickle.dumps(a) == pickle.dumps(b)


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


def test_too_few_rows_are_told_before_and_after(caplog):
    caplog.set_level("INFO", "gmm_fast")
    few = np.random.default_rng(0).normal(size=(20, 9))
    model = GaussianMixture(3, random_state=0, verbose=1, verbose_interval=1).fit(few)
    said = [record.getMessage() for record in caplog.records]
    assert model.events_[0].startswith("in 9 dimensions the full covariances need at least 30 rows")
    assert said[0] == model.events_[0]
    assert "no more rows than" in model.events_[-1]
    assert 'covariance_type="diag"' in model.events_[-1]
    assert [text for text in said if text in model.events_] == model.events_
    assert said.index(model.events_[-1]) == len(said) - 2
    assert not GaussianMixture(3, covariance_type="diag", random_state=0).fit(few).events_


def test_verbose(x, caplog, capsys):
    caplog.set_level("INFO", "gmm_fast")
    call = given(x, "full") | {"tol": 0.0, "max_iter": 6, "verbose_interval": 2}
    with pytest.warns(
        ConvergenceWarning, match="did not converge.*max_iter=6 iterations the mean .* changed by"
    ):
        model = GaussianMixture(**call, verbose=1).fit(x)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines[:-1]] == [f"iteration {i}" for i in (2, 4, 6)]
    assert f"{model.lower_bounds_[4]:.6f}" in lines[1]
    assert lines[-1] == f"6 iterations, {model.lower_bound_:.6f}: max_iter"
    caplog.clear()
    with pytest.warns(ConvergenceWarning):
        GaussianMixture(**call).fit(x)
    assert not caplog.records
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


def test_sample_shapes_and_dtypes(fitted):
    drawn, labels = fitted.sample(50)
    assert drawn.shape == (50, D)
    assert drawn.dtype == np.float64
    assert labels.shape == (50,)
    assert labels.dtype == np.int64
    assert (np.diff(labels) >= 0).all()
    assert fitted.sample()[0].shape == (1, D)
    for wrong in (0, -3, 2.5, "7", True):
        with pytest.raises(DataError, match="Invalid value for 'n_samples': it must be"):
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
    model = GaussianMixture(1, reg_covar=1e-6).fit(bools)
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


def test_rows_that_were_left_out_of_columns_in_another_order(x):
    data = pd.DataFrame(x, columns=["a", "b"])
    model = GaussianMixture(K, random_state=0).fit(data)
    labels, weights = model.predict(data), np.arange(1.0, len(x) + 1)
    labels[[3, 199]] = -1
    data.loc[[3, 199], "a"] = np.nan
    for names in (["a", "b"], ["b", "a"]):
        source = open_source(data[names], missing="drop")
        np.testing.assert_array_equal(model.predict(source), labels)
        assert model.score(source, sample_weight=weights) == model.score(
            data.dropna(), sample_weight=weights[labels >= 0]
        )


def test_labels_and_weights_of_all_rows_where_some_were_left_out(x):
    """As `predict` returns them; also of the rows that are left."""
    weights, gone = np.arange(1.0, len(x) + 1), [0, 7, 199]
    holed = x.copy()
    holed[gone, 1] = np.nan
    weights[gone] = np.nan
    source, rows = open_source(holed, missing="drop"), np.delete(np.arange(len(x)), gone)
    kind = {"random_state": 0, "max_iter": 200}
    want = GaussianMixture(K, **kind).fit(x[rows], sample_weight=weights[rows])
    for w in (weights, weights[rows], pd.Series(weights, index=weights), list(weights)):
        model = GaussianMixture(K, **kind)
        same_fit(model.fit(source, sample_weight=w), want)
        for name in ("score", "aic", "bic", "icl"):
            found = getattr(model, name)(source, sample_weight=w)
            assert found == getattr(want, name)(x[rows], sample_weight=weights[rows])
    labels = want.predict(source)
    assert labels[gone].tolist() == [-1, -1, -1]
    again = GaussianMixture(K, **kind).fit(x[rows], labels=labels[rows])
    for some in (labels, labels[rows], list(labels)):
        same_fit(GaussianMixture(K, **kind).fit(source, labels=some), again)
    np.testing.assert_array_equal(want.fit_predict(source, labels=labels), labels)
    stream = GaussianMixture(K, **kind).partial_fit(source, sample_weight=weights)
    assert stream.n_samples_seen_ == weights[rows].sum()
    found = search(source, K, sample_weight=weights)
    assert found.best.n_samples_seen_ == weights[rows].sum()
    scored = type("Own", (GaussianMixture,), {"score_samples": lambda self, X: weights})(1).fit(x)
    assert scored.score(source) == weights[rows].mean()
    for wrong in ({"labels": labels[:-1]}, {"sample_weight": weights[1:]}):
        with pytest.raises(DataError, match="shape"):
            GaussianMixture(K).fit(source, **wrong)
    with pytest.raises(DataError, match="not numbers"):
        GaussianMixture(K).fit(source, sample_weight=[[1], [2, 3]])
    with pytest.raises(DataError, match="labels run from -1 to 2"):
        GaussianMixture(K).fit(x, labels=labels)


# -- wrong calls -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("n_components", 0, r"must be an int in the range \[1, inf\)\. Got 0 instead\."),
        ("n_components", 2.0, r"must be an int in the range \[1, inf\)\. Got 2\.0 instead\."),
        ("n_components", "3", "must be an int .* Got '3' instead"),
        ("n_components", True, "must be an int"),
        (
            "covariance_type",
            "round",
            r"a str among {'full', .*, 'spherical'}\. Got 'round' instead",
        ),
        ("covariance_type", ["full"], r"a str among .* Got \['full'\] instead"),
        ("tol", -1e-3, r"must be a float in the range \[0\.0, inf\)\. Got -0.001 instead\."),
        ("tol", np.nan, "must be a float .* Got nan instead"),
        ("tol", "small", "must be a float .* Got 'small' instead"),
        ("tol", 10**400, "must be a float .* Got 1000"),
        ("reg_covar", Fraction(-1, 3), r"must be .* Got Fraction\(-1, 3\) instead"),
        ("reg_covar", -1, "'reg_covar' parameter .* Got -1 instead"),
        ("max_iter", -1, r"must be an int in the range \[0, inf\)"),
        ("max_iter", 2.5, "must be an int"),
        ("n_init", 0, r"must be an int in the range \[1, inf\)"),
        ("n_init", 1.5, "must be an int"),
        ("effort", -1, r"float in the range \[0\.0, inf\); 0 is the race .* Got -1 instead"),
        ("effort", np.nan, "'effort' parameter .* Got nan instead"),
        ("effort", np.inf, "'effort' parameter .* Got inf instead"),
        ("effort", "much", "'effort' parameter .* Got 'much' instead"),
        ("effort", True, "'effort' parameter .* Got True instead"),
        ("init_params", "luck", "a str among {'auto', .*, 'random_from_data'}. Got 'luck' instead"),
        ("init_params", np.array(["auto", "kmeans"]), "a str among .* Got array"),
        ("init_params", 3, "a str among .* Got 3 instead"),
        (
            "random_state",
            -1,
            r"must be an int in the range \[0, inf\), an instance of .* Got -1 in",
        ),
        ("random_state", "seed", "'random_state' parameter .* Got 'seed' instead"),
        ("warm_start", "yes", "must be an instance of 'bool' .* Got 'yes' instead"),
        ("verbose", -1, r"must be an int in the range \[0, inf\), an instance of 'bool' .* Got -1"),
        ("verbose_interval", 0, r"must be an int in the range \[1, inf\)"),
        ("threads", 0, r"must be an int in the range \[1, inf\) or None"),
        ("threads", 1.0, "must be an int"),
        ("threads", 10**6, "threads must lie between 1 and"),
        ("dtype", "float16", "must be 'float32', 'float64' or None. Got 'float16' instead"),
        ("dtype", "wide", "'dtype' parameter of GaussianMixture must be"),
        ("dtype", ",", "'dtype' parameter of GaussianMixture must be"),
        ("dtype", {"names": ["a"]}, "'dtype' parameter of GaussianMixture must be"),
        (
            "weights_init",
            [1.0],
            r"'weights' should have the shape of \(3,\), but got \(1,\) in wei",
        ),
        ("weights_init", [0.5, 0.5, 0.5], "normalized, but got .* 1.50000; divide weights_init by"),
        (
            "weights_init",
            [1.5, -0.5, 0.0],
            r"in the range \[0, 1\].* 1\.50000, min value -0\.50000",
        ),
        ("weights_init", 1.0, "must be an array-like or None. Got 1.0 instead"),
        ("means_init", np.zeros((3, 1)), r"should have the shape of \(3, 2\), but got \(3, 1\)"),
        ("means_init", np.full((3, 2), np.inf), "means_init contains infinity; starting values"),
        ("means_init", np.full((3, 2), np.nan), "means_init contains NaN; starting values"),
        ("means_init", "far", "must be an array-like or None. Got 'far' instead"),
        ("means_init", ["far"], "means_init is not an array of numbers"),
        ("means_init", [[10**400, 0]] * 3, "means_init is not an array of numbers"),
        ("means_init", np.full((3, 2), 1j), "means_init is not an array of numbers"),
        ("precisions_init", 1e-320 * np.stack([np.eye(2)] * 3), "covariances overflow"),
        ("precisions_init", np.ones(3), r"'full precision' should have the shape of \(3, 2, 2\)"),
        ("precisions_init", np.full((3, 2, 2), 1.0), r"_init\[0\] is not positive definite"),
        (
            "precisions_init",
            -np.stack([np.eye(2)] * 3),
            "'full precision' should be symmetric, posi",
        ),
        (
            "precisions_init",
            np.stack([np.eye(2)] * 2 + [[[1, 0.5], [0, 1]]]),
            r"'full precision' should be symmetric.* precisions_init\[2\] is not symmetric",
        ),
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
    with pytest.raises(
        DataError, match=r"'diag precision' should be positive: precisions_init\[0, 0\] is"
    ):
        GaussianMixture(3, covariance_type="diag", precisions_init=value).fit(x)


def spoiled(x, row, column, value):
    x = x.copy()
    x[row, column] = value
    return x


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (lambda x: spoiled(x, 17, 1, np.nan), r"X: row 17 \(counting from 0\), column 1 is NaN"),
        (lambda x: spoiled(x, 0, 0, -np.inf), r"X: row 0 \(counting from 0\), column 0 is -inf"),
        (lambda x: x[:, 0], "one dimension"),
        (lambda x: x[None], "3 dimensions"),
        (lambda x: x[:0], "no rows"),
        (lambda x: x + 1j, "complex"),
        (lambda x: x.astype(str), "X: dtype"),
        (
            lambda x: x[:2],
            "n_samples >= n_components but got n_components = 3, n_samples = 2: X has",
        ),
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


def test_a_fraction_that_swamps_the_data(x):
    """The warning writes it as a number."""
    with pytest.warns(UserWarning, match=r"reg_covar \(333\.333\) is not small"):
        GaussianMixture(1, reg_covar=Fraction(1000, 3)).fit(x)


@pytest.mark.parametrize("k", [10**12, 10**30])
def test_labels_are_not_counted_for_more_components_than_samples(x, k):
    with pytest.raises(DataError, match="n_components = 10+, n_samples = 200"):
        GaussianMixture(k).fit(x, labels=np.zeros(len(x), int))


def test_variances_beyond_float32(x):
    """Their inverse is 0 in float32."""
    model = GaussianMixture(1, covariance_type="tied", reg_covar=1e100)
    with pytest.warns(UserWarning, match="not small compared with the variance"):
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
        ([[0], [1, 2]], "not an array of integers"),
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
        with pytest.raises(DataError, match=r"X: row 5 \(counting from 0\), column 0 is NaN"):
            getattr(fitted, method)(bad)
