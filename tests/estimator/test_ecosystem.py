"""As part of scikit-learn: copies, pipelines, searches, routed weights, data frames."""

import copy
import inspect
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from blobs import FITTED, K
from sklearn.base import BaseEstimator, DensityMixin, clone
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr, get_tags
from sklearn.utils.validation import has_fit_parameter

from gmm_fast import DataError, GaussianMixture

# -- what it is ------------------------------------------------------------------------------------


def test_it_is_a_density_estimator():
    model = GaussianMixture()
    assert isinstance(model, DensityMixin)
    assert isinstance(model, BaseEstimator)
    tags = get_tags(model)
    assert tags.estimator_type == "density_estimator"
    assert tags.requires_fit
    assert not tags.target_tags.required
    assert tags.input_tags.sparse
    assert not any((tags.input_tags.allow_nan, tags.input_tags.string))
    for method in ("fit", "fit_predict", "score", "aic", "bic", "icl"):
        assert "sample_weight" in inspect.signature(getattr(model, method)).parameters
    assert has_fit_parameter(model, "sample_weight")


def test_representations(x):
    model = GaussianMixture(2, means_init=x[[0, 100]])
    assert eval(repr(model), {"GaussianMixture": GaussianMixture, "array": np.array})
    for estimator in (model, model.fit(x), make_pipeline(StandardScaler(), model)):
        html = estimator_html_repr(estimator)
        assert "GaussianMixture" in html
        assert "n_components" in html or "n_components=2" in html
        assert estimator._repr_html_() is not None
    assert repr(GaussianMixture()) == "GaussianMixture()"


# -- copies ----------------------------------------------------------------------------------------


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


def test_copies_of_what_is_not_fitted(x):
    model = GaussianMixture(K, means_init=x[[3, 100, 190]], random_state=0)
    for copied in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model), clone(model)):
        assert not hasattr(copied, "means_")
        np.testing.assert_array_equal(copied.means_init, model.means_init)
        for name in FITTED:
            np.testing.assert_array_equal(
                getattr(copied.fit(x), name), getattr(clone(model).fit(x), name)
            )


def test_a_pickle_goes_on(x, new):
    """What comes back is fitted anew, warmly or not, and a clone of it is not fitted."""
    model = GaussianMixture(K, warm_start=True, random_state=0, reg_covar=1e-6).fit(x)
    back = pickle.loads(pickle.dumps(model))
    assert not hasattr(clone(back), "means_")
    assert back.fit(x).n_iter_ == 1
    assert back.set_params(warm_start=False).fit(x).n_iter_ == model.n_iter_
    np.testing.assert_array_equal(back.predict(new), model.predict(new))
    np.testing.assert_array_equal(back.sample(5)[0], model.sample(5)[0])
    assert back.fit(x[:, :1]).n_features_in_ == 1  # another shape: nothing of the old is in the way


# -- pipelines, searches ---------------------------------------------------------------------------


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


def test_cross_validation(x):
    model, folds = GaussianMixture(K, random_state=0), KFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(model, x, cv=folds)
    by_hand = [clone(model).fit(x[a]).score(x[b]) for a, b in folds.split(x)]
    assert scores.tolist() == by_hand
    labels = cross_val_predict(model, x, cv=folds)
    assert labels.shape == (len(x),)


def test_frames_in_a_pipeline(x):
    frame = pd.DataFrame(x, columns=["a", "b"])
    for to in ("pandas", "polars"):
        pipe = make_pipeline(StandardScaler(), GaussianMixture(K, random_state=0))
        pipe.set_output(transform=to).fit(frame)
        assert pipe[-1].feature_names_in_.tolist() == ["a", "b"]
        labels = pipe.predict(frame)
        assert type(labels) is np.ndarray
        plain = make_pipeline(StandardScaler(), GaussianMixture(K, random_state=0)).fit(x)
        np.testing.assert_array_equal(labels, plain.predict(x))
        assert pipe.score(frame) == pytest.approx(plain.score(x), rel=1e-12)


