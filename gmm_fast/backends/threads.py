"""Threads of the kernels, the limit of BLAS beside them, and locks across forks."""

import functools
import multiprocessing
import os
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ContextDecorator, contextmanager

import numba
from numba.core.compiler_lock import global_compiler_lock
from threadpoolctl import ThreadpoolController

from ..errors import DataError

# Nanoseconds of work that justify starting another thread.
THREAD_WORK = 1_000_000

# Numba's `workqueue` threading layer aborts the process when two threads start kernels at once.
_kernel_lock = threading.RLock()
# Held while the limit of BLAS is set or restored.
_blas_lock = threading.RLock()
# Held while a fit imports modules.
_import_lock = threading.RLock()


def importing():
    """Context for an import in the middle of a fit: forks wait until it is done.

    A module that one thread imports while another forks stays locked in the child for ever.
    """
    return _import_lock


def default_threads():
    """Threads that kernels use by default (NUMBA_NUM_THREADS, or the number of processors)."""
    return numba.config.NUMBA_NUM_THREADS


def check_threads(threads):
    """`threads`, or the default for None.

    Raises
    ------
    DataError
        Not between 1 and the number of threads that Numba may start.
    """
    most = default_threads()
    if threads is None:
        return most
    if not 1 <= threads <= most:
        raise DataError(f"threads must lie between 1 and {most} on this machine, not {threads}")
    return int(threads)


def run_kernel(threads, kernel, *arguments):
    """Run a kernel on `threads` threads; Python threads take turns."""
    with _kernel_lock:
        before = numba.get_num_threads()
        if threads == before:
            kernel(*arguments)
            return
        numba.set_num_threads(threads)
        try:
            kernel(*arguments)
        finally:
            numba.set_num_threads(before)


