"""Stepwise EM on batches: its laws, a naive reference, and what streams do to it."""

import copy
import pickle
import warnings

import dask.array
import naive
import numpy as np
import pyarrow as pa
import pytest
from blobs import identity_precisions
from cases import backend, draw, fit, full_covariances, random_params
from conftest import FAMILIES
from pairwise import pairwise
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from gmm_fast import DataError, GaussianMixture, em, load, save
from gmm_fast.fitting import online, stream
from gmm_fast.fitting.online import past_stats, past_weight
from gmm_fast.mixture.params import Params, check_params

FITTED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


def case(family, n=600, d=2, k=3, seed=0, spread=2.0):
    """A mixture's rows, and a start that is not the truth."""
    rng = np.random.default_rng(seed)
    x = draw(rng, random_params(rng, family, k, d, spread), n)
    other = random_params(rng, family, k, d, spread)
    return rng, x, Params(other.weights, x[:k].copy(), 2 * other.covariances, family)


def swept(x, params, cuts, *, reg_covar=0.0, decay=0.7, seen=50.0, window=100.0, weights=None):
    """Parameters after the batches that `cuts` part `x` into, in single steps."""
    w = np.ones(len(x)) if weights is None else weights
    for piece, some in zip(np.split(x, cuts), np.split(w, cuts), strict=True):
        one = backend(piece, weights=None if weights is None else some)
        stats = one.stats(params)
        past = past_weight(seen, stats.total_weight, window, decay)
        params = online.update(one, params, stats, past, reg_covar, 1)[0]
        seen += stats.total_weight
    return params


def assert_same(a, b, rtol):
    for name in ("weights", "means", "covariances"):
        want = np.asarray(getattr(a, name), float)
        atol = rtol * np.abs(want).max()
        np.testing.assert_allclose(getattr(b, name), want, rtol=0, atol=atol, err_msg=name)


def assert_valid(model):
    """A model that can be used."""
    params = check_params(model.result_.params)
    assert params.weights.sum() == pytest.approx(1, abs=1e-12)
    assert (np.linalg.eigvalsh(full_covariances(params)) > 0).all()
    for name in FITTED:
        assert np.isfinite(getattr(model, name)).all()


def streamed(x, size, k=3, **parameters):
    """A model of the batches of that size, one after another."""
    model = GaussianMixture(k, random_state=0, **parameters)
    for first in range(0, len(x), size):
        model.partial_fit(x[first : first + size])
    return model


def given(start):
    """A start as parameters of the estimator."""
    family, k = start.covariance_type, start.n_components
    precisions = (
        np.linalg.inv(start.covariances) if family in ("full", "tied") else 1 / start.covariances
    )
    return {
        "n_components": k,
        "covariance_type": family,
        "weights_init": start.weights,
        "means_init": start.means,
        "precisions_init": precisions,
    }


# -- the step size ---------------------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.7, 0.99, 1.0])
@pytest.mark.parametrize("seen", [3.0, 90.0, 100.0, 4000.0])
def test_how_a_stream_is_cut_does_not_matter(decay, seen):
    def left(seen, batch):
        past = past_weight(seen, batch, 100.0, decay)
        return past / (past + batch)

    whole = left(seen, 150.0)
    assert left(seen, 50.0) * left(seen + 50, 0.5) * left(seen + 50.5, 99.5) == pytest.approx(whole)
    assert 0 < whole < 1


def test_without_decay_it_is_an_average():
    for seen, batch in ((1.0, 1.0), (7.0, 1e6), (1e12, 1.0)):
        assert past_weight(seen, batch, 100.0, 1.0) == pytest.approx(seen, rel=1e-14)
    for decay in (0.0, 0.7):
        assert past_weight(40.0, 60.0, 100.0, decay) == pytest.approx(40, rel=1e-12)
        assert past_weight(140.0, 60.0, 100.0, decay) < 140


def test_batches_of_a_window_have_the_step_sizes_of_liang_and_klein():
    for k in (100, 10_000):
        past = past_weight(100.0 * k, 100.0, 100.0, 0.7)
        assert 100 / (100 + past) == pytest.approx(k**-0.7, rel=0.03)
    # and without decay a window remains, for ever
    assert past_weight(1e9, 1.0, 100.0, 0.0) == pytest.approx(99.5, rel=1e-3)


