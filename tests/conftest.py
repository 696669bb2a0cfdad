"""What the numerical tests share: data, starts, a backend in one call."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from blobs import D, K, blobs
from compiling import compile_each_function_once
from hypothesis import settings
from sklearn.datasets import load_iris

from gmm_fast import GaussianMixture

settings.register_profile("gmm_fast", derandomize=True, deadline=None, database=None)
# `make fuzz`: other cases each time, kept when they fail; a failure prints how to run it again.
settings.register_profile("fuzz", deadline=None, print_blob=True)
settings.load_profile("gmm_fast")

# Not for the children of tests, which are processes like any others.
if os.environ.pop("PYTEST_XDIST_WORKER", None):
    compile_each_function_once()

REFERENCE = Path(__file__).parent / "reference"
FAMILIES = ("full", "tied", "diag", "spherical")


@pytest.fixture(params=FAMILIES, scope="module")
def family(request):
    """Name of each covariance family in turn."""
    return request.param


@pytest.fixture(scope="session")
def iris():
    """(150, 4) and the species."""
    return load_iris(return_X_y=True)


@pytest.fixture(scope="session")
def faithful():
    """(272, 2): duration of an eruption and waiting time, both in minutes."""
    return np.loadtxt(REFERENCE / "faithful.csv", delimiter=",", skiprows=1, usecols=(-2, -1))


@pytest.fixture(scope="session")
def mclust():
    """Fits by mclust, {data set: contents of its file}."""
    return {
        name: json.loads((REFERENCE / f"{name}_from_labels.json").read_text())
        for name in ("iris", "faithful")
    }


# Of the tests of the estimator; others have an `x` of their own.


@pytest.fixture(scope="module")
def x():
    """(200, 2), three blobs."""
    return blobs(seed=1, sizes=(90, 60, 50), d=D, apart=5)


@pytest.fixture(scope="module")
def new():
    """(70, 2): data that no model was fitted to, some of it far out."""
    return np.random.default_rng(9).normal(3, 8, (70, D))


@pytest.fixture(scope="module")
def fitted(x):
    """A model of it."""
    return GaussianMixture(K, random_state=0).fit(x)
