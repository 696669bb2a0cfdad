"""The thread budget: of the kernels, and of BLAS, which is to have none beside them."""

import functools
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numba
from threadpoolctl import ThreadpoolController

from .errors import DataError

# Nanoseconds of work for which it pays to start another thread.
THREAD_WORK = 1_000_000

# Numba's `workqueue` threading layer aborts the process when two threads start kernels at once.
_kernel_lock = threading.Lock()
# Held by whoever has put BLAS on one thread.
_blas_lock = threading.Lock()


def default_threads():
    """Threads that kernels use when nothing is said (NUMBA_NUM_THREADS, or the processors)."""
    return numba.config.NUMBA_NUM_THREADS


def check_threads(threads):
    """`threads`, or the default for None.

    Raises
    ------
    DataError
        Not between 1 and the number of threads Numba may start.
    """
    most = default_threads()
    if threads is None:
        return most
    if not 1 <= threads <= most:
        raise DataError(f"threads must lie between 1 and {most} on this machine, not {threads}")
    return int(threads)


@contextmanager
def kernel_threads(threads):
    """Run kernels on `threads` threads, one Python thread at a time."""
    with _kernel_lock:
        before = numba.get_num_threads()
        numba.set_num_threads(threads)
        try:
            yield
        finally:
            numba.set_num_threads(before)


def wait_quietly():
    """Let kernel threads sleep, not spin, while they wait for the next chunk.

    Threads of GNU OpenMP spin after each kernel, which costs decoders of Parquet or CSV the core
    that they decode on: passes over Parquet were 15 to 40 % faster without. Kernels on data in
    memory lose 0.03 ms a launch. It has an effect only before the first kernel of the process, and
    never on a user's own choice.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def share_out(kernel, n_samples, grain, threads, nanoseconds):
    """Call kernel(start, stop) on parts of 0..n_samples, each of whole grains, one a thread.

    Parameters
    ----------
    kernel : callable
        Releases the GIL, and writes what belongs to its samples alone: so nothing depends on the
        number of threads.
    n_samples, grain : int
        The first is a multiple of the second.
    threads : int
        At most; fewer where there is too little work to wake them.
    nanoseconds : float
        That all of it takes on one thread, roughly.
    """
    grains = n_samples // grain
    parts = min(threads, grains, 1 + int(nanoseconds / THREAD_WORK))
    if parts <= 1:
        kernel(0, n_samples)
        return
    ends = [grain * (grains * part // parts) for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(kernel, ends[:-1], ends[1:]))  # the list raises what a thread raised


@contextmanager
def serial_blas():
    """Context, or decorator, in which BLAS and LAPACK run on the calling thread.

    OpenBLAS's threads spin for some 20 ms after each call, waiting for the next one. Between the
    Cholesky factorisations of an M-step they would take a core from the kernel: at d = 128 the pass
    on two threads took 157 ms with them and 111 ms without.

    The limit is the process's. Who comes first takes it and restores it; whoever comes meanwhile
    leaves it alone, or would restore a limit of one.
    """
    if not _blas_lock.acquire(blocking=False):
        yield
        return
    try:
        with _blas().limit(limits=1):
            yield
    finally:
        _blas_lock.release()


@functools.cache
def _blas():
    """The BLAS libraries that NumPy and SciPy have loaded; looking for them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")
