"""Scores partitions by their marginal likelihood, which few rows cannot raise by chance.

Each part has a normal-inverse-Wishart prior (Murphy 2007, "Conjugate Bayesian analysis of the
Gaussian distribution", equations 250 and 266). The prior covariance is the pooled covariance of the
partition, scaled to the volume of the part, and counts as 2 d + 1 samples (nu_0 = 3 d + 2). For
diag each feature is scored separately with d = 1; for spherical all values of a part share one
variance. With fewer prior samples, or without volumes, partitions won that merged or split small
clusters.
"""

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import gammaln

from .one_covariance import ridge
from .spaces import indicators

# Iterations that estimate the volumes of parts.
VOLUME_STEPS = 2
# Weight of the prior of a component's mean, in samples.
MEAN_WEIGHT = 0.01
# Penalty of a part of hardly any rows, in log-likelihood per sample and feature: its covariance
# becomes singular once EM runs, whatever it earns here. Parts of a quarter of d + 1 rows cost
# nothing: two outliers of breast cancer earned 0.008, true clusters of 19 to 50 rows in 100
# features 0.009 and more.
THIN, THICK = 0.015, 0.25


def _evidence(counts, prior_logdets, logdets, d, values):
    """What the covariance of each part contributes to the log marginal likelihood, (K,).

    Parameters
    ----------
    counts : (K,) float64
    prior_logdets, logdets : (K,) float64
        ln|nu_0 S_0| and ln|nu_0 S_0 + W_k| of each part, summed over separate features.
    d : int
        Order of the matrices.
    values : int
        Observations of that order in a sample; more than one where features share a variance.
    """
    prior = 3 * d + 2
    half = 0.5 * np.arange(d)
    after = prior + counts * values
    gammas = gammaln(0.5 * after[:, None] - half).sum(axis=1) - gammaln(0.5 * prior - half).sum()
    return gammas + 0.5 * (prior * prior_logdets - after * logdets)


def _means_and_shares(counts, n_features):
    """What the mean and the share of each part contribute to the log marginal likelihood, (K,)."""
    return 0.5 * n_features * np.log(MEAN_WEIGHT / (MEAN_WEIGHT + counts)) + gammaln(counts + 1)


def _full(rows, labels, k):
    d = rows.z.shape[1]
    counts, scatters = _scatters(rows, labels, k)
    pooled, volumes = _volumes(scatters, counts, rows.added + ridge(rows.near))
    if len(labels) < k * d:  # too few rows for separate covariances
        shares = counts @ np.log(counts / counts.sum())
        return shares - 0.5 * (d * counts @ np.log(volumes) + counts.sum() * _logdet(pooled))
    prior = (2 * d + 1) * pooled
    prior_logdets = _logdet(prior) + d * np.log(volumes)
    pairs = zip(scatters, volumes, strict=True)
    logdets = np.array([_logdet(volume * prior + scatter) for scatter, volume in pairs])
    evidence = _evidence(counts, prior_logdets, logdets, d, 1)
    thin = THIN * d * len(labels) * np.maximum(0.0, 1 - counts / (THICK * (d + 1))).sum()
    return float((evidence + _means_and_shares(counts, d)).sum() - thin)


def _scatters(rows, labels, k):
    """Counts (K',) and scatter matrices of the parts that are not empty."""
    counts, scatters = [], []
    for one in range(k):
        members = labels == one
        if members.any():
            z, w = rows.near[members], rows.weights[members]
            counts.append(w.sum())
            z = (z - w @ z / counts[-1]) * np.sqrt(w)[:, None]
            scatters.append(z.T @ z)
    return np.array(counts), scatters


def _volumes(scatters, counts, added):
    """Covariance S (d, d) and volumes v (K,) of parts with covariances v_k S; v multiplies to 1.

    Two steps of the iteration for model [lambda_k C] (Celeux & Govaert 1995, "Gaussian parsimonious
    clustering models"), with one extra sample of volume 1 in each part.
    """
    d = len(added)
    volumes = np.ones(len(counts))

    def pool():
        pooled = sum(w / v for w, v in zip(scatters, volumes, strict=True)) / counts.sum()
        pooled.flat[:: d + 1] += added
        return pooled

    for _ in range(VOLUME_STEPS):
        precision = cho_solve(cho_factor(pool(), lower=True), np.eye(d))
        traces = np.array([np.vdot(precision, w) for w in scatters])
        volumes = (traces / d + 1) / (counts + 1)
        volumes /= np.exp(counts @ np.log(volumes) / counts.sum())
    return pool(), volumes


def _logdet(matrix):
    return 2 * np.log(np.diagonal(np.linalg.cholesky(matrix))).sum()


def _variances(rows, labels, k):
    """Counts (K',), scatters (K', d) and pooled variances (d,) of parts that are not empty."""
    resp = indicators(labels, k) * rows.weights[:, None]
    resp = resp[:, resp.sum(axis=0) > 0]
    counts = resp.sum(axis=0)
    sums = resp.T @ rows.near
    scatters = np.maximum(resp.T @ rows.near**2 - sums**2 / counts[:, None], 0.0)
    return counts, scatters, scatters.sum(axis=0) / len(labels) + rows.added


def _diagonal(rows, labels, k):
    counts, scatters, pooled = _variances(rows, labels, k)
    d = len(pooled)
    prior = 3 * pooled
    logdets = np.log(prior + scatters)
    alone = _evidence(counts, np.zeros(len(counts)), np.zeros(len(counts)), 1, 1)
    evidence = d * alone + 0.5 * (5 * np.log(prior).sum() - (5 + counts) * logdets.sum(axis=1))
    return float((evidence + _means_and_shares(counts, d)).sum())


def _spherical(rows, labels, k):
    counts, scatters, pooled = _variances(rows, labels, k)
    d = len(pooled)
    prior = 3 * pooled.mean()
    logdets = np.log(prior + scatters.sum(axis=1))
    evidence = _evidence(counts, np.full(len(counts), np.log(prior)), logdets, 1, d)
    return float((evidence + _means_and_shares(counts, d)).sum())


# Scores a partition, (rows, labels, K) -> float, by the layout of the covariances.
EVIDENCE = {"matrices": _full, "variances": _diagonal, "variance": _spherical}
