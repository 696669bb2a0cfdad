"""The interface of backends, the survey of the data, and checks of sample weights."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ..checks import spell
from ..errors import DataError
from ..mixture.families import get_family, surveying
from ..mixture.params import Params
from ..mixture.resolution import SKETCH_ROWS, SKETCH_VALUES, find_steps

# Bounds of the largest sample weight, this and its inverse: beyond, float32 sums over- or
# underflow.
MOST_WEIGHT = 1e20
# Rows from all over the data that show where it lies.
LOOK_ROWS = 1000
# Weights checked at a time: they may be a memory map as long as the data.
_PIECE = 2**20
# About the square root of the largest float32: distances to larger means overflow.
MOST_MEAN = 1e18


@dataclass(frozen=True)
class Survey:
    """What one pass over the data shows.

    Attributes
    ----------
    mean, variance : (d,) float64
        Weighted.
    total_weight : float
    """

    mean: np.ndarray
    variance: np.ndarray
    total_weight: float

    @property
    def constant_features(self):
        """Indices of features whose spread is no more than rounding."""
        noise = 16 * np.finfo(np.float64).eps * np.abs(self.mean)
        return np.flatnonzero(np.sqrt(self.variance) <= noise)


def check_means(params, dtype):
    """Raise DataError if kernels of `dtype` could not measure distances to a component."""
    if dtype == np.float32 and np.abs(params.means).max() > MOST_MEAN:
        raise DataError(
            "a component of the model is so far from zero that squares overflow float32; use "
            "dtype='float64'"
        )


class Backend(ABC):
    """Maps the kernels over all of one data set, in order.

    Attributes
    ----------
    name : str
        Name of the data in messages.
    n_samples, n_features : int
    dtype : numpy.dtype
        In which kernels compute.
    origin : (d,) float64 or None
        Subtracted before float32 kernels see the data, if the data has more digits than float32.
    weights : (n,) float64 or None
    threads : int
        For work on this machine.
    n_parts : int
        Parts of the data with statistics of their own; the last digits depend on it.
    """

    name: str
    n_samples: int
    n_features: int
    dtype: np.dtype
    origin: np.ndarray | None
    weights: np.ndarray | None
    threads: int
    n_parts: int = 1
    _survey: Survey | None = None
    _sketch: np.ndarray | None = None
    _steps: np.ndarray | None = None

    @abstractmethod
    def take(self, indices):
        """Rows as kernels see them, in float64 and the data's own coordinates.

        Parameters
        ----------
        indices : (m,) int, strictly increasing

        Returns
        -------
        (m, d) float64
        """

    @abstractmethod
    def data_chunks(self):
        """Yield (first row, (m, d) float64): all rows, in the data's own coordinates."""

    @abstractmethod
    def stats(self, params):
        """`Stats` of all the data under `params`: the pass of one EM iteration."""

    @abstractmethod
    def score(self, params, *, log_prob=False, labels=False, resp=False):
        """Yield (first row, Outputs) for each chunk; the arrays are reused for the next one.

        Parameters
        ----------
        params : Params
        log_prob, labels, resp : bool
            What to compute: (m,) ln p(x), (m,) int32 labels, (m, K) responsibilities.

        Raises
        ------
        DataError
            The data holds NaN or infinity.
        """

    @abstractmethod
    def refuse_bad_values(self):
        """Raise the `DataError` that locates NaN, infinity or too large a value."""

    def survey(self, covariance_type="diag"):
        """Mean and variances of the data.

        Parameters
        ----------
        covariance_type : str
            Family to be fitted: its kernel does the survey, so that no other is compiled.

        Raises
        ------
        DataError
            The data holds NaN, infinity, or values whose squares overflow.
        """
        if self._survey is None:
            self._survey = self._make_survey(get_family(covariance_type))
        return self._survey

    @property
    def steps(self):
        """The step to which each feature was rounded, (d,); 0 for one that was not.

        Found from rows all over the data, so rows on a finer grid count like any other exception.
        """
        if self._steps is None:
            self.survey()
            stored = np.dtype(self.source_dtype)
            eps = np.finfo(stored).eps if stored.kind == "f" else 0.0
            eps = max(eps, np.finfo(self.dtype).eps)
            self._steps, self._sketch = find_steps(self._sketch, eps), None
        return self._steps

    def _first_look(self):
        """`rough_centre` of the data; also takes the sketch from which `steps` are found."""
        size = self.n_samples if self.weights is None else count_positive(self.weights)
        most = min(SKETCH_ROWS, SKETCH_VALUES // self.n_features)
        rows = np.union1d(_spread(size, LOOK_ROWS), _spread(size, most))
        rows = rows if self.weights is None else positive_rows(self.weights, rows)
        self._sketch = self.take(rows)
        return rough_centre(
            lambda some: self._sketch[np.searchsorted(rows, some)], self.n_samples, self.weights
        )

    def _make_survey(self, family):
        with np.errstate(all="ignore"):
            centre = self._first_look()
            if not np.isfinite(centre).all():
                self.refuse_bad_values()
            family = surveying(family)
            unit = family.unit(self.n_features)
            stats = self.stats(Params(np.ones(1), centre[None], unit, family.name))
            delta = stats.s1[0] / stats.total_weight
            moment = family.second_moment(stats) / stats.total_weight
            variance = family.moment_variances(moment) - delta**2
            mean = stats.means[0] + delta
            # a single row has no variance to overflow
            refused = not np.isfinite(variance + mean**2).all()
        if refused:
            self.refuse_bad_values()
        return Survey(mean, np.maximum(variance, 0), stats.total_weight)


def rough_centre(take, n_samples, weights):
    """Weighted median of some rows from all over the data, `take(rows)`.

    Rows of weight zero do not count. A median, as one far row must not move the centre: that would
    cost all others digits of float32.
    """
    size = n_samples if weights is None else count_positive(weights)
    rows = _spread(size, LOOK_ROWS)
    if weights is None:
        return np.median(take(rows), axis=0)
    rows = positive_rows(weights, rows)
    x = take(rows)
    order = np.argsort(x, axis=0)
    # relative to the largest, so that sums of tiny weights keep their digits
    passed = np.cumsum((weights[rows] / weights[rows].max())[order], axis=0)
    middle = (passed < 0.5 * passed[-1]).sum(axis=0)
    return np.take_along_axis(np.take_along_axis(x, order, 0), middle[None], 0)[0]


def _spread(size, count):
    """`count` numbers of 0..size - 1, evenly spread; all of them if there are no more."""
    if count >= size:
        return np.arange(size)
    return np.linspace(0, size - 1, count).astype(np.int64)


def _pieces(weights):
    """Yield (first row, piece): weights may be a memory map as long as the data."""
    for start in range(0, len(weights), _PIECE):
        yield start, weights[start : start + _PIECE]


def count_positive(weights):
    return sum(np.count_nonzero(piece > 0) for _, piece in _pieces(weights))


def positive_rows(weights, ordinals):
    """Row numbers of the samples at sorted places among those of positive weight."""
    rows = np.empty(len(ordinals), np.int64)
    seen = done = 0
    for start, piece in _pieces(weights):
        positive = np.flatnonzero(piece > 0)
        end = int(np.searchsorted(ordinals, seen + len(positive)))
        rows[done:end] = start + positive[ordinals[done:end] - seen]
        seen, done = seen + len(positive), end
    return rows


def default_dtype(stored):
    """Kernels' dtype for stored data: float32 for float32 and float16, else float64."""
    return np.float32 if stored.kind == "f" and stored.itemsize <= 4 else np.float64


def needs_origin(stored, dtype):
    """Whether data of dtype `stored` has more digits than kernels of `dtype`."""
    return dtype == np.float32 and default_dtype(stored) == np.float64


def check_weights(weights, n_samples):
    """Sample weights as (n,) float64, or None.

    Raises
    ------
    DataError
        Wrong length, not numbers, negative, not finite, all zero, or all tiny or huge.
    """
    if weights is None:
        return None
    try:
        if getattr(getattr(weights, "dtype", None), "kind", None) == "c":
            raise TypeError  # NumPy would only warn, and take the real parts
        weights = np.ascontiguousarray(weights, np.float64)
    except (TypeError, ValueError, OverflowError):  # the last: an integer beyond float64
        raise DataError("sample_weight: not numbers") from None
    if weights.shape != (n_samples,):
        raise DataError(f"sample_weight has shape {weights.shape}; ({n_samples},) is needed")
    for start, piece in _pieces(weights):
        wrong = np.flatnonzero(~np.isfinite(piece) | (piece < 0))
        if len(wrong):
            row = start + int(wrong[0])
            raise DataError(
                f"sample_weight: row {row} (counting from 0) is {spell(weights[row])}; "
                "weights must be finite and not negative"
            )
    if not weights.max() > 0:
        raise DataError("sample_weight: all weights are zero")
    if not 1 / MOST_WEIGHT <= weights.max() <= MOST_WEIGHT:
        raise DataError(
            f"sample_weight: the largest is {weights.max()}; it must lie between "
            f"{1 / MOST_WEIGHT:g} and {MOST_WEIGHT:g}: multiply all weights by the same number"
        )
    return weights
