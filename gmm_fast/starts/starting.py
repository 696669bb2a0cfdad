"""How a user asks EM to start: method, seed, effort, given values."""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..errors import DataError
from ..mixture.params import check_params

METHODS = ("auto", "k-means++", "kmeans", "random", "random_from_data")


@dataclass(frozen=True)
class Start:
    """How to start a fit.

    Attributes
    ----------
    method : str
        One of `METHODS`; "auto" tries all of `AUTO` in each of its `n_init` rounds.
    n_init : int
        Starts to try; if there are several, each runs a short EM on a sample, and the best is used.
    seed : int
    effort : float
        Effort of the search for the optimum, in units of the default; 0 is the race alone.
    weights, means, precisions : ndarray, optional
        Given values, which override the method (scikit-learn's layout).
    labels : (n,) int, optional
        Start from the M-step of this partition instead.
    """

    method: str = "auto"
    n_init: int = 1
    seed: int = 0
    effort: float = 1.0
    weights: np.ndarray | None = None
    means: np.ndarray | None = None
    precisions: np.ndarray | None = None
    labels: np.ndarray | None = None

    @property
    def given(self):
        """The given ones of weights, means and precisions, by name."""
        values = {n: getattr(self, n) for n in ("weights", "means", "precisions")}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def complete(self):
        """Whether weights, means and precisions are all given, so that EM starts exactly there."""
        return len(self.given) == 3

    def __post_init__(self):
        if self.method not in METHODS:
            raise DataError(f"unknown init {self.method!r}; choose from {', '.join(METHODS)}")
        if self.n_init < 1:
            raise DataError(f"n_init must be at least 1, not {self.n_init}")
        if not (math.isfinite(self.effort) and self.effort >= 0):
            raise DataError(
                f"effort must be a finite number of 0 or more, not {self.effort}; 0 is the race "
                "of starts alone, 1 the default"
            )


def apply_given(params, start):
    """`params` with the given weights, means and precisions of `start`."""
    if not start.given:
        return params
    family = params.family
    given = {
        "weights": start.weights,
        "means": start.means,
        "covariances": None
        if start.precisions is None
        else _covariances_of(family, start.precisions),
    }
    given = {name: np.asarray(v, np.float64) for name, v in given.items() if v is not None}
    for name, value in given.items():
        expected = getattr(params, name).shape
        if value.shape != expected:
            what = "precisions" if name == "covariances" else name
            raise DataError(f"given {what} have shape {value.shape}; {expected} is needed")
    return check_params(replace(params, **given), "given parameters")


def _covariances_of(family, precisions):
    try:
        with np.errstate(divide="ignore"):  # `check_params` refuses 1 / 0
            return family.invert(np.asarray(precisions, np.float64))
    except np.linalg.LinAlgError:
        raise DataError("given precisions are singular or not square matrices") from None
