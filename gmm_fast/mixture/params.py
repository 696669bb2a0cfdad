"""Defines `Params`, the parameters of a Gaussian mixture, and checks them."""

from dataclasses import dataclass, field, replace

import numpy as np

from ..checks import cached
from ..errors import DataError
from .families import get_family


@dataclass(frozen=True, eq=False)
class Params:
    """Weights, means and covariances of a mixture of K Gaussians in d dimensions.

    Attributes
    ----------
    weights : (K,) float64, not negative, sum 1
    means : (K, d) float64
    covariances : float64; full (K, d, d), tied (d, d), diag (K, d), spherical (K,)
    covariance_type : str
        Name of the family, a key of `families.FAMILIES`.
    rounding : (d,) float64, optional
        Variances that rounding hides; densities take them into account, see `resolution`.
    scatter : ndarray, optional
        Scatter that the covariances were estimated from, as `Family.scatter` returns it, in
        families whose covariances do not determine it. A stream of batches continues from it.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    covariance_type: str
    rounding: np.ndarray | None = field(default=None, compare=False, repr=False)
    scatter: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def family(self):
        return get_family(self.covariance_type)

    @cached
    def factored(self):
        """(factor, singular) of the covariances, by the family's `inverse_cholesky`."""
        return self.family.inverse_cholesky(self.covariances)

    @property
    def factor(self):
        """Inverse Cholesky factors; meaningless where covariances are singular."""
        return self.factored[0]

    def under(self, rounding):
        """These parameters with densities that take that rounding into account, or none."""
        if rounding is self.rounding:
            return self
        other = replace(self, rounding=rounding)
        other.__dict__["factored"] = self.factored
        return other

    @property
    def n_components(self):
        return self.means.shape[0]

    @property
    def n_features(self):
        return self.means.shape[1]


def covariance_shape(covariance_type, n_components, n_features):
    """Shape of `Params.covariances` (the layout scikit-learn uses)."""
    return get_family(covariance_type).shape(n_components, n_features)


def same_mixture(params, others):
    """Whether two mixtures have the same family and the same numbers."""
    names = ("covariance_type", "weights", "means", "covariances")
    return all(np.array_equal(getattr(params, n), getattr(others, n)) for n in names)


def check_params(params, what="parameters"):
    """Return `params` as contiguous float64 arrays, checked.

    Raises
    ------
    DataError
        Shapes that do not agree, values that are not finite, weights that are negative or do
        not sum to 1, covariances that are not symmetric or have a variance that is not positive.
    """
    weights = np.asarray(params.weights, np.float64, order="C")
    means = np.asarray(params.means, np.float64, order="C")
    covariances = np.asarray(params.covariances, np.float64, order="C")
    if means.ndim != 2 or weights.shape != means.shape[:1] or 0 in means.shape:
        raise DataError(
            f"{what}: weights of shape {weights.shape} and means of shape {means.shape} "
            "do not match; (K,) and (K, d) are needed"
        )
    family = params.family
    expected = family.shape(*means.shape)
    if covariances.shape != expected:
        raise DataError(
            f"{what}: covariances have shape {covariances.shape}; "
            f"{params.covariance_type} needs {expected}"
        )
    for name, array in (("weights", weights), ("means", means), ("covariances", covariances)):
        if not np.isfinite(array).all():
            raise DataError(f"{what}: {name} hold values that are not finite")
    if (weights < 0).any():
        raise DataError(f"{what}: weights must not be negative and must sum to 1")
    if not np.isclose(weights.sum(), 1.0, rtol=0, atol=1e-6):
        raise DataError(
            f"{what}: weights must sum to 1, not {weights.sum():.6g}; divide them by their sum "
            "(model.weights_ /= model.weights_.sum())"
        )
    variances = family.variances(covariances, means.shape[1])
    if not (variances > 0).all():
        raise DataError(f"{what}: covariances have variances that are not positive")
    if not np.allclose(
        covariances, family.transpose(covariances), rtol=1e-8, atol=1e-8 * variances.max()
    ):
        raise DataError(f"{what}: covariances are not symmetric")
    return Params(weights, means, covariances, params.covariance_type, scatter=params.scatter)
