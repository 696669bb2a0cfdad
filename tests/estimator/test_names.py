"""Names of features on the command line: a model chooses and orders columns by them."""

import json

import numpy as np
import pandas as pd
import pytest
from blobs import blobs
from invoking import run

from gmm_fast import GaussianMixture, load


@pytest.fixture
def frame(tmp_path, monkeypatch):
    """Three blobs, columns a and b; in the current folder cells.csv, and m.npz fitted to it."""
    monkeypatch.chdir(tmp_path)
    x = blobs(seed=1, sizes=(90, 60, 50), d=2, apart=5)
    data = pd.DataFrame(x * [1, 100], columns=["a", "b"])
    data.to_csv("cells.csv", index=False)
    run("fit -k 3 cells.csv -o m.npz")
    return data


def score(line):
    return json.loads(run(f"score m.npz {line} --json").stdout)["mean_log_likelihood"]


def test_columns_in_another_order_and_more_of_them(frame):
    want = score("cells.csv")
    frame[["b", "a"]].to_csv("turned.csv", index=False)
    frame.assign(id="s", c=1.0)[["id", "b", "c", "a"]].to_csv("more.csv", index=False)
    np.save("nameless.npy", frame.to_numpy())
    for name in ("turned.csv", "more.csv", "nameless.npy"):
        assert score(name) == want
    frame.rename(columns={"a": "x"}).to_csv("other.csv", index=False)
    assert "other.csv: has no column 'a'" in run("score m.npz other.csv", 2).stderr


def test_columns_that_are_asked_for_are_taken_and_told_of(frame):
    said = run("score m.npz cells.csv --columns b,a").stderr
    assert "note: --columns: 'b', 'a' are taken for the model's 'a', 'b', one by one" in said
    assert "note" not in run("score m.npz cells.csv --columns a,b").stderr


def test_a_fit_from_a_model_takes_its_columns(frame):
    frame.assign(c=1.0)[["c", "b", "a"]].to_csv("more.csv", index=False)
    run("fit --from m.npz more.csv -o again.npz --checkpoint f.ckpt")
    again = load("again.npz")
    assert list(again.feature_names_in_) == ["a", "b"]
    np.testing.assert_allclose(again.means_, load("m.npz").means_, rtol=0.05)
    run("fit --resume f.ckpt")


def test_several_columns_of_one_name(frame):
    """They count as any others, as long as they are as they were."""
    frame.set_axis(["a", "a"], axis=1).to_csv("cells.csv", index=False)
    run("fit -k 3 cells.csv -o m.npz")
    assert score("cells.csv") == load("m.npz").score("cells.csv")


def test_names_that_are_numbers(tmp_path, monkeypatch):
    """A first line that holds the very names of the fit is no row."""
    monkeypatch.chdir(tmp_path)
    x = blobs(seed=1, sizes=(90, 60), d=2, apart=5) * [1, 100]
    frame = pd.DataFrame(x, columns=["0", "1"])
    model = GaussianMixture(2, random_state=0).fit(frame)
    frame[["1", "0"]].to_csv("turned.csv", index=False)
    np.savetxt("nameless.csv", x, delimiter=",")
    for name in ("turned.csv", "nameless.csv"):
        assert model.score(name) == pytest.approx(model.score(frame))
        assert len(model.predict(name)) == len(x)
    mixed = frame[["1", "0"]].assign(**{"c": 0.0}).rename(columns={"c": 7})
    assert model.score(mixed) == model.score(frame)
    with pytest.raises(TypeError, match=r"string names, but .* types int, str; convert them"):
        GaussianMixture(2).fit(mixed)