def test_extremes_of_the_step_size():
    assert past_weight(10.0, 1e12, 100.0, 0.0) == 0
    assert past_weight(10.0, 1e-20, 100.0, 0.7) == pytest.approx(10)
    assert past_weight(1e-20, 1.0, 100.0, 0.7) == pytest.approx(1e-20)
    # a single sample after very many has its own step size to many digits
    step = 1 / (1 + past_weight(1e13, 1.0, 100.0, 0.7))
    assert step == pytest.approx((1e11**-0.7) / 100, rel=1e-9)


# -- laws ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reg_covar", [0.0, 0.1])
def test_parameters_hold_the_running_statistics(family, reg_covar):
    """Their M-step gives them back, also from moments about other means."""
    rng, _, params = case(family, k=4, d=3)
    for about in (params.means, params.means + rng.normal(size=params.means.shape)):
        stats = past_stats(params, 321.0, about, reg_covar)
        assert stats.n_k.sum() == pytest.approx(321)
        again = em.m_step(stats, params, reg_covar, np.zeros(4, bool))
        assert_same(params, again, 1e-12)


def test_statistics_of_a_component_without_weight(family):
    _, _, params = case(family)
    params = Params(np.array([0.4, 0.0, 0.6]), params.means, params.covariances, family)
    stats = past_stats(params, 10.0, params.means, 1e-6)
    assert stats.n_k.tolist() == [4, 0, 6]
    assert np.isfinite(stats.s2).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_a_batch_without_a_past_is_an_iteration_of_em(family, weighted):
    rng, x, start = case(family)
    weights = rng.uniform(0, 2, len(x)) if weighted else None
    want = fit(x, start, max_iter=1, reg_covar=1e-3, weights=weights).params
    got = swept(x, start, [], reg_covar=1e-3, seen=0.0, weights=weights)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name))


