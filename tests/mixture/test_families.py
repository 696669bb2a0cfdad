"""Covariance families, parameters and statistics: definitions, laws, and what is refused."""

import naive
import numpy as np
import pytest
from cases import backend, draw, full_covariances, random_params
from naive import LONG

from gmm_fast import em
from gmm_fast.errors import DataError, FitError
from gmm_fast.kernels import cholesky
from gmm_fast.mixture import stats
from gmm_fast.mixture.families import FAMILIES, get_family
from gmm_fast.mixture.forms import make_form
from gmm_fast.mixture.params import Params, check_params, covariance_shape
from gmm_fast.mixture.stats import Stats


def case(family, n=500, d=3, k=4, seed=0):
    rng = np.random.default_rng(seed)
    params = random_params(rng, family, k, d)
    return rng, params, draw(rng, params, n)


def m_step_of(x, params, reg_covar=0.0, **options):
    found = backend(x, **options).stats(params)
    return em.m_step(found, params, reg_covar, np.zeros(params.n_components, bool))


def naive_m_step(x, params, reg_covar=0.0, weights=None):
    resp = naive.e_step(x, params)[1] * naive.sample_weights(x, weights)[:, None]
    return Params(*naive.m_step(x, resp, params.covariance_type, reg_covar), params.covariance_type)


def assert_params_close(found, want, rtol):
    """Relative to the largest value of each kind."""
    for name in ("weights", "means", "covariances"):
        a, b = getattr(found, name), np.asarray(getattr(want, name), float)
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max(), err_msg=name)


# ----------------------------------------------------------------------------------------------
# M-step
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reg_covar", [0.0, 0.25])
@pytest.mark.parametrize("weighted", [False, True])
def test_m_step(family, reg_covar, weighted):
    rng, params, x = case(family)
    weights = rng.uniform(0, 3, len(x)) if weighted else None
    found = m_step_of(x, params, reg_covar, weights=weights)
    assert_params_close(found, naive_m_step(x, params, reg_covar, weights), 1e-13)


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 2e-7), (np.float32, 5e-4)])
@pytest.mark.parametrize("far", [30.0, 300.0, 1e4, 1e6, 1e9])
def test_tied_m_step_with_means_far_apart(dtype, rtol, far):
    """Half of the digits are kept at least, however far; near, all but a few."""
    rng = np.random.default_rng(1)
    means = far * np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    params = Params(np.full(3, 1 / 3), means, np.eye(3) + 0.5, "tied")
    x = draw(rng, params, 2000).astype(dtype)
    start = Params(params.weights, means + 0.1, params.covariances, "tied")
    found, want = m_step_of(x, start), naive_m_step(x, start)
    np.testing.assert_allclose(found.covariances, want.covariances.astype(float), rtol, rtol)
    # measured: less than the rounding of the data itself
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(found.means, want.means.astype(float), rtol=0, atol=eps * far + rtol)


def test_shifted_data_shift_the_means(family):
    """1e6 standard deviations away from zero, moments keep their digits."""
    _, params, x = case(family)
    x = np.round(x * 2**20) / 2**20  # so that shifted data is exact
    shift = np.array([2.0**20, -(2.0**21), 2.0**19])
    shifted = Params(params.weights, params.means + shift, params.covariances, family)
    exact = Params(params.weights, shifted.means - shift, params.covariances, family)
    a, b = m_step_of(x, exact), m_step_of(x + shift, shifted)
    np.testing.assert_allclose(b.covariances, a.covariances, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(b.means - shift, a.means, rtol=0, atol=1e-9)
    np.testing.assert_allclose(b.weights, a.weights, rtol=1e-9)


# ----------------------------------------------------------------------------------------------
# Statistics
# ----------------------------------------------------------------------------------------------


def test_merged_statistics_are_those_of_the_union(family):
    rng, params, x = case(family)
    weights = rng.uniform(0.5, 2, len(x))
    whole = backend(x, weights=weights).stats(params)
    parts = [
        backend(x[s], weights=weights[s]).stats(params) for s in (slice(123), slice(123, None))
    ]
    merged = stats.merge(*parts)
    same = stats.merge(merged, Stats.zeros(whole.means, whole.s2.shape))
    for name in vars(whole):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), 1e-11, 1e-9)
        np.testing.assert_array_equal(getattr(same, name), getattr(merged, name))


