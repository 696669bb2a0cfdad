"""The Python face: the estimator, its parameters, search, files of models, conversion."""

from .gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixture"]
