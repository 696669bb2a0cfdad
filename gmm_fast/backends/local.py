"""Run the kernels on this machine's threads."""

import copy
import ctypes
import functools
import math
import time
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from ..kernels import gaussian
from ..kernels.tiles import BLOCK
from ..log import LOGGER
from ..mixture.forms import make_form
from ..mixture.params import Params
from ..sources import ArraySource, bad_value_error, chunks, first_bad_row, load_resident, take
from .base import Backend, check_means, default_dtype, needs_origin, rough_centre
from .memory import free_share
from .threads import (
    alone,
    check_threads,
    numba_threads_lost,
    run_kernel,
    serial_blas,
    share_out,
    works_alone,
)

# A chunk: large enough that starting the threads costs nothing, small enough to be in the cache
# still when the kernels get it: with 8 MiB, streaming took 3 to 7 % longer.
CHUNK_BYTES = 4 * 2**20
# All lanes together: a few large accumulators, or up to MAX_LANES small ones.
LANES_BYTES = 8 * 2**20
MAX_LANES = 64
MIN_LANES = 4
# Nanoseconds of work that justify waking another thread.
THREAD_WORK = 100_000
# The most that a decoder keeps of each column: pages, compressed and decompressed.
COLUMN_BYTES = 4 * 2**20
# If kernels wait for data for a larger share of a pass, one thread fewer may be faster.
WAITING = 0.15


