"""Measures what `scale_model.py` computes with, on this machine and a cluster of its processes.

None of it is a pass of `DaskBackend`: those are what the model is checked with.
"""

import functools
import pickle
import statistics
import threading
import time
from dataclasses import dataclass

import numpy as np
import psutil
from work import unit_covariances

from gmm_fast.backends import LocalBackend, tasks
from gmm_fast.em import Settings, step
from gmm_fast.params import Params
from gmm_fast.rescue import Rescue
from gmm_fast.sources import RowRange, open_path
from gmm_fast.stats import Stats, merge
from gmm_fast.threads import serial_blas

# Links of the chains of tasks that tell what one costs; Stats of the merges that do.
LINKS = (2, 12)
MERGED = (2, 32)
# Passes of a kernel over a whole part at a time.
AT_ONCE = 3
# Numbers that may stay in a processor's cache.
IN_CACHE = 4 * 2**20


@dataclass(frozen=True)
class TaskCosts:
    """What a pass of tasks costs beside the work in them; see `COSTS`."""

    once: float
    lead: float
    after: float
    worker: float
    n_bytes: float


@dataclass(frozen=True)
class Constants:
    """Seconds, bytes and rates; see `MEANING`.

    `sent` where parameters go with every task, `held` where a task holds them.
    """

    rate: float
    part: float
    sent: TaskCosts
    held: TaskCosts
    hop: float
    fetch_once: float
    fetch: float
    merge: float
    m_step: float
    stats_bytes: float
    params_bytes: float


MEANING = {
    "rate": ("million rows/s", "kernel, one thread, a process on every core"),
    "part": ("ms", "kernel, for each part: parameters made ready, accumulators added up"),
    "hop": ("ms", "from one task to one that waits for it"),
    "fetch_once": ("ms", "more where it gets something from another worker"),
    "fetch": ("ms", "getting one Stats from another worker, besides the network"),
    "merge": ("ms", "adding one Stats to another"),
    "m_step": ("ms", "M-step on the client"),
    "stats_bytes": ("kB", "Stats, pickled"),
    "params_bytes": ("kB", "parameters, pickled"),
}
COSTS = {
    "once": ("ms", "from the start of a pass to its first task, whatever the parts"),
    "lead": ("ms", "the same for each task: the scheduler takes in all before it hands out any"),
    "after": ("ms", "client and scheduler, for each task, while workers work (processor time)"),
    "worker": ("ms", "a worker, for each task"),
    "n_bytes": ("kB", "messages for each task besides the parameters"),
}
SCALE = {"million rows/s": 1e-6, "ms": 1e3, "kB": 1e-3}


@dataclass(frozen=True)
class Pieces:
    """What passes around in one iteration, and what handling it takes."""

    params: Params
    stats: Stats
    m_step: float
    merge: float
    stats_bytes: int
    params_bytes: int


class _Still:
    """A backend whose passes take no time, to time the rest of an iteration."""

    def __init__(self, found):
        self.found = found

    def stats(self, params):
        return self.found


def pieces(path, rows, k, family, repeats=20):
    """`Pieces` of a mixture of `k` components for the data at `path`."""
    backend = LocalBackend(RowRange(open_path(path), 0, rows), threads=1, room=2**62)
    means = backend.take(np.linspace(0, rows - 1, k).astype(np.int64))
    start = Params(
        np.full(k, 1 / k), means, unit_covariances(k, backend.n_features, family), family
    )
    rescue, settings = Rescue(backend, family), Settings().for_data(backend, family)
    with serial_blas():
        found = backend.stats(start)
        # as in a fit: these carry the factors of their covariances
        params, found = step(backend, found, start, settings, rescue, 1)
        still = _Still(found)
        m_step = lowest(lambda: step(still, found, params, settings, rescue, 2), repeats)
    return Pieces(
        params,
        found,
        m_step,
        lowest(lambda: merge(found, found), repeats),
        len(pickle.dumps(found, protocol=5)),
        len(pickle.dumps(params, protocol=5)),
    )


def lowest(function, repeats):
    """Seconds of the fastest of several calls."""
    found = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        found.append(time.perf_counter() - began)
    return min(found)


@functools.lru_cache(maxsize=4)
def _opened(path, start, rows):
    return LocalBackend(RowRange(open_path(path), start, start + rows), threads=1, room=2**62)


def _kernel_seconds(path, start, rows, params, at, repeats):
    """Of the fastest of some passes, on this worker; all workers begin at the time `at`."""
    backend = _opened(path, start, rows)
    time.sleep(max(0, at - time.time()))
    return lowest(lambda: tasks.alone(backend.stats, params), repeats)


def side_by_side(client, path, rows, params, wait=0.05):
    """Mean seconds of passes over `rows` rows, one on each worker at the same time, one thread."""
    client.wait_for_workers(1)  # on a busy machine they may not have said that they are there
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    at = time.time() + wait
    # few rows would stay in the processor's cache, and in a pass over all data they never do
    repeats = AT_ONCE if rows * params.n_features > IN_CACHE else 1
    futures = [
        client.submit(
            _kernel_seconds, path, 0, rows, params, at, repeats, workers=[worker], pure=False
        )
        for worker in workers
    ]
    return statistics.mean(client.gather(futures))


