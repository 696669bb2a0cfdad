"""The race of starts, and scikit-learn's own by name."""

import numpy as np
import pytest
import sklearn.mixture
from blobs import blobs
from cases import backend, draw, full_covariances, random_params
from conftest import FAMILIES
from pairwise import pairwise
from sklearn.cluster import kmeans_plusplus
from sklearn.datasets import load_iris

from gmm_fast import GaussianMixture, em
from gmm_fast.mixture.families import get_family
from gmm_fast.mixture.params import Params
from gmm_fast.starts import initial, judge, optimum, race
from gmm_fast.starts.judge import Judge
from gmm_fast.starts.starting import Start

SETTINGS = em.Settings(reg_covar=1e-6)


@pytest.fixture(scope="module")
def x():
    """(600, 3), three clusters."""
    rng = np.random.default_rng(0)
    return draw(rng, random_params(rng, "full", 3, 3, spread=6.0), 600)


def start(one, k, family="full", **options):
    return initial.initial_params(one, k, family, Start(**options), SETTINGS)[0]


# -- the race --------------------------------------------------------------------------------------


def test_it_is_won_by_the_best_candidate(x, family):
    one = backend(x)
    rng = np.random.default_rng(5)
    good = start(one, 3, family, method="kmeans")
    far = Params(good.weights, 1e3 + rng.normal(size=(3, 3)), good.covariances, family)
    dull = Params(good.weights, np.tile(x.mean(axis=0), (3, 1)), good.covariances, family)
    best = max(em.fit(one, p, em.Settings(0.0, 30, 1e-6)).log_likelihood for p in (good, dull))
    for order in ([good, dull, far], [dull, far, good], [far, good, dull]):
        winner, _ = race.best_start(Judge(one, family, SETTINGS), order, 1)
        assert one.stats(winner.run.params).log_likelihood > best - 1e-3 * len(x)


def test_a_spurious_maximum_does_not_win(iris):
    """Three samples in a plane have a likelihood without bound; mclust's fit is the one meant."""
    x, _ = iris
    for seed in range(10):
        model = GaussianMixture(3, tol=1e-8, max_iter=2000, random_state=seed).fit(x)
        assert model.lower_bound_ * len(x) == pytest.approx(-180.185, abs=2e-3)
        assert model.events_ == []


def test_what_is_thin_is_spurious(x, family):
    """And what is as wide as the data is not; units do not matter."""
    params = start(backend(x), 3, family, method="kmeans")
    spread = judge.spread_of(backend(x))
    assert judge.spuriousness(params, spread, len(x)).sum() == 0
    thin = Params(params.weights, params.means, params.covariances * 1e-6, family)
    assert judge.spuriousness(thin, spread, len(x)).sum() > 20
    # a component on a single sample cannot lose more than it can gain
    point = Params(params.weights, params.means, params.covariances * 1e-30, family)
    assert judge.spuriousness(point, spread, len(x)).sum() < 3 * 7 * 3 * 4
    small = Params(params.weights, 1e-3 * params.means, 1e-6 * thin.covariances, family)
    again = judge.spuriousness(small, judge.spread_of(backend(1e-3 * x)), len(x))
    assert again == pytest.approx(judge.spuriousness(thin, spread, len(x)))


def test_an_outlier_is_no_measure_of_spread(x):
    far = x.copy()
    far[3] = 1e9
    one, other = (judge.spread_of(backend(data)) for data in (x, far))
    np.testing.assert_allclose(one, other, atol=0.3)


def test_more_rounds_race_more_starts(x, monkeypatch):
    raced = []
    best = race.best_start

    def spy(judge, candidates, *settings):
        raced.append(len(candidates))
        return best(judge, candidates, *settings)

    for module in (initial, optimum):
        monkeypatch.setattr(module, "best_start", spy)
    start(backend(x), 3, method="auto", n_init=2)
    start(backend(x), 3, method="random", n_init=4)
    start(backend(x), 3, method="kmeans")  # one start, no race
    assert raced == [len(optimum.AUTO), len(optimum.AUTO), 4]  # each round by itself


