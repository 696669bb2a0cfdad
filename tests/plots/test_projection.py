"""Discriminant directions: laws, a reference, and what they do where means tell nothing."""

import numpy as np
import pytest
from cases import full_covariances, random_params
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from gmm_fast.mixture.params import Params
from gmm_fast.plots.projection import (
    discriminant_view,
    features_view,
    fisher_ratio,
    telling_features,
)

K, D = 4, 6


@pytest.fixture(scope="module")
def params():
    return random_params(np.random.default_rng(0), "full", K, D)


def names(d):
    return [f"f{j}" for j in range(d)]


def view(params, n_axes=2):
    return discriminant_view(params, names(params.n_features), n_axes)


def within(params):
    return np.tensordot(params.weights, full_covariances(params), 1)


def mapped(params, matrix, shift):
    """The mixture of x @ matrix + shift."""
    covariances = matrix.T @ params.covariances @ matrix
    return Params(params.weights, params.means @ matrix + shift, covariances, "full")


def test_no_direction_separates_better(family):
    rng = np.random.default_rng(1)
    params = random_params(rng, family, K, D)
    found = fisher_ratio(params, view(params).axes)
    others = fisher_ratio(params, rng.normal(size=(D, 5000)))
    assert found[0] > others.max()
    # nor does any that is uncorrelated with the first
    axis = view(params).axes[:, :1]
    rest = rng.normal(size=(D, 5000))
    rest -= axis @ (axis.T @ within(params) @ rest)
    assert found[1] > fisher_ratio(params, rest).max()
    np.testing.assert_allclose(view(params).ratios, found, rtol=1e-9)
    assert found[0] >= found[1]


@pytest.mark.parametrize("n_axes", [1, 2, 3, 5])
def test_axes_are_uncorrelated_within_components(family, n_axes):
    """Also those beyond the K - 1 that means span."""
    params = random_params(np.random.default_rng(2), family, 3, D)
    axes = view(params, n_axes).axes
    np.testing.assert_allclose(axes.T @ within(params) @ axes, np.eye(n_axes), atol=1e-9)


def test_affine_maps_change_nothing_but_signs(params):
    rng = np.random.default_rng(3)
    matrix, shift = rng.normal(size=(D, D)), rng.normal(size=D)
    x = rng.normal(size=(50, D)) * 3
    before = view(params).rows(x)
    after = view(mapped(params, matrix, shift)).rows(x @ matrix + shift)
    signs = np.sign((before * after).sum(axis=0))
    np.testing.assert_allclose(after * signs, before, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("scales", [np.geomspace(1e-30, 1e30, D), np.geomspace(1e9, 1e-9, D)])
def test_units_do_not_matter(params, scales):
    x = np.random.default_rng(4).normal(size=(50, D))
    after = view(mapped(params, np.diag(scales), 0.0))
    np.testing.assert_allclose(after.rows(x * scales), view(params).rows(x), rtol=1e-8, atol=1e-8)
    assert after.names == view(params).names


def test_directions_are_those_of_linear_discriminant_analysis(iris):
    x, species = iris
    means = np.stack([x[species == k].mean(axis=0) for k in range(3)])
    covariances = np.stack([np.cov(x[species == k].T, bias=True) for k in range(3)])
    params = Params(np.full(3, 1 / 3), means, covariances, "full")
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(x, species).transform(x)
    ours = view(params).rows(x)
    for j in range(2):
        assert abs(np.corrcoef(ours[:, j], theirs[:, j])[0, 1]) == pytest.approx(1, abs=1e-10)
    # Fisher (1936) knew: the petals tell
    assert "f2" in view(params).names[0]


def test_the_mixture_is_projected(family):
    params = random_params(np.random.default_rng(5), family, K, D)
    seen = view(params)
    means, covariances = seen.mixture(params)
    np.testing.assert_allclose(means, seen.rows(params.means))
    expected = seen.axes.T @ full_covariances(params) @ seen.axes
    np.testing.assert_allclose(covariances, expected, rtol=1e-10, atol=1e-12)


def test_the_second_direction_of_two_components_is_of_their_covariances():
    """Means differ along the first feature, variances along the last: both are seen."""
    variances = np.ones((2, 4))
    variances[1, 3] = 25
    params = Params(np.full(2, 0.5), np.eye(2, 4) * [[4], [0]], variances, "diag")
    loadings = np.abs(view(params).axes)
    assert loadings[:, 0].argmax() == 0
    assert loadings[:, 1].argmax() == 3
    assert view(params).ratios[1] == 0


def test_equal_means_are_told_apart_by_covariances():
    variances = np.ones((2, 3))
    variances[1, 1] = 100
    params = Params(np.full(2, 0.5), np.zeros((2, 3)), variances, "diag")
    assert np.abs(view(params).axes)[:, 0].argmax() == 1


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("family", ["tied", "full"])
def test_there_are_two_directions_of_few_components(k, family):
    params = random_params(np.random.default_rng(6), family, k, D)
    seen = view(params)
    assert seen.axes.shape == (D, 2)
    np.testing.assert_allclose(seen.axes.T @ within(params) @ seen.axes, np.eye(2), atol=1e-9)
    assert seen.names[0].startswith("direction" if k == 1 else "discriminant")


def test_nearly_singular_covariances():
    """Two features that are the same but for rounding: finite, and means still apart."""
    rng = np.random.default_rng(7)
    base = random_params(rng, "full", 3, 3)
    double = np.concatenate([np.eye(3), np.eye(3)[:, :1]], axis=1)
    covariances = double.T @ base.covariances @ double + 1e-13 * np.eye(4)
    params = Params(base.weights, base.means @ double, covariances, "full")
    seen = view(params)
    assert np.isfinite(seen.axes).all()
    assert seen.ratios[0] == pytest.approx(view(base).ratios[0], rel=1e-3)


def test_components_without_weight_do_not_count(params):
    dead = Params(
        np.append(params.weights, 0.0),
        np.append(params.means, np.full((1, D), 1e6), axis=0),
        np.append(params.covariances, params.covariances[:1] * 1e9, axis=0),
        "full",
    )
    np.testing.assert_allclose(view(dead).axes, view(params).axes, rtol=1e-9, atol=1e-12)


def test_features_are_columns(params):
    x = np.random.default_rng(8).normal(size=(20, D))
    seen = features_view(params, [4, 1], names(D))
    np.testing.assert_array_equal(seen.rows(x), x[:, [4, 1]])
    means, covariances = seen.mixture(params)
    np.testing.assert_array_equal(means, params.means[:, [4, 1]])
    np.testing.assert_allclose(covariances, params.covariances[:, [4, 1]][:, :, [4, 1]])
    assert seen.names == ["f4", "f1"]


def test_telling_features_have_the_largest_ratios(family):
    params = random_params(np.random.default_rng(9), family, K, D)
    ratios = fisher_ratio(params, np.eye(D))
    chosen = telling_features(params, 3)
    assert list(chosen) == sorted(chosen)
    assert set(chosen) == set(np.argsort(-ratios)[:3])
    assert list(telling_features(params, 9)) == list(range(D))
