"""The EM loop: its laws, when it stops, what it reports, and what it does with bad components."""

import naive
import numpy as np
import pytest
from cases import backend, draw, fit, full_covariances, random_params

from gmm_fast import em
from gmm_fast.backends import LocalBackend, check_weights, local, threads
from gmm_fast.em.rescue import FLOOR, MAX_RESCUES, Rescue, needed_rows_events
from gmm_fast.errors import DataError, FitError
from gmm_fast.mixture.families import get_family
from gmm_fast.mixture.forms import make_form
from gmm_fast.mixture.params import Params, check_params
from gmm_fast.sources import open_source
from gmm_fast.starts import partition


def case(family, n=400, d=2, k=3, seed=0, spread=2.0):
    """A mixture, rows of it, and a start that is not the truth."""
    rng = np.random.default_rng(seed)
    truth = random_params(rng, family, k, d, spread)
    x = draw(rng, truth, n)
    other = random_params(rng, family, k, d, spread)
    return rng, x, Params(other.weights, x[:k].copy(), 2 * other.covariances, family)


def assert_same_fit(a, b, rtol, scale=1.0, shift=0.0):
    """`b` is `a` of data scaled and shifted."""
    variance = scale**2
    np.testing.assert_allclose(b.params.weights, a.params.weights, rtol=rtol)
    size = rtol * (np.abs(a.params.means).max() * np.max(scale))
    np.testing.assert_allclose((b.params.means - shift), scale * a.params.means, rtol=0, atol=size)
    np.testing.assert_allclose(
        b.params.covariances / variance,
        a.params.covariances,
        rtol=0,
        atol=rtol * np.abs(a.params.covariances).max(),
    )


# ----------------------------------------------------------------------------------------------
# Against naive, and laws
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reg_covar", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_trace_and_parameters_are_those_of_naive_em(family, reg_covar, weighted):
    rng, x, start = case(family)
    weights = rng.uniform(0, 2, len(x)) if weighted else None
    seen = []
    result = fit(
        x,
        start,
        max_iter=8,
        reg_covar=reg_covar,
        weights=weights,
        callback=lambda *args: seen.append(args),
    )
    params, trace = naive.em(x, start, 8, reg_covar, weights)
    trace = np.array(trace, float)
    np.testing.assert_allclose(result.trace, trace, rtol=1e-11)
    np.testing.assert_allclose(result.params.means, params.means.astype(float), rtol=1e-9)
    np.testing.assert_allclose(
        result.params.covariances, params.covariances.astype(float), rtol=0, atol=1e-9
    )
    np.testing.assert_allclose(result.params.weights, params.weights.astype(float), rtol=1e-9)
    total = len(x) if weights is None else weights.sum()
    assert [i for i, _, _ in seen] == list(range(1, 9))
    np.testing.assert_allclose([m for _, m, _ in seen], trace[1:] / total, rtol=1e-11)
    np.testing.assert_allclose(
        [c for _, _, c in seen], np.diff(trace) / total, rtol=1e-6, atol=1e-12
    )
    moments = naive.moments(x, result.params, weights)
    assert result.log_max_resp == pytest.approx(float(moments.log_max_resp), rel=1e-10)
    assert result.total_weight == pytest.approx(total, rel=1e-13)
    assert result.n_samples == len(x)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(4))
def test_the_log_likelihood_never_falls(family, dtype, seed):
    _, x, start = case(family, n=300, d=1 + seed, k=2 + seed, seed=seed)
    x = x.astype(dtype)
    result = fit(x, start, max_iter=150)
    assert not any("fell" in e or "collapsed" in e for e in result.events)
    slack = 64 * np.finfo(dtype).eps * abs(result.log_likelihood)
    assert np.diff(result.trace).min() >= -slack
    assert result.trace[-1] > result.trace[0]


def test_a_fall_is_reported(family):
    """A reg_covar beside which variances are small does make the likelihood fall."""
    _, x, start = case(family, n=300)
    best = fit(x, start, max_iter=100).params
    result = fit(x, best, max_iter=3, reg_covar=10.0)
    assert np.diff(result.trace).min() < 0
    falls = [e for e in result.events if "fell" in e]
    assert len(falls) == 1
    assert falls[0].startswith("iteration 1: the log-likelihood fell by")
    assert "reg_covar is not small" in falls[0]