def test_output_of_the_whole_library_as_frames(x):
    """There is no `transform` that it could change."""
    with sklearn.config_context(transform_output="pandas"):
        model = GaussianMixture(K, random_state=0).fit(x)
        assert type(model.predict_proba(x)) is np.ndarray


# -- weights, routed -------------------------------------------------------------------------------


@pytest.fixture
def weights(x):
    return np.random.default_rng(0).integers(0, 4, len(x)).astype(float)


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


FOLDS = KFold(3, shuffle=True, random_state=0)


def scores_by_hand(model, x, fit_weights, score_weights):
    def part(weights, rows):
        return None if weights is None else weights[rows]

    return [
        clone(model)
        .fit(x[a], sample_weight=part(fit_weights, a))
        .score(x[b], sample_weight=part(score_weights, b))
        for a, b in FOLDS.split(x)
    ]


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize(("fitting", "scoring"), [(True, True), (True, False), (False, True)])
def test_weights_arrive_where_they_were_asked_for(x, weights, fitting, scoring):
    model = GaussianMixture(2, random_state=0)
    model.set_fit_request(sample_weight=fitting).set_score_request(sample_weight=scoring)
    found = cross_validate(model, x, cv=FOLDS, params={"sample_weight": weights})["test_score"]
    expected = scores_by_hand(model, x, weights if fitting else None, weights if scoring else None)
    assert found.tolist() == expected


@pytest.mark.usefixtures("routing")
def test_weights_in_a_search(x, weights):
    model = GaussianMixture(random_state=0)
    model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    grid = GridSearchCV(model, {"n_components": [1, 2]}, cv=FOLDS).fit(x, sample_weight=weights)
    for k, found in zip((1, 2), grid.cv_results_["mean_test_score"], strict=True):
        by_hand = scores_by_hand(clone(model).set_params(n_components=k), x, weights, weights)
        assert found == pytest.approx(np.mean(by_hand), rel=1e-14)
    whole = clone(model).set_params(**grid.best_params_).fit(x, sample_weight=weights)
    np.testing.assert_array_equal(grid.best_estimator_.means_, whole.means_)
    assert grid.score(x, sample_weight=weights) == whole.score(x, sample_weight=weights)


@pytest.mark.usefixtures("routing")
def test_weights_in_a_pipeline(x, weights):
    model = GaussianMixture(K, random_state=0)
    model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    scaler = StandardScaler().set_fit_request(sample_weight=False)
    pipe = make_pipeline(scaler, model).fit(x, sample_weight=weights)
    scaled = StandardScaler().fit_transform(x)
    alone = clone(model).fit(scaled, sample_weight=weights)
    np.testing.assert_array_equal(pipe[-1].means_, alone.means_)
    assert pipe.score(x, sample_weight=weights) == alone.score(scaled, sample_weight=weights)
    labels = pipe.fit_predict(x, sample_weight=weights)
    np.testing.assert_array_equal(labels, alone.predict(scaled))


@pytest.mark.usefixtures("routing")
def test_labels_can_be_routed_too(x):
    labels = np.repeat([2, 0, 1], [90, 60, 50])
    model = GaussianMixture(K, max_iter=0).set_fit_request(labels=True)
    pipe = make_pipeline(StandardScaler(), model).fit(x, labels=labels)
    scaled = StandardScaler().fit_transform(x)
    np.testing.assert_allclose(pipe[-1].means_[2], scaled[:90].mean(axis=0), rtol=1e-12)


@pytest.mark.usefixtures("routing")
def test_weights_that_nobody_asked_for(x, weights):
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        cross_validate(GaussianMixture(), x, params={"sample_weight": weights}, error_score="raise")