def test_the_first_call_from_a_given_start_is_an_iteration_of_em(family):
    _, x, start = case(family)
    model = GaussianMixture(**given(start)).partial_fit(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = GaussianMixture(**given(start), max_iter=1).fit(x)
    for name in FITTED:
        np.testing.assert_array_equal(getattr(model, name), getattr(fitted, name))
    assert model.lower_bound_ == pytest.approx(fitted.lower_bounds_[0], rel=1e-14)


def naive_sweep(x, params, cuts, reg_covar, decay, seen, window):
    """Stepwise EM on raw moments of data, in long double: s <- (1 - g) s + g s(batch)."""
    family, k = params.covariance_type, params.n_components
    n_k = np.asarray(params.weights, naive.LONG)
    means = np.asarray(params.means, naive.LONG)
    eye = reg_covar * np.eye(params.n_features, dtype=naive.LONG)
    within = np.asarray(full_covariances(params), naive.LONG) - eye
    s1 = n_k[:, None] * means
    s2 = n_k[:, None, None] * (within + means[:, :, None] * means[:, None, :])
    for piece in np.split(np.asarray(x, naive.LONG), cuts):
        resp = naive.e_step(piece, params)[1]
        size = len(piece) / (len(piece) + past_weight(seen, len(piece), window, decay))
        seen += len(piece)
        n_k = (1 - size) * n_k + size * resp.mean(axis=0)
        s1 = (1 - size) * s1 + size * resp.T @ piece / len(piece)
        squares = np.einsum("nk,ni,nj->kij", resp, piece, piece) / len(piece)
        s2 = (1 - size) * s2 + size * squares
        means = s1 / n_k[:, None]
        full = s2 / n_k[:, None, None] - means[:, :, None] * means[:, None, :] + eye
        covariances = {
            "full": lambda full=full: full,
            "tied": lambda full=full, n_k=n_k: np.einsum("k,kij->ij", n_k, full),
            "diag": lambda full=full: np.stack([np.diag(c) for c in full]),
            "spherical": lambda full=full: np.array([np.trace(c) for c in full]) / len(eye),
        }[family]()
        params = Params(n_k / n_k.sum(), means, covariances, family)
    assert len(n_k) == k
    return params


@pytest.mark.parametrize("reg_covar", [0.0, 0.1])
@pytest.mark.parametrize("decay", [0.6, 1.0])
def test_it_is_naive_stepwise_em(family, reg_covar, decay):
    _, x, start = case(family, n=300)
    cuts = [40, 41, 150, 152, 280]
    want = naive_sweep(x, start, cuts, reg_covar, decay, 50.0, 100.0)
    got = swept(x, start, cuts, reg_covar=reg_covar, decay=decay)
    assert_same(want, got, 1e-9)


def test_float32_is_nearly_the_same(family):
    _, x, start = case(family)
    model = GaussianMixture(**given(start)).partial_fit(x)
    single = GaussianMixture(**given(start), dtype="float32").partial_fit(x)
    for first in range(0, 600, 50):
        model.partial_fit(x[first : first + 50])
        single.partial_fit(x[first : first + 50].astype(np.float32))
    assert single.means_.dtype == np.float64
    assert_same(model.result_.params, single.result_.params, 1e-4)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scaled_data(family, factor):
    _, x, start = case(family)
    cuts = [50, 51, 300]
    scaled = Params(start.weights, factor * start.means, factor**2 * start.covariances, family)
    a = swept(x, start, cuts, reg_covar=1e-3)
    b = swept(factor * x, scaled, cuts, reg_covar=1e-3 * factor**2)
    b = Params(b.weights, b.means / factor, b.covariances / factor**2, family)
    assert_same(a, b, 1e-9)


def test_shifted_data(family):
    """A million standard deviations from zero: of raw second moments nothing would be left."""
    _, x, start = case(family)
    x = np.round(x * 2**16) / 2**16
    shift = np.array([2.0**20, -(2.0**20)])
    moved = Params(start.weights, start.means + shift, start.covariances, family)
    cuts = np.arange(10, 600, 10)
    a = swept(x, start, cuts, reg_covar=1e-6)
    b = swept(x + shift, moved, cuts, reg_covar=1e-6)
    assert_same(a, Params(b.weights, b.means - shift, b.covariances, family), 1e-6)


def test_order_of_components_features_and_rows(family):
    rng, x, start = case(family, d=3)
    cuts, order = [100, 101, 350], np.array([2, 0, 1])
    a = swept(x, start, cuts)
    by_component = {"tied": lambda c: c}.get(family, lambda c: c[order])
    turned = Params(
        start.weights[order], start.means[order], by_component(start.covariances), family
    )
    want = Params(a.weights[order], a.means[order], by_component(a.covariances), family)
    assert_same(want, swept(x, turned, cuts), 1e-9)
    by_feature = {
        "full": lambda c: c[:, order][:, :, order],
        "tied": lambda c: c[order][:, order],
        "diag": lambda c: c[:, order],
        "spherical": lambda c: c,
    }[family]
    turned = Params(start.weights, start.means[:, order], by_feature(start.covariances), family)
    want = Params(a.weights, a.means[:, order], by_feature(a.covariances), family)
    assert_same(want, swept(x[:, order], turned, cuts), 1e-9)
    shuffled = np.concatenate([rng.permutation(piece) for piece in np.split(x, cuts)])
    assert_same(a, swept(shuffled, start, cuts), 1e-9)


def test_integer_weights_are_repetitions(family):
    rng, x, start = case(family)
    times = rng.integers(0, 3, len(x))
    ends = np.cumsum(times)
    a = swept(np.repeat(x, times, axis=0), start, [ends[199], ends[399]])
    b = swept(x, start, [200, 400], weights=times.astype(float))
    assert_same(a, b, 1e-10)


def test_of_one_component_it_is_the_mean_and_covariance_of_all(family):
    """Without decay, however the rows are cut and weighted: nothing is approximate then."""
    rng, x, _ = case(family, n=700, d=3)
    weights = rng.uniform(0, 3, len(x))
    kind = {"covariance_type": family, "reg_covar": 1e-3}
    whole = GaussianMixture(1, **kind).fit(x, sample_weight=weights)
    parts = GaussianMixture(1, **kind, learning_decay=1)
    cuts = [5, 6, 40, 41, 300, 305]
    for piece, some in zip(np.split(x, cuts), np.split(weights, cuts), strict=True):
        parts.partial_fit(piece, sample_weight=some)
    assert_same(whole.result_.params, parts.result_.params, 1e-10)
    assert parts.n_samples_seen_ == pytest.approx(whole.n_samples_seen_)


def test_one_batch_or_two_is_nearly_the_same(family):
    _, x, start = case(family, n=4000)
    model = GaussianMixture(**given(start)).partial_fit(x[:2000])
    one, two = copy.deepcopy(model).partial_fit(x[2000:3000]), copy.deepcopy(model)
    two.partial_fit(x[2000:2500]).partial_fit(x[2500:3000])
    moved = np.abs(one.means_ - model.means_).max()
    assert np.abs(one.means_ - two.means_).max() < 0.5 * moved
    assert one.score(x) == pytest.approx(two.score(x), rel=0.01)


# -- streams ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("k", "d", "spread", "size"),
    [(3, 2, 3.0, 32), (10, 2, 8.0, 100), (5, 5, 2.0, 500), (4, 20, 1.0, 2000)],
)
def test_a_stream_that_stays_the_same_ends_at_the_batch_likelihood(family, k, d, spread, size):
    rng, seed = np.random.default_rng([k, d]), k + d
    x = draw(rng, random_params(rng, family, k, d, spread), 2500)
    whole = GaussianMixture(k, covariance_type=family, random_state=seed).fit(x)
    model = streamed(x, size, k, covariance_type=family)
    assert model.score(x) > whole.score(x) - 0.01 * abs(whole.score(x))
    assert_valid(model)


