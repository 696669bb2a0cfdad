"""Short runs of EM in one compiled call: what `em.fit` does, and left to it where it is needed."""

from dataclasses import replace

import numpy as np
import pytest
from cases import backend, draw, random_params

from gmm_fast import em
from gmm_fast.em.regularisation import reg_covar_for
from gmm_fast.mixture.params import Params
from gmm_fast.starts import short


def case(family, n=300, d=2, k=3, seed=0):
    """Rows of a mixture, and a start that is not the truth."""
    rng = np.random.default_rng(seed)
    x = draw(rng, random_params(rng, family, k, d), n)
    other = random_params(rng, family, k, d)
    return rng, x, Params(other.weights, x[:k].copy(), 2 * other.covariances, family)


def settings_for(data, family, tol=0.0, max_iter=20, reg_covar="auto"):
    reg_covar = reg_covar_for(reg_covar, data.survey(family), data.dtype)
    return em.Settings(tol, max_iter, reg_covar)


def assert_same(found, expected, rtol):
    assert found.n_iter == expected.n_iter
    assert found.converged == expected.converged
    assert found.events == ()
    assert not any(event.startswith("iteration") for event in expected.events)
    assert found.log_likelihood == pytest.approx(expected.log_likelihood, rel=rtol)
    assert found.params.covariance_type == expected.params.covariance_type
    for name in ("weights", "means", "covariances"):
        a, b = (getattr(r.params, name) for r in (found, expected))
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max(), err_msg=name)


def compiled(data, start, settings, patience=short.ENDLESS):
    """The short run, which is to be one compiled call; None where it cannot be."""
    runs = short.ShortRuns(data, start.covariance_type, settings)
    return runs._run_compiled(start, settings.max_iter, settings.tol, patience)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("d", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_iterations_are_those_of_em(family, dtype, d, weighted):
    rng, x, start = case(family, d=d)
    weights = rng.uniform(0, 2, len(x)) if weighted else None
    data = backend(x, dtype=dtype, weights=weights)
    reg_covar = np.linspace(1e-9, 1e-6, d)
    settings = settings_for(data, family, reg_covar=reg_covar)
    before = start.weights.copy(), start.means.copy(), start.covariances.copy()
    found = compiled(data, start, settings)
    assert_same(found, em.fit(data, start, settings), 1e-10 if dtype == np.float64 else 1e-4)
    for array, was in zip((start.weights, start.means, start.covariances), before, strict=True):
        np.testing.assert_array_equal(array, was)


@pytest.mark.parametrize("n", [10, 255, 256, 257, 1500])
def test_any_number_of_rows(n):
    _, x, start = case("tied", n=n)
    data = backend(x)
    settings = settings_for(data, "tied", max_iter=4, reg_covar=1e-3)
    assert_same(compiled(data, start, settings), em.fit(data, start, settings), 1e-10)


def test_small(family):
    """Run without the compiler, too: see test_kernels."""
    _, x, start = case(family, n=30, d=3)
    data = backend(x)
    settings = settings_for(data, family, max_iter=2)
    assert_same(compiled(data, start, settings), em.fit(data, start, settings), 1e-10)


def test_one_component(family):
    _, x, start = case(family, k=1)
    data = backend(x)
    settings = settings_for(data, family)
    assert_same(compiled(data, start, settings), em.fit(data, start, settings), 1e-10)


def test_it_stops_where_em_does(family):
    _, x, start = case(family)
    data = backend(x)
    for tol, max_iter in ((1e-5, 1000), (1e-2, 1000), (1e-5, 3), (1e9, 10), (1e-3, 0)):
        settings = settings_for(data, family, tol, max_iter)
        found = compiled(data, start, settings)
        assert_same(found, em.fit(data, start, settings), 1e-9)


def test_float32_far_from_zero_has_its_origin(family):
    _, x, start = case(family)
    shift = 1e6
    moved = Params(start.weights, start.means + shift, start.covariances, family)
    data = backend(x + shift, dtype=np.float32)
    assert data.origin is not None
    settings = settings_for(data, family, max_iter=5)
    found = compiled(data, moved, settings)
    near = compiled(backend(x), start, settings)
    np.testing.assert_allclose(found.params.means - shift, near.params.means, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.params.covariances, near.params.covariances, atol=1e-4)


def test_more_features_than_pay_are_left_to_em(family, monkeypatch):
    _, x, start = case(family)
    data = backend(x)
    settings = settings_for(data, family)
    monkeypatch.setattr(short, "MOST_FEATURES", 1)
    runs = short.ShortRuns(data, family, settings)
    found, expected = runs(start, 5, 0.0), em.fit(data, start, replace(settings, max_iter=5))
    np.testing.assert_array_equal(found.params.means, expected.params.means)
    assert found.log_likelihood == expected.log_likelihood


@pytest.mark.parametrize("family", ["diag", "spherical"])
def test_means_far_from_one_another_are_evaluated_without_products(family):
    """Squares about the centre of all would cancel; the triangular form does without."""
    _, x, start = case(family)
    x[::2] += 1e6
    start = Params(start.weights, x[:3].copy(), start.covariances, family)
    data = backend(x)
    settings = settings_for(data, family, max_iter=5)
    runs = short.ShortRuns(data, family, settings)
    found = runs(start, 5, 0.0)
    assert runs._spare.get(-3)
    assert_same(found, em.fit(data, start, settings), 1e-8)


def test_runs_that_fall_behind_end_early(family):
    _, x, start = case(family)
    data = backend(x)
    settings = settings_for(data, family, max_iter=100)
    whole = compiled(data, start, settings)
    hopeless = short.Patience(whole.log_likelihood + 1e4, 4, 0.5)
    assert compiled(data, start, settings, hopeless).n_iter == 4
    # what is there already, and what is still gaining as much, goes on
    for patience in (short.Patience(whole.log_likelihood - 1e4, 4, 0.5), short.ENDLESS):
        assert compiled(data, start, settings, patience).n_iter == whole.n_iter


def repeated_row(x):
    """A component on a row that is repeated, with no variance of its own."""
    x[:50] = x[0]
    return x, [x[0], x[100], x[200]], None


def far_component(x):
    """A component where no samples are."""
    return x, [x[0], x[100], [1e4, 1e4]], 1e-3


def constant_feature(x):
    x[:, 1] = 7.0
    return x, [x[0], x[100], x[200]], None


@pytest.mark.parametrize("trouble", [repeated_row, far_component, constant_feature])
def test_what_em_has_to_tell_is_left_to_it(family, trouble):
    _, x, start = case(family)
    x, means, narrow = trouble(x)
    covariances = start.covariances if narrow is None else narrow * start.covariances
    start = Params(start.weights, np.array(means, float), covariances, family)
    data = backend(x)
    settings = settings_for(data, family, max_iter=60, reg_covar=0.0)
    expected = em.fit(data, start, settings)
    found = short.ShortRuns(data, family, settings)(start, settings.max_iter, settings.tol)
    if any("collapsed to" in e or "died" in e for e in expected.events):
        assert compiled(data, start, settings) is None
        assert found.events == tuple(expected.events)
    assert found.n_iter == expected.n_iter
    np.testing.assert_allclose(found.params.means, expected.params.means, rtol=1e-6)
