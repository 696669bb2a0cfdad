"""Local moves: from where components are superfluous to where they are missing."""

from types import SimpleNamespace

import numpy as np
import pytest
from cases import backend, draw, full_covariances, random_params

from gmm_fast import GaussianMixture, em
from gmm_fast.backends import threads
from gmm_fast.kernels import moves as kernel_of_moves
from gmm_fast.kernels import newcomers as kernel
from gmm_fast.mixture.params import Params, check_params
from gmm_fast.starts import initial, moves, optimum, race, starting
from gmm_fast.starts.climbing import climb_from
from gmm_fast.starts.judge import Judge
from gmm_fast.starts.moves import Outlook
from gmm_fast.starts.newcomers import newcomers
from gmm_fast.starts.race import Runner
from gmm_fast.starts.seeding import draw_sample

SETTINGS = em.Settings(reg_covar=1e-9)
CENTRES = np.array([[0.0, 0.0], [9.0, 0.0], [9.0, 3.5], [0.0, 9.0]])
SIZES = (600, 80, 80, 240)
RARE = np.array([4.0, -4.0, 4.0])


@pytest.fixture(scope="module")
def scene():
    """Four clusters, two of them small and near one another, and where each row belongs."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), SIZES)
    x = CENTRES[labels] + rng.normal(size=(len(labels), 2)) * [1.0, 0.7]
    order = rng.permutation(len(x))
    return x[order], labels[order]


def settled(x, labels, family, weights=None):
    """Where EM leads from a partition."""
    one = backend(x, weights=weights)
    start = initial.initial_params(one, 4, family, starting.Start(labels=labels), SETTINGS).params
    return em.fit(one, start, em.Settings(1e-7, 2000, 1e-9)).params


def trapped(x, labels, family, weights=None):
    """A local optimum: the largest cluster in two halves, the two small ones as one."""
    wrong = np.where(labels == 0, np.where(x[:, 0] > 0, 1, 0), np.where(labels == 3, 3, 2))
    return settled(x, wrong, family, weights)


def outlook(x, params, weights=None):
    one = backend(x, weights=weights)
    return Outlook(one, draw_sample(one, len(x), 0), params)


def climb(x, params, budget=3000, seed=0, n_threads=1, weights=None):
    one = backend(x, weights=weights)
    judge = Judge(one, params.covariance_type, SETTINGS)
    run = judge.run(params, 0)
    start = Runner(0, run, judge.score(run))
    sample = draw_sample(one, len(x), 0)
    return start, climb_from(judge, sample, start, budget, seed, n_threads)


def score(x, params):
    return backend(x).stats(params).log_likelihood


# -- the climb -------------------------------------------------------------------------------------


def test_a_superfluous_component_goes_where_one_is_missing(scene, family):
    x, labels = scene
    poor, truth = trapped(x, labels, family), settled(x, labels, family)
    assert score(x, poor) < score(x, truth) - 10
    _, found = climb(x, poor)
    check_params(found.best.run.params)
    assert score(x, found.best.run.params) > score(x, truth) - 0.5
    near = np.linalg.norm(found.best.run.params.means[:, None] - CENTRES, axis=2).min(axis=0)
    assert near.max() < 0.4


def test_what_is_best_stays_as_it_is(scene, family):
    x, labels = scene
    start, found = climb(x, settled(x, labels, family))
    assert found.best is start
    assert found.moves > 0


@pytest.mark.parametrize("seed", range(3))
def test_more_effort_never_ends_lower(family, seed):
    """The moves of a smaller budget are the first of a larger one."""
    rng = np.random.default_rng(seed)
    x = draw(rng, random_params(rng, "full", 6, 3, 2.0), 500)
    start = initial.initial_params(
        backend(x), 5, family, starting.Start("random", seed=seed), SETTINGS
    )
    params = em.fit(backend(x), start.params, SETTINGS).params
    ends = [climb(x, params, budget)[1] for budget in (0, 40, 200, 1000)]
    scores = [end.best.score for end in ends]
    assert scores == sorted(scores)
    assert [end.moves for end in ends] == sorted(end.moves for end in ends)
    assert ends[0].moves == 0


def test_the_same_bits_at_any_number_of_threads(scene, family, monkeypatch):
    monkeypatch.setattr(race, "SIDE_BY_SIDE", 0)
    x, labels = scene
    poor = trapped(x, labels, family)
    most = min(2, threads.default_threads())
    one, two = (climb(x, poor, seed=3, n_threads=n)[1] for n in (1, most))
    assert one.moves == two.moves
    assert one.best.run.params.means.tobytes() == two.best.run.params.means.tobytes()


def test_units_and_places_do_not_matter(scene, family):
    x, labels = scene
    poor = trapped(x, labels, family)
    scale, shift = 1e-3, np.array([5.0, -7.0])
    small = Params(poor.weights, scale * (poor.means + shift), scale**2 * poor.covariances, family)
    found, other = climb(x, poor)[1], climb(scale * (x + shift), small)[1]
    assert found.best.number == other.best.number
    means = other.best.run.params.means / scale - shift
    np.testing.assert_allclose(means, found.best.run.params.means, atol=1e-3)


def test_a_fit_searches_unless_it_is_told_where_to_start(scene, monkeypatch):
    x, labels = scene
    poor, truth = trapped(x, labels, "full"), settled(x, labels, "full")
    judge = Judge(backend(x), "full", SETTINGS)
    lost = Runner(0, judge.run(poor, 0), judge.score(judge.run(poor, 0)))
    monkeypatch.setattr(optimum, "best_start", lambda *race: (lost, 0))
    searched, raced = (GaussianMixture(4, effort=e, random_state=0).fit(x) for e in (1, 0))
    assert searched.score(x) * len(x) > score(x, truth) - 1
    assert raced.score(x) * len(x) < score(x, truth) - 10
    assert searched.result_.moves > 0 == raced.result_.moves
    assert (searched.result_.effort, raced.result_.effort) == (1.0, 0.0)
    # what a user gives stays where it is, and so do scikit-learn's starts
    given = GaussianMixture(4, n_init=2, means_init=poor.means, random_state=0).fit(x)
    named = GaussianMixture(4, n_init=2, init_params="random", random_state=0).fit(x)
    for model in (given, named):
        assert model.result_.moves == 0


def test_a_climb_that_fails_leaves_the_start(scene, monkeypatch):
    x, _ = scene

    def fails(*args):
        raise np.linalg.LinAlgError

    expected = GaussianMixture(4, effort=0, random_state=0).fit(x)
    monkeypatch.setattr(optimum, "climb_from", fails)
    model = GaussianMixture(4, random_state=0).fit(x)
    assert model.lower_bound_ == expected.lower_bound_


def test_no_component_is_put_on_so_few_rows_that_they_lie_in_a_plane():
    """Four rows on a line gain without bound; two clusters are what there is."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 2))
    x[150:, 0] += 7
    x[:4, 1] = x[:4, 0]
    for seed in range(4):
        model = GaussianMixture(2, random_state=seed).fit(x)
        np.testing.assert_allclose(np.sort(model.means_[:, 0]), [0, 7], atol=0.4)