def wait_quietly():
    """Let kernel threads sleep, not spin, while they wait for the next chunk.

    GNU OpenMP threads spin after each kernel and take the core that decodes Parquet or CSV: passes
    over Parquet were 15 to 40 % faster without. Kernels on data in memory lose 0.03 ms per launch.
    This works only before the first kernel of the process, and does not override the user's
    setting.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def share_out(kernel, n_samples, grain, threads, nanoseconds):
    """Call kernel(start, stop) on parts of 0..n_samples, of whole grains, one part per thread.

    Parameters
    ----------
    kernel : callable
        Releases the GIL, and writes only what belongs to its samples, so that nothing depends on
        the number of threads.
    n_samples, grain : int
        The first is a multiple of the second.
    threads : int
        At most; fewer if there is too little work.
    nanoseconds : float
        Rough time of all the work on one thread.
    """
    grains = n_samples // grain
    parts = 1 if works_alone() else min(threads, grains, 1 + int(nanoseconds / THREAD_WORK))
    if parts <= 1:
        kernel(0, n_samples)
        return
    ends = [grain * (grains * part // parts) for part in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(kernel, ends[:-1], ends[1:]))  # the list raises errors of the threads


class _Cancelled(BaseException):
    """Ends a piece of work that nobody waits for any more."""


_alone = threading.local()


@contextmanager
def alone(cancelled=None):
    """Context in which kernels run only on the thread that launches them.

    So several threads can run kernels at the same time, with bitwise the same results.

    Parameters
    ----------
    cancelled : threading.Event, optional
        Once it is set, the next launch ends the block.
    """
    before = getattr(_alone, "now", None)
    _alone.now = threading.Event() if cancelled is None else cancelled
    try:
        yield
    finally:
        _alone.now = before


def works_alone():
    """Whether the calling thread is in a block of `alone`."""
    cancelled = getattr(_alone, "now", None)
    if cancelled is not None and cancelled.is_set():
        raise _Cancelled
    return cancelled is not None


def side_by_side(function, items, threads):
    """Call a function on each of `items`, as many at a time as there are threads.

    Kernels of each call run `alone`. With one thread or one item, the calls run here one after
    another, and kernels have all threads. Long pieces of work should come first in `items`.

    Returns
    -------
    list
        What the calls returned, in the order of `items`.

    Raises
    ------
    BaseException
        The error of one of them; the others have ended or are cancelled.
    """
    items = list(items)
    threads = min(threads, len(items))
    if threads <= 1 or works_alone():  # nested calls find no threads left
        return [function(item) for item in items]
    cancelled = threading.Event()

    def work(item):
        with alone(cancelled):
            return function(item)

    with ThreadPoolExecutor(threads, thread_name_prefix="gmm-fast-fit") as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
            return [future.result() for future in futures]
        finally:  # without an error there is nothing left to cancel
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)


class serial_blas(ContextDecorator):
    """Context or decorator in which BLAS and LAPACK run on the calling thread only.

    OpenBLAS threads spin for some 20 ms after each call, waiting for the next one. Between the
    Cholesky factorisations of an M-step they would take a core from the kernel: at d = 128 the pass
    on two threads took 157 ms with them and 111 ms without. Also, from d = 128 on the last digits
    depend on the number of BLAS threads.

    The limit applies to the process. The first to enter sets it, the last to leave restores the
    old one: a fit that overlaps with others keeps one thread to its end, and its results.
    """

    def __enter__(self):
        global _blas_limit
        thread = threading.get_ident()
        with _blas_lock:
            if not _inside:
                _free_openblas()
                _blas_limit = _blas().limit(limits=1)
            _inside[thread] = _inside.get(thread, 0) + 1
        return self

    def __exit__(self, *_):
        thread = threading.get_ident()
        with _blas_lock:
            _inside[thread] -= 1
            if not _inside[thread]:
                del _inside[thread]
                _restore_blas()


# How often each thread has entered `serial_blas`, by its identifier; and the limit to restore.
_inside = {}
_blas_limit = None


def _restore_blas():
    global _blas_limit
    if not _inside and _blas_limit is not None:
        _free_openblas()
        _blas_limit.restore_original_limits()
        _blas_limit = None
        _free_openblas()


def _free_openblas():
    """Let any thread change the limit of OpenBLAS, whichever set it.

    After the first limit threadpoolctl 3.8 obeys only the thread that set it, until that has left
    all its contexts. Here a different thread may restore the limit, which would be ignored.
    """
    for library in _blas().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)


@functools.cache
def _blas():
    """The BLAS libraries that NumPy and SciPy have loaded; finding them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


def numba_threads_lost():
    """Whether this process was forked from one that had started Numba's threads.

    Only the forking thread survives in the child. GNU OpenMP cannot start others there, and Numba
    ends a process that tries (or, in a grandchild, lets it hang). `workqueue` can restart; TBB can
    if the main thread forked. For simplicity, kernels in any such process run on Python threads.
    """
    return _lost


def _numba_has_threads():
    try:
        numba.threading_layer()
    except ValueError:  # not initialised
        return False
    return True


# A child of `multiprocessing` that imports this for the first time has not seen the fork. (One of
# `spawn` loses only time, and only if other kernels than ours ran there before.)
_lost = _numba_has_threads() and multiprocessing.parent_process() is not None

# Locks for which a fork waits: one that another thread holds would stay locked in the child for
# ever, with its work half done. In the order in which they are taken; all are re-entrant, as
# signal handlers may fork.
_LOCKS = (_import_lock, _kernel_lock, global_compiler_lock, _blas_lock)


def _before_fork():
    for lock in _LOCKS:
        lock.acquire()


def _after_fork():
    for lock in reversed(_LOCKS):
        lock.release()


def _after_fork_in_child():
    global _lost
    _lost = _lost or _numba_has_threads()
    for thread in _inside.keys() - {threading.get_ident()}:
        del _inside[thread]
    _restore_blas()
    _after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child
    )