def test_batches_of_single_rows():
    _, x, _ = case("full", n=500, spread=4.0)
    model = GaussianMixture(3, random_state=0).partial_fit(x[:3])
    for row in x[3:]:
        model.partial_fit(row[None])
    whole = GaussianMixture(3, random_state=0).fit(x)
    assert model.n_iter_ == 498
    assert model.n_samples_seen_ == 500
    assert model.score(x) > whole.score(x) - 0.01 * abs(whole.score(x))


def test_it_follows_a_stream_that_drifts(family):
    """Both components wander by ten standard deviations; what has decay stays with them."""
    rng = np.random.default_rng(5)

    def last(decay):
        model = GaussianMixture(2, covariance_type=family, random_state=0, learning_decay=decay)
        for t in np.linspace(0, 10, 50):
            labels = rng.random(200) < 0.5
            model.partial_fit(rng.normal(np.where(labels, 20, 0)[:, None] + t, 1, (200, 2)))
        return np.sort(model.means_[:, 0])

    assert np.abs(last(0.0) - [10, 30]).max() < 0.5
    assert np.abs(last(1.0) - [5, 25]).max() < 0.5  # the mean of all that was seen


def test_a_sorted_stream_leaves_a_valid_model(family):
    _, x, _ = case(family, n=2000, k=3, spread=5.0)
    model = streamed(x[np.argsort(x[:, 0])], 50, covariance_type=family)
    assert_valid(model)


ODD = {
    "one row": lambda rng: np.repeat(rng.normal(size=(1, 2)), 30, axis=0),
    "constant": lambda rng: rng.normal(size=(30, 1)) * [1, 0] + [0, 3.3],
    "outlier": lambda rng: rng.normal(size=(30, 2)) * np.where(np.arange(30) == 7, 1e9, 1)[:, None],
    "elsewhere": lambda rng: rng.normal(1e7, 1e-3, (30, 2)),
    "a zero": lambda rng: np.zeros((1, 2)),
    "huge": lambda rng: np.full((3, 2), -1e100),
}


@pairwise(family=FAMILIES, reg_covar=[0.0, 1e-6], decay=[0.7, 0.0], spoil=list(ODD))
def test_odd_batches_leave_a_valid_model(family, reg_covar, decay, spoil):
    rng = np.random.default_rng(4)
    odd = ODD[spoil](rng)
    kind = {"covariance_type": family, "reg_covar": reg_covar, "learning_decay": decay}
    new = GaussianMixture(3, init_params="k-means++", random_state=0, **kind)
    # in the middle of a stream, time and again
    model = clone(new).fit(rng.normal(size=(300, 2)))
    for _ in range(10):
        assert_valid(model.partial_fit(odd))
    assert_valid(model.partial_fit(rng.normal(size=(50, 2))))
    # and at its beginning
    model = clone(new).partial_fit(np.concatenate([odd, odd, odd])[: max(len(odd), 3)])
    for _ in range(10):
        assert_valid(model.partial_fit(rng.normal(size=(60, 2))))


