"""One more component where a fit describes the sample worst."""

import numpy as np
import pytest
from test_splitting import fitted, shared_of

from gmm_fast import insertion
from gmm_fast.kernels import newcomers
from gmm_fast.params import check_params

RARE = np.array([4.0, -4.0, 4.0])


def grown(x, family, k=1, weights=None):
    """A fit of K components, and what `insertion` makes of it."""
    shared = shared_of(x, k + 1, weights)
    one = shared.over_sample()
    params = fitted(one, k, family).params
    return params, insertion.insertion(one, shared.sample, params)


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(3)
    return np.concatenate([rng.normal(size=(4000, 3)), rng.normal(RARE, 0.8, (40, 3))])


def test_few_samples_beside_a_large_component_get_their_own(x, family):
    params, more = grown(x, family)
    check_params(more)
    assert more.n_components == 2
    np.testing.assert_allclose(more.means[1], RARE, atol=0.5)
    assert 0.005 < more.weights[1] < 0.02
    np.testing.assert_array_equal(more.means[0], params.means[0])


@pytest.mark.parametrize("units", [0.1, 1e3])
def test_neither_units_nor_shifts_matter(x, units):
    one = grown(x, "full")[1]
    other = grown(units * (x + 5.0), "full")[1]
    np.testing.assert_allclose(other.means, units * (one.means + 5.0), rtol=2e-3)
    np.testing.assert_allclose(other.weights, one.weights, rtol=2e-3)
    np.testing.assert_allclose(other.covariances, units**2 * one.covariances, rtol=2e-3)


def test_samples_of_weight_zero_are_no_place(x, family):
    weights = np.ones(len(x))
    weights[4000:] = 0.0
    more = grown(x, family, weights=weights)[1]
    assert more is None or np.abs(more.means[1] - RARE).max() > 1.0


@pytest.mark.parametrize("x", [np.zeros((9, 2)), np.array([[0.0, 1], [2, 3]]), np.ones((50, 1))])
def test_where_there_is_no_place(x, family):
    more = grown(x, family)[1]
    if more is not None:
        check_params(more)


def test_moments_are_those_of_their_definition():
    """Blocks of the compiled kernel beside plain NumPy, densities that under- and overflow, too."""
    rng = np.random.default_rng(0)
    n, d, p = 2 * newcomers.BLOCK, 3, 4
    z = rng.normal(size=(d, n))
    z[:, :3] = [[1e3], [1e9], [1e200]]
    log_prob, weights = rng.normal(-4, 50, n), rng.uniform(0, 2, n)
    at = (z[:, 10 : 10 + p].T.copy(), rng.uniform(0.1, 9, p), rng.normal(-3, 1, p), np.full(p, 0.9))
    found, plain = np.zeros((2, n // newcomers.BLOCK, p, 2 + d))
    newcomers.moments(0, newcomers.BLOCK, z, log_prob, weights, *at, found)
    assert not found[1].any()
    newcomers.moments(newcomers.BLOCK, n, z, log_prob, weights, *at, found)
    with np.errstate(over="ignore"):
        newcomers._plain_moments(0, n, z, log_prob, weights, *at, plain)
    np.testing.assert_allclose(found, plain, rtol=1e-10, atol=1e-12)
    centre, precision, front, rest = (a[1] for a in at)
    y = z[:, newcomers.BLOCK :] - centre[:, None]
    with np.errstate(over="ignore"):
        own = np.exp(front - precision * (y * y).sum(axis=0) - log_prob[newcomers.BLOCK :])
    resp = weights[newcomers.BLOCK :] * np.where(np.isinf(own), 1, own / (own + rest))
    np.testing.assert_allclose(found[1, 1, 0], resp.sum(), rtol=1e-10)
    np.testing.assert_allclose(found[1, 1, 1], resp @ (y * y).sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found[1, 1, 2:], y @ resp, rtol=1e-9)