# -- where a solution is too rich ------------------------------------------------------------------


def test_the_loss_is_that_of_the_likelihood_without_the_component(scene, family):
    """To first order in small responsibilities, and before EM."""
    x, labels = scene
    params = trapped(x, labels, family)
    found = outlook(x, params)
    for k in range(4):
        resp = np.concatenate([o.resp.copy() for _, o in backend(x).score(params, resp=True)])
        rest = np.maximum(1 - resp[:, k].astype(float), np.exp(-moves.MOST_LOG))
        assert found.loss[k] == pytest.approx(-np.log(rest).sum(), rel=0.35, abs=1.0)


def test_weights_are_repetitions(scene):
    x, labels = scene
    times = np.where(labels == 1, 3, 1)
    params = trapped(np.repeat(x, times, axis=0), np.repeat(labels, times), "full")
    once = outlook(np.repeat(x, times, axis=0), params)
    weighted = outlook(x, params, times.astype(float))
    np.testing.assert_allclose(weighted.loss, once.loss)
    np.testing.assert_allclose(weighted._overlap, once._overlap)
    for a, b in zip(weighted._removals(), once._removals(), strict=True):
        assert a[1] == b[1]
        assert a[0] == pytest.approx(b[0], rel=1e-9, abs=1e-9)


def test_a_pair_pooled_has_the_moments_of_both(family):
    rng = np.random.default_rng(0)
    params = random_params(rng, family, 3, 2)
    x = draw(rng, params, 50)
    weight, mean, covariance = outlook(x, params).pool(0, 2)
    a, b = params.weights[[0, 2]] / params.weights[[0, 2]].sum()
    assert weight == pytest.approx(params.weights[0] + params.weights[2])
    np.testing.assert_allclose(mean, a * params.means[0] + b * params.means[2])
    if family == "tied":
        np.testing.assert_array_equal(covariance, params.covariances)
        return
    full, second = full_covariances(params), np.zeros((2, 2))
    for share, k in ((a, 0), (b, 2)):
        second += share * (full[k] + np.outer(params.means[k] - mean, params.means[k] - mean))
    want = {"full": second, "diag": np.diagonal(second), "spherical": np.trace(second) / 2}
    np.testing.assert_allclose(covariance, want[family])


