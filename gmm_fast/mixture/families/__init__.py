"""Covariance families: what structure covariances have, and how statistics become the next ones.

To add one, write a subclass of `Family` and put it into `FAMILIES`. One mixin says whose a
covariance is, `PerComponent` or `Shared`; the other says how it is kept: `Matrices`, `Variances` or
`OneVariance`.
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
        return self.symmetric(scatter)  # of what cancels, the rounding is not


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
    """The family that looks at data which is going to be fitted, by the same kernel.

    Others than those of the triangular one would give traces, or a matrix not asked for.
    """
    return family if family.form == "triangular" else FAMILIES["diag"]
