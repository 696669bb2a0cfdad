"""Files that were written before the modules moved into rooms: read, and gone on from."""

import numpy as np
import pandas as pd
import pytest
from cases import backend
from conftest import REFERENCE

from gmm_fast import em, fitting, load
from gmm_fast.fitting.checkpoint import Job, Keeper, read_checkpoint
from gmm_fast.starts import starting

FOLDER = REFERENCE / "before_rooms"


@pytest.fixture(scope="module")
def x():
    return np.loadtxt(FOLDER / "x.csv", delimiter=",", skiprows=1)


def test_a_model(x):
    model = load(FOLDER / "model.npz")
    assert list(model.feature_names_in_) == ["a", "b"]
    assert model.n_iter_ == 9
    x = pd.DataFrame(x, columns=["a", "b"])
    assert model.score(x) == pytest.approx(model.lower_bound_, rel=1e-12)
    assert model.transforms_ is None
    counts = np.bincount(model.predict(x))
    assert sorted(counts) == [40, 40]


def test_a_checkpoint(x, tmp_path):
    """A fit that was stopped after four iterations of nine ends where the whole one did."""
    kept = read_checkpoint(FOLDER / "checkpoint")
    job, state = kept.running
    assert job == Job("full", 2)
    assert state.iteration == 4
    settings = em.Settings(0.0, 9, "auto")
    keeper = Keeper(str(tmp_path / "c"), kept)
    result = fitting.fit(backend(x), 2, "full", starting.Start(), settings, keeper=keeper)
    expected = load(FOLDER / "model.npz")
    assert result.n_iter == 9
    np.testing.assert_allclose(result.params.means, expected.means_, rtol=1e-9)
    np.testing.assert_allclose(result.params.covariances, expected.covariances_, rtol=1e-9)
