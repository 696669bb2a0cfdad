"""The time and the traffic of one EM iteration on a cluster, computed; see `scale_model.py`."""

import math
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np
from work import Row

from gmm_fast.backends import chunk_rows, n_lanes, workers


@dataclass(frozen=True)
class Job:
    """What is fitted, but for the number of rows.

    Attributes
    ----------
    d, k : int
    dtype : numpy.dtype
        As stored, and what kernels compute in.
    family : str
    lane_bytes : int
        Of one accumulator of a kernel.
    """

    d: int
    k: int
    dtype: np.dtype
    family: str
    lane_bytes: int

    @property
    def row_bytes(self):
        return self.d * self.dtype.itemsize

    @property
    def params_size(self):
        """Bytes, as `DaskBackend` reckons."""
        covariances = {"full": self.k * self.d**2, "tied": self.d**2, "diag": self.k * self.d}
        return 8 * (self.k * self.d + covariances.get(self.family, self.k) + self.k)

    @property
    def flops_of_row(self):
        """Useful operations of a row, or None."""
        return Row(1, self.d, self.k, self.family).flops

    @property
    def capped_rows(self):
        """Rows from which on there are no more parts, but larger ones."""
        return workers.MAX_PARTS * workers.PART_CHUNKS * chunk_rows(self.d)


@dataclass(frozen=True)
class Site:
    """A cluster.

    Attributes
    ----------
    threads : int
        Of each worker.
    memory : int
        Bytes of each worker.
    disk : float
        Bytes per second that a worker reads.
    bandwidth : float
        Bytes per second of each machine's link.
    latency : float
        Seconds of a message, one way.
    cores : int, optional
        That workers, scheduler and client share, when all are one machine.
    """

    threads: int
    memory: int
    disk: float
    bandwidth: float = math.inf
    latency: float = 0.0
    cores: int | None = None


class Parts(NamedTuple):
    """How data is cut: so many parts of at most so many rows."""

    count: int
    rows: int

    @classmethod
    def of(cls, edges):
        return cls(len(edges) - 1, int(np.diff(edges).max()))


@dataclass(frozen=True)
class Pass:
    """One EM iteration, computed.

    Attributes
    ----------
    n, workers, parts, tasks, levels : int
    in_memory : bool
        Whether the workers keep the data.
    seconds : float
    bound : str
        What takes longest: kernel, disk, scheduler or merge.
    efficiency : float
        Of kernels that share the rows evenly and wait for nothing, the share that is reached.
    kernel, disk, scheduler, merge : float
        Seconds of the worker that has most to do, of the scheduler, and from the last part's end
        to the statistics on the client.
    m_step : float
    scheduler_bytes, merge_bytes, disk_bytes : int
        To and from scheduler and client; between workers; read by all workers together.
    first_read : float
        Seconds in which the data is read once.
    """

    n: int
    workers: int
    parts: int
    tasks: int
    levels: int
    in_memory: bool
    seconds: float
    bound: str
    efficiency: float
    kernel: float
    disk: float
    scheduler: float
    merge: float
    m_step: float
    scheduler_bytes: float
    merge_bytes: float
    disk_bytes: float
    first_read: float

    def as_json(self):
        return asdict(self)


def merge_levels(job, parts):
    """[(tasks, Stats that one merges)] of the tree that `DaskBackend.stats` builds."""
    fan_in = max(2, min(workers.MOST_MERGED, workers.MERGED_BYTES // job.params_size))
    levels = []
    while parts > 1:
        groups = -(-parts // fan_in)
        levels.append((groups, min(fan_in, parts)))
        parts = groups
    return levels


def speedup(job, rows, threads):
    """Of so many threads on a part: lanes are shared out, and a lane stays with one thread."""
    lanes = n_lanes(rows, job.lane_bytes)
    return lanes / math.ceil(lanes / threads)


def sending(job, constants, parts, n_workers, site):
    """`TaskCosts`, seconds in which parameters reach the workers, bytes to and from the scheduler.

    The seconds are the network's; what handling them takes is in the costs.
    """
    size = constants.params_bytes
    if workers.sent_with_tasks(2 * job.params_size, parts):
        n_bytes = size * (1 + parts)
        return constants.sent, 2 * site.latency + n_bytes / site.bandwidth, n_bytes
    # a task holds them; workers fetch them from those that have them already
    steps = 4 + math.ceil(math.log2(n_workers))
    seconds = steps * (2 * site.latency + size / site.bandwidth)
    return constants.held, seconds, size * (1 + n_workers)


def predict(job, constants, site, n, n_workers, parts=None, most=None):
    """The `Pass` over `n` rows by `n_workers` workers.

    Parameters
    ----------
    job : Job
    constants : scale_constants.Constants
    site : Site
    n, n_workers : int
    parts : Parts, optional
        By default, as `DaskBackend` cuts a file.
    most : int, optional
        Parts of the worker that has most; by default they are shared evenly.
    """
    parts = parts or Parts.of(workers.part_edges(n, job.d))
    levels = merge_levels(job, parts.count)
    tasks = parts.count + sum(groups for groups, _ in levels)
    busiest = most or -(-parts.count // n_workers)
    rows = min(n, busiest * parts.rows)

    kernel = rows / (constants.rate * speedup(job, parts.rows, site.threads))
    kernel += busiest * constants.part
    read = rows * job.row_bytes / site.disk
    in_memory = n * job.row_bytes <= workers.SHARE * n_workers * site.memory
    disk = 0.0 if in_memory else read

    costs, sent, sent_bytes = sending(job, constants, parts.count, n_workers, site)
    lead = costs.once + costs.lead * tasks + sent
    after = costs.after * tasks
    work = kernel + busiest * costs.worker
    if site.cores:  # those of one machine do all of it
        everything = kernel * parts.count / busiest + parts.count * costs.worker + after
        work = max(work, everything / site.cores)
    body = max(work, disk, after)

    away = 1 - 1 / n_workers  # of the Stats that a worker merges, on average
    carried = constants.stats_bytes / site.bandwidth
    merge = 2 * (site.latency + carried)  # to the client
    for groups, size in levels:
        merge += constants.hop + 4 * site.latency + (constants.fetch_once if away else 0)
        one = constants.merge + away * (constants.fetch + carried)
        merge += -(-groups // n_workers) * size * one

    limits = {"kernel": kernel, "disk": disk, "scheduler": lead + after, "merge": merge}
    seconds = constants.m_step + lead + body + merge
    return Pass(
        n=n,
        workers=n_workers,
        parts=parts.count,
        tasks=tasks,
        levels=len(levels),
        in_memory=in_memory,
        seconds=seconds,
        bound=max(limits, key=limits.get),
        efficiency=n / (constants.rate * n_workers * site.threads) / seconds,
        **limits,
        m_step=constants.m_step,
        scheduler_bytes=tasks * costs.n_bytes + sent_bytes + 2 * constants.stats_bytes,
        merge_bytes=away * constants.stats_bytes * (tasks - 1),
        disk_bytes=0 if in_memory else n * job.row_bytes,
        first_read=read,
    )


def first_workers(job, constants, site, n, wanted):
    """Least number of workers at which wanted(pass) holds, or None up to the most parts."""
    parts = Parts.of(workers.part_edges(n, job.d))
    for n_workers in range(1, parts.count + 1):
        if wanted(predict(job, constants, site, n, n_workers, parts)):
            return n_workers
    return None
