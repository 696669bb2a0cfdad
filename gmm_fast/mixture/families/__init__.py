"""Covariance families: the structure of covariances, and their M-step.

To add one, write a subclass of `Family` and put it into `FAMILIES`. One mixin says whether each
component has its own covariance, `PerComponent` or `Shared`; the other says how a covariance is
stored: `Matrices`, `Variances` or `OneVariance`.
"""

from ...errors import DataError
from ...kernels import structures
from .base import Family, PerComponent, Shared
from .layouts import Matrices, OneVariance, Variances

__all__ = [
    "FAMILIES",
    "Family",
    "Matrices",
    "OneVariance",
    "PerComponent",
    "Shared",
    "Variances",
    "get_family",
    "surveying",
]


class Full(PerComponent, Matrices, Family):
    name, mclust_name, form = "full", "VVV", "triangular"
    structure = structures.FULL


class Tied(Shared, Matrices, Family):
    name, mclust_name, form = "tied", "EEE", "whitened"
    structure = structures.TIED

    def least_rows(self, k, d):
        return k + d

    def estimate(self, scatter, n_k, previous):
        return self.symmetric(scatter)  # its terms cancel, and leave asymmetric rounding


class Diag(PerComponent, Variances, Family):
    name, mclust_name, form = "diag", "VVI", "diagonal"
    structure = structures.DIAG


class Spherical(PerComponent, OneVariance, Family):
    name, mclust_name, form = "spherical", "VII", "diagonal"
    structure = structures.SPHERICAL


FAMILIES = {family.name: family for family in (Full(), Tied(), Diag(), Spherical())}


def get_family(name):
    """The family of that name.

    Raises
    ------
    DataError
        No family of that name.
    """
    try:
        return FAMILIES[name]
    except KeyError:
        raise DataError(
            f"unknown covariance family {name!r}; choose from {', '.join(FAMILIES)}"
        ) from None


def surveying(family):
    """The family that surveys data before a fit of `family`.

    Only the triangular form surveys with its own kernel: others would give traces, or a matrix
    that is not needed.
    """
    return family if family.form == "triangular" else FAMILIES["diag"]
