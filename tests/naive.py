"""Gaussian mixtures, slow and obvious: what the fast code is compared with.

Everything is computed in NumPy's longdouble (64 bits of mantissa on x86), from the definitions,
with all n x K x d x d products held at once, and nothing is taken from `gmm_fast`.
"""

from typing import NamedTuple

import numpy as np

LONG = np.longdouble
LOG_2PI = np.log(2 * LONG(np.pi))


class Moments(NamedTuple):
    """Weighted statistics of one E-step; moments about given means."""

    total_weight: float
    log_likelihood: float
    log_max_resp: float
    n_k: np.ndarray  # (K,)
    s1: np.ndarray  # (K, d)
    s2: np.ndarray  # (K, d, d), whatever the family


def covariance_matrices(covariances, covariance_type, n_components, n_features):
    """Covariances in scikit-learn's layout as one (K, d, d) array."""
    covariances = np.asarray(covariances, LONG)
    eye = np.eye(n_features, dtype=LONG)
    if covariance_type == "full":
        return covariances
    if covariance_type == "tied":
        return np.stack([covariances] * n_components)
    if covariance_type == "diag":
        return np.stack([np.diag(v) for v in covariances])
    return covariances[:, None, None] * eye


def inverse_and_log_det(matrix):
    """Inverse and log-determinant of a symmetric matrix, by Gauss-Jordan elimination."""
    d = len(matrix)
    work = np.concatenate([np.asarray(matrix, LONG), np.eye(d, dtype=LONG)], axis=1)
    log_det = LONG(0)
    for i in range(d):
        pivot = work[i, i]
        log_det += np.log(pivot)
        work[i] /= pivot
        for j in range(d):
            if j != i:
                work[j] -= work[j, i] * work[i]
    return work[:, d:], log_det


def log_densities(x, means, covariances, covariance_type):
    """ln N(x_i; mu_k, Sigma_k), (n, K)."""
    x, means = np.asarray(x, LONG), np.asarray(means, LONG)
    k, d = means.shape
    out = np.empty((len(x), k), LONG)
    for j, sigma in enumerate(covariance_matrices(covariances, covariance_type, k, d)):
        precision, log_det = inverse_and_log_det(sigma)
        centred = x - means[j]
        mahalanobis = (centred @ precision * centred).sum(axis=1)
        out[:, j] = -(mahalanobis + log_det + d * LOG_2PI) / 2
    return out


def log_joint(x, params):
    """ln (pi_k N(x_i; mu_k, Sigma_k)), (n, K)."""
    with np.errstate(divide="ignore"):
        log_weights = np.log(np.asarray(params.weights, LONG))
    return log_weights + log_densities(x, params.means, params.covariances, params.covariance_type)


def e_step(x, params):
    """ln p(x_i), (n,), and responsibilities, (n, K)."""
    joint = log_joint(x, params)
    top = joint.max(axis=1)
    resp = np.exp(joint - top[:, None])
    total = resp.sum(axis=1)
    return top + np.log(total), resp / total[:, None]


def sample_weights(x, weights):
    return np.ones(len(x), LONG) if weights is None else np.asarray(weights, LONG)


def moments(x, params, weights=None, about=None):
    """Statistics of the E-step; moments about `about`, by default the means of `params`."""
    w = sample_weights(x, weights)
    about = np.asarray(params.means if about is None else about, LONG)
    log_prob, resp = e_step(x, params)
    weighted = w[:, None] * resp
    centred = np.asarray(x, LONG)[:, None, :] - about
    return Moments(
        w.sum(),
        (w * log_prob).sum(),
        (w * np.log(resp.max(axis=1))).sum(),
        weighted.sum(axis=0),
        np.einsum("nk,nki->ki", weighted, centred),
        np.einsum("nk,nki,nkj->kij", weighted, centred, centred),
    )


def m_step(x, weighted_resp, covariance_type, reg_covar=0.0):
    """Weights, means and covariances from w r, (n, K), as scikit-learn defines them."""
    x, wr = np.asarray(x, LONG), np.asarray(weighted_resp, LONG)
    n_k = wr.sum(axis=0)
    means = (wr.T @ x) / n_k[:, None]
    centred = x[:, None, :] - means
    scatter = np.einsum("nk,nki,nkj->kij", wr, centred, centred)
    eye = np.eye(x.shape[1], dtype=LONG)
    full = scatter / n_k[:, None, None] + reg_covar * eye
    if covariance_type == "full":
        covariances = full
    elif covariance_type == "tied":
        covariances = scatter.sum(axis=0) / n_k.sum() + reg_covar * eye
    elif covariance_type == "diag":
        covariances = np.stack([np.diag(sigma) for sigma in full])
    else:
        covariances = np.array([np.trace(sigma) / len(eye) for sigma in full])
    return n_k / n_k.sum(), means, covariances


def em(x, params, n_iter, reg_covar=0.0, weights=None):
    """`n_iter` iterations of EM. Returns the parameters and the log-likelihood before each, and
    at the end."""
    w = sample_weights(x, weights)
    trace = []
    for _ in range(n_iter):
        log_prob, resp = e_step(x, params)
        trace.append((w * log_prob).sum())
        new = m_step(x, w[:, None] * resp, params.covariance_type, reg_covar)
        params = type(params)(*new, params.covariance_type)
    trace.append((w * e_step(x, params)[0]).sum())
    return params, trace


def squared_distances(x, centers):
    """|x_i - c_t|^2, (T, n)."""
    x, centers = np.asarray(x, LONG), np.asarray(centers, LONG)
    return ((x[None] - centers[:, None]) ** 2).sum(axis=2)


def assign(x, centers, weights=None):
    """Nearest centre of each row (the first of equals), the squared distance to it, and the
    weighted sums and counts of the clusters."""
    w = sample_weights(x, weights)
    distances = squared_distances(x, centers)
    labels = distances.argmin(axis=0)
    member = labels[:, None] == np.arange(len(centers))
    sums = (member * w[:, None]).T @ np.asarray(x, LONG)
    return labels, distances.min(axis=0), sums, (member * w[:, None]).sum(axis=0)
