"""EM with one covariance for all components, for many features and few rows."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from .spaces import indicators

# Runs stop below this gain of the mean log-likelihood.
SETTLED = 1e-4
# Share of the variance that is added where samples are few compared with features.
RIDGE = 0.1


class Tied:
    """EM of mixtures with one covariance for all components, without passes of O(m d^2).

    The covariance of the data is T, that of the components W = T - M M', where the columns of M
    are the means times the square roots of the weights. So inv(W) = inv(T) + V inv(C) V' with
    V = inv(T) M and C = I - M' V (Woodbury), and |W| = |T| |C|: T is factorised once.

    Parameters
    ----------
    z : (m, d) float64
        Samples of mean 0.
    added : float or (d,) float64
        Added to the variances.
    weights : (m,) float64
        1 on average.
    """

    def __init__(self, z, added, weights):
        m, d = z.shape
        rooted = z if (weights == 1).all() else z * np.sqrt(weights)[:, None]
        total = rooted.T @ rooted / m
        total.flat[:: d + 1] += added
        self.z = z
        self.weights = weights
        self.factor = cho_factor(total, lower=True)

    def _m_step(self, resp):
        """Shares (K,), M (d, K), V (d, K), C (K, K)."""
        weighted = resp * self.weights[:, None]
        share = np.maximum(weighted.sum(axis=0) / len(self.z), 1e-200)
        moved = (self.z.T @ weighted) / (len(self.z) * np.sqrt(share))
        solved = cho_solve(self.factor, moved)
        return share, moved, solved, (1 + 1e-9) * np.eye(len(share)) - moved.T @ solved

    def run(self, start, n_components, iterations):
        """Run EM from labels (m,) or responsibilities (m, K).

        Returns
        -------
        resp : (m, K) float64
        log_likelihood : float
            Per sample, without the constant that all mixtures share.
        """
        resp = indicators(start, n_components) if start.ndim == 1 else start
        before = -np.inf
        for _ in range(iterations):
            share, moved, solved, rest = self._m_step(resp)
            inverse = np.linalg.inv(rest)
            root = np.sqrt(share)
            slopes = solved @ inverse / root
            levels = np.log(share) - 0.5 * (moved * slopes).sum(axis=0) / root
            logits = self.z @ slopes + levels
            top = logits.max(axis=1, keepdims=True)
            resp = np.exp(logits - top)
            norm = resp.sum(axis=1, keepdims=True)
            resp /= norm
            gained = self.weights @ (top + np.log(norm))[:, 0] / len(self.z)
            now = gained - 0.5 * (np.trace(inverse) + np.linalg.slogdet(rest)[1])
            if now - before < SETTLED:
                break
            before = now
        return resp, float(now)

    def recombine(self, labels, cut, n_components):
        """`labels` with the rows `cut` as a new part, and the two closest parts merged.

        Closest by Ward's criterion in the metric of W. None if that restores the old partition.
        """
        k = n_components
        labels = labels.copy()
        part = labels[cut[0]] if len(cut) else 0
        labels[cut] = k
        share, moved, solved, rest = self._m_step(indicators(labels, k + 1))
        root = np.sqrt(share)
        products = moved.T @ solved @ np.linalg.inv(rest) / root / root[:, None]
        squares = np.diagonal(products)
        apart = squares + squares[:, None] - products - products.T
        cost = apart * share * share[:, None] / (share + share[:, None])
        cost[np.tril_indices(k + 1)] = np.inf
        one, other = np.unravel_index(np.argmin(cost), cost.shape)
        if {one, other} == {part, k}:
            return None
        labels[labels == other] = one
        labels[labels == k] = other
        return labels

    def partition_likelihood(self, labels, n_components):
        """Log-likelihood of a partition per sample, up to a constant.

        It is -ln(|W| / |T|) / 2 less the entropy of the shares.
        """
        share, _, _, rest = self._m_step(indicators(labels, n_components))
        return share @ np.log(share) - 0.5 * np.linalg.slogdet(rest)[1]


def ridge(z):
    """Extra variance for features of variance 1 where samples are too few for a matrix."""
    m, d = z.shape
    return RIDGE * max(0.0, 1 - m / (4 * d))