def test_a_component_that_nothing_belongs_to_any_more_is_given_half_of_another(family):
    rng = np.random.default_rng(0)
    two = np.concatenate([rng.normal(0, 1, (500, 2)), rng.normal(30, 1, (500, 2))])
    model = GaussianMixture(2, covariance_type=family, random_state=0, learning_decay=0).fit(two)
    for _ in range(40):
        model.partial_fit(rng.normal(0, 1, (500, 2)))
    assert [e for e in model.events_ if "died (no sample belonged to it)" in e]
    assert_valid(model)
    assert np.abs(model.means_).max() < 5
    assert model.weights_.min() > 0.01


def test_a_component_that_waits_is_there_when_its_samples_come_back():
    rng = np.random.default_rng(0)
    two = np.concatenate([rng.normal(0, 1, (500, 2)), rng.normal(30, 1, (500, 2))])
    model = GaussianMixture(2, random_state=0).fit(two)
    before = np.sort(model.means_[:, 0])
    for _ in range(5):
        model.partial_fit(rng.normal(0, 1, (100, 2)))
    np.testing.assert_allclose(np.sort(model.means_[:, 0]), before, atol=0.2)
    assert model.weights_.min() > 0.1


# -- the start -------------------------------------------------------------------------------------


def test_the_first_rows_are_kept_until_there_are_enough_for_a_start():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (400, 2)) + 9 * rng.integers(0, 2, 400)[:, None]
    model = GaussianMixture(2, random_state=0)
    kept, used = [], []
    for first in range(0, 400, 20):
        model.partial_fit(x[first : first + 20])
        rows = model._gathered
        kept.append(0 if rows is None else len(rows.x))
        used.append(0 if rows is None else rows.used)
        assert model.n_samples_seen_ == first + 20
        assert model.n_iter_ == first // 20 + 1
    assert kept == [*range(20, 256, 20), 0, 0, 0, 0, 0, 0, 0, 0][:20]
    assert used[:12] == [20, 40, 40, 80, 80, 80, 80, 160, 160, 160, 160, 160]
    np.testing.assert_allclose(np.sort(model.means_[:, 0]), [0, 9], atol=0.3)


