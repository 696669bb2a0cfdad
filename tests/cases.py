"""Made-up mixtures and data for the numerical tests."""

import numpy as np

from gmm_fast import em
from gmm_fast.backends import LocalBackend
from gmm_fast.mixture.params import Params
from gmm_fast.sources import ArraySource


def random_params(rng, family, k, d, spread=3.0):
    """A mixture with correlated, unequal covariances and means some sigma apart."""
    weights = rng.dirichlet(np.full(k, 5.0))
    means = spread * rng.normal(size=(k, d))
    scales = rng.uniform(0.5, 2.0, size=(k, d))
    mixing = np.eye(d) + 0.5 * rng.normal(size=(k, d, d)) / np.sqrt(d)
    factors = scales[:, :, None] * mixing
    full = factors @ np.swapaxes(factors, 1, 2) + 0.1 * np.eye(d)
    covariances = {
        "full": full,
        "tied": full.mean(axis=0),
        "diag": scales**2,
        "spherical": scales[:, 0] ** 2,
    }[family]
    return Params(weights, means, covariances, family)


def full_covariances(params):
    """(K, d, d), whatever the family."""
    k, d = params.means.shape
    c = params.covariances
    return {
        "full": lambda: c,
        "tied": lambda: np.stack([c] * k),
        "diag": lambda: np.stack([np.diag(v) for v in c]),
        "spherical": lambda: np.stack([v * np.eye(d) for v in c]),
    }[params.covariance_type]()


def draw(rng, params, n):
    """`n` samples of a mixture, in random order."""
    labels = rng.choice(len(params.weights), n, p=params.weights)
    factors = np.linalg.cholesky(full_covariances(params))
    noise = rng.normal(size=(n, params.n_features))
    return params.means[labels] + np.einsum("nij,nj->ni", factors[labels], noise)


def backend(x, *, threads=1, **options):
    """A `LocalBackend` over an array; one thread, for small data is done before others wake."""
    return LocalBackend(ArraySource(np.asarray(x)), threads=threads, **options)


def fit(x, params, *, max_iter=100, tol=0.0, reg_covar=0.0, callback=None, **options):
    """EM from `params`; by default `max_iter` iterations to the letter."""
    settings = em.Settings(tol, max_iter, reg_covar)
    return em.fit(backend(x, **options), params, settings, callback=callback)