def test_weights_without_routing(x, weights):
    grid = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [2]}, cv=FOLDS)
    grid.fit(x, sample_weight=weights)
    model = GaussianMixture(2, random_state=0)
    whole = clone(model).fit(x, sample_weight=weights)
    np.testing.assert_array_equal(grid.best_estimator_.means_, whole.means_)
    pipe = make_pipeline(StandardScaler(), model)
    pipe.fit(x, gaussianmixture__sample_weight=weights)
    alone = clone(model).fit(StandardScaler().fit_transform(x), sample_weight=weights)
    np.testing.assert_array_equal(pipe[-1].means_, alone.means_)


# -- data frames -----------------------------------------------------------------------------------


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
    turned = model.predict(Frame(x[:, ::-1], ["b", "a"]))  # by name, not by place
    np.testing.assert_array_equal(turned, model.predict(Frame(x, ["a", "b"])))
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
    assert max((a.size for a in made if a.dtype == object), default=0) <= 2
    want = model.predict(table)
    np.testing.assert_array_equal(model.predict(table.select(["b", "a"])), want)


FRAMES = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "arrow": pa.table,
}


def frame(kind, x, names):
    return FRAMES[kind]({name: x[:, j] for j, name in enumerate(names)})


METHODS = ("predict", "predict_proba", "score", "score_samples", "aic", "bic", "icl")


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_are_arrays_with_names(x, fitted, kind):
    model = GaussianMixture(K, random_state=0).fit(frame(kind, x, ["a", "b"]))
    assert model.n_features_in_ == 2
    assert model.feature_names_in_.dtype == object
    assert model.feature_names_in_.tolist() == ["a", "b"]
    for name in FITTED:
        np.testing.assert_array_equal(getattr(model, name), getattr(fitted, name))
    for method in METHODS:
        np.testing.assert_array_equal(
            getattr(model, method)(frame(kind, x, ["a", "b"])), getattr(fitted, method)(x)
        )
    labels = GaussianMixture(K, random_state=0).fit_predict(frame(kind, x, ["a", "b"]))
    np.testing.assert_array_equal(labels, fitted.predict(x))


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("method", METHODS)
def test_other_columns_are_refused(x, kind, method):
    many = np.tile(x, 4)
    model = GaussianMixture(2, random_state=0).fit(frame(kind, many, list("abcdefgh")))
    use = getattr(model, method)
    for names, message in [
        ("abcdefgx", "Feature names unseen at fit time:\n- x\nFeature names seen at fit time, yet"),
        ("abcdefg", "Feature names seen at fit time, yet now missing:\n- h\n"),
        (
            "stuvwxyz",
            "Feature names unseen at fit time:\n- s\n- t\n- u\n- v\n- w\n- ...\nFeature na",
        ),
    ]:
        data = frame(kind, np.tile(x, 5)[:, : len(names)], names)
        with pytest.raises(DataError) as caught:
            use(data)
        assert str(caught.value).startswith(
            f"The feature names should match those that were passed during fit.\n{message}"
        )


@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("method", METHODS)
def test_columns_are_chosen_and_ordered_by_name(x, kind, method):
    """As on the command line; scikit-learn refuses what is in another order."""
    many = np.column_stack([x, x[:, 0] * x[:, 1]])
    model = GaussianMixture(2, random_state=0).fit(frame(kind, many, "abc"))
    want = getattr(model, method)(frame(kind, many, "abc"))
    turned = frame(kind, many[:, ::-1], "cba")
    np.testing.assert_array_equal(getattr(model, method)(turned), want)
    wider = frame(kind, np.column_stack([x[:, 0], many[:, ::-1]]), "xcba")
    np.testing.assert_array_equal(getattr(model, method)(wider), want)


