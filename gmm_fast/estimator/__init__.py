"""The Python interface: the estimator, search, model files, conversion."""

__all__ = ["GaussianMixture"]


def __getattr__(name):
    # on first use: commands, which read models, need no scikit-learn
    if name != "GaussianMixture":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .gaussian_mixture import GaussianMixture

    return GaussianMixture