def n_lanes(n_samples, lane_bytes):
    """Number of accumulators: depends on the work alone, never on the threads."""
    lanes = min(MAX_LANES, max(MIN_LANES, LANES_BYTES // lane_bytes))
    return max(1, min(lanes, n_samples // (4 * BLOCK)))


def chunk_rows(n_features):
    """Rows of a chunk, in whole blocks: depends on the data's shape alone."""
    blocks = CHUNK_BYTES // (8 * n_features * BLOCK)
    return max(blocks, 1) * BLOCK


@dataclass
class Reading:
    """How streamed passes went.

    Attributes
    ----------
    n_bytes : int
        Bytes read, as stored.
    seconds : float
        Duration of the passes.
    waited : float
        Seconds in which the kernels waited for data.
    """

    n_bytes: int = 0
    seconds: float = 0.0
    waited: float = 0.0


class Pace:
    """How many threads the kernels get while another thread decodes their data.

    If they wait for it, one thread fewer may be faster: it leaves the decoder a core. The second
    pass tries that, and the faster choice stays; results do not depend on it.
    """

    def __init__(self, threads):
        self.threads = self._all = threads
        self._seconds = None

    def record(self, seconds, waited):
        """Record how long a pass with `threads` took, and how long the kernels waited in it."""
        if self._seconds is None:
            self._seconds = seconds
            if self._all > 1 and waited > WAITING * seconds:
                self.threads -= 1
        elif seconds > self._seconds:
            self.threads = self._all


class LocalBackend(Backend):
    """Runs the kernels on this machine's threads over one source.

    Parameters
    ----------
    source : Source
    dtype : float32 or float64, optional
        In which kernels compute; by default float32 for float32 and float16 data, else float64.
    weights : (n,) float64, optional
        Sample weights, checked by `check_weights`.
    threads : int, optional
    room : int, optional
        Data of at most this many bytes is read once and kept; more is streamed in every pass, with
        bitwise the same results. By default a share of the free memory.
    origin : (d,) float64, optional
        Origin of the whole data that `source` is a part of; by default found if needed.

    Attributes
    ----------
    in_memory : bool
        Whether the data is kept.
    reading : Reading
    """

    def __init__(self, source, *, dtype=None, weights=None, threads=None, room=None, origin=None):
        warn_uncached()
        self.name = source.name
        self.n_samples = source.n_samples
        self.n_features = source.n_features
        self.dtype = np.dtype(dtype or default_dtype(source.dtype))
        self.threads = check_threads(threads)
        self.weights = weights
        self.opened = self.source = source
        self.origin = self._find_origin(source) if origin is None else origin
        held = self.origin is None and source.view(0, self.n_samples, self.dtype) is not None
        self.in_memory = isinstance(source, ArraySource) or held or self._fits(room)
        if self.in_memory:
            how = {"origin": self.origin, "readers": self._readers(room)}
            self.source = load_resident(source, self.dtype, **how)
        self.reading = Reading()
        self._spare = {}
        self._paces = {}

    @property
    def source_dtype(self):
        return self.opened.dtype

    def with_weights(self, weights):
        """A backend with other sample weights that shares this one's data.

        Parameters
        ----------
        weights : (n,) float64, or an object that can be sliced and indexed like it
        """
        other = copy.copy(self)
        other.weights, other._survey, other._sketch, other._steps = weights, None, None, None
        other._spare, other._paces = {}, {}
        return other

    def __sizeof__(self):  # Dask's scheduler asks what moving it would cost
        return self.nbytes if self.in_memory else 1000

    def __getstate__(self):
        return self.__dict__ | {"_spare": {}}

    @property
    def nbytes(self):
        """Size of the data as the kernels see it."""
        return self.n_samples * self.n_features * self.dtype.itemsize

    def _fits(self, room):
        return self.nbytes <= (free_share() if room is None else room)

    def _readers(self, room):
        """How many threads may read the data to be kept: as many as there is memory for."""
        spare = (free_share() if room is None else room) - self.nbytes
        each = self.opened.reading_bytes + self.n_features * COLUMN_BYTES
        return max(1, min(self.threads, 1 + spare // each))

    def _find_origin(self, source):
        if not needs_origin(source.dtype, self.dtype):
            return None
        with np.errstate(all="ignore"):
            origin = rough_centre(
                lambda rows: take(source, rows, np.float64), self.n_samples, self.weights
            )
        if not np.isfinite(origin).all():  # it would make every row bad
            self.refuse_bad_values()
        return origin

    def chunks(self):
        """Yield (first row, chunk) in the coordinates that kernels see."""
        rows = chunk_rows(self.n_features)
        if self.in_memory:
            pieces = chunks(self.source, rows, self.dtype)
        else:
            readers = self.threads
            pieces = chunks(self.source, rows, self.dtype, origin=self.origin, readers=readers)
            pieces = self._timed(pieces)
        start = 0
        for chunk in pieces:
            yield start, chunk
            start += len(chunk)

    def data_chunks(self):
        for start, chunk in self.chunks():
            x = np.asarray(chunk, np.float64)
            yield start, x if self.origin is None else x + self.origin

    def _timed(self, pieces):
        """Yield the pieces and add their times to `reading`."""
        began = asked = time.perf_counter()
        waited = 0.0
        for piece in pieces:
            waited += time.perf_counter() - asked
            yield piece
            asked = time.perf_counter()
        self.reading.seconds += time.perf_counter() - began
        self.reading.waited += waited
        self.reading.n_bytes += self.n_samples * self.n_features * self.opened.dtype.itemsize

    def take(self, indices):
        origin = None if self.in_memory else self.origin
        rows = take(self.source, indices, self.dtype, origin=origin).astype(np.float64)
        return rows if self.origin is None else rows + self.origin

    def stats(self, params):
        form = make_form(params, self.dtype, self.origin)
        lanes = self._lanes(form, params.n_components)
        nothing = no_outputs(params.n_components, self.dtype)
        pace = self._pace(form, params.n_components)
        seconds, waited = self.reading.seconds, self.reading.waited
        for start, chunk in self.chunks():
            self._launch(form, start, chunk, lanes, nothing, pace.threads)
        pace.record(self.reading.seconds - seconds, self.reading.waited - waited)
        merged = _merge_lanes(lanes)
        self._spare = {(form.shapes, params.n_components): lanes}
        first = merged.s1[:, :, : self.n_features]  # after it there may be squares
        if not all(np.isfinite(a).all() for a in (merged.totals, merged.n_k, first)):
            self.refuse_bad_values()
        return form.collect(merged)

    def score(self, params, *, log_prob=False, labels=False, resp=False):
        check_means(params, self.dtype)
        with serial_blas():
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
                self._launch(form, start + first, part, lanes, out, self.threads, weighted=False)
                # values whose squares overflow may give NaN, too
                if not np.isfinite(lanes.totals[:, 3]).all() or np.isnan(lanes.totals[:, 1]).any():
                    self.refuse_bad_values()
                yield start + first, out

    def check_finite(self):
        """Raise a `DataError` that locates the first NaN or infinity, if there is one."""
        bad = first_bad_row(self.source)
        if bad is not None:
            raise bad_value_error(self.opened, bad)

    def refuse_bad_values(self):
        self.check_finite()
        raise DataError(
            f"{self.name}: values are so large that their squares overflow {self.dtype}; "
            "rescale the data"
        )

    def _pace(self, form, k):
        """The `Pace` of passes with that form; matters only for decoded data."""
        if self.in_memory or not self.opened.decoded:
            return Pace(self.threads)
        return self._paces.setdefault((form.shapes, k), Pace(self.threads))

    def _launch(self, form, start, chunk, lanes, out, threads, weighted=True):
        chunk = _mutable(chunk)
        weights = _NONE[self.dtype]
        if weighted and self.weights is not None:
            weights = self.weights[start : start + len(chunk)].astype(self.dtype, copy=False)
            weights = _mutable(weights)
        if works_alone() or numba_threads_lost():

            def run(first, last):
                form.some_lanes(first, last, chunk, weights, form.arrays, lanes, out)

            share_out(run, len(lanes.totals), 1, threads, len(chunk) * form.work)
            return
        # waking threads without work may take milliseconds on a busy machine
        worth = 1 + int(len(chunk) * form.work / THREAD_WORK)
        threads = min(threads, len(lanes.totals), worth)
        run_kernel(threads, form.kernel, chunk, weights, form.arrays, lanes, out)

    def _lanes(self, form, k):
        """Zeroed accumulators; k = 0 turns the statistics off."""
        # reuse those of the last pass: fresh memory costs more than zeroing old
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
    """`x`, or a writable view of its memory: kernels would be compiled again for read-only arrays.

    Kernels never write to their input.
    """
    if x.flags.writeable:
        return x
    memory = (ctypes.c_char * x.nbytes).from_address(x.ctypes.data)
    view = np.frombuffer(memory, x.dtype).reshape(x.shape)
    memory.owner = x  # keeps the data alive
    return view


def no_outputs(k, dtype):
    return gaussian.Outputs(np.empty(0, dtype), np.empty(0, np.int32), np.empty((0, k), dtype))


def _merge_lanes(lanes):
    """The sum of all lanes, in lane order, as one lane."""
    return gaussian.Lanes(*(np.add.reduce(a, axis=0, keepdims=True) for a in lanes))


# Kernels are the same for any number of features, and large matrices cost seconds.
_WARM_FEATURES = 64


@functools.cache
def warn_uncached():
    """Warn once if compiled kernels cannot be cached on disk."""
    kept = getattr(gaussian.triangular_pass, "_cache", None)
    if kept is not None and kept.cache_path is None:
        # on standard error where logging is not set up
        LOGGER.warning(
            "note: there is no writable folder for compiled kernels, so every process compiles "
            "them again, which takes seconds to minutes; set NUMBA_CACHE_DIR to a writable folder"
        )


def backend_over(backend, x, weights=None):
    """A backend like another one, over rows that `take` gave of its data: the same bits.

    Parameters
    ----------
    backend : Backend
    x : (m, d) float64
    weights : (m,) float64, optional
    """
    # values that kernels see as they are stay so; an origin would cost them digits
    stored = x if backend.origin is not None else x.astype(backend.dtype, copy=False)
    return LocalBackend(
        ArraySource(np.ascontiguousarray(stored)),
        origin=backend.origin,
        dtype=backend.dtype,
        weights=weights,
        threads=backend.threads,
    )


def warm_up(family, n_features, dtype, threads=None, *, side_by_side=False):
    """Compile the kernel of `family`, or load it from Numba's cache.

    With `side_by_side` also the one for a single thread, see `threads.alone`.
    """
    d = min(n_features, _WARM_FEATURES)
    row = ArraySource(np.zeros((1, d), dtype))
    unit = Params(np.ones(1), np.zeros((1, d)), family.unit(d), family.name)
    backend = LocalBackend(row, dtype=dtype, threads=threads)
    backend.stats(unit)
    if side_by_side:
        with alone():
            backend.stats(unit)
