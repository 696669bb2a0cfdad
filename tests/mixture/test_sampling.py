"""Draws from a mixture have its moments, and depend on the seed alone."""

import numpy as np
import pytest
import scipy.stats
from blobs import FAMILIES

from gmm_fast.errors import DataError
from gmm_fast.mixture.families import get_family
from gmm_fast.mixture.params import Params
from gmm_fast.mixture.sampling import draw

WEIGHTS = np.array([0.5, 0.2, 0.3])
MEANS = np.array([[0.0, 1e3, -4.0], [5.0, 0.0, 0.0], [-1.0, 2.0, 9.0]])
MIXED = np.array([[4.0, 1.2, -0.6], [1.2, 1.0, 0.1], [-0.6, 0.1, 0.5]])
COVARIANCES = {
    "full": np.stack([MIXED, 0.1 * MIXED[::-1, ::-1], np.diag([1.0, 2.0, 3.0])]),
    "tied": MIXED,
    "diag": np.array([[1.0, 4.0, 9.0], [1e-6, 1.0, 1e6], [2.0, 2.0, 2.0]]),
    "spherical": np.array([1.0, 1e-4, 25.0]),
}


def params(family):
    return Params(WEIGHTS, MEANS, COVARIANCES[family], family)


@pytest.mark.parametrize("family", FAMILIES)
def test_moments_of_each_component(family):
    x, labels = draw(params(family), 60_000, 1)
    full = get_family(family).full(params(family))
    for k in range(3):
        part = x[labels == k]
        n = len(part)
        deviations = np.sqrt(np.diag(full[k]))
        # z-scores of the means, and of each entry of the covariance; Var(s_ij) = (s_ii s_jj
        # + s_ij^2) / n for normal data. 4.5 standard errors: 1 in 1e5 for each of 12.
        z = (part.mean(axis=0) - MEANS[k]) / (deviations / np.sqrt(n))
        assert np.abs(z).max() < 4.5
        error = np.sqrt((np.outer(deviations, deviations) ** 2 + full[k] ** 2) / n)
        assert (np.abs(np.cov(part.T) - full[k]) / error).max() < 4.5


def test_each_component_is_normal():
    """Whitened draws pass a Kolmogorov-Smirnov test against the standard normal."""
    x, labels = draw(params("full"), 20_000, 3)
    for k in range(3):
        white = np.linalg.solve(
            np.linalg.cholesky(COVARIANCES["full"][k]), (x[labels == k] - MEANS[k]).T
        )
        assert scipy.stats.kstest(white.ravel(), "norm").pvalue > 1e-3
    # and the test has the power to see a covariance that is 10 % off
    assert scipy.stats.kstest(1.05 * white.ravel(), "norm").pvalue < 1e-3


def test_counts_are_multinomial():
    counts = np.array(
        [np.bincount(draw(params("tied"), 50, s)[1], minlength=3) for s in range(400)]
    )
    assert (counts.sum(axis=1) == 50).all()
    expected = 50 * WEIGHTS
    covariance = 50 * (np.diag(WEIGHTS) - np.outer(WEIGHTS, WEIGHTS))
    z = (counts.mean(axis=0) - expected) / np.sqrt(np.diag(covariance) / 400)
    assert np.abs(z).max() < 4
    np.testing.assert_allclose(np.cov(counts.T), covariance, atol=0.3 * covariance.max())


def test_labels_ascend_and_weightless_components_are_never_drawn():
    weights = np.array([0.6, 0.0, 0.4])
    x, labels = draw(Params(weights, MEANS, COVARIANCES["diag"], "diag"), 1000, 0)
    assert (np.diff(labels) >= 0).all()
    assert set(labels) == {0, 2}
    assert x.dtype == np.float64
    assert labels.dtype == np.int64


@pytest.mark.parametrize("family", FAMILIES)
def test_the_seed_decides(family):
    first, again, other = (draw(params(family), 40, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.isin(first[0], other[0]).any()


def test_families_agree_where_they_meet():
    """A spherical mixture drawn as each family: the same samples."""
    variances = np.array([4.0, 4.0, 4.0])
    as_family = {
        "spherical": variances,
        "diag": np.full((3, 3), 4.0),
        "tied": 4 * np.eye(3),
        "full": np.stack([4 * np.eye(3)] * 3),
    }
    drawn = [draw(Params(WEIGHTS, MEANS, c, f), 30, 0)[0] for f, c in as_family.items()]
    for other in drawn[1:]:
        np.testing.assert_allclose(other, drawn[0], rtol=1e-14)


def test_many_features_of_a_diagonal_family_need_no_matrix():
    d = 50_000  # a (d, d) matrix would be 20 GB
    x, _ = draw(Params(np.ones(1), np.zeros((1, d)), np.full((1, d), 9.0), "diag"), 2, 0)
    assert abs(x.std() - 3) < 0.1


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "3", None, True])
def test_wrong_number(wrong):
    with pytest.raises(DataError, match="Invalid value for 'n_samples': it must be"):
        draw(params("full"), wrong, 0)


def test_numpy_integers_are_integers():
    assert len(draw(params("full"), np.int32(3), 0)[0]) == 3


@pytest.mark.parametrize("family", ["full", "tied"])
def test_a_covariance_that_is_none(family):
    bad = COVARIANCES[family].copy()
    bad[..., 0, 1] = bad[..., 1, 0] = 50.0
    with pytest.raises(DataError, match="not positive definite"):
        draw(Params(WEIGHTS, MEANS, bad, family), 3, 0)
