"""The compiled passes against `naive`, whatever the shape, the scale, the dtype and the threads."""

import os
import subprocess
import sys
from pathlib import Path

import naive
import numba
import numpy as np
import pytest
from cases import backend, draw, full_covariances, random_params
from conftest import FAMILIES
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import LONG
from pairwise import pairwise

from gmm_fast.backends import LocalBackend, local, threads
from gmm_fast.checks import spell
from gmm_fast.errors import DataError
from gmm_fast.kernels import elementary, gaussian, kmeans
from gmm_fast.mixture import forms
from gmm_fast.mixture.forms import make_form
from gmm_fast.mixture.params import Params
from gmm_fast.sources import open_source

# Errors relative to the sum of the terms' magnitudes; about ten times what was measured.
RTOL = {np.float64: 3e-14, np.float32: 1e-5}

each_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])

n_rows = st.integers(1, 20) | st.sampled_from([127, 128, 129, 255, 256, 257, 513, 1100])
n_features = st.integers(1, 9) | st.sampled_from([12, 17])
n_components = st.integers(1, 7)
weightings = st.sampled_from(["none", "random", "zeros"])
seeds = st.integers(0, 2**16)


def make_weights(rng, kind, n):
    if kind == "none":
        return None
    weights = rng.uniform(0.1, 3.0, n)
    if kind == "zeros":
        weights[rng.permutation(n)[: n // 2]] = 0.0
    return weights


def make_case(family, dtype, n, d, k, seed, scale=1.0):
    """A mixture and rows near it; the rows as `dtype` holds them."""
    rng = np.random.default_rng(seed)
    params = random_params(rng, family, k, d)
    x = (scale * draw(rng, params, n)).astype(dtype)
    variance_scale = scale**2
    params = Params(
        params.weights, scale * params.means, variance_scale * params.covariances, family
    )
    return rng, params, x


def second_moments(want, family):
    """Naive's (K, d, d) second moments as `Stats` holds them."""
    if family == "full":
        return want.s2
    if family == "tied":
        return want.s2.sum(axis=0)
    if family == "spherical":
        return np.einsum("kii->k", want.s2)
    return np.einsum("kii->ki", want.s2)


def close(found, want, bound):
    """|found - want| <= bound, with what went wrong in the message."""
    error = np.abs(np.asarray(found, LONG) - want)
    assert np.isfinite(np.asarray(found)).all()
    assert (error <= bound).all(), f"largest error over its bound: {(error / bound).max():.3g}"


def check_stats(stats, x, params, weights, rtol):
    """Every statistic agrees with naive's, about the means that `stats` says."""
    family = params.covariance_type
    want = naive.moments(x, params, weights, about=stats.means)
    w = naive.sample_weights(x, weights)
    log_prob, _ = naive.e_step(x, params)
    size = np.abs(np.asarray(x, LONG)[:, None] - stats.means)
    if family != "full":  # moments about the centre have rounding errors beside the variances
        size = size + np.sqrt(np.einsum("kii->ki", full_covariances(params)))
    sizes = naive.Moments(
        *want[:4],
        np.einsum("n,nki->ki", w, size),
        np.einsum("n,nki,nkj->kij", w, size, size),
    )
    total = w.sum()
    close(stats.total_weight, want.total_weight, rtol * total)
    close(stats.log_likelihood, want.log_likelihood, rtol * (w * (10 + abs(log_prob))).sum())
    close(stats.log_max_resp, want.log_max_resp, 10 * rtol * total)
    close(stats.n_k, want.n_k, rtol * total)
    close(stats.s1, want.s1, rtol * sizes.s1)
    close(stats.s2, second_moments(want, family), rtol * second_moments(sizes, family))


def score(one, params):
    """(log_prob, labels, resp) of all rows."""
    parts = [
        [a.copy() for a in out]
        for _, out in one.score(params, log_prob=True, labels=True, resp=True)
    ]
    return [np.concatenate(p) for p in zip(*parts, strict=True)]


def check_score(one, x, params, rtol):
    log_prob, labels, resp = score(one, params)
    joint = naive.log_joint(x, params)
    want, want_resp = naive.e_step(x, params)
    bound = rtol * (10 + abs(want))
    close(log_prob, want, bound)
    close(resp, want_resp, 10 * bound[:, None])
    close(resp.sum(axis=1), 1, rtol)
    assert labels.dtype == np.int32
    chosen = joint[np.arange(len(x)), labels]
    assert (chosen >= joint.max(axis=1) - bound).all()


# ----------------------------------------------------------------------------------------------
# Against naive
# ----------------------------------------------------------------------------------------------


@each_dtype
@settings(max_examples=25)
@given(n=n_rows, d=n_features, k=n_components, weighting=weightings, seed=seeds)
def test_stats(family, dtype, n, d, k, weighting, seed):
    rng, params, x = make_case(family, dtype, n, d, k, seed)
    weights = make_weights(rng, weighting, n)
    stats = backend(x, weights=weights).stats(params)
    check_stats(stats, x, params, weights, RTOL[dtype])


@each_dtype
@settings(max_examples=15)
@given(n=n_rows, d=n_features, k=n_components, seed=seeds)
def test_score(family, dtype, n, d, k, seed):
    _, params, x = make_case(family, dtype, n, d, k, seed)
    check_score(backend(x), x, params, RTOL[dtype])


@pytest.mark.parametrize("d", [1, 5])
def test_small(family, d):
    """One block and a bit: also run without the compiler, below, where indices are checked."""
    rng, params, x = make_case(family, np.float64, 130, d, 3, seed=d)
    weights = make_weights(rng, "zeros", len(x))
    check_stats(backend(x, weights=weights).stats(params), x, params, weights, 1e-13)
    check_score(backend(x), x, params, 1e-13)


@each_dtype
@pytest.mark.parametrize("exponent", [-1, 1])
def test_extreme_scales(family, dtype, exponent):
    scale = (1e100 if dtype is np.float64 else 1e12) ** exponent
    rng, params, x = make_case(family, dtype, 300, 3, 4, seed=1, scale=scale)
    weights = make_weights(rng, "random", len(x))
    check_stats(backend(x, weights=weights).stats(params), x, params, weights, RTOL[dtype])


@each_dtype
def test_features_of_very_different_scales(family, dtype):
    _, params, x = make_case(family, dtype, 300, 5, 3, seed=2)
    units = np.array([1e-6, 1.0, 1e6, 1e3, 1e-3])
    if family == "spherical":
        units[:] = 1e-6
    units_k = {
        "full": units[:, None] * units,
        "tied": units[:, None] * units,
        "diag": units,
        "spherical": units[0] ** 2,
    }[family]
    if family == "diag":
        units_k = units**2
    x = (x * units).astype(dtype)
    params = Params(params.weights, params.means * units, params.covariances * units_k, family)
    check_stats(backend(x).stats(params), x, params, None, RTOL[dtype])


def test_a_component_of_weight_zero(family):
    _, params, x = make_case(family, np.float64, 200, 2, 3, seed=3)
    weights = np.array([0.5, 0.0, 0.5])
    params = Params(weights, params.means, params.covariances, family)
    stats = backend(x).stats(params)
    assert stats.n_k[1] == 0
    check_stats(stats, x, params, None, 1e-13)
    check_score(backend(x), x, params, 1e-13)


@each_dtype
def test_a_row_far_from_everything(family, dtype):
    """Its squared distance overflows, and yet its log_prob is a number and its resp sum to 1."""
    _, params, x = make_case(family, dtype, 300, 3, 4, seed=4)
    x[[0, 150, 299]] = np.array([1e200 if dtype is np.float64 else 1e25, -1.0, 0.0])
    far = np.zeros(300, bool)
    far[[0, 150, 299]] = True
    log_prob, labels, resp = score(backend(x), params)
    assert np.isfinite(log_prob).all()
    assert (log_prob[far] < -1e30).all()
    close(resp.sum(axis=1), 1, RTOL[dtype])
    assert ((labels >= 0) & (labels < 4)).all()
    near = naive.e_step(x[~far], params)[0]
    close(log_prob[~far], near, RTOL[dtype] * (10 + abs(near)))


@each_dtype
def test_a_row_far_away_but_not_beyond_reach(family, dtype):
    """Every density underflows, and still it is clear whose row it is."""
    _, params, x = make_case(family, dtype, 200, 3, 2, seed=5)
    x[77] = 1e5 if dtype is np.float64 else 300
    assert naive.e_step(x[77:78], params)[0] < -20_000
    check_stats(backend(x).stats(params), x, params, None, RTOL[dtype])


@pytest.mark.parametrize(
    ("dtype", "apart"),
    [
        *((np.float64, apart) for apart in (3, 30, 300, 1e4, 1e6)),
        *((np.float32, apart) for apart in (3, 30, 300)),
    ],
)
def test_components_far_apart_cost_no_digits(family, dtype, apart):
    """Products of matrices would, so they are used only where components are near."""
    rng = np.random.default_rng(6)
    params = random_params(rng, family, 3, 3)
    params = Params(params.weights, apart * params.means, params.covariances, family)
    x = draw(rng, params, 400).astype(dtype)
    rtol = {np.float64: 1e-13, np.float32: 2e-5}[dtype] * max(1, apart / 30)
    check_stats(backend(x).stats(params), x, params, None, rtol)
    check_score(backend(x), x, params, rtol)


def test_squares_that_float32_cannot_hold_are_not_used():
    """At a standard deviation of 1e-20 precisions are infinite; the densities are not."""
    _, params, x = make_case("diag", np.float32, 500, 3, 2, seed=20)
    tiny = Params(params.weights, 1e-20 * params.means, 1e-40 * params.covariances, "diag")
    near, far = backend(x), backend((1e-20 * x.astype(np.float64)).astype(np.float32))
    want = near.stats(params).log_likelihood - 500 * 3 * np.log(1e-20)
    assert far.stats(tiny).log_likelihood == pytest.approx(want, rel=1e-5)


@each_dtype
def test_the_likelihood_of_a_row_whose_squares_overflow(family, dtype):
    """It can be scored, if not fitted, whatever the family."""
    _, params, x = make_case(family, dtype, 300, 3, 2, seed=21)
    x[7, 1] = 1e200 if dtype is np.float64 else 1e25
    log_prob = score(backend(x), params)[0]
    total = backend(x).stats(params).log_likelihood
    assert total == pytest.approx(float(log_prob.astype(np.float64).sum()), rel=1e-6)


@each_dtype
def test_near_and_far_forms_agree(family, dtype, monkeypatch):
    _, params, x = make_case(family, dtype, 700, 6, 5, seed=19)
    near = backend(x).stats(params)
    monkeypatch.setattr(forms, "NEAR", dict.fromkeys(forms.NEAR, 0.0))
    assert make_form(params).kernel is not gaussian.linear_pass
    far = backend(x).stats(params)
    scale = np.sqrt(np.einsum("kii->ki", full_covariances(params)))
    n = len(x)
    close(near.log_likelihood, far.log_likelihood, RTOL[dtype] * n * 20)
    close(near.n_k, far.n_k, RTOL[dtype] * n)
    close(near.s1 / scale, far.s1 / scale, RTOL[dtype] * n)
    size = np.abs(far.s2).max() + n
    close(near.s2, far.s2, RTOL[dtype] * size)


@pytest.mark.parametrize("streamed", [False, True])
def test_weights_go_with_their_rows(family, streamed, monkeypatch, tmp_path):
    """Through several chunks."""
    rng, params, x = make_case(family, np.float64, 1500, 3, 3, seed=18)
    weights = make_weights(rng, "random", len(x))
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(local, "CHUNK_BYTES", 2**13)
    one = LocalBackend(
        open_source(tmp_path / "x.npy"), room=0 if streamed else 2**27, weights=weights, threads=1
    )
    assert len(list(one.chunks())) > 3
    check_stats(one.stats(params), x, params, weights, RTOL[np.float64])
    check_score(one, x, params, RTOL[np.float64])


# ----------------------------------------------------------------------------------------------
# The passes called directly
# ----------------------------------------------------------------------------------------------


def empty_lanes(form, count, k):
    return gaussian.Lanes(
        np.zeros((count, 4)),
        np.zeros((count, k)),
        *(np.zeros((count, *shape)) for shape in form.shapes),
    )


def no_outputs(k):
    return gaussian.Outputs(np.empty(0), np.empty(0, np.int32), np.empty((0, k)))


@pytest.mark.parametrize("count", [1, 3, 64])
def test_a_pass_adds_to_any_number_of_lanes(family, count):
    _, params, x = make_case(family, np.float64, 700, 3, 3, seed=6)
    form = make_form(params)
    lanes = empty_lanes(form, count, 3)
    for part in (x[:300], x[300:]):
        form.kernel(part, np.empty(0), form.arrays, lanes, no_outputs(3))
    merged = gaussian.Lanes(*(a.sum(axis=0, keepdims=True) for a in lanes))
    check_stats(form.collect(merged), x, params, None, 1e-13)


def test_responsibilities_come_out_weighted(family):
    rng, params, x = make_case(family, np.float64, 130, 2, 3, seed=7)
    weights = make_weights(rng, "zeros", 130)
    form = make_form(params)
    out = gaussian.Outputs(np.empty(0), np.empty(0, np.int32), np.empty((130, 3)))
    form.kernel(x, weights, form.arrays, empty_lanes(form, 1, 3), out)
    close(out.resp, weights[:, None] * naive.e_step(x, params)[1], 1e-12)


# ----------------------------------------------------------------------------------------------
# log
# ----------------------------------------------------------------------------------------------


@numba.njit(error_model="numpy")
def log(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = elementary.log(x[i])
    return out


@each_dtype
def test_log(dtype):
    """Of a sum of squares, of which one is 1. Measured: 1.98 ulp just above 1, both."""
    rng = np.random.default_rng(9)
    x = np.concatenate(
        [1 + 10.0 ** rng.uniform(-7, 0, 200_000), 2.0 ** rng.uniform(0, 60, 200_000)]
    ).astype(dtype)
    x = x[x > 1]
    exact = np.log(x.astype(LONG))
    unit = np.spacing(exact.astype(dtype)).astype(LONG)
    assert (np.abs(log(x).astype(LONG) - exact) / unit).max() <= 2
    assert log(np.ones(1, dtype))[0] == 0


# ----------------------------------------------------------------------------------------------
# Bad values
# ----------------------------------------------------------------------------------------------


def look(one, params, how):
    if how == "survey":
        one.survey(params.covariance_type)
    elif how == "stats":
        one.stats(params)
    else:
        list(one.score(params, log_prob=True))


@pairwise(
    family=FAMILIES,
    how=["survey", "stats", "score"],
    row=[0, 500, 1536, 1999],
    stored=[np.float64, np.float32],
    bad=[np.nan, np.inf, -np.inf],
)
def test_bad_values_are_refused(family, how, row, stored, bad):
    _, params, x = make_case(family, stored, 2000, 3, 2, seed=10)
    x[row, 1] = bad
    with pytest.raises(
        DataError, match=rf"^X: row {row} \(counting from 0\), column 1 is {spell(bad)};"
    ):
        look(backend(x), params, how)


@pairwise(
    how=["survey", "stats", "score"],
    row=[0, 500, 1999],
    bad=[np.nan, np.inf],
    streamed=[False, True],
)
def test_bad_values_in_float32_of_float64_data(how, row, bad, streamed, monkeypatch, tmp_path):
    _, params, x = make_case("full", np.float64, 2000, 3, 2, seed=11)
    x[row, 1] = bad
    np.save(tmp_path / "x.npy", x)
    with pytest.raises(
        DataError, match=rf"row {row} \(counting from 0\), column 1 is {spell(bad)};"
    ):
        look(
            LocalBackend(
                open_source(tmp_path / "x.npy"), room=0 if streamed else 2**20, dtype=np.float32
            ),
            params,
            how,
        )


def test_a_bad_row_of_weight_zero_is_refused_as_well(family):
    _, params, x = make_case(family, np.float64, 300, 3, 2, seed=12)
    x[130] = np.nan
    weights = np.ones(300)
    for zero in (slice(130, 131), slice(128, 256)):
        weights[zero] = 0
        with pytest.raises(DataError, match="row 130 "):
            backend(x, weights=weights).stats(params)


def test_values_whose_squares_overflow(family):
    _, params, x = make_case(family, np.float64, 300, 3, 2, seed=13)
    x[3, 0] = 1e200
    with pytest.raises(DataError, match="squares overflow float64; rescale the data"):
        look(backend(x), params, "survey")


# ----------------------------------------------------------------------------------------------
# The same bits
# ----------------------------------------------------------------------------------------------


def bits(one, params):
    stats = one.stats(params)
    arrays = [stats.n_k, stats.s1, stats.s2, stats.means, *score(one, params)]
    return [
        (stats.total_weight, stats.log_likelihood, stats.log_max_resp),
        *(a.tobytes() for a in arrays),
    ]


@each_dtype
def test_same_bits_at_any_number_of_threads(family, dtype):
    if threads.default_threads() < 2:
        pytest.skip("one thread only")
    rng, params, x = make_case(family, dtype, 20_000, 3, 4, seed=14)
    weights = make_weights(rng, "random", len(x))
    one, two = (bits(backend(x, weights=weights, threads=t), params) for t in (1, 2))
    assert one == two


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [(np.float64, np.float64), (np.float32, np.float32), (np.float64, np.float32)],
)
def test_same_bits_from_any_source(family, stored, dtype, monkeypatch, tmp_path):
    rng, params, x = make_case(family, stored, 5000, 3, 4, seed=15)
    weights = make_weights(rng, "random", len(x))
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "f.npy", np.asfortranarray(x))
    monkeypatch.setattr(local, "CHUNK_BYTES", 2**14)
    options = {"dtype": dtype, "weights": weights}
    rows = np.arange(3, 5000, 7)
    resident = backend(x, **options)
    want, want_rows = bits(resident, params), resident.take(rows)
    assert len(list(resident.chunks())) > 5
    reversed_twice = np.ascontiguousarray(x[::-1])[::-1]
    for same in (np.asfortranarray(x), reversed_twice, tmp_path / "x.npy", tmp_path / "f.npy"):
        for limit in (0, 2**27):
            one = LocalBackend(open_source(same), room=limit, **options)
            assert bits(one, params) == want
            np.testing.assert_array_equal(one.take(rows), want_rows)


def test_read_only_data_is_no_new_signature(family):
    if numba.config.DISABLE_JIT:
        pytest.skip("nothing is compiled")
    _, params, x = make_case(family, np.float64, 300, 3, 2, seed=16)
    want = bits(backend(x), params)
    kernel = make_form(params).kernel
    before = len(kernel.signatures)
    x.flags.writeable = False
    assert bits(backend(x), params) == want
    assert bits(backend(np.ascontiguousarray(x)[5:]), params) is not None
    assert len(kernel.signatures) == before
    assert not x.flags.writeable


# ----------------------------------------------------------------------------------------------
# k-means
# ----------------------------------------------------------------------------------------------


def run_distances(x, centers, squared=True):
    """Labels, least squared distances and all of them, from rows padded to whole blocks."""
    n = len(x)
    z = np.pad(np.ascontiguousarray(x.T), ((0, 0), (0, -n % kmeans.BLOCK)))
    found = np.empty((len(centers) if squared else 0, z.shape[1]))
    nearest, labels = np.empty(z.shape[1]), np.empty(z.shape[1])
    cut = z.shape[1] // kmeans.BLOCK // 2 * kmeans.BLOCK
    for start, stop in ((0, cut), (cut, z.shape[1])):
        kmeans.distances(start, stop, z, centers, found, nearest, labels)
    return labels[:n].astype(int), nearest[:n], found[:, :n]


def check_kmeans(x, centers):
    labels, nearest, distances = run_distances(x, centers)
    want = naive.squared_distances(x, centers)
    close(distances, want, 1e-14 * want + 1e-300)
    np.testing.assert_array_equal(nearest, distances.min(axis=0))
    np.testing.assert_array_equal(labels, distances.argmin(axis=0))
    alone = run_distances(x, centers, squared=False)
    np.testing.assert_array_equal(alone[0], labels)
    np.testing.assert_array_equal(alone[1], nearest)


@settings(max_examples=40)
@given(n=n_rows, d=n_features, k=n_components, seed=seeds)
def test_kmeans_kernel(n, d, k, seed):
    rng = np.random.default_rng(seed)
    check_kmeans(rng.normal(size=(n, d)), rng.normal(size=(k, d)))


def test_small_kmeans():
    rng = np.random.default_rng(17)
    check_kmeans(rng.normal(size=(259, 2)), rng.normal(size=(3, 2)))


def test_a_tie_goes_to_the_first_centre():
    x = np.array([[0.0], [1.0], [2.0]])
    centers = np.array([[1.0], [0.0], [1.0]])
    labels, nearest, _ = run_distances(x, centers)
    assert labels.tolist() == naive.assign(x, centers)[0].tolist() == [1, 0, 0]
    assert nearest.tolist() == [0, 0, 1]


# ----------------------------------------------------------------------------------------------
# Without Numba's threads
# ----------------------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_ranges_of_lanes_give_the_bits_of_the_parallel_pass(family, dtype, scale, monkeypatch):
    """What forked children run is compiled apart, from the same functions of a lane.

    At the larger scale means are moved apart, so that other forms than the linear one are used.
    """
    monkeypatch.setattr(threads, "THREAD_WORK", 1)
    for d, weighting in ((2, "none"), (5, "random")):
        rng, params, x = make_case(family, dtype, 3000, d, 3, seed=d)
        x = x + dtype(scale) * rng.integers(0, 2, size=(len(x), 1)).astype(dtype)
        far = params.means + scale * np.arange(3)[:, None] / 2
        params = Params(params.weights, far, params.covariances, family)
        weights = make_weights(rng, weighting, len(x))
        results = []
        for lost in (False, True):
            monkeypatch.setattr(local, "numba_threads_lost", lambda lost=lost: lost)
            worker = LocalBackend(open_source(x), dtype=dtype, weights=weights)
            s = worker.stats(params)
            found = [s.total_weight, s.log_likelihood, s.log_max_resp, s.n_k, s.s1, s.s2]
            for _, out in worker.score(params, log_prob=True, labels=True, resp=True):
                found += [a.copy() for a in out]
            results.append(found)
        for parallel, ranges in zip(*results, strict=True):
            np.testing.assert_array_equal(parallel, ranges)


# ----------------------------------------------------------------------------------------------
# Without the compiler
# ----------------------------------------------------------------------------------------------


def test_indices_are_in_bounds_without_the_compiler():
    """Compiled code reads past the end in silence; NumPy raises."""
    if numba.config.DISABLE_JIT:
        pytest.skip("this is it")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    other = Path(__file__).parent.parent / "starts" / "test_short.py"
    command += ["-k", "test_small", __file__, str(other)]
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    run = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "13 passed" in run.stdout
