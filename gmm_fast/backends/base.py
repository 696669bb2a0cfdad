"""What every backend is: data of known shape under a kernel, and one look at all of it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from ..checks import spell
from ..errors import DataError
from ..mixture.families import get_family, surveying
from ..mixture.params import Params
from ..mixture.resolution import SKETCH_ROWS, SKETCH_VALUES, find_steps

# Largest sample weight, and its inverse the least: beyond, float32 sums over- or underflow.
MOST_WEIGHT = 1e20
# Rows from all over the data that tell where it lies.
LOOK_ROWS = 1000
# Weights checked at a time: they may be a memory map as long as the data.
_PIECE = 2**20
# Square root of the largest float32, nearly: what float32 rows are to such a mean is not known.
MOST_MEAN = 1e18


@dataclass(frozen=True)
class Survey:
    """What one look at all the data tells.

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
    """Raise DataError where kernels of `dtype` could not tell what samples are to a component."""
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
        Of the data, in messages.
    n_samples, n_features : int
    dtype : numpy.dtype
        What the kernels compute in.
    origin : (d,) float64 or None
        Where float32 kernels put zero when the data holds more digits than they do.
    weights : (n,) float64 or None
    threads : int
        For work on this machine.
    n_parts : int
        Parts of the data whose statistics are made apart; another number, other last digits.
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
        """Rows as kernels see them, as float64 in the data's own coordinates.

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
        """`Stats` of all the data under `params`: one EM iteration's look at the data."""

    @abstractmethod
    def score(self, params, *, log_prob=False, labels=False, resp=False):
        """Yield (first row, Outputs) for each chunk; arrays are reused from chunk to chunk.

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
        """Raise the `DataError` that says where NaN, infinity or too large a value is."""

    def survey(self, covariance_type="diag"):
        """Mean and variances of the data.

        Parameters
        ----------
        covariance_type : str
            Family that is going to be fitted: its kernel looks, so that no other is compiled.

        Raises
        ------
        DataError
            The data holds NaN, infinity, or values whose squares overflow.
        """
        if self._survey is None:
            self._survey = self._look(get_family(covariance_type))
        return self._survey

    @property
    def steps(self):
        """The step to which each feature was rounded, (d,), 0 for one that was not.

        Found from rows all over the data, which tell of others, few or many, that are on a finer
        grid as of any exception.
        """
        if self._steps is None:
            self.survey()
            stored = np.dtype(self.source_dtype)
            eps = np.finfo(stored).eps if stored.kind == "f" else 0.0
            eps = max(eps, np.finfo(self.dtype).eps)
            self._steps, self._sketch = find_steps(self._sketch, eps), None
        return self._steps

    def _first_look(self):
        """`rough_centre` of the data; the sketch that `steps` are found from is taken with it."""
        size = self.n_samples if self.weights is None else count_positive(self.weights)
        most = min(SKETCH_ROWS, SKETCH_VALUES // self.n_features)
        rows = np.union1d(_spread(size, LOOK_ROWS), _spread(size, most))
        rows = rows if self.weights is None else positive_rows(self.weights, rows)
        self._sketch = self.take(rows)
        return rough_centre(
            lambda some: self._sketch[np.searchsorted(rows, some)], self.n_samples, self.weights
        )

    def _look(self, family):
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
    """Median of some rows from all over the data, `take(rows)`.

    Rows of weight zero are not looked at, wherever they lie, and one row far away moves nothing:
    it would cost all others the digits of float32.
    """
    size = n_samples if weights is None else count_positive(weights)
    rows = _spread(size, LOOK_ROWS)
    if weights is None:
        return np.median(take(rows), axis=0)
    rows = positive_rows(weights, rows)
    x = take(rows)
    order = np.argsort(x, axis=0)
    # as shares of the largest, so that the sum of tiny ones has digits
    passed = np.cumsum((weights[rows] / weights[rows].max())[order], axis=0)
    middle = (passed < 0.5 * passed[-1]).sum(axis=0)
    return np.take_along_axis(np.take_along_axis(x, order, 0), middle[None], 0)[0]


def _spread(size, count):
    """So many numbers of 0..size - 1, evenly spread; all where there are no more."""
    if count >= size:
        return np.arange(size)
    return np.linspace(0, size - 1, count).astype(np.int64)


def _pieces(weights):
    """(first row, piece): weights may be a memory map as long as the data."""
    for start in range(0, len(weights), _PIECE):
        yield start, weights[start : start + _PIECE]


def count_positive(weights):
    return sum(np.count_nonzero(piece > 0) for _, piece in _pieces(weights))


def positive_rows(weights, ordinals):
    """Row numbers of the samples at those places, sorted, among the ones of positive weight."""
    rows = np.empty(len(ordinals), np.int64)
    seen = done = 0
    for start, piece in _pieces(weights):
        positive = np.flatnonzero(piece > 0)
        end = int(np.searchsorted(ordinals, seen + len(positive)))
        rows[done:end] = start + positive[ordinals[done:end] - seen]
        seen, done = seen + len(positive), end
    return rows


def default_dtype(stored):
    """What kernels compute in for data of that dtype: as stored if float32, else float64."""
    return np.float32 if stored.kind == "f" and stored.itemsize <= 4 else np.float64


def needs_origin(stored, dtype):
    """Whether data of dtype `stored` holds more digits than kernels in `dtype`."""
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
            f"{1 / MOST_WEIGHT:g} and {MOST_WEIGHT:g}: multiply all of them by the same number"
        )
    return weights
