"""As part of scikit-learn: copies, pipelines, searches, routed weights, data frames."""

import copy
import io
import pickle

import joblib
import numpy as np
import pyarrow as pa
import pytest
from blobs import FITTED, D, K, blobs
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gmm_fast import DataError, GaussianMixture


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
    with pytest.raises(DataError, match="should match .*\n.*in the same order.*\n.*a, b"):
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
    with pytest.raises(DataError, match="should match .*\n.*in the same order.*\n.*a, b"):
        model.predict(table.select(["b", "a"]))
