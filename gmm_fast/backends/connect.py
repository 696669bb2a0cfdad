"""A Dask cluster to work on: one that runs, or one of our own on this machine."""

import logging
import sys
from contextlib import ExitStack, contextmanager

from ..errors import DataError, FitError
from ..threads import check_threads

# Seconds within which a scheduler has to answer and to have a worker.
PATIENCE = 10
# Seconds that workers of our own get to start.
START = 60


@contextmanager
def cluster(scheduler=None, workers=None, *, threads=None, memory=None):
    """A client of the scheduler at an address, or of `workers` processes on this machine.

    Parameters
    ----------
    scheduler : str, optional
        Such as ``tcp://host:8786``.
    workers : int, optional
        Processes to start instead, which share `threads` and `memory`.
    threads : int, optional
    memory : int, optional
        Bytes.

    Yields
    ------
    distributed.Client

    Raises
    ------
    DataError
        Dask is not installed; the scheduler does not answer within 10 s, or has no workers.
    """
    try:
        import distributed
    except ImportError:
        raise DataError(
            "a cluster needs Dask's distributed: pip install 'gmm-fast[dask]'"
        ) from None
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        if scheduler is None:
            address = stack.enter_context(_own(distributed, workers, threads, memory))
        else:
            address = scheduler
        client = stack.enter_context(_client(distributed, address, scheduler))
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise DataError(
                f"scheduler {address}: has no workers; start some with "
                f"`dask worker {address}` on the machines that are to work"
            ) from None
        yield client


def current_client():
    """The client that Dask's own functions would use now, or None."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.Client.current()
    except ValueError:
        return None


@contextmanager
def _client(distributed, address, scheduler):
    try:
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise DataError(
            f"scheduler {scheduler}: no answer within {PATIENCE} s{why}; check the address, such "
            "as tcp://host:8786, and that `dask scheduler` runs there"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=2)


@contextmanager
def _own(distributed, workers, threads, memory):
    """Address of a scheduler with that many workers on this machine."""
    threads = check_threads(threads)
    try:
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=max(1, threads // workers),
            processes=True,
            memory_limit="auto" if memory is None else memory // workers,
            dashboard_address=":0",
            silence_logs=logging.CRITICAL,
        )
    except (OSError, TimeoutError, RuntimeError) as error:
        raise FitError(f"{workers} workers could not be started: {error}") from None
    with cluster:
        yield cluster


@contextmanager
def _quiet():
    """Keep distributed's own log off the terminal; what fails is raised."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