def test_integer_weights_are_repetitions(family):
    rng, params, x = case(family)
    times = rng.integers(0, 4, len(x))
    weighted = backend(x, weights=times.astype(float)).stats(params)
    repeated = backend(np.repeat(x, times, axis=0)).stats(params)
    for name in vars(weighted):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), 1e-11, 1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_weights_times_a_constant(family, factor):
    rng, params, x = case(family)
    weights = rng.uniform(0.5, 2, len(x))
    a, b = (backend(x, weights=w).stats(params) for w in (weights, factor * weights))
    for name in vars(a):
        scale = 1 if name == "means" else factor
        np.testing.assert_allclose(
            getattr(b, name), scale * getattr(a, name), 1e-11, 1e-9 * scale, err_msg=name
        )


# ----------------------------------------------------------------------------------------------
# What a family says of itself
# ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 1), (1, 4), (5, 7)])
def test_number_of_parameters(family, k, d):
    own = {"full": k * d * (d + 1) // 2, "tied": d * (d + 1) // 2, "diag": k * d, "spherical": k}
    assert get_family(family).n_parameters(k, d) == (k - 1) + k * d + own[family]


def test_what_a_family_derives_from_covariances(family):
    one = FAMILIES[family]
    _, params, _ = case(family, n=1, d=3, k=4)
    full = full_covariances(params)
    np.testing.assert_array_equal(one.full(params), full)
    np.testing.assert_array_equal(
        one.component_variances(params), np.diagonal(full, axis1=1, axis2=2)
    )
    assert one.unit(3).shape == covariance_shape(family, 1, 3)
    back = one.invert(one.invert(params.covariances))
    np.testing.assert_allclose(back, params.covariances, rtol=1e-12, atol=1e-12)
    factor, singular = one.inverse_cholesky(params.covariances)
    assert not singular.any()
    conditional = 1 / np.diagonal(np.linalg.inv(full), axis1=1, axis2=2)
    shape = np.broadcast_shapes(one.conditional_variances(factor).shape, conditional.shape)
    found = np.broadcast_to(one.conditional_variances(factor), shape)
    np.testing.assert_allclose(found, conditional, rtol=1e-12)


def test_conditional_variances_of_raised_covariances(family):
    """A floor holds what it says: no feature keeps less variance than that, given the others."""
    one = FAMILIES[family]
    _, params, _ = case(family, n=1, d=3, k=4)
    zero = 0.0 * params.covariances
    _, singular = one.inverse_cholesky(zero)
    assert singular.all()
    floor = np.array([1e-3, 1e3, 1.0])
    factor, singular = one.inverse_cholesky(one.raise_variances(zero, singular, floor))
    assert not singular.any()
    want = floor.mean() if family == "spherical" else floor
    found = one.conditional_variances(factor)
    np.testing.assert_allclose(found, np.broadcast_to(want, found.shape), rtol=1e-12)


@pytest.mark.parametrize("name", ["full", "tied"])
@pytest.mark.parametrize("units", [1.0, 1e-9, 1e9])
def test_singular_whatever_the_units(name, units):
    one = FAMILIES[name]
    scale = np.diag([1.0, units])
    line = scale @ np.array([[1.0, 1.0], [1.0, 1.0]]) @ scale
    narrow = scale @ np.array([[1.0, 1 - 1e-12], [1 - 1e-12, 1.0]]) @ scale
    for sigma, bad in [(line, True), (narrow, False)]:
        _, singular = one.inverse_cholesky(sigma if name == "tied" else sigma[None])
        assert singular.tolist() == [bad]


@pytest.mark.parametrize("d", [1, 2, 5, cholesky.MOST_FEATURES])
def test_small_matrices_are_inverted_as_large_ones_are(d, monkeypatch):
    rng = np.random.default_rng(d)
    a = rng.normal(size=(7, d, 2 * d))
    matrices = a @ np.swapaxes(a, 1, 2)
    matrices[2, :, -1] = matrices[2, -1] = 0.0  # a feature that is constant
    matrices[4] = np.outer(a[4, :, 0], a[4, :, 0]) if d > 1 else np.nan
    matrices[5, -1, -1] = -1.0
    small, found = get_family("full").inverse_cholesky(matrices)
    read_only = np.broadcast_to(matrices, (1, *matrices.shape))[0]
    np.testing.assert_array_equal(get_family("full").inverse_cholesky(read_only)[0], small)
    monkeypatch.setattr(cholesky, "MOST_FEATURES", 0)
    large, expected = get_family("full").inverse_cholesky(matrices)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(np.flatnonzero(found), [2, 4, 5])
    np.testing.assert_allclose(small, large, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_bad_variances_are_singular(family, bad):
    one = FAMILIES[family]
    _, params, _ = case(family, n=1, d=3, k=4)
    covariances = params.covariances.copy()
    where = {"full": (2, 1, 1), "tied": (1, 1), "diag": (2, 1), "spherical": (2,)}[family]
    covariances[where] = bad
    factor, singular = one.inverse_cholesky(covariances)
    assert singular.tolist() == ([True] if family == "tied" else [False, False, True, False])
    assert np.isfinite(factor).all()
    with pytest.raises(FitError, match="not positive definite; raise reg_covar"):
        make_form(Params(params.weights, params.means, covariances, family))


def test_unknown_family():
    with pytest.raises(DataError, match="unknown covariance family 'fuller'; choose from full,"):
        get_family("fuller")


# ----------------------------------------------------------------------------------------------
# Parameters
# ----------------------------------------------------------------------------------------------


def test_good_parameters_pass(family):
    _, params, _ = case(family)
    checked = check_params(params)
    for name in ("weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(checked, name), getattr(params, name))


BAD = {
    "weights of shape": {"weights": np.ones(2) / 2},
    "weights hold values": {"weights": np.array([np.nan, 0.5, 0.25, 0.25])},
    "must not be negative": {"weights": np.array([-0.5, 0.5, 0.5, 0.5])},
    "sum to 1": {"weights": np.full(4, 0.3)},
    "means hold values": {"means": np.full((4, 3), np.inf)},
    "covariances have shape": {"covariances": np.ones((2, 2, 2, 2))},
    "covariances hold values": lambda p: {"covariances": p.covariances * np.nan},
    "not positive": lambda p: {"covariances": -p.covariances},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_parameters_are_refused(family, message):
    _, params, _ = case(family)
    change = BAD[message](params) if callable(BAD[message]) else BAD[message]
    values = {n: getattr(params, n) for n in ("weights", "means", "covariances")} | change
    with pytest.raises(DataError, match=f"^given: .*{message}"):
        check_params(Params(**values, covariance_type=family), "given")


def test_covariances_must_be_symmetric():
    for name in ("full", "tied"):
        _, params, _ = case(name)
        params.covariances[..., 0, 1] += 1e-3
        with pytest.raises(DataError, match="not symmetric"):
            check_params(params)


# ----------------------------------------------------------------------------------------------
# The reference itself
# ----------------------------------------------------------------------------------------------


def test_naive_agrees_with_scipy(family):
    from scipy.stats import multivariate_normal

    _, params, x = case(family, n=20)
    found = naive.log_densities(x, params.means, params.covariances, family)
    assert found.dtype == LONG
    for k, sigma in enumerate(full_covariances(params)):
        want = multivariate_normal(params.means[k], sigma).logpdf(x)
        np.testing.assert_allclose(found[:, k].astype(float), want, rtol=1e-12)
