"""Functions that Dask workers run on a part of the data, which is a `LocalBackend` there."""

import functools
import pickle
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..errors import ChangedError, DataError, FitError
from ..kernels.gaussian import Outputs
from ..mixture.families import get_family
from ..mixture.stats import merge
from ..sources import ArrayPart, RowRange, take
from .local import LocalBackend, warm_up
from .threads import default_threads, serial_blas

_lock = threading.Lock()


@functools.cache
def _kernel_thread():
    return ThreadPoolExecutor(1, thread_name_prefix="gmm-fast-kernels")


def alone(function, *args):
    """Call a function on the one thread of this process that runs kernels.

    A worker runs as many tasks at once as it has threads, and each kernel uses all of them.
    Running kernels one after another keeps the number of threads within the cores.
    """
    with _lock:
        thread = _kernel_thread()
    return thread.submit(function, *args).result()


def _worker():
    from distributed import get_worker

    return get_worker()


def _threads():
    """Threads that this worker may use."""
    return min(_worker().state.nthreads, default_threads())


def _who():
    return f"worker {_worker().address} on {socket.gethostname()}"


def hold(value):
    """A value that other tasks need; as a task it can be recomputed if its holder dies."""
    return value


@functools.lru_cache(maxsize=4)
def _reopened(token, pickled):
    return pickle.loads(pickled)


def open_rows(opener, start, stop):
    """Rows ``start:stop`` of the source that `opener`, (token, bytes, path), describes.

    The token belongs to one fit, so a file that was replaced since is opened again.
    """
    token, pickled, path = opener
    try:
        with _lock:
            source = _reopened(token, pickled)
        rows = RowRange(source, start, stop)
        rows.read(0, 1, np.empty((1, rows.n_features)))  # the first read may open the file
    except ChangedError:
        raise
    except (DataError, FitError, OSError, ImportError) as error:
        raise DataError(
            f"{_who()} cannot read {path}: {error} (every worker must see the file at that path)"
        ) from None
    return rows


def part_of_rows(opener, start, stop, options):
    """A part of a file, in memory or streamed in every pass."""
    return _part(open_rows(opener, start, stop), options)


def part_of_block(block, name, start, options):
    """A part made of a block of a Dask array."""
    return _part(ArrayPart(np.asarray(block), name, start), options)


def on_block(block, name, start, options, function, *args):
    """function(part, *args) for a part that is not kept."""
    return function(part_of_block(block, name, start, options), *args)


def _part(source, options):
    try:
        return LocalBackend(source, threads=_threads(), **options)
    except FitError as error:
        raise FitError(f"{_who()}: {error}") from None


def raw_rows(source, indices):
    """Rows as stored, in float64."""
    return take(source, indices, np.float64)


def raw_block_rows(block, name, start, indices):
    """Rows of a block in float64."""
    return raw_rows(ArrayPart(np.asarray(block), name, start), indices)


def raw_file_rows(opener, start, stop, indices):
    """Rows of a file in float64."""
    return raw_rows(open_rows(opener, start, stop), indices)


def warm(family, n_features, dtype):
    """Compile the kernel of a family on this worker."""
    alone(warm_up, get_family(family), n_features, dtype, _threads())


def rows(part, indices):
    """See `Backend.take`."""
    return part.take(indices)


def stats(part, params):
    """See `Backend.stats`."""
    part.threads = _threads()
    try:
        return alone(_stats, part, params)
    except FitError as error:
        raise FitError(f"{_who()}: {error}") from None


def _stats(part, params):
    with serial_blas():
        return part.stats(params)


def merge_all(several):
    """Merge several `Stats`, in order."""
    return functools.reduce(merge, several)


def score(part, params, wanted):
    """`Outputs` of a whole part, see `Backend.score`."""
    part.threads = _threads()
    return alone(_score, part, params, wanted)


def _score(part, params, wanted):
    n, k = part.n_samples, params.n_components
    whole = Outputs(
        np.empty(n if wanted["log_prob"] else 0, part.dtype),
        np.empty(n if wanted["labels"] else 0, np.int32),
        np.empty((n if wanted["resp"] else 0, k), part.dtype),
    )
    for start, outputs in part.score(params, **wanted):
        for to, found in zip(whole, outputs, strict=True):
            to[start : start + len(found)] = found
    return whole


def score_block(block, params, dtype, what, block_info=None):
    """One of the `Outputs` of a block of a Dask array, on a worker or on a local thread."""
    wanted = {name: name == what for name in Outputs._fields}
    first = block_info[0]["array-location"][0][0] if block_info else 0
    source = ArrayPart(np.asarray(block), "X", first)
    try:
        threads = _threads()
    except ValueError:  # no worker
        return getattr(_score(LocalBackend(source, dtype=dtype), params, wanted), what)
    part = LocalBackend(source, dtype=dtype, threads=threads)
    return getattr(alone(_score, part, params, wanted), what)


def check_finite(part):
    """See `LocalBackend.check_finite`."""
    part.check_finite()
