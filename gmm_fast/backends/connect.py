"""Connect to a running Dask cluster, or start one on this machine."""

import asyncio
import logging
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager

from ..errors import DataError, FitError
from ..text import show_size
from .threads import check_threads

# Seconds within which a scheduler must answer and have a worker.
PATIENCE = 10
# Attempts to start a cluster of our own, as the system may kill a worker meanwhile.
STARTS = 3
# Memory of a worker, buffers included, and of this process, besides data.
WORKER_BYTES = 200 * 10**6
CLIENT_BYTES = 250 * 10**6
# Ctrl-C in a terminal reaches all processes; workers, also those that replace dead ones, leave it
# to the process that started them.
_IGNORE_INTERRUPTS = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


@contextmanager
def cluster(scheduler=None, workers=None, *, threads=None, memory=None):
    """Context with a client of the scheduler at an address, or of new workers on this machine.

    Parameters
    ----------
    scheduler : str, optional
        Such as ``tcp://host:8786``.
    workers : int, optional
        Processes to start instead; they share `threads` and `memory`.
    threads : int, optional
    memory : int, optional
        Bytes for all processes, including this one: see `room_of_workers`.

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
        stack.enter_context(_silence_logs())
        if scheduler is None:
            address = stack.enter_context(_start_cluster(distributed, workers, threads, memory))
        else:
            address = scheduler
        client = stack.enter_context(_client(distributed, address, scheduler))
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise DataError(
                f"scheduler {address}: has no workers; start some with "
                f"`dask worker {address}` on the machines that should work"
            ) from None
        yield client


def current_client():
    """The client that Dask itself would use now, or None."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.Client.current()
    except ValueError:
        return None


@contextmanager
def _client(distributed, address, named):
    """Context with a client of a scheduler; `named` is the address that a user gave, or None."""
    try:
        if named is not None:
            # asked first: a client without an answer keeps trying even after it is closed
            asyncio.run(_ask(distributed, named))
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except ValueError as error:
        raise DataError(
            f"scheduler {named}: is not an address ({error}); write tcp://host:8786"
        ) from None
    except (OSError, TimeoutError):
        raise DataError(
            f"scheduler {named}: no answer within {PATIENCE} s; check the address, and that "
            "`dask scheduler` runs there"
        ) from None
    except Exception as error:  # the bytes of another service may raise anything
        raise DataError(
            f"scheduler {named}: the answer is not that of a Dask scheduler "
            f"({type(error).__name__}); check host and port"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=2)


async def _ask(distributed, address):
    """Wait for a scheduler to identify itself."""
    from distributed.core import rpc

    security = distributed.Security().get_connection_args("client")
    scheduler = rpc(address, timeout=PATIENCE, connection_args=security)
    try:
        async with asyncio.timeout(PATIENCE):
            await scheduler.identity()
    finally:
        await scheduler.close_rpc()


@contextmanager
def _start_cluster(distributed, workers, threads, memory):
    """Context with a new scheduler and its workers on this machine."""
    threads = check_threads(threads)
    room_of_workers(memory, workers)
    with _retry(
        distributed.LocalCluster,
        n_workers=workers,
        threads_per_worker=max(1, threads // workers),
        processes=True,
        # `room_of_workers` keeps the limit, without killing workers
        memory_limit="auto" if memory is None else None,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
        preload=[_IGNORE_INTERRUPTS],
    ) as cluster:
        yield cluster


def _retry(make, **options):
    """The cluster that `make` returns; tries again if a worker dies while it starts."""
    for tries in range(STARTS, 0, -1):
        try:
            with _ignore_interrupts():
                return make(**options)
        except (OSError, TimeoutError, RuntimeError) as error:
            if tries == 1:
                raise FitError(
                    f"{options['n_workers']} workers could not be started, {STARTS} times "
                    f"({str(error).rstrip('.')}); try again, or with fewer workers"
                ) from None


def room_of_workers(memory, workers):
    """Bytes of data that our own workers may keep so that all processes stay within `memory`.

    Raises
    ------
    DataError
        The memory is too little for that many workers.
    """
    if memory is None:
        return None
    needed = workers * WORKER_BYTES + CLIENT_BYTES
    if memory < needed:
        raise DataError(
            f"memory: {show_size(memory)} is too little for {workers} workers: they take about "
            f"{show_size(WORKER_BYTES)} each and this process {show_size(CLIENT_BYTES)}; give "
            f"{show_size(needed)}, or fewer workers"
        )
    return memory - needed


@contextmanager
def _ignore_interrupts():
    """Context in which this process, and those that it starts, ignore Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _silence_logs():
    """Keep logs of distributed and its event loop off the terminal; failures still raise."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    names.append("asyncio")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