@pytest.mark.parametrize("exponent", [-6, 6, 100])
def test_scaled_data(family, exponent):
    _, x, start = case(family)
    scale = 2.0 ** round(exponent * np.log2(10))
    scaled = Params(start.weights, scale * start.means, scale**2 * start.covariances, family)
    a = fit(x, start, max_iter=20, reg_covar=1e-3)
    b = fit(scale * x, scaled, max_iter=20, reg_covar=1e-3 * scale**2)
    assert_same_fit(a, b, 1e-9, scale)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_shifted_data(family, dtype):
    """float64 data a million standard deviations from zero: float32 kernels see it centred."""
    _, x, start = case(family)
    x = np.round(x * 2**16) / 2**16
    shift = np.array([2.0**20, -(2.0**20)])
    shifted = Params(start.weights, start.means + shift, start.covariances, family)
    a = fit(x, start, max_iter=20, dtype=dtype)
    b = fit(x + shift, shifted, max_iter=20, dtype=dtype)
    assert_same_fit(a, b, 1e-6 if dtype == np.float64 else 1e-3, 1.0, shift)
    assert not any("fell" in e for e in b.events)


def test_units_of_single_features(family):
    if family == "spherical":
        pytest.skip("one variance for all features")
    _, x, start = case(family)
    units = np.array([2.0**20, 2.0**-20])
    matrix = units if family == "diag" else np.diag(units)
    covariances = (
        start.covariances * units**2 if family == "diag" else matrix @ start.covariances @ matrix
    )
    a = fit(x, start, max_iter=20)
    b = fit(x * units, Params(start.weights, start.means * units, covariances, family), max_iter=20)
    np.testing.assert_allclose(b.params.means, a.params.means * units, rtol=1e-8)
    np.testing.assert_allclose(
        np.diff(b.trace), np.diff(a.trace), rtol=1e-6, atol=1e-9 * abs(a.trace[0])
    )


