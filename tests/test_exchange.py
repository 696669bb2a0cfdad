"""Components exchanged: from where they are superfluous to where they are missing."""

import numpy as np
import pytest
from cases import backend, draw, random_params
from test_splitting import SETTINGS, shared_of

from gmm_fast import GaussianMixture, em, exchange, init
from gmm_fast.errors import FitError
from gmm_fast.params import Params, check_params

CENTRES = np.array([[0.0, 0.0], [9.0, 0.0], [9.0, 3.5], [0.0, 9.0]])
SIZES = (1200, 150, 150, 500)


def scene(seed=0):
    """Four clusters, two of them small and near one another, and where each row belongs."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), SIZES)
    x = CENTRES[labels] + rng.normal(size=(len(labels), 2)) * [1.0, 0.7]
    order = rng.permutation(len(x))
    return x[order], labels[order]


def settled(x, labels, family, weights=None):
    """Where EM leads from a partition."""
    one = backend(x, weights=weights)
    start = init.initial_params(one, 4, family, init.Start(labels=labels), SETTINGS)[0]
    return em.fit(one, start, em.Settings(1e-7, 2000, 1e-6)).params


def trapped(x, labels, family, weights=None):
    """A local optimum: the largest cluster in two halves, the two small ones as one."""
    wrong = np.where(labels == 0, np.where(x[:, 0] > 0, 1, 0), np.where(labels == 3, 3, 2))
    return settled(x, wrong, family, weights)


def score(x, params, weights=None):
    return backend(x, weights=weights).stats(params).log_likelihood


def exchanged(x, params, weights=None):
    shared = shared_of(x, params.n_components, weights)
    return exchange.exchanged(shared.over_sample(), shared.sample, params, SETTINGS)


def test_a_superfluous_component_goes_where_one_is_missing(family):
    x, labels = scene()
    poor, truth = trapped(x, labels, family), settled(x, labels, family)
    assert score(x, poor) < score(x, truth) - 20
    found = exchanged(x, poor)
    check_params(found)
    assert found.n_components == 4
    assert score(x, found) > score(x, truth) - 0.1
    near = np.linalg.norm(found.means[:, None] - CENTRES, axis=2).min(axis=0)
    assert near.max() < 0.3


def test_units_do_not_matter(family):
    x, labels = scene()
    poor = trapped(x, labels, family)
    scale = 1e-3
    small = Params(poor.weights, scale * poor.means, scale**2 * poor.covariances, family)
    settings = em.Settings(reg_covar=1e-12)
    shared = shared_of(scale * x, 4)
    found = exchange.exchanged(shared.over_sample(), shared.sample, small, settings)
    np.testing.assert_allclose(found.means, scale * exchanged(x, poor).means, rtol=0, atol=1e-5)


def test_weights_are_repetitions():
    x, labels = scene()
    times = np.where(labels == 1, 3, 1)
    poor = trapped(np.repeat(x, times, axis=0), np.repeat(labels, times), "full")
    once = exchanged(np.repeat(x, times, axis=0), poor)
    weighted = exchanged(x, poor, times.astype(float))
    np.testing.assert_allclose(weighted.means, once.means, atol=0.02)
    np.testing.assert_allclose(weighted.weights, once.weights, atol=0.005)


def test_what_is_best_stays_as_it_is(family):
    x, labels = scene()
    truth = settled(x, labels, family)
    assert exchanged(x, truth) is truth


@pytest.mark.parametrize("seed", range(3))
def test_it_never_becomes_worse(family, seed):
    rng = np.random.default_rng(seed)
    x = draw(rng, random_params(rng, "full", 6, 3, 2.0), 700)
    start = init.initial_params(backend(x), 5, family, init.Start("random", seed=seed), SETTINGS)[0]
    params = em.fit(backend(x), start, SETTINGS).params
    found = exchanged(x, params)
    assert found is params or score(x, found) > score(x, params)


def test_where_nothing_can_be_exchanged(monkeypatch):
    x, labels = scene()
    poor = trapped(x, labels, "full")
    shared = shared_of(x, 4)
    one = shared.over_sample()
    none = em.Settings(max_iter=0, reg_covar=1e-6)
    assert exchange.exchanged(one, shared.sample, poor, none) is poor
    single = Params(np.ones(1), x.mean(axis=0)[None], np.cov(x.T)[None], "full")
    assert exchange.exchanged(one, shared.sample, single, SETTINGS) is single
    monkeypatch.setattr(exchange, "MOST_COMPONENTS", 3)
    assert exchange.exchanged(one, shared.sample, poor, SETTINGS) is poor


def test_a_pair_pooled_has_the_moments_of_both(family):
    rng = np.random.default_rng(0)
    params = random_params(rng, family, 3, 2)
    weight, mean, covariance = exchange.pooled(params, 0, 2)
    a, b = params.weights[[0, 2]] / params.weights[[0, 2]].sum()
    assert weight == pytest.approx(params.weights[0] + params.weights[2])
    np.testing.assert_allclose(mean, a * params.means[0] + b * params.means[2])
    if family == "tied":
        np.testing.assert_array_equal(covariance, params.covariances)
        return
    second = np.zeros((2, 2))
    for share, k in ((a, 0), (b, 2)):
        full = {
            "full": lambda c: c,
            "diag": np.diag,
            "spherical": lambda c: c * np.eye(2),
        }[family](params.covariances[k])
        second += share * (full + np.outer(params.means[k] - mean, params.means[k] - mean))
    want = {
        "full": second,
        "diag": np.diagonal(second),
        "spherical": np.trace(second) / 2,
    }[family]
    np.testing.assert_allclose(covariance, want)


def test_the_pair_that_is_merged_is_the_one_that_costs_least(family):
    """Of all pairs, each merged in earnest."""
    x, labels = scene()
    params = trapped(x, labels, family)
    shared = shared_of(x, 4)
    one = shared.over_sample()
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    best = max(pairs, key=lambda pair: score(x, exchange._merged(params, *pair)))
    assert exchange._cheapest_pair(one, shared.sample, params) == best


def test_several_starts_are_followed_by_an_exchange(monkeypatch):
    x, labels = scene()
    poor = trapped(x, labels, "full")
    truth = settled(x, labels, "full")
    monkeypatch.setattr(init, "best_start", lambda *race: (poor, []))
    one, several = (GaussianMixture(4, n_init=n, random_state=0).fit(x) for n in (1, 2))
    assert one.score(x) * len(x) < score(x, truth) - 20
    assert several.score(x) * len(x) > score(x, truth) - 1
    # what a user gives stays where it is, and so do scikit-learn's starts
    given = GaussianMixture(4, n_init=2, means_init=poor.means, random_state=0).fit(x)
    named = GaussianMixture(4, n_init=2, init_params="random", random_state=0).fit(x)
    for model in (given, named):
        assert model.score(x) * len(x) < score(x, truth) - 20


def test_a_race_for_many_samples_is_followed_by_an_exchange(monkeypatch):
    x, labels = scene()
    poor = trapped(x, labels, "full")
    monkeypatch.setattr(init, "best_start", lambda *race: (poor, []))
    monkeypatch.setattr(init, "EXCHANGE_ROWS", len(x))
    model = GaussianMixture(4, random_state=0).fit(x)
    assert model.score(x) * len(x) > score(x, settled(x, labels, "full")) - 1


def test_an_exchange_that_fails_leaves_the_start(monkeypatch):
    x, _ = scene()

    def fails(*args):
        raise FitError("no")

    expected = GaussianMixture(4, n_init=2, random_state=0).fit(x)
    monkeypatch.setattr(init, "exchanged", fails)
    model = GaussianMixture(4, n_init=2, random_state=0).fit(x)
    assert model.lower_bound_ == pytest.approx(expected.lower_bound_, rel=1e-3)