# -- where a solution is too poor ------------------------------------------------------------------


def test_the_component_on_two_clusters_is_cut_between_them(scene, family):
    x, labels = scene
    params = trapped(x, labels, family)
    wide = int(np.argmin(np.linalg.norm(params.means - [9, 1.7], axis=1)))
    gain, halves = outlook(x, params)._cut(wide)
    assert gain > 0
    means = np.sort([half[1] for half in halves], axis=0)
    np.testing.assert_allclose(means, [[9, 0], [9, 3.5]], atol=0.4)
    assert sum(half[0] for half in halves) == pytest.approx(params.weights[wide])


def test_one_gaussian_gains_nothing_by_a_cut():
    z = np.random.default_rng(0).normal(size=(4000, 2)) * [3, 1]
    assert moves.cut(z, np.ones(4000))[0] < 0
    two = np.concatenate([z, z + np.array([50, 0])])
    gain, side = moves.cut(two, np.ones(8000))
    assert gain > 0
    assert side.sum() == 4000
    # a weight of 2 is the row twice, of 0 is no row
    weights = np.repeat([2.0, 0.0, 1.0], [1000, 3000, 4000])
    again = np.concatenate([two[:1000], two[:1000], two[4000:]])
    assert moves.cut(two, weights)[0] == pytest.approx(moves.cut(again, np.ones(6000))[0])


@pytest.fixture(scope="module")
def x_rare():
    rng = np.random.default_rng(3)
    return np.concatenate([rng.normal(size=(4000, 3)), rng.normal(RARE, 0.8, (40, 3))])


def lacking(x, family):
    """What `newcomers` finds beside one component."""
    one = backend(x)
    params = initial.initial_params(one, 1, family, starting.Start(), SETTINGS).params
    sample = draw_sample(one, len(x), 0)
    log_prob = np.concatenate([o.log_prob.copy() for _, o in one.score(params, log_prob=True)])
    return newcomers(sample, params, log_prob.astype(float), np.zeros(len(x), int), 1)


def test_few_samples_beside_a_large_component_get_their_own(x_rare, family):
    gain, weight, mean, variance = lacking(x_rare, family)[0]
    np.testing.assert_allclose(mean, RARE, atol=0.5)
    assert gain > 0
    assert 0.005 < weight < 0.02
    assert 0.1 < variance < 2


