"""The Python interface: the estimator, search, model files, conversion."""

from .gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture"]
