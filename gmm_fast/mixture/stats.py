"""Defines `Stats`, the sufficient statistics that a pass over data returns, and merges them."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Stats:
    """Sufficient statistics of the E-step, with moments about the means it used.

    Attributes
    ----------
    total_weight : float
        Sum of the sample weights (the number of samples without weights).
    log_likelihood : float
        Sum of w ln p(x).
    log_max_resp : float
        Sum of w ln max_k r, which ICL needs.
    means : (K, d) float64
        Means that the moments are about, rounded as in the kernel.
    n_k : (K,) float64
        Sum of w r for each component.
    s1 : (K, d) float64
        Sum of w r (x - mu_k).
    s2 : float64
        Sum of w r (x - mu_k)(x - mu_k)': full (K, d, d), tied (d, d) over all components,
        diag its diagonal (K, d), spherical its trace (K,).
    """

    total_weight: float
    log_likelihood: float
    log_max_resp: float
    means: np.ndarray
    n_k: np.ndarray
    s1: np.ndarray
    s2: np.ndarray

    @property
    def mean_log_likelihood(self):
        return self.log_likelihood / self.total_weight

    @classmethod
    def zeros(cls, means, s2_shape):
        """Stats of no data, about `means`: the neutral element of `merge`."""
        return cls(
            0.0, 0.0, 0.0, means, np.zeros(len(means)), np.zeros(means.shape), np.zeros(s2_shape)
        )


def merge(a, b):
    """Stats of the union of two data sets; both must come from the same parameters."""
    return Stats(
        a.total_weight + b.total_weight,
        a.log_likelihood + b.log_likelihood,
        a.log_max_resp + b.log_max_resp,
        a.means,
        a.n_k + b.n_k,
        a.s1 + b.s1,
        a.s2 + b.s2,
    )
