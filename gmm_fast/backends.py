"""Backends map a kernel over the chunks of a source, in order."""

import ctypes
import math
from dataclasses import dataclass

import numpy as np

from .errors import DataError
from .families import get_family
from .forms import make_form
from .kernels import gaussian
from .kernels.tiles import BLOCK
from .params import Params
from .sources import ArraySource, bad_value_error, chunks, first_bad_row, load_resident, take
from .threads import check_threads, kernel_threads

# Data of at most this many bytes is kept in memory once read; more is streamed in every pass.
RESIDENT_BYTES = 128 * 2**20
# A chunk: large enough that starting the threads costs nothing, small enough to buffer three.
CHUNK_BYTES = 8 * 2**20
# All lanes together: few large accumulators, or up to MAX_LANES small ones.
LANES_BYTES = 8 * 2**20
MAX_LANES = 64
MIN_LANES = 4
# Nanoseconds of work for which it pays to wake another thread.
THREAD_WORK = 100_000
# Largest sample weight, and its inverse the least: beyond, float32 sums over- or underflow.
MOST_WEIGHT = 1e20


def n_lanes(n_samples, lane_bytes):
    """Number of accumulators: a function of the work alone, never of the threads."""
    lanes = min(MAX_LANES, max(MIN_LANES, LANES_BYTES // lane_bytes))
    return max(1, min(lanes, n_samples // (4 * BLOCK)))


def chunk_rows(n_features):
    """Rows of a chunk: a function of the data's shape alone, in whole blocks."""
    blocks = CHUNK_BYTES // (8 * n_features * BLOCK)
    return max(blocks, 1) * BLOCK


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


class LocalBackend:
    """The kernels on this machine's threads, over one source.

    Parameters
    ----------
    source : Source
    dtype : float32 or float64, optional
        What the kernels compute in; by default float32 for float32 and float16 data, else float64.
    weights : (n,) float64, optional
        Sample weights, checked by `check_weights`.
    threads : int, optional
    """

    def __init__(self, source, *, dtype=None, weights=None, threads=None):
        self.name = source.name
        self.n_samples = source.n_samples
        self.n_features = source.n_features
        self.dtype = np.dtype(dtype or default_dtype(source.dtype))
        self.threads = check_threads(threads)
        self.source = source
        self.origin = self._origin(source)
        if isinstance(source, ArraySource) or self._nbytes() <= RESIDENT_BYTES:
            source = load_resident(source, self.dtype, origin=self.origin)
            self._in_memory = True
        else:
            self._in_memory = False
        self.source = source
        self.weights = weights
        self._cast_weights = (
            np.empty(0, self.dtype) if weights is None else weights.astype(self.dtype)
        )
        self._survey = None
        self._spare = {}

    def _nbytes(self):
        return self.n_samples * self.n_features * self.dtype.itemsize

    def _origin(self, source):
        """Where float32 kernels put zero when the data holds more digits than they do."""
        if self.dtype == np.float64 or default_dtype(source.dtype) == np.float32:
            return None
        rows = np.unique(np.linspace(0, source.n_samples - 1, 1000).astype(np.int64))
        with np.errstate(all="ignore"):
            origin = take(source, rows, np.float64).mean(axis=0)
        if not np.isfinite(origin).all():  # it would make every row bad
            self._refuse_bad_values()
        return origin

    def chunks(self):
        """(first row, chunk) pairs in the coordinates that kernels see."""
        rows = chunk_rows(self.n_features)
        origin = None if self._in_memory else self.origin
        start = 0
        for chunk in chunks(self.source, rows, self.dtype, origin=origin):
            yield start, chunk
            start += len(chunk)

    def take(self, indices):
        """Rows as kernels see them, as float64 in the data's own coordinates."""
        origin = None if self._in_memory else self.origin
        rows = take(self.source, indices, self.dtype, origin=origin).astype(np.float64)
        return rows if self.origin is None else rows + self.origin

    def stats(self, params):
        """`Stats` of all the data under `params`: one EM iteration's look at the data."""
        form = make_form(params, self.dtype, self.origin)
        lanes = self._lanes(form, params.n_components)
        nothing = _no_outputs(params.n_components, self.dtype)
        for start, chunk in self.chunks():
            self._launch(form, start, chunk, lanes, nothing)
        merged = _merge_lanes(lanes)
        self._spare = {(form.shapes, params.n_components): lanes}
        first = merged.s1[:, :, : self.n_features]  # behind it there may be squares
        if not all(np.isfinite(a).all() for a in (merged.totals, merged.n_k, first)):
            self._refuse_bad_values()
        return form.collect(merged)

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
        form = make_form(params, self.dtype, self.origin)
        k = params.n_components
        lanes = self._lanes(form, 0)
        rows = min(chunk_rows(max(self.n_features, k if resp else 0)), self.n_samples)
        buffers = gaussian.Outputs(
            np.empty(rows if log_prob else 0, self.dtype),
            np.empty(rows if labels else 0, np.int32),
            np.empty((rows if resp else 0, k), self.dtype),
        )
        for start, chunk in self.chunks():
            for first in range(0, len(chunk), rows):
                part = chunk[first : first + rows]
                out = gaussian.Outputs(*(b[: len(part)] for b in buffers))
                self._launch(form, start + first, part, lanes, out, weighted=False)
                if not np.isfinite(lanes.totals[:, 3]).all():
                    self._refuse_bad_values()
                yield start + first, out

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

    def _look(self, family):
        rows = np.unique(np.linspace(0, self.n_samples - 1, 1000).astype(np.int64))
        with np.errstate(all="ignore"):
            centre = self.take(rows).mean(axis=0)
            if not np.isfinite(centre).all():
                self._refuse_bad_values()
            if family.name == "spherical":  # it asks for traces; the same kernel looks deeper
                family = get_family("diag")
            unit = family.unit(self.n_features)
            stats = self.stats(Params(np.ones(1), centre[None], unit, family.name))
            delta = stats.s1[0] / stats.total_weight
            moment = family.second_moment(stats) / stats.total_weight
            variance = (np.diagonal(moment) if moment.ndim == 2 else moment) - delta**2
        if not np.isfinite(variance).all():
            self._refuse_bad_values()
        return Survey(stats.means[0] + delta, np.maximum(variance, 0), stats.total_weight)

    def _refuse_bad_values(self, definitely=True):
        bad = first_bad_row(self.source)
        if bad is not None:
            raise bad_value_error(self.source, bad)
        if definitely:
            raise DataError(
                f"{self.name}: values are so large that their squares overflow {self.dtype}; "
                "rescale the data"
            )

    def warm_up(self, family):
        """Compile the kernel of `family`, or load it from Numba's cache."""
        row = ArraySource(np.zeros((1, self.n_features), self.dtype))
        unit = Params(
            np.ones(1), np.zeros((1, self.n_features)), family.unit(self.n_features), family.name
        )
        LocalBackend(row, dtype=self.dtype, threads=self.threads).stats(unit)

    def _launch(self, form, start, chunk, lanes, out, weighted=True):
        chunk = _mutable(chunk)
        weights = self._cast_weights[start : start + len(chunk)] if weighted else _NONE[self.dtype]
        # threads without work would only have to be woken: milliseconds on a busy machine
        worth = 1 + int(len(chunk) * form.work / THREAD_WORK)
        with kernel_threads(min(self.threads, len(lanes.totals), worth)):
            form.kernel(chunk, weights, form.arrays, lanes, out)

    def _lanes(self, form, k):
        """Zeroed accumulators; k = 0 turns the statistics off."""
        # those of the pass before, if alike: fresh memory costs more than zeroing old
        spare = self._spare.pop((form.shapes, k), None)
        if spare is not None:
            for array in spare:
                array.fill(0)
            return spare
        self._spare.clear()
        lane_bytes = 8 * sum(math.prod(shape) for shape in form.shapes)
        count = n_lanes(self.n_samples, lane_bytes)
        moments = count if k else 0
        shapes = [(count, 4), (count, k), *((moments, *shape) for shape in form.shapes)]
        return gaussian.Lanes(*map(np.zeros, shapes))


_NONE = {np.dtype(t): np.empty(0, t) for t in (np.float32, np.float64)}


def _mutable(x):
    """`x`, or a view of its memory not marked read-only, for which kernels would compile anew.

    Kernels never write to their input.
    """
    if x.flags.writeable:
        return x
    memory = (ctypes.c_char * x.nbytes).from_address(x.ctypes.data)
    view = np.frombuffer(memory, x.dtype).reshape(x.shape)
    memory.owner = x  # keeps the data alive
    return view


def _no_outputs(k, dtype):
    return gaussian.Outputs(np.empty(0, dtype), np.empty(0, np.int32), np.empty((0, k), dtype))


def _merge_lanes(lanes):
    """One lane: the sum, in lane order."""
    return gaussian.Lanes(*(np.add.reduce(a, axis=0, keepdims=True) for a in lanes))


def default_dtype(stored):
    """What kernels compute in for data of that dtype: as stored if float32, else float64."""
    return np.float32 if stored.kind == "f" and stored.itemsize <= 4 else np.float64


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
        weights = np.ascontiguousarray(weights, np.float64)
    except (TypeError, ValueError):
        raise DataError("sample_weight: not numbers") from None
    if weights.shape != (n_samples,):
        raise DataError(f"sample_weight has shape {weights.shape}; ({n_samples},) is needed")
    if not np.isfinite(weights).all() or (weights < 0).any():
        row = int(np.flatnonzero(~np.isfinite(weights) | (weights < 0))[0])
        raise DataError(
            f"sample_weight: row {row} (counting from 0) is {weights[row]}; "
            "weights must be finite and not negative"
        )
    if not (weights > 0).any():
        raise DataError("sample_weight: all weights are zero")
    if not 1 / MOST_WEIGHT <= weights.max() <= MOST_WEIGHT:
        raise DataError(
            f"sample_weight: the largest is {weights.max()}; it must lie between "
            f"{1 / MOST_WEIGHT:g} and {MOST_WEIGHT:g}: multiply all of them by the same number"
        )
    return weights
