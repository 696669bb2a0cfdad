"""How a fit runs and when it stops."""

from dataclasses import dataclass, replace

import numpy as np

from ..mixture.resolution import rounding_of, steps_for
from .regularisation import reg_covar_for


@dataclass(frozen=True)
class Settings:
    """Settings of a fit.

    Attributes
    ----------
    tol : float
        EM stops when the mean log-likelihood changes by less than this in two iterations in a row.
    max_iter : int
    reg_covar : float, (d,) array or "auto"
        Added to the variances in every M-step; see `regularisation`.
    resolution : "auto", None, float or (d,) array
        Steps to which the data was rounded; see `resolution`. They affect a fit only through
        `rounding`.
    rounding : (d,) array, optional
        Variances that the rounding hides, for the likelihood that takes it into account.
    """

    tol: float = 1e-3
    max_iter: int = 100
    reg_covar: object = "auto"
    resolution: object = None
    rounding: np.ndarray | None = None

    def for_data(self, backend, covariance_type):
        """These settings with "auto" replaced by values for the data.

        `covariance_type` is the family to be fitted: see `Backend.survey`.
        """
        survey = backend.survey(covariance_type)
        reg_covar = reg_covar_for(self.reg_covar, survey, backend.dtype)
        return replace(self, reg_covar=reg_covar, resolution=steps_for(self.resolution, backend))

    def of(self, n_components):
        """These settings for one fit of that many components: a single one does not shrink."""
        return self if n_components > 1 else replace(self, resolution=None)

    @property
    def added_variance(self):
        """What an M-step adds to the variances."""
        return self.reg_covar if self.rounding is None else self.reg_covar + self.rounding

    def hidden_variance(self):
        """Variance hidden by the steps in `resolution` (after `for_data`), or None."""
        return None if self.resolution is None else rounding_of(self.resolution)

    def aware(self):
        """These settings under the likelihood that takes the rounding into account."""
        return replace(self, rounding=self.hidden_variance())