def test_columns_of_text_beside_those_of_the_fit_are_no_matter(x):
    data = pd.DataFrame(x, columns=["a", "b"])
    model = GaussianMixture(2, random_state=0).fit(data)
    mixed = pd.DataFrame({"id": ["s"] * len(x), "b": x[:, 1], "a": x[:, 0]})
    np.testing.assert_array_equal(model.predict(mixed), model.predict(data))
    twice = pd.DataFrame(np.column_stack([x, x[:, 0]]), columns=["a", "b", "a"])
    with pytest.raises(DataError, match="2 columns are named 'a'; choose by number"):
        model.predict(twice)


def test_a_start_from_the_last_fit_takes_its_columns(x, tmp_path):
    """Chosen and ordered by name, as wherever a model is used."""
    data = pd.DataFrame(x, columns=["a", "b"])
    turned = data.assign(c=1.0)[["c", "b", "a"]]
    turned.to_parquet(tmp_path / "turned.parquet")
    model = GaussianMixture(K, random_state=0, max_iter=200).fit(data).set_params(warm_start=True)
    want = copy.deepcopy(model).fit(data)
    for more in (turned, tmp_path / "turned.parquet"):
        again = copy.deepcopy(model).fit(more)
        np.testing.assert_array_equal(again.means_, want.means_)
        assert again.feature_names_in_.tolist() == ["a", "b"]
    data.rename(columns={"a": "x"}).to_parquet(tmp_path / "other.parquet")
    for other in (data.rename(columns={"a": "x"}), tmp_path / "other.parquet"):
        with pytest.raises(DataError, match="(?s)a.*\nwarm_start continues .* warm_start=False"):
            model.fit(other)
        assert copy.deepcopy(model).set_params(warm_start=False).fit(other).n_features_in_ == 2
    labels = want.predict(data)
    assert list(model.fit(turned, labels=labels).feature_names_in_) == ["c", "b", "a"]


@pytest.mark.parametrize("method", METHODS)
def test_names_on_one_side_only_are_a_warning(x, method):
    named, data = GaussianMixture(2, random_state=0), frame("pandas", x, ["a", "b"])
    with pytest.warns(UserWarning, match="^X does not have valid feature names, but") as caught:
        getattr(named.fit(data), method)(x)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="^X has feature names, but GaussianMixture") as caught:
        getattr(named.fit(x), method)(data)
    assert caught[0].filename == __file__


def test_names_of_a_file(x, tmp_path):
    """A file may have no names; if it has, the columns that were fitted are chosen by them."""
    model = GaussianMixture(2, random_state=0).fit(frame("pandas", x, ["a", "b"]))
    expected = model.predict(frame("pandas", x, ["a", "b"]))
    np.save(tmp_path / "x.npy", x)
    frame("pandas", x, ["a", "b"]).to_parquet(tmp_path / "x.parquet")
    frame("pandas", x, ["b", "a"]).to_parquet(tmp_path / "other.parquet")
    frame("pandas", x, ["b", "c"]).to_parquet(tmp_path / "strange.parquet")
    turned = model.predict(frame("pandas", x[:, ::-1], ["a", "b"]))
    for name, rows in (("x.npy", expected), ("x.parquet", expected), ("other.parquet", turned)):
        np.testing.assert_array_equal(model.predict(str(tmp_path / name)), rows)
    with pytest.raises(DataError, match="strange.parquet: has no column 'a'; .*it has 'b', 'c'"):
        model.predict(str(tmp_path / "strange.parquet"))
    model.fit(x).predict(tmp_path / "other.parquet")  # nothing to compare them with


def test_columns_of_numbers_of_any_type(x):
    data = pd.DataFrame({"a": x[:, 0].astype(object), "b": pd.array(x[:, 1], dtype="Float64")})
    data["c"] = x[:, 0] > 2
    model = GaussianMixture(2, random_state=0).fit(data)
    plain = GaussianMixture(2, random_state=0).fit(np.column_stack([x, x[:, 0] > 2]))
    np.testing.assert_array_equal(model.means_, plain.means_)
    data["d"] = "text"
    with pytest.raises(DataError, match="column 'd' .* holds no real numbers"):
        model.fit(data)