def test_a_start_is_that_of_all_rows_so_far(family):
    _, x, _ = case(family, n=80)
    weights = np.linspace(0.5, 1.5, 80)
    kind = {"covariance_type": family, "random_state": 3}
    one = GaussianMixture(3, **kind).partial_fit(x, sample_weight=weights)
    two = GaussianMixture(3, **kind).partial_fit(x[:40], sample_weight=weights[:40])
    two.partial_fit(x[40:], sample_weight=weights[40:])
    for name in (*FITTED, "lower_bound_", "n_samples_seen_"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    mixed = GaussianMixture(3, **kind).partial_fit(x[:40])
    plain = copy.deepcopy(mixed).partial_fit(x[40:])
    mixed.partial_fit(x[40:], sample_weight=np.ones(40))
    assert_same(plain.result_.params, mixed.result_.params, 1e-9)


def test_a_few_rows_and_then_very_many(family):
    _, x, _ = case(family, n=5003, k=3, spread=4.0)
    kind = {"covariance_type": family, "random_state": 0}
    model = GaussianMixture(3, **kind).partial_fit(x[:3]).partial_fit(x[3:])
    whole = GaussianMixture(3, **kind).fit(x)
    assert model._gathered is None
    assert model.n_samples_seen_ == 5003
    assert model.result_.n_samples == 5003
    assert (model.n_iter_, len(model.lower_bounds_)) == (2, 2)
    assert model.score(x) > whole.score(x) - 0.01 * abs(whole.score(x))


@pytest.mark.parametrize("method", ["kmeans", "k-means++", "random", "random_from_data"])
def test_other_ways_to_start(method):
    _, x, _ = case("full", n=2000, spread=4.0)
    model = streamed(x, 300, init_params=method, n_init=2)
    assert_valid(model)


def test_part_of_a_start_is_given():
    _, x, start = case("full", n=300, spread=4.0)
    model = GaussianMixture(3, means_init=start.means, random_state=0).partial_fit(x[:50])
    assert_valid(model.partial_fit(x[50:]))


def test_warm_start_changes_nothing():
    _, x, _ = case("full", n=300)
    a, b = (streamed(x, 30, warm_start=w) for w in (False, True))
    np.testing.assert_array_equal(a.means_, b.means_)


# -- what it leaves --------------------------------------------------------------------------------


def test_attributes(family):
    _, x, _ = case(family)
    model = GaussianMixture(3, covariance_type=family, random_state=0).partial_fit(x[:400])
    before = copy.deepcopy(model)
    assert model.partial_fit(x[400:]) is model
    assert (model.n_iter_, model.converged_, model.stop_reason_) == (2, False, "partial_fit")
    assert (model.n_features_in_, model.n_samples_seen_) == (2, 600.0)
    assert model.lower_bound_ == model.lower_bounds_[-1]
    # of the last batch, which the parameters had not seen
    assert model.lower_bound_ == pytest.approx(before.score(x[400:]), rel=1e-12)
    assert len(model.lower_bounds_) == 2
    assert model.lower_bounds_[0] == pytest.approx(before.lower_bound_, rel=1e-12)
    upper = model.precisions_cholesky_
    product = (
        upper @ np.swapaxes(upper, -1, -2) if upper.ndim == 3 or family == "tied" else upper**2
    )
    np.testing.assert_allclose(product, model.precisions_, rtol=1e-12)
    assert model.result_.n_samples == 600
    assert model.result_.seconds["em"] > 0
    assert isinstance(model.bic(x), float)
    assert model.predict_proba(x).shape == (600, 3)


def test_of_a_long_stream_the_latest_is_kept(monkeypatch):
    monkeypatch.setattr(stream, "KEPT_BOUNDS", 5)
    monkeypatch.setattr(stream, "KEPT_EVENTS", 2)
    _, x, _ = case("diag")
    model = GaussianMixture(3, covariance_type="diag", random_state=0).fit(x)
    model.result_.events[:] = ["one", "two", "three"]
    for row in x[:9]:
        model.partial_fit(row[None])
    assert (model.n_iter_, len(model.lower_bounds_)) == (9, 5)
    assert model.events_ == ["two", "three"]


def test_it_goes_on_from_a_fit(family):
    """Which counts for as many samples as it was fitted to."""
    _, x, _ = case(family, n=6000)
    model = GaussianMixture(3, covariance_type=family, random_state=0, max_iter=500)
    model.fit(x)
    assert model.n_samples_seen_ == 6000
    fitted = copy.deepcopy(model)
    model.partial_fit(x[:50])
    assert (model.n_iter_, model.n_samples_seen_, len(model.lower_bounds_)) == (1, 6050.0, 1)
    assert 0 < np.abs(model.means_ - fitted.means_).max() < 0.1
    light = copy.deepcopy(fitted)
    light.n_samples_seen_ = 20.0
    moved = [np.abs(m.means_ - fitted.means_).max() for m in (model, light.partial_fit(x[:50]))]
    assert moved[0] < 0.2 * moved[1]
    again = model.fit(x)  # and a fit forgets the batches
    for name in (*FITTED, "n_iter_", "n_samples_seen_", "lower_bounds_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(fitted, name))


def test_a_fit_forgets_the_first_rows():
    _, x, _ = case("full")
    model = GaussianMixture(3, random_state=0).partial_fit(x[:20]).fit(x)
    assert model._gathered is None
    assert GaussianMixture(3, random_state=0).fit(x).partial_fit(x[:5])._gathered is None


@pytest.mark.parametrize("name", ["means_", "weights_", "precisions_cholesky_"])
@pytest.mark.parametrize("in_place", [False, True])
def test_what_is_set_by_hand_early_in_a_stream_is_kept(name, in_place):
    """The rows so far are given up: a start that is found on them would undo it."""
    _, x, _ = case("full", n=80)
    model = GaussianMixture(3, random_state=0).partial_fit(x[:40])
    assert model._gathered is not None
    change = {"means_": 100.0, "weights_": [0.2, -0.1, -0.1], "precisions_cholesky_": 0.0}[name]
    if in_place:
        value = getattr(model, name)
        value += change
        value *= 1 + (name == "precisions_cholesky_")
    else:
        setattr(model, name, (getattr(model, name) + change) * (1 + (change == 0.0)))
    other = GaussianMixture.from_params(
        model.weights_, model.means_, model._params().covariances, n_samples=40
    )
    model.partial_fit(x[40:])
    assert model._gathered is None
    other.partial_fit(x[40:])
    assert_same(model.result_.params, other.result_.params, 1e-5)
    assert model.n_samples_seen_ == 80


def test_a_model_made_by_hand_goes_on(family):
    _, x, start = case(family)
    model = GaussianMixture(3, covariance_type=family)
    model.weights_, model.means_ = start.weights, start.means
    model.covariances_ = start.covariances
    with pytest.raises(NotFittedError):
        GaussianMixture(3).predict(x)
    assert_valid(model.partial_fit(x[:1]))
    assert model.n_samples_seen_ == 1
    # a single row does not take the model over
    assert np.abs(model.means_ - start.means).max() < np.abs(x).max()
    assert (full_covariances(model.result_.params).trace(axis1=1, axis2=2) > 0.1).all()


@pytest.mark.parametrize("way", ["pickle", "deepcopy", "file"])
def test_a_stream_goes_on_after_a_round_trip(family, way, tmp_path):
    _, x, _ = case(family, n=2000)
    model = streamed(x[:1500], 500, covariance_type=family)
    if way == "file":
        save(model, tmp_path / "model.npz")
        back = load(tmp_path / "model.npz")
        assert (back.n_iter_, back.stop_reason_) == (3, "partial_fit")
        assert back.n_samples_seen_ == 1500
    else:
        back = pickle.loads(pickle.dumps(model)) if way == "pickle" else copy.deepcopy(model)
    for one in (model, back):
        one.partial_fit(x[1500:1600]).partial_fit(x[1600:])
    for name in (*FITTED, "n_iter_", "n_samples_seen_"):
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
    np.testing.assert_allclose(back.lower_bounds_, model.lower_bounds_, rtol=1e-14)


def test_a_pickle_keeps_the_first_rows():
    _, x, _ = case("full", n=200)
    model = GaussianMixture(3, random_state=0).partial_fit(x[:30])
    back = pickle.loads(pickle.dumps(model)).partial_fit(x[30:60])
    np.testing.assert_array_equal(back.means_, model.partial_fit(x[30:60]).means_)


def test_the_same_bits_again_and_with_any_number_of_threads(family):
    _, x, _ = case(family, n=4000)
    first, again, two = (
        streamed(x, 700, covariance_type=family, threads=threads) for threads in (1, 1, 2)
    )
    for name in FITTED:
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(first, name), getattr(two, name))
    assert first.lower_bounds_ == two.lower_bounds_


# -- data ------------------------------------------------------------------------------------------


def test_whatever_fit_takes(tmp_path):
    _, x, _ = case("full", n=300)
    np.save(tmp_path / "x.npy", x[200:])
    want = streamed(x, 100)
    model = GaussianMixture(3, random_state=0).partial_fit(x[:100].tolist())
    model.partial_fit(dask.array.from_array(x[100:200], chunks=(30, 2)))
    model.partial_fit(tmp_path / "x.npy")
    for name in FITTED:
        np.testing.assert_array_equal(getattr(model, name), getattr(want, name))


def test_names_of_features():
    _, x, _ = case("full", n=300)
    table = pa.table({"a": x[:, 0], "b": x[:, 1]})
    model = GaussianMixture(3, random_state=0).partial_fit(table).partial_fit(table)
    assert model.feature_names_in_.tolist() == ["a", "b"]
    ordered = clone(model).partial_fit(table).partial_fit(table)
    ordered.partial_fit(table), model.partial_fit(table.select(["b", "a"]))
    np.testing.assert_array_equal(model.means_, ordered.means_)
    with pytest.raises(DataError, match="now missing:\n- b"):
        model.partial_fit(table.select(["a"]))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.partial_fit(x)
    assert model.feature_names_in_.tolist() == ["a", "b"]


# -- wrong calls -----------------------------------------------------------------------------------


def test_the_first_batch_is_too_small():
    _, x, _ = case("full")
    for rows, weights in ((x[:2], None), (x[:5], [1, 1, 0, 0, 0])):
        model = GaussianMixture(3)
        with pytest.raises(DataError, match=r"fewer than 3 components; give at least 3 in the fir"):
            model.partial_fit(rows, sample_weight=weights)
        assert not hasattr(model, "means_")


@pytest.mark.parametrize("fitted", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("parameters", "change", "message"),
    [
        ({}, lambda x: np.where(x == x[4, 1], np.nan, x), "X: row 4 .* column 1 is NaN"),
        ({}, lambda x: x[:, :1], "X has 1 features, but GaussianMixture is expecting 2"),
        ({}, lambda x: x[:0], "no rows"),
        ({}, lambda x: 1e200 * x, "squares overflow"),
        ({"n_components": 4}, lambda x: x, "partial_fit: the model has 3 .* full, now 4 of full"),
        ({"covariance_type": "diag"}, lambda x: x, "now 3 of diag are requested; call fit, or"),
        ({"learning_decay": 1.5}, lambda x: x, "The 'learning_decay' parameter"),
        ({"learning_decay": -1}, lambda x: x, "The 'learning_decay' parameter"),
        ({"learning_decay": "slow"}, lambda x: x, "The 'learning_decay' parameter"),
        ({"reg_covar": -1}, lambda x: x, "The 'reg_covar' parameter"),
    ],
)
def test_a_wrong_call_leaves_the_model_alone(fitted, parameters, change, message):
    _, x, _ = case("full", n=60)
    model = getattr(GaussianMixture(3, random_state=0), fitted)(x).set_params(**parameters)
    before = pickle.dumps(vars(model))
    with pytest.raises(DataError, match=message):
        model.partial_fit(change(x))
    assert pickle.dumps(vars(model)) == before


@pytest.mark.parametrize("size", [1e24, 1e60])
def test_values_beyond_float32(family, size):
    """A single row has no variance that could overflow: its distance from the model does."""
    _, x, _ = case(family)
    kind = {"covariance_type": family, "random_state": 0, "dtype": "float32"}
    for model in (GaussianMixture(3, **kind).fit(x), GaussianMixture(3, **kind).partial_fit(x[:9])):
        before = pickle.dumps(vars(model))
        with pytest.raises(DataError, match="X: .*(squares overflow float32|1e.60)"):
            model.partial_fit(np.full((1, 2), size))
        assert pickle.dumps(vars(model)) == before


def test_wrong_weights():
    _, x, _ = case("full", n=60)
    model = GaussianMixture(3, random_state=0).partial_fit(x)
    for weights, message in ((np.ones(3), "has shape"), (np.zeros(60), "all weights are zero")):
        with pytest.raises(DataError, match=f"sample_weight.*{message}"):
            model.partial_fit(x, sample_weight=weights)


def test_identity_precisions_are_a_start():
    """Of one component far from the data, too."""
    _, x, _ = case("full", n=60)
    model = GaussianMixture(
        2,
        weights_init=[0.5, 0.5],
        means_init=[[0, 0], [1e6, 1e6]],
        precisions_init=identity_precisions("full", 2, 2),
    )
    assert_valid(model.partial_fit(x))
    assert "component 1 died" in model.events_[0]


# -- what is added to the variances ----------------------------------------------------------------


@pytest.mark.parametrize("unit", [1e-9, 1e-4])
def test_units_do_not_change_what_a_stream_finds(unit):
    """'auto' is found with the start, and kept: also for a feature that is constant."""
    _, x, _ = case("full", n=900)
    x = np.c_[x, np.full(len(x), 3.0)]
    one, other = (GaussianMixture(3, random_state=0) for _ in range(2))
    for batch in np.array_split(x, 30):
        one.partial_fit(batch)
        other.partial_fit(unit * batch)
    np.testing.assert_array_equal(one.predict(x), other.predict(unit * x))
    np.testing.assert_allclose(other.means_ / unit, one.means_, atol=1e-3)
    assert np.shape(one.result_.reg_covar) == (3,)
    variances = np.diagonal(one.covariances_, axis1=1, axis2=2)[:, 2]
    np.testing.assert_allclose(variances, one.result_.reg_covar[2], rtol=1e-6)


def test_a_model_of_others_follows_small_units():
    """What it adds is found from its own variances."""
    _, x, _ = case("full", n=900)
    fitted = GaussianMixture(3, random_state=0).fit(1e-6 * x)
    model = GaussianMixture.from_params(
        fitted.weights_, fitted.means_, fitted.covariances_, "full", n_samples=900
    )
    model.partial_fit(1e-6 * x[:50])
    assert max(model.result_.reg_covar) < 1e-15
    assert (model.predict(1e-6 * x) == fitted.predict(1e-6 * x)).mean() > 0.97