def test_order_of_rows_features_and_components(family):
    rng, x, start = case(family, d=3)
    a = fit(x, start, max_iter=20)
    rows = fit(x[rng.permutation(len(x))], start, max_iter=20)
    assert_same_fit(a, rows, 1e-8)
    order = np.array([2, 0, 1])
    covariances = {
        "full": lambda c: c[order],
        "tied": lambda c: c,
        "diag": lambda c: c[order],
        "spherical": lambda c: c[order],
    }[family]
    permuted = Params(
        start.weights[order], start.means[order], covariances(start.covariances), family
    )
    b = fit(x, permuted, max_iter=20).params
    np.testing.assert_allclose(b.means, a.params.means[order], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(b.covariances, covariances(a.params.covariances), 1e-7, 1e-8)
    features = {
        "full": lambda c: c[:, order][:, :, order],
        "tied": lambda c: c[order][:, order],
        "diag": lambda c: c[:, order],
        "spherical": lambda c: c,
    }[family]
    turned = Params(start.weights, start.means[:, order], features(start.covariances), family)
    c = fit(x[:, order], turned, max_iter=20).params
    np.testing.assert_allclose(c.means, a.params.means[:, order], rtol=1e-7, atol=1e-8)
    np.testing.assert_allclose(c.covariances, features(a.params.covariances), 1e-7, 1e-8)


def test_integer_weights_are_repetitions(family):
    rng, x, start = case(family)
    times = rng.integers(0, 3, len(x))
    a = fit(np.repeat(x, times, axis=0), start, max_iter=20)
    b = fit(x, start, max_iter=20, weights=times.astype(float))
    assert_same_fit(a, b, 1e-8)
    assert b.log_likelihood == pytest.approx(a.log_likelihood, rel=1e-10)
    c = fit(x, start, max_iter=20, weights=1e-3 * times)
    assert_same_fit(a, c, 1e-8)
    assert c.log_likelihood == pytest.approx(1e-3 * a.log_likelihood, rel=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_same_bits_from_any_source_at_any_number_of_threads(family, dtype, monkeypatch, tmp_path):
    _, x, start = case(family, n=6000)
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(local, "CHUNK_BYTES", 2**14)

    def bits(data, threads, resident):
        one = LocalBackend(
            open_source(data), room=2**27 if resident else 0, dtype=dtype, threads=threads
        )
        result = em.fit(one, start, em.Settings(0.0, 5, 1e-6))
        p = result.params
        return result.trace, *(a.tobytes() for a in (p.weights, p.means, p.covariances))

    want = bits(x, 1, True)
    most = min(2, threads.default_threads())
    assert bits(np.asfortranarray(x), most, True) == want
    assert bits(tmp_path / "x.npy", most, True) == want
    assert bits(tmp_path / "x.npy", most, False) == want


# ----------------------------------------------------------------------------------------------
# Stopping and reporting
# ----------------------------------------------------------------------------------------------


def test_stops_by_tolerance(family):
    _, x, start = case(family)
    result = fit(x, start, max_iter=500, tol=1e-4)
    changes = np.abs(np.diff(result.trace)) / len(x)
    assert result.converged
    assert result.stop_reason == "tolerance"
    assert result.n_iter == len(changes) < 500
    small = changes < 1e-4
    assert small[-2:].all()
    assert not (small[:-2] & small[1:-1]).any()


@pytest.mark.parametrize("seed", range(4))
def test_rounding_in_float32_is_no_fall_of_the_likelihood(family, seed):
    """Components far from the centre, where products of matrices would cancel most."""
    rng = np.random.default_rng(seed)
    means = 19 * rng.uniform(-1, 1, size=(4, 1))
    means[:2, 0] = 17.1, 18.6
    x = 0.05 * (means[rng.integers(0, 4, 3000)] + rng.normal(size=(3000, 1)))
    covariances = {"full": (4, 1, 1), "tied": (1, 1), "diag": (4, 1), "spherical": (4,)}[family]
    start = Params(np.full(4, 0.25), 0.05 * means, np.full(covariances, 0.05**2), family)
    result = fit(x.astype(np.float32), start, max_iter=100)
    assert not result.events


def test_stops_by_max_iter(family):
    _, x, start = case(family)
    result = fit(x, start, max_iter=3)
    assert (result.converged, result.stop_reason, result.n_iter) == (False, "max_iter", 3)
    assert len(result.trace) == 4
    assert result.trace[0] == pytest.approx(float(naive.moments(x, start).log_likelihood))


def test_the_log_likelihood_belongs_to_the_parameters_returned(family):
    _, x, start = case(family)
    for options in ({"max_iter": 2}, {"max_iter": 500, "tol": 1e-3}):
        result = fit(x, start, **options)
        found = backend(x).stats(result.params)
        assert result.log_likelihood == found.log_likelihood == result.trace[-1]
        assert result.log_max_resp == found.log_max_resp
        want = float(naive.moments(x, result.params).log_likelihood)
        assert result.log_likelihood == pytest.approx(want, rel=1e-12)


def test_facts_go_back_and_forth():
    _, x, start = case("diag")
    result = fit(x, start, max_iter=2)
    again = em.FitResult.from_facts(result.params, result.facts() | {"something": "else"})
    assert again.facts() == result.facts()
    assert again.params is result.params


# ----------------------------------------------------------------------------------------------
# Rescue
# ----------------------------------------------------------------------------------------------


def assert_valid(result, x, weights=None):
    """A model that can be used, whose log-likelihood is its own."""
    params = check_params(result.params)
    make_form(params)
    assert params.weights.sum() == pytest.approx(1, abs=1e-12)
    assert np.isfinite(result.trace).all()
    assert np.isfinite(full_covariances(params)).all()
    found = backend(x, weights=weights).stats(params)
    assert result.log_likelihood == pytest.approx(found.log_likelihood, rel=1e-6, abs=1e-3)


def said(result, text):
    return [e for e in result.events if text in e]


def test_a_component_far_from_all_data_is_revived(family):
    _, x, start = case(family)
    means = start.means.copy()
    means[1] = 1e8
    result = fit(x, Params(start.weights, means, start.covariances, family), tol=1e-6, max_iter=500)
    assert said(result, "iteration 1: component 1 died")
    assert_valid(result, x)
    assert (result.params.weights > 0.01).all()
    # as good as a fit that never lost it, give or take the local optimum
    assert result.log_likelihood > fit(x, start, max_iter=500).log_likelihood - 0.1 * len(x)


FEW_ROWS = "no more rows than"


@pytest.mark.parametrize("weight", [1.0, 2.5])
def test_components_of_too_few_rows(family, weight):
    """A component needs d + 1 rows in family full, 2 without correlations; tied needs d + K."""
    rng = np.random.default_rng(0)
    least = {"full": 4, "tied": 5, "diag": 2, "spherical": 2}[family]
    for rows, few in ((least - 1, True), (least, False)):
        x = rng.normal(size=(rows if family == "tied" else 20 + rows, 3))
        labels = np.arange(len(x)) >= (1 if family == "tied" else 20)
        x[labels] += 1e4
        start = partition.params_of_parts(
            partition.partition([(0, x)], labels.astype(int), np.ones(len(x)), 2, family),
            family,
            1e-3,
        )
        result = fit(x, start, weights=np.full(len(x), weight), max_iter=3)
        events = said(result, FEW_ROWS)
        assert len(events) == few
        if few:
            who = "the tied covariance" if family == "tied" else "component 1"
            assert events[0].startswith(f"{who} has {FEW_ROWS} ")
            found = {"full": "(3 rows, 3 directions)", "tied": "(4 rows, 2 means, 3 directions)"}
            assert found.get(family, "(1 row; a variance needs 2)") in events[0]
            assert ("--covariance diag" in events[0]) == (family in found)
            assert "--reg-covar" in events[0]


@pytest.mark.parametrize(
    ("family", "numbers", "text"),
    [
        (
            "full",
            [4],
            "in 3 dimensions the full covariances need at least 16 rows for 4 components",
        ),
        ("full", [1, 4, 5], "need at least 16 rows for 4 components or more, more than the data h"),
        ("tied", [13], "in 3 dimensions the tied covariance needs at least 16 rows for 13 compon"),
        (
            "diag",
            [9],
            "in 3 dimensions the diag covariances need at least 18 rows for 9 components",
        ),
        ("full", [1, 2, 3], None),
        ("diag", [7], None),
    ],
)
def test_fits_that_need_more_rows_are_told_before(family, numbers, text):
    events = needed_rows_events([get_family(family)], numbers, 3, 15)
    assert len(events) == (text is not None)
    if events:
        assert text in events[0]
        assert "more than the data has (15); try " in events[0]


def test_several_dead_components_are_revived(family):
    _, x, start = case(family, k=5)
    means = start.means.copy()
    means[1:] = 1e8 * np.arange(1, 5)[:, None]
    params = Params(start.weights, means, start.covariances, family)
    result = fit(x, params, tol=1e-6, max_iter=500)
    for k in range(1, 5):
        assert said(result, f"component {k} died")
    assert_valid(result, x)
    assert (result.params.weights > 0).all()


def test_a_component_that_keeps_dying_is_left(family):
    """With a single sample of all the weight there is nothing to give."""
    x = np.random.default_rng(1).normal(size=(50, 2))
    weights = np.zeros(50)
    weights[7] = 1.0
    start = case(family, n=50)[2]
    result = fit(x, start, max_iter=60, reg_covar=1e-6, weights=weights)
    assert_valid(result, x, weights)
    assert len(said(result, "died")) <= 3 * MAX_RESCUES


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_repeated_rows_without_reg_covar(family, value, dtype):
    """One component settles on the repeated row, and its variance would go to zero."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 2)).astype(dtype)
    x[:100] = value
    tight = Params(
        np.array([0.3, 0.7]),
        np.array([[value, value], [0.1, -0.1]]),
        {
            "full": np.stack([1e-4 * np.eye(2), np.eye(2)]),
            "tied": np.eye(2),
            "diag": np.array([[1e-4, 1e-4], [1.0, 1.0]]),
            "spherical": np.array([1e-4, 1.0]),
        }[family],
        family,
    )
    result = fit(x, tight, tol=1e-8 if dtype == np.float64 else 1e-4, max_iter=300)
    assert_valid(result, x)
    assert result.converged
    if family != "tied":
        assert len(said(result, "component 0 collapsed")) == 1
    assert not said(result, "fell")


@pytest.mark.parametrize("value", [0.0, 5.3, 1e6])
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
def test_a_constant_feature(family, value, reg_covar):
    _, x, start = case(family, d=3)
    x[:, 1] = start.means[:, 1] = value
    one = backend(x)
    assert one.survey().constant_features.tolist() == [1]
    result = fit(x, start, tol=1e-6, max_iter=500, reg_covar=reg_covar)
    assert_valid(result, x)
    assert result.converged
    np.testing.assert_allclose(result.params.means[:, 1], value, rtol=1e-12, atol=1e-12)
    if reg_covar == 0 and family != "spherical":
        assert said(result, "collapsed to a singular covariance; variances were raised")
    assert not said(result, "fell")


@pytest.mark.parametrize("distinct", [1, 2, 3])
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_fewer_distinct_rows_than_components(family, distinct, reg_covar, dtype):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(distinct, 2))[rng.integers(0, distinct, 120)].astype(dtype)
    start = case(family, k=4)[2]
    start = Params(start.weights, rng.normal(size=(4, 2)), start.covariances, family)
    result = fit(x, start, tol=1e-6, max_iter=300, reg_covar=reg_covar)
    assert_valid(result, x)
    # one distinct row with a reg_covar is a matter of constant features, told elsewhere
    assert said(result, "collapsed") or (distinct == 1 and reg_covar > 0)


def test_a_component_that_recovers_is_exact(family):
    """A singular start is raised once, and leaves no trace in the fit."""
    _, x, start = case(family)
    covariances = start.covariances.copy()
    covariances[0] = 0
    if family == "tied":
        covariances[:] = 0
    singular = Params(start.weights, start.means, covariances, family)
    result = fit(x, singular, tol=1e-13, max_iter=3000)
    assert said(result, "iteration 0:")
    assert not said(result, "fell")
    resp = naive.e_step(x, result.params)[1]
    want = naive.m_step(x, resp, family)[2].astype(float)
    np.testing.assert_allclose(result.params.covariances, want, rtol=1e-5, atol=1e-5)


def rescue_of(x, family):
    rescue = Rescue.over(backend(x), family)
    return rescue, rescue.events


def with_variance(params, which, variance):
    """Every variance of component `which` (of all, when tied) set; no correlations."""
    covariances = params.covariances.copy()
    square = variance * np.eye(params.n_features)
    if params.covariance_type == "tied":
        covariances = square
    else:
        covariances[which] = square if params.covariance_type == "full" else variance
    return Params(params.weights, params.means, covariances, params.covariance_type)


@pytest.mark.parametrize("left_over", [0.0, -1e-33, 1e-33])
def test_what_rounding_leaves_of_a_variance_is_a_collapse(family, left_over):
    _, x, start = case(family)
    rescue, events = rescue_of(x, family)
    raised = rescue.raise_singular(with_variance(start, 1, left_over), 5)
    assert len(events) == 1
    assert events[0].startswith("iteration 5: ")
    assert events[0].endswith("collapsed to a singular covariance; variances were raised")
    assert ("the tied covariance" if family == "tied" else "component 1 ") in events[0]
    variances = np.linalg.eigvalsh(full_covariances(raised)).min(axis=1)
    smallest = FLOOR * x.var(axis=0).min()
    assert variances[1] >= 0.99 * smallest
    if family != "tied":
        np.testing.assert_array_equal(raised.covariances[[0, 2]], start.covariances[[0, 2]])


def test_a_floor_stays_until_the_component_recovers(family):
    _, x, start = case(family)
    rescue, events = rescue_of(x, family)
    floor = FLOOR * x.var(axis=0).max()
    narrow = with_variance(start, 1, 3 * floor)
    exact = rescue.raise_singular(narrow, 0)  # narrow, but never collapsed
    np.testing.assert_array_equal(exact.covariances, narrow.covariances)
    rescue.raise_singular(with_variance(start, 1, 0.0), 1)
    held = rescue.raise_singular(narrow, 2)
    assert full_covariances(held)[1, 0, 0] > 3.1 * floor
    assert rescue.acted
    wide = with_variance(start, 1, 1e4 * floor)
    free = rescue.raise_singular(wide, 3)
    np.testing.assert_array_equal(free.covariances, wide.covariances)
    assert not rescue.acted
    again = rescue.raise_singular(narrow, 4)
    np.testing.assert_array_equal(again.covariances, narrow.covariances)
    assert len(events) == 1


def test_a_dead_component_takes_half_of_the_heaviest(family):
    _, x, start = case(family)
    params = Params(np.array([0.3, 0.0, 0.7]), start.means, start.covariances, family)
    rescue, events = rescue_of(x, family)
    new = rescue.revive(params, np.array([False, True, False]), 4)
    np.testing.assert_allclose(new.weights, [0.3, 0.35, 0.35])
    np.testing.assert_array_equal(new.means[0], params.means[0])
    np.testing.assert_allclose((new.means[1] + new.means[2]) / 2, params.means[2])
    # apart by one standard deviation of one feature
    apart = new.means[1] - new.means[2]
    deviations = np.sqrt(np.diagonal(full_covariances(params)[2]))
    assert np.count_nonzero(apart) == 1
    assert np.abs(apart).sum() == pytest.approx(deviations[np.flatnonzero(apart)[0]])
    np.testing.assert_array_equal(full_covariances(new)[1], full_covariances(params)[2])
    assert events[0].startswith("iteration 4: component 1 died")
    assert rescue.acted


def test_no_convergence_in_the_first_iteration_or_one_that_rescued(family, monkeypatch):
    _, x, start = case(family)
    assert fit(x, start, tol=1e9).n_iter == 2
    calls = []

    def dead_in_the_second(rescue, stats):
        calls.append(stats)
        return np.arange(len(stats.n_k)) == (1 if len(calls) == 2 else -1)

    monkeypatch.setattr(Rescue, "dead", dead_in_the_second)
    result = fit(x, start, tol=1e9)
    assert said(result, "iteration 2: component 1 died")
    assert (result.n_iter, result.converged) == (4, True)


def test_collapse_onto_reg_covar_is_told(family):
    if family == "tied":
        pytest.skip("one covariance for all: it does not collapse")
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 2))
    x[:100] = 3.25
    start = case(family, k=2)[2]
    covariances = start.covariances.copy()
    covariances[0] = 0.01 * (np.eye(2) if family == "full" else 1.0)
    start = Params(start.weights, np.array([[3.25, 3.25], [0, 0]]), covariances, family)
    result = fit(x, start, tol=1e-8, max_iter=200, reg_covar=1e-6)
    assert said(result, "component 0 collapsed: in some direction the variance is hardly more")
    assert not said(result, "component 1 collapsed")
    assert_valid(result, x)


def test_a_covariance_that_cannot_be_raised():
    _, x, start = case("diag")
    start.covariances[1, 0] = np.nan
    with pytest.raises(FitError, match="iteration 0: a covariance is not finite; rescale"):
        fit(x, start)


# ----------------------------------------------------------------------------------------------
# Weights
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), r"has shape \(3,\); \(4,\) is needed"),
        ([1, 2, -1, 0], r"row 2 \(counting from 0\) is -1"),
        ([1, np.nan, 1, 1], r"row 1 \(counting from 0\) is NaN"),
        ([0, 0, 0, 0], "all weights are zero"),
        (["a", "b", "c", "d"], "not numbers"),
        ([0, 0, 1, 1e39], "the largest is 1e.39; it must lie between 1e-20 and 1e.20"),
        ([0, 0, 1e-50, 1e-45], "the largest is 1e-45; it must lie between"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(DataError, match=f"sample_weight.*{message}"):
        check_weights(weights, 4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("size", [2e-20, 1e20])
def test_weights_as_small_and_large_as_may_be(family, dtype, size):
    rng, x, start = case(family)
    weights = rng.uniform(0.1, 1, len(x))
    a = fit(x, start, max_iter=5, dtype=dtype, weights=weights)
    b = fit(x, start, max_iter=5, dtype=dtype, weights=check_weights(size * weights, len(x)))
    assert_same_fit(a, b, 1e-9 if dtype == np.float64 else 1e-3)


def test_samples_of_weight_zero_do_not_matter(family):
    rng, x, start = case(family)
    outliers = 1e3 * rng.normal(size=(40, 2))
    weights = np.concatenate([np.ones(len(x)), np.zeros(40)])
    a = fit(x, start, max_iter=20)
    b = fit(np.concatenate([x, outliers]), start, max_iter=20, weights=weights)
    assert_same_fit(a, b, 1e-9)
    assert b.total_weight == len(x)
    assert b.log_likelihood == pytest.approx(a.log_likelihood, rel=1e-12)