def sizes_of_kernel(rows):
    """Rows of the passes that tell rate and cost of a part: a part's, and few."""
    return rows, max(1, rows // 64)


def rate_and_part(large, small, rows):
    """Rows per second, and seconds of a part whatever its rows, from the seconds of two passes."""
    most, few = sizes_of_kernel(rows)
    if most == few or large <= small:
        return most / large, 0.0
    per_row = (large - small) / (most - few)
    return 1 / per_row, max(0.0, small - few * per_row)


def _clock(part, params):
    return time.time()


def _link(before):
    return before


def loopback_bytes():
    counters = psutil.net_io_counters(pernic=True)
    return sum(c.bytes_sent for name, c in counters.items() if name.startswith("lo"))


class _Processor:
    """Processor seconds of this process over time, sampled."""

    def __enter__(self):
        self.seen, self.over = [], threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.over.is_set():
            self.seen.append((time.time(), time.process_time()))
            self.over.wait(0.005)
        self.seen.append((time.time(), time.process_time()))

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def between(self, start, stop):
        times, spent = zip(*self.seen, strict=True)
        return float(np.diff(np.interp([start, stop], times, spent))[0])


def _trivial_pass(client, parts, params, held):
    """(s to the first task, s from there to the end, processor s from there, bytes sent)."""
    from distributed import wait

    sent = loopback_bytes()
    with _Processor() as processor:
        began = time.time()
        shared = client.submit(tasks.hold, params, pure=False) if held else params
        futures = client.map(_clock, parts, [shared] * len(parts), pure=False)
        with client.as_current():
            wait(futures)
        done = time.time()
    sent = loopback_bytes() - sent
    first = min(client.gather(futures))
    return first - began, done - first, processor.between(first, done), sent


def scheduling(client, params, counts, held, repeats=5):
    """`TaskCosts`, from passes of tasks that do nothing.

    Parameters
    ----------
    client : distributed.Client
        With one worker.
    params : Params
        What every task gets, as in a pass.
    counts : sequence of int
        Of tasks, at least two.
    held : bool
        Whether a task holds the parameters, or each brings them.
    repeats : int
    """
    found = []
    for count in counts:
        parts = client.map(tasks.hold, range(count), pure=False)
        client.gather(parts)
        passes = [_trivial_pass(client, parts, params, held) for _ in range(repeats)]
        found.append(np.min(passes, axis=0))
        del parts
    lead, rest, after, sent = (line(counts, values) for values in zip(*found, strict=True))
    brought = 0 if held else len(pickle.dumps(params, protocol=5))
    return TaskCosts(lead[0] + rest[0], lead[1], after[1], rest[1], max(0.0, sent[1] - brought))


def line(xs, ys):
    """Intercept (not below 0) and slope of a line, relative errors being alike."""
    slope, once = np.polyfit(xs, ys, 1, w=1 / np.maximum(np.abs(ys), 1e-9))
    return max(0.0, float(once)), max(0.0, float(slope))


def hop(client, repeats=7):
    """Seconds between the ends of two tasks of which one waits for the other."""
    seconds = []
    for links in LINKS:
        found = []
        for _ in range(repeats):
            began = time.perf_counter()
            future = None
            for _ in range(links):
                future = client.submit(_link, future, pure=False)
            client.gather(future)
            found.append(time.perf_counter() - began)
        seconds.append(statistics.median(found))
    return max(0.0, (seconds[1] - seconds[0]) / (LINKS[1] - LINKS[0]))


def fetching(client, stats, repeats=7):
    """fetch_once and fetch: merging Stats of another worker less merging those at hand.

    With a client of one worker there is nothing to measure; both are 0.
    """
    workers = list(client.scheduler_info(n_workers=-1)["workers"])
    if len(workers) < 2:
        return 0.0, 0.0
    lines = []
    for holder in workers[1::-1]:  # the other, then the one that merges
        seconds = []
        for count in MERGED:
            found = [_merge_at(client, stats, count, holder, workers[0]) for _ in range(repeats)]
            seconds.append(statistics.median(found))
        lines.append(line(MERGED, seconds))
    (far_once, far), (near_once, near) = lines
    return max(0.0, far_once - near_once), max(0.0, far - near)


def _merge_at(client, stats, count, holder, worker):
    """Seconds of merging `count` Stats that `holder` holds, on `worker`."""
    from distributed import wait

    at = {"pure": False, "workers": [holder]}
    held = [client.submit(tasks.hold, stats, **at) for _ in range(count)]
    with client.as_current():
        wait(held)
        began = time.perf_counter()
        wait(client.submit(tasks.merged, held, pure=False, workers=[worker]))
        return time.perf_counter() - began