def test_few_rows_overfit():
    """By as much as Gaussian samples do on average, beside what many do."""
    full, diag, tied = (get_family(name) for name in ("full", "diag", "tied"))
    assert judge.overfit(full, np.array([1e7, 1e7]), 7).sum() == pytest.approx(0, abs=1e-2)
    assert judge.overfit(tied, np.array([1.0, 9.0]), 6).sum() == 0
    rng = np.random.default_rng(0)
    for family, d, free in ((full, 4, 14), (diag, 4, 8)):
        n, gained = 12, []
        for _ in range(4000):
            x = rng.normal(size=(n, d))
            covariance = np.cov(x.T, bias=True)
            logs = np.linalg.slogdet(covariance)[1]
            if family is diag:
                logs = np.log(np.diagonal(covariance)).sum()
            gained.append(0.5 * ((x**2).sum() - n * d) - 0.5 * n * logs)
        expected = 2 * np.mean(gained) - free
        assert judge.overfit(family, np.array([n]), d)[0] == pytest.approx(expected, rel=0.1)


def test_few_samples_far_away_deserve_their_component():
    rng = np.random.default_rng(0)
    near = [rng.normal(size=(200, 8)), rng.normal(size=(200, 8)) + 3]
    for far in (rng.normal(size=(3, 8)) + 60, rng.normal(size=(1, 8)) + 200):
        x = np.concatenate([*near, far])
        model = GaussianMixture(3, random_state=0).fit(x)
        of_far = np.unique(model.predict(x)[400:])
        assert len(of_far) == 1  # and hardly anybody else's
        assert (model.predict(x)[:400] == of_far[0]).sum() <= 8


# -- scikit-learn's ways, by name ------------------------------------------------------------------


@pairwise(family=FAMILIES, init_params=["kmeans", "random"], seed=[0, 1, 2])
def test_the_same_start_as_scikit_learns(x, family, init_params, seed):
    """So the same fit, after one iteration and after many."""
    for steps in (1, 30):
        call = {"covariance_type": family, "init_params": init_params, "random_state": seed}
        call |= {"max_iter": steps, "tol": 0.0, "reg_covar": 1e-6}
        with pytest.warns(UserWarning, match="converge"):
            ours = GaussianMixture(3, **call).fit(x)
        with pytest.warns(UserWarning, match="converge"):
            theirs = sklearn.mixture.GaussianMixture(3, **call).fit(x)
        for name in ("weights_", "means_", "covariances_"):
            found, expected = getattr(ours, name), getattr(theirs, name)
            np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("offset", [0.0, 1e5])
@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_rows_as_scikit_learns(x, family, seed, offset):
    """In the same order; the weights are equal, the covariances are not reg_covar alone."""
    drawn = np.random.RandomState(seed)
    expected = {
        "random_from_data": x[drawn.choice(600, size=4, replace=False)],
        "k-means++": kmeans_plusplus(x, 4, random_state=seed)[0],
    }
    for method, means in expected.items():
        params = start(backend(x + offset), 4, family, method=method, seed=seed)
        np.testing.assert_allclose(params.means, means + offset, atol=1e-9)
        np.testing.assert_array_equal(params.weights, 0.25)
        assert np.linalg.eigvalsh(full_covariances(params)).min() > 1e-3


def test_starts_go_on_from_one_another(x):
    """As in scikit-learn, the second start draws what comes after the first."""
    drawn = np.random.RandomState(3)
    expected = [x[drawn.choice(600, size=3, replace=False)] for _ in range(3)]
    seen = []
    best = race.best_start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial, "best_start", lambda j, c, *s: seen.extend(c) or best(j, c, *s))
        start(backend(x), 3, method="random_from_data", n_init=3, seed=3)
    np.testing.assert_array_equal([params.means for params in seen], expected)


def test_a_kmeans_start_of_few_samples_is_regular():
    """A part that is too small is drawn towards the others; large ones are left alone."""
    x = np.concatenate([blobs(seed=0, sizes=(300, 200), d=2, apart=6), [[90.0, 90], [90.5, 91]]])
    params = start(backend(x), 3, method="kmeans")
    assert np.linalg.eigvalsh(params.covariances).min() > 0.1
    assert sorted(np.round(params.weights * 502)) == [2, 200, 300]


def test_iris_as_scikit_learn_fits_it():
    x = load_iris().data
    for seed in range(5):
        theirs = sklearn.mixture.GaussianMixture(3, random_state=seed).fit(x)
        ours = GaussianMixture(3, init_params="kmeans", reg_covar=1e-6, random_state=seed).fit(x)
        np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-8)
        assert ours.n_iter_ == theirs.n_iter_
