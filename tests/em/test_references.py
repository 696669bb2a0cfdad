"""Fits by mclust and by scikit-learn from the same start: the same numbers."""

import numpy as np
import pytest
from cases import backend, draw, fit, full_covariances, random_params
from sklearn.mixture import GaussianMixture

from gmm_fast import em
from gmm_fast.mixture.families import get_family
from gmm_fast.mixture.params import Params
from gmm_fast.selection import criteria
from gmm_fast.starts import initial, partition, starting


@pytest.fixture(params=["iris", "faithful"])
def reference(request, family, mclust, iris, faithful):
    """(data, labels of the start, mclust's model)."""
    if request.param == "iris":
        x, labels = iris
    else:
        x, labels = faithful, np.where(faithful[:, 0] < 3, 0, 1)
    return x, labels, mclust[request.param]["models"][get_family(family).mclust_name]


def start_from(labels, x, family):
    k = labels.max() + 1
    found = initial.initial_params(
        backend(x), k, family, starting.Start(labels=labels), em.Settings(reg_covar=0.0)
    )
    assert found.events == []
    return found.params


def assert_close(found, want, rtol):
    """Relative to the largest value."""
    want = np.asarray(want, float)
    assert found.shape == want.shape
    np.testing.assert_allclose(found, want, rtol=0, atol=rtol * np.abs(want).max())


def test_mclust_first_m_step(reference, family):
    x, labels, model = reference
    params = start_from(labels, x, family)
    assert_close(full_covariances(params), model["mstep_from_labels_covariances"], 1e-10)
    np.testing.assert_allclose(params.weights, np.bincount(labels) / len(x), rtol=1e-14)
    means = [x[labels == k].mean(axis=0) for k in range(labels.max() + 1)]
    assert_close(params.means, means, 1e-14)


def test_mclust_fit(reference, family):
    x, labels, model = reference
    result = fit(x, start_from(labels, x, family), max_iter=5000, tol=1e-13)
    assert result.converged
    assert result.events == []
    assert result.log_likelihood == pytest.approx(model["loglik"], abs=1e-6)
    assert_close(result.params.weights, model["weights"], 1e-5)
    assert_close(result.params.means, model["means"], 1e-5)
    assert_close(full_covariances(result.params), model["covariances"], 1e-5)
    k, d = result.params.means.shape
    assert get_family(family).n_parameters(k, d) == criteria.n_parameters(result.params)
    assert criteria.n_parameters(result.params) == model["df"]
    # mclust's is to be maximised
    assert criteria.bic(result) == pytest.approx(-model["bic_mclust"], abs=1e-5)


@pytest.mark.parametrize("reg_covar", [0.0, 1e-2])
@pytest.mark.parametrize("data", ["iris", "made up"])
def test_scikit_learn_after_as_many_steps(family, data, reg_covar, iris):
    rng = np.random.default_rng(1)
    truth = random_params(rng, family, 3, 4, spread=1.5)
    x = iris[0] if data == "iris" else draw(rng, truth, 1500)
    start = partition.params_of_parts(
        partition.partition([(0, x)], np.arange(len(x)) % 3, np.ones(len(x)), 3, family),
        family,
        0.0,
    )
    # spread out: parts of the same distribution have nearly the same means
    start = Params(start.weights, x[[0, len(x) // 2, len(x) - 1]], start.covariances, family)
    steps = 12
    result = fit(x, start, max_iter=steps, reg_covar=reg_covar)
    model = GaussianMixture(
        3,
        covariance_type=family,
        tol=0,
        reg_covar=reg_covar,
        max_iter=steps,
        weights_init=start.weights,
        means_init=start.means,
        precisions_init=get_family(family).invert(start.covariances),
    )
    with pytest.warns(UserWarning, match="did not converge"):
        model.fit(x)
    assert model.n_iter_ == result.n_iter == steps
    assert_close(result.params.weights, model.weights_, 1e-8)
    assert_close(result.params.means, model.means_, 1e-8)
    assert_close(result.params.covariances, model.covariances_, 1e-8)
    assert result.mean_log_likelihood == pytest.approx(model.score(x), rel=1e-10)
    assert criteria.bic(result) == pytest.approx(model.bic(x), rel=1e-10)
    assert criteria.aic(result) == pytest.approx(model.aic(x), rel=1e-10)
