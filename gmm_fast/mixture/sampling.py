"""Draws samples from a mixture."""

import numpy as np

from .. import checks
from ..errors import DataError


def draw(params, n_samples, seed):
    """Draw samples from a mixture, grouped by component.

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
        `n_samples` is not an integer of at least 1, or a covariance is not positive definite.
    """
    if isinstance(n_samples, float | np.floating) and float(n_samples).is_integer():
        n_samples = int(n_samples)  # 1e3
    n_samples = checks.integer("Invalid value for 'n_samples': it", n_samples, 1)
    transform = _transform(params)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_samples, params.weights / params.weights.sum())
    x = rng.standard_normal((n_samples, params.n_features))
    start = 0
    for k, count in enumerate(counts):
        rows = slice(start, start + count)
        x[rows] = transform(x[rows], k) + params.means[k]
        start += count
    return x, np.repeat(np.arange(len(counts)), counts)


def _transform(params):
    """A function (standard normal rows, k) -> rows with the covariance of component k."""
    family = params.family
    if not family.matrices:
        deviations = np.sqrt(family.component_variances(params))
        return lambda z, k: z * deviations[k]
    try:
        factors = np.linalg.cholesky(params.covariances)
    except np.linalg.LinAlgError:
        raise DataError("the model: a covariance is not positive definite") from None
    factors = family.each(factors, params.n_components)
    return lambda z, k: z @ factors[k].T
