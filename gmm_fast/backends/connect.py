"""A Dask cluster to work on: one that runs, or one of our own on this machine."""

import asyncio
import logging
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager

from ..errors import DataError, FitError
from ..text import show_size
from .threads import check_threads

# Seconds within which a scheduler has to answer and to have a worker.
PATIENCE = 10
# Times that a cluster of our own is started, if a worker dies meanwhile: the system may kill one.
STARTS = 3
# What a worker holds besides data, buffers included, and what this process does.
WORKER_BYTES = 200 * 10**6
CLIENT_BYTES = 250 * 10**6
# Ctrl-C in a terminal reaches all processes; workers leave it to the one that started them. Those
# that take the place of dead ones, too.
_DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


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
        Bytes for all of it, this process included: see `room_of_workers`.

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
def _client(distributed, address, named):
    """A client of a scheduler; `named` is the address that a user gave, if one was."""
    try:
        if named is not None:
            # asked first: a client that has no answer keeps on trying when it is closed, too
            asyncio.run(_ask(distributed, named))
        client = distributed.Client(address, timeout=PATIENCE, set_as_default=False)
    except ValueError as error:
        raise DataError(
            f"scheduler {named}: is no address ({error}); write tcp://host:8786"
        ) from None
    except (OSError, TimeoutError):
        raise DataError(
            f"scheduler {named}: no answer within {PATIENCE} s; check the address, and that "
            "`dask scheduler` runs there"
        ) from None
    except Exception as error:  # whatever the bytes of another service are taken for
        raise DataError(
            f"scheduler {named}: what answers there is no Dask scheduler ({type(error).__name__}); "
            "check host and port"
        ) from None
    try:
        yield client
    finally:
        client.close(timeout=2)


async def _ask(distributed, address):
    """Wait for a scheduler to say who it is."""
    from distributed.core import rpc

    security = distributed.Security().get_connection_args("client")
    scheduler = rpc(address, timeout=PATIENCE, connection_args=security)
    try:
        async with asyncio.timeout(PATIENCE):
            await scheduler.identity()
    finally:
        await scheduler.close_rpc()


@contextmanager
def _own(distributed, workers, threads, memory):
    """Address of a scheduler with that many workers on this machine."""
    threads = check_threads(threads)
    room_of_workers(memory, workers)
    with _started(
        distributed.LocalCluster,
        n_workers=workers,
        threads_per_worker=max(1, threads // workers),
        processes=True,
        # a promise is kept by `room_of_workers`, and not by killing
        memory_limit="auto" if memory is None else None,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
        preload=[_DEAF],
    ) as cluster:
        yield cluster


def _started(make, **options):
    """The cluster that `make` makes; one more if a worker dies while it starts, as some will."""
    for tries in range(STARTS, 0, -1):
        try:
            with _deaf():
                return make(**options)
        except (OSError, TimeoutError, RuntimeError) as error:
            if tries == 1:
                raise FitError(
                    f"{options['n_workers']} workers could not be started, {STARTS} times "
                    f"({str(error).rstrip('.')}); try again, or with fewer workers"
                ) from None


def room_of_workers(memory, workers):
    """Bytes of data that workers of our own may keep, so that all stay within `memory`.

    Raises
    ------
    DataError
        It is too little for that many.
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
def _deaf():
    """Processes that are started in it leave Ctrl-C to this one, which does for the moment, too."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _quiet():
    """Keep logs of distributed and its event loop off the terminal; what fails is raised."""
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
