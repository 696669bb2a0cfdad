"""Drawing samples from a mixture."""

import numpy as np

from .errors import DataError
from .families import get_family


def draw(params, n_samples, seed):
    """Samples of a mixture, grouped by component.

    Parameters
    ----------
    params : Params
    n_samples : int
    seed : int

    Returns
    -------
    x : (n_samples, d) float64
    labels : (n_samples,) int64, ascending

    Raises
    ------
    DataError
        `n_samples` is less than 1.
    """
    if n_samples < 1:
        raise DataError(f"the number of samples must be at least 1, not {n_samples}")
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_samples, params.weights / params.weights.sum())
    x = rng.standard_normal((n_samples, params.n_features))
    covariances = get_family(params.covariance_type).full(params)
    start = 0
    for count, mean, covariance in zip(counts, params.means, covariances, strict=True):
        rows = slice(start, start + count)
        x[rows] = x[rows] @ np.linalg.cholesky(covariance).T + mean
        start += count
    return x, np.repeat(np.arange(len(counts)), counts)