@pytest.mark.parametrize("units", [0.1, 1e3])
def test_newcomers_in_other_units(x_rare, units):
    one, other = lacking(x_rare, "full")[0], lacking(units * (x_rare + 5.0), "full")[0]
    np.testing.assert_allclose(other[2], units * (one[2] + 5.0), rtol=2e-3)
    assert other[1] == pytest.approx(one[1], rel=2e-3)
    assert other[3] == pytest.approx(one[3], rel=2e-3)


# -- what is drawn ---------------------------------------------------------------------------------


def drawn_one(seen, take=0.0, pair=1.0, row=0.5, how=0.0, size=0.0, part=0.5, halves=(0.2, 0.7)):
    """The move that these numbers of 0..1 make."""
    rng = SimpleNamespace(
        random=lambda shape: np.array([[take, pair, row, how, size, part, *halves]])
    )
    found = seen.draw(rng, 1)
    for params in found:
        check_params(params)
    return found[0] if found else None


@pytest.fixture
def seen(scene, family):
    x, labels = scene
    weights = np.where(labels == 1, 2.0, 1.0)
    return outlook(x, trapped(x, labels, family, weights), weights)


def place(chances, uniform):
    return int(np.searchsorted(chances, uniform * chances[-1], side="right"))


@pytest.mark.parametrize(("how", "size"), [(0.0, 0.0), (0.49, 0.99), (0.5, 0.0), (0.74, 0.3)])
def test_a_drawn_component_goes_among_the_neighbours_of_a_row_or_on_it(seen, how, size):
    free, row = place(seen._chances, 0.6), place(np.cumsum(seen.sample.weights), 0.3)
    params = drawn_one(seen, take=0.6, row=0.3, how=how, size=size)
    x, weights, within = seen.sample.x, seen.sample.weights, seen._within
    share, mean = 0.25, x[row]
    if how < kernel_of_moves.AMONG:
        share /= 2.0 ** int(4 * size)
        scale = np.linalg.inv(np.linalg.cholesky(within)) if np.ndim(within) == 2 else 1
        y = x @ scale.T if np.ndim(within) == 2 else x / np.sqrt(within)
        near = np.argsort(((y - y[row]) ** 2).sum(axis=1))[: int(share * len(x))]
        mean = np.average(x[near], axis=0, weights=weights[near])
    rest = np.delete(seen.params.weights, free)
    np.testing.assert_allclose(params.means[free], mean, rtol=1e-12)
    assert params.weights[free] == pytest.approx(share)
    np.testing.assert_allclose(np.delete(params.weights, free), (1 - share) * rest / rest.sum())
    others = np.delete(np.arange(4), free)
    np.testing.assert_array_equal(params.means[others], seen.params.means[others])
    if seen.family.name == "tied":
        np.testing.assert_array_equal(params.covariances, seen.params.covariances)
        return
    np.testing.assert_array_equal(params.covariances[others], seen.params.covariances[others])
    np.testing.assert_allclose(params.covariances[free], within)


def test_a_drawn_cut_parts_a_component_between_two_of_its_rows(seen):
    free, own = place(seen._chances, 0.6), seen.params.weights.copy()
    own[free] = 0
    part = place(np.cumsum(own), 0.5)
    params = drawn_one(seen, take=0.6, how=0.9)
    rows = np.flatnonzero(seen.labels == part)
    a, b = int(0.2 * len(rows)), int(0.7 * (len(rows) - 1))
    b += b >= a
    z = seen.sample.x[rows] / seen.sample.scale
    side = (z - 0.5 * (z[a] + z[b])) @ (z[b] - z[a]) > 0
    halves = seen._halves(part, rows, side)
    total = 1 - seen.params.weights[free]
    for k, (weight, mean, covariance) in zip((part, free), halves, strict=True):
        assert params.weights[k] == pytest.approx(weight / total)
        np.testing.assert_allclose(params.means[k], mean)
        own = params.covariances if seen.family.name == "tied" else params.covariances[k]
        np.testing.assert_allclose(own, covariance)


