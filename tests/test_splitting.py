"""Starts from a fit of fewer components: which one is cut, and what becomes of it."""

import numpy as np
import pytest
from blobs import blobs
from cases import backend, draw, full_covariances, random_params

from gmm_fast import em, init, splitting
from gmm_fast.params import check_params
from gmm_fast.race import score_of, spread_of

SETTINGS = em.Settings(reg_covar=1e-6)


def shared_of(x, longest, weights=None):
    return init.Shared(backend(x, weights=weights), longest, ["full"], init.Start())


def fitted(one, k, family):
    start = init.initial_params(one, k, family, init.Start(), SETTINGS)[0]
    return em.fit(one, start, em.Settings(1e-6, 500, 1e-6))


def cut(x, params, weights=None):
    shared = shared_of(x, params.n_components + 1, weights)
    return splitting.splits(shared.over_part(), shared.part, params, 1e-6)


@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_component_on_two_clusters_is_cut_between_them(family, scale):
    """In any units, and the halves lie on the clusters; the others stay as they are."""
    x = blobs(seed=3, sizes=(100, 100, 100), d=2, apart=8) * [1, scale]
    x[200:, 0] += 20
    start = init.initial_params(
        backend(x), 2, family, init.Start(labels=np.repeat([0, 1], [100, 200])), SETTINGS
    )[0]
    params = cut(x, start)[0]
    check_params(params)
    assert params.n_components == 3
    np.testing.assert_array_equal(params.means[0], start.means[0])
    found = np.sort(params.means[1:], axis=0)
    np.testing.assert_allclose(found, [x[100:200].mean(axis=0), x[200:].mean(axis=0)], rtol=0.05)
    np.testing.assert_allclose(params.weights, 1 / 3, atol=0.02)
    assert np.linalg.eigvalsh(full_covariances(params)).min() > 0


def test_one_gaussian_gains_nothing_by_a_cut():
    z = np.random.default_rng(0).normal(size=(4000, 2)) * [3, 1]
    assert splitting._cut(z, np.ones(4000))[0] < 0
    two = np.concatenate([z, z + np.array([50, 0])])
    gain, side = splitting._cut(two, np.ones(8000))
    assert gain > 0
    assert side.sum() == 4000
    # a weight of 2 is the row twice, of 0 is no row
    weights = np.repeat([2.0, 0.0, 1.0], [1000, 3000, 4000])
    again = np.concatenate([two[:1000], two[:1000], two[4000:]])
    assert splitting._cut(two, weights)[0] == pytest.approx(splitting._cut(again, np.ones(6000))[0])


@pytest.mark.parametrize("rows", [np.zeros((9, 2)), np.array([[0.0, 1], [2, 3]])])
def test_what_cannot_be_cut_is_not(rows):
    start = init.initial_params(backend(rows), 1, "full", init.Start(), SETTINGS)[0]
    for params in cut(rows, start):
        check_params(params)
    assert len(cut(np.zeros((9, 2)), start)) == 0


def test_the_better_one_is_kept(family):
    """Never worse on the sample than the start itself, which is returned as it is if better."""
    rng = np.random.default_rng(5)
    x = draw(rng, random_params(rng, "full", 6, 2, 3.0), 500)
    shared = shared_of(x, 7)
    one = shared.over_part()
    spread = spread_of(one)
    smaller = fitted(one, 5, family)
    good = fitted(one, 6, family).params
    poor = init.initial_params(one, 6, family, init.Start("random", seed=1), SETTINGS)[0]
    for own in (good, poor):
        found = splitting.best_of_splits(one, shared.part, own, smaller.params, SETTINGS)
        scores = [
            score_of(em.fit(one, p, em.Settings(max_iter=0, reg_covar=1e-6)), spread)
            for p in (found, own)
        ]
        assert found is own or scores[0] > scores[1]
    assert found is not poor  # all components on all of the data: anything is better
    assert scores[0] > smaller.log_likelihood
    none = em.Settings(max_iter=0, reg_covar=1e-6)
    assert splitting.best_of_splits(one, shared.part, poor, smaller.params, none) is poor