def test_a_drawn_pair_becomes_one(seen):
    pairs = np.cumsum(np.triu(seen._overlap, 1))
    kept, free = divmod(place(pairs, 0.5), 4)
    params = drawn_one(seen, take=0.5, pair=0.0, how=0.6)
    weight, mean, covariance = seen.pool(kept, free)
    np.testing.assert_allclose(params.means[kept], mean)
    assert params.weights[kept] == pytest.approx(0.75 * weight)  # 1 / K is that of the one put
    own = params.covariances if seen.family.name == "tied" else params.covariances[kept]
    np.testing.assert_allclose(own, covariance)


def test_draws_that_make_no_move():
    """One row, or the same row again, cannot be cut."""
    x = np.repeat([[0.0, 0.0], [5.0, 1.0]], [30, 1], axis=0)
    one = backend(x)
    params = Params(np.array([0.9, 0.1]), x[[0, -1]], np.stack([np.eye(2)] * 2), "full")
    seen = Outlook(one, draw_sample(one, len(x), 0), params)
    for take in (0.01, 0.99):
        assert drawn_one(seen, take=take, how=0.9) is None
        assert drawn_one(seen, take=take, how=0.0) is not None


def test_the_value_at_a_place_is_that_of_a_sort():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=101), rng.integers(0, 3, 50).astype(float), np.ones(7)):
        for n in range(0, len(values), 7):
            assert kernel_of_moves._nth.py_func(values.copy(), n) == np.sort(values)[n]


@pytest.mark.parametrize("x", [np.zeros((9, 2)), np.array([[0.0, 1], [2, 3]]), np.ones((50, 1))])
def test_where_there_is_nothing_to_move(x, family):
    one = backend(x)
    start = initial.initial_params(one, 1, family, starting.Start(), em.Settings()).params
    seen = outlook(x, em.fit(one, start, em.Settings(max_iter=0)).params)
    for params in seen.larger():
        check_params(params)
        assert params.n_components == 2
    model = GaussianMixture(2, covariance_type=family, random_state=0, max_iter=300).fit(x)
    check_params(model.result_.params)


def test_moments_of_newcomers_are_those_of_their_definition():
    """Blocks of the compiled kernel beside plain NumPy, densities that under- and overflow, too."""
    rng = np.random.default_rng(0)
    n, d, p = 2 * kernel.BLOCK, 3, 4
    z = rng.normal(size=(d, n))
    z[:, :3] = [[1e3], [1e9], [1e200]]
    log_prob, weights = rng.normal(-4, 50, n), rng.uniform(0, 2, n)
    at = (z[:, 10 : 10 + p].T.copy(), rng.uniform(0.1, 9, p), rng.normal(-3, 1, p), np.full(p, 0.9))
    found, plain = np.zeros((2, n // kernel.BLOCK, p, 2 + d))
    kernel.moments(0, kernel.BLOCK, z, log_prob, weights, *at, found)
    assert not found[1].any()
    kernel.moments(kernel.BLOCK, n, z, log_prob, weights, *at, found)
    with np.errstate(over="ignore"):
        kernel._plain_moments(0, n, z, log_prob, weights, *at, plain)
    np.testing.assert_allclose(found, plain, rtol=1e-10, atol=1e-12)
    centre, precision, front, rest = (a[1] for a in at)
    y = z[:, kernel.BLOCK :] - centre[:, None]
    with np.errstate(over="ignore"):
        own = np.exp(front - precision * (y * y).sum(axis=0) - log_prob[kernel.BLOCK :])
    resp = weights[kernel.BLOCK :] * np.where(np.isinf(own), 1, own / (own + rest))
    np.testing.assert_allclose(found[1, 1, 0], resp.sum(), rtol=1e-10)
    np.testing.assert_allclose(found[1, 1, 1], resp @ (y * y).sum(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found[1, 1, 2:], y @ resp, rtol=1e-9)
