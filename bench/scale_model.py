"""Time and traffic of EM on clusters: computed for 10⁹ to 10¹² rows, checked on this machine.

    python bench/scale_model.py --features 32 --k 64 --threads 8 --disk 1GB --bandwidth 25

An iteration is an M-step and what `DaskBackend.stats` does: a task for each part of the data, then
a tree of tasks that merge their statistics. Hence, with the constants of `CONSTANTS` and `COSTS`,

    seconds = m_step + lead + max(work, disk, after) + merge
    lead    = once + lead x tasks + (sending the parameters), until the first task begins
    work    = rows / (rate x speedup) + (part + worker) x parts, of the worker that has most
    disk    = bytes of its rows / what it reads in a second; 0 where all memories hold the data
    after   = after x tasks: client and scheduler, while the workers work
    merge   = at each level of the tree hop + fetch_once + Stats x (merge + fetch + network)

and the way of one Stats to the client. The constants are measured here, the network and the
machines' disks and memory are assumed (options). The same model then has to predict passes of
`DaskBackend` on processes of this machine, which no constant comes from. Needs the `dask` extra.
"""

import functools
import math
import pickle
import statistics
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import report
from large import Size, check_space, write_data
from report import quantity, table
from work import FAMILIES, Row, unit_covariances

from gmm_fast import em
from gmm_fast.backends import (
    DaskBackend,
    LocalBackend,
    chunk_rows,
    cluster,
    n_lanes,
    tasks,
    workers,
)
from gmm_fast.families import get_family
from gmm_fast.forms import make_form
from gmm_fast.memory import parse_size, show_size
from gmm_fast.params import Params
from gmm_fast.sources import DaskSource, RowRange, open_path
from gmm_fast.stats import merge

SCALE = {"million rows/s": 1e-6, "ms": 1e3, "kB": 1e-3}
CONSTANTS = {
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
# Of a pass beside the work in it: "sent" where parameters go with every task, "held" by one task.
COSTS = {
    "once": ("ms", "from the start of a pass to its first task, whatever the parts"),
    "lead": ("ms", "the same for each task: the scheduler takes in all before it hands out any"),
    "after": ("ms", "client and scheduler, for each task, while workers work (processor time)"),
    "worker": ("ms", "a worker, for each task"),
    "n_bytes": ("kB", "messages for each task besides the parameters"),
}
CHECKED = (1, 2)  # workers of the checked passes
TOLERANCE = 0.25  # a prediction that is off by more is said loudly
LINKS, MERGED = (2, 12), (2, 32)  # tasks in a chain, and Stats in a merge, that tell what one costs


class Job(NamedTuple):
    """What is fitted, but for the number of rows."""

    d: int
    k: int
    dtype: np.dtype
    family: str
    lane_bytes: int  # of one accumulator of a kernel

    @property
    def row_bytes(self):
        return self.d * self.dtype.itemsize

    @property
    def params_size(self):
        """Bytes, as `DaskBackend` reckons."""
        return 8 * (self.k * self.d + unit_covariances(self.k, self.d, self.family).size + self.k)


class Site(NamedTuple):
    """A cluster: threads, bytes and bytes per second of each worker; bytes and seconds between."""

    threads: int
    memory: int
    disk: float
    bandwidth: float = math.inf
    latency: float = 0.0
    cores: int | None = None  # that workers, scheduler and client share, when all are one machine


def merge_levels(job, parts):
    """[(tasks, Stats that one merges)] of the tree that `DaskBackend.stats` builds."""
    fan_in = max(2, min(workers.MOST_MERGED, workers.MERGED_BYTES // job.params_size))
    levels = []
    while parts > 1:
        levels.append((-(-parts // fan_in), min(fan_in, parts)))
        parts = levels[-1][0]
    return levels


def sending(job, known, parts, n_workers, site):
    """Costs of tasks, seconds until workers have the parameters, and the bytes of those."""
    size = known["params_bytes"]
    if workers.sent_with_tasks(2 * job.params_size, parts):
        n_bytes = size * (1 + parts)
        return known["sent"], 2 * site.latency + n_bytes / site.bandwidth, n_bytes
    # a task holds them; workers fetch them from those that have them already
    steps = 4 + math.ceil(math.log2(n_workers))
    return known["held"], steps * (2 * site.latency + size / site.bandwidth), size * (1 + n_workers)


def predict(job, known, site, n, n_workers, edges=None, most=None):
    """One EM iteration over `n` rows, as JSON values; seconds, bytes, and what takes longest.

    Data is cut at `edges`, by default as a file; the worker that has most has `most` parts, by
    default no more than its share. Efficiency is relative to kernels that share the rows evenly
    and never wait.
    """
    edges = workers.part_edges(n, job.d) if edges is None else edges
    parts, part_rows = len(edges) - 1, int(np.diff(edges).max())
    levels = merge_levels(job, parts)
    n_tasks = parts + sum(groups for groups, _ in levels)
    busiest = most or -(-parts // n_workers)
    rows = min(n, busiest * part_rows)

    # lanes are shared out, and a lane stays with one thread
    lanes = n_lanes(part_rows, job.lane_bytes)
    speedup = lanes / math.ceil(lanes / site.threads)
    kernel = rows / (known["rate"] * speedup) + busiest * known["part"]
    read = rows * job.row_bytes / site.disk
    in_memory = n * job.row_bytes <= workers.SHARE * n_workers * site.memory
    disk = 0.0 if in_memory else read

    costs, sent, sent_bytes = sending(job, known, parts, n_workers, site)
    lead, after = costs["once"] + costs["lead"] * n_tasks + sent, costs["after"] * n_tasks
    work = kernel + busiest * costs["worker"]
    if site.cores:  # those of one machine do all of it
        everything = kernel * parts / busiest + parts * costs["worker"] + after
        work = max(work, everything / site.cores)

    away = 1 - 1 / n_workers  # of the Stats that a worker merges, on average
    carried = known["stats_bytes"] / site.bandwidth
    merging = 2 * (site.latency + carried)  # to the client
    for groups, size in levels:
        merging += known["hop"] + 4 * site.latency + (known["fetch_once"] if away else 0)
        one = known["merge"] + away * (known["fetch"] + carried)
        merging += -(-groups // n_workers) * size * one

    limits = {"kernel": kernel, "disk": disk, "scheduler": lead + after, "merge": merging}
    seconds = known["m_step"] + lead + max(work, disk, after) + merging
    return {
        "n": n,
        "workers": n_workers,
        "parts": parts,
        "tasks": n_tasks,
        "levels": len(levels),
        "in_memory": in_memory,
        "seconds": seconds,
        "bound": max(limits, key=limits.get),
        "efficiency": n / (known["rate"] * n_workers * site.threads) / seconds,
        **limits,
        "m_step": known["m_step"],
        "scheduler_bytes": n_tasks * costs["n_bytes"] + sent_bytes + 2 * known["stats_bytes"],
        "merge_bytes": away * known["stats_bytes"] * (n_tasks - 1),
        "disk_bytes": 0 if in_memory else n * job.row_bytes,
        "first_read": read,
    }


def first_workers(job, known, site, n, wanted):
    """Least number of workers at which wanted(pass) holds, or None up to the most parts."""
    edges = workers.part_edges(n, job.d)
    counts = range(1, len(edges))
    return next((w for w in counts if wanted(predict(job, known, site, n, w, edges))), None)


# How the constants are measured: none of it is a pass of `DaskBackend`.


def seconds_of(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def lowest(function, repeats=20):
    return min(seconds_of(function) for _ in range(repeats))


def line(xs, ys):
    """Intercept and slope, not below 0, of a line; relative errors are alike."""
    slope, once = np.polyfit(xs, ys, 1, w=1 / np.maximum(np.abs(ys), 1e-9))
    return max(0.0, float(once)), max(0.0, float(slope))


def pieces(path, rows, k, family):
    """What passes around in an iteration (parameters, Stats), and what handling it takes."""
    backend = LocalBackend(RowRange(open_path(path), 0, rows), threads=1, room=2**62)
    means = backend.take(np.linspace(0, rows - 1, k).astype(np.int64))
    covariances = unit_covariances(k, means.shape[1], family)
    start = Params(np.full(k, 1 / k), means, covariances, family)
    # after an iteration, as in a fit: these carry the factors of their covariances
    params = em.fit(backend, start, em.Settings(tol=0.0, max_iter=1)).params
    stats, alive = backend.stats(params), np.zeros(k, bool)
    return (
        params,
        stats,
        {
            "m_step": lowest(lambda: em.m_step(stats, params, 0.0, alive)),
            "merge": lowest(lambda: merge(stats, stats)),
            "stats_bytes": len(pickle.dumps(stats, protocol=5)),
            "params_bytes": len(pickle.dumps(params, protocol=5)),
        },
    )


@functools.lru_cache(maxsize=4)
def _opened(path, rows):
    return LocalBackend(RowRange(open_path(path), 0, rows), threads=1, room=2**62)


def _kernel_seconds(path, rows, params, at):
    """Of the fastest of some passes, on this worker; all workers begin at the time `at`."""
    backend = _opened(path, rows)
    time.sleep(max(0, at - time.time()))
    # few rows would stay in the processor's cache, and in a pass over all data they never do
    return lowest(lambda: tasks.alone(backend.stats, params), 3 if rows > 2**19 else 1)


def side_by_side(client, path, rows, params):
    """Mean seconds of passes over `rows` rows, one on each worker at the same time, one thread."""
    at = time.time() + 0.05
    futures = [
        client.submit(_kernel_seconds, path, rows, params, at, workers=[worker], pure=False)
        for worker in addresses(client)
    ]
    return statistics.mean(client.gather(futures))


def addresses(client):
    client.wait_for_workers(1)  # on a busy machine they may not have said that they are there
    return list(client.scheduler_info(n_workers=-1)["workers"])


def loopback_bytes():
    counters = psutil.net_io_counters(pernic=True)
    return sum(c.bytes_sent for name, c in counters.items() if name.startswith("lo"))


def _clock(part, params):
    return time.time()


def _trivial_pass(client, parts, params, held):
    """Seconds to the first task, from there to the end, processor seconds from there; bytes."""
    sent, spent, began = loopback_bytes(), time.process_time(), time.time()
    shared = client.submit(tasks.hold, params, pure=False) if held else params
    first = min(client.gather(client.map(_clock, parts, [shared] * len(parts), pure=False)))
    # client and scheduler are one process, and busy until the first task begins
    after = max(0.0, time.process_time() - spent - (first - began))
    return first - began, time.time() - first, after, loopback_bytes() - sent


def scheduling(client, params, counts, held, rounds):
    """The `COSTS`, from passes of tasks that do nothing, on one worker."""
    found = []
    for count in counts:
        parts = client.map(tasks.hold, range(count), pure=False)
        client.gather(parts)
        passes = [_trivial_pass(client, parts, params, held) for _ in range(rounds)]
        found.append(np.min(passes, axis=0))
    lead, rest, after, sent = (line(counts, values) for values in zip(*found, strict=True))
    brought = 0 if held else len(pickle.dumps(params, protocol=5))
    costs = lead[0] + rest[0], lead[1], after[1], rest[1], max(0.0, sent[1] - brought)
    return dict(zip(COSTS, costs, strict=True))


def _chain(client, links):
    future = None
    for _ in range(links):
        future = client.submit(tasks.hold, future, pure=False)
    client.gather(future)


def _merge_at(client, stats, count, holder, worker):
    """Seconds of merging `count` Stats that `holder` holds, on `worker`."""
    from distributed import wait

    at = {"pure": False, "workers": [holder]}
    with client.as_current():
        wait(held := [client.submit(tasks.hold, stats, **at) for _ in range(count)])
        return seconds_of(
            lambda: wait(client.submit(tasks.merged, held, pure=False, workers=[worker]))
        )


def between_tasks(clients, stats, rounds):
    """hop, and what Stats of another worker take more than those at hand."""
    few, many = (
        statistics.median(seconds_of(lambda n=n: _chain(clients[1], n)) for _ in range(rounds))
        for n in LINKS
    )
    client, lines = clients[max(clients)], []
    here, there = addresses(client)
    for holder in (here, there):
        times = [[_merge_at(client, stats, n, holder, here) for _ in range(rounds)] for n in MERGED]
        lines.append(line(MERGED, np.median(times, axis=1)))
    once, each = np.maximum(0.0, np.subtract(lines[1], lines[0])).tolist()
    hop = max(0.0, (many - few) / (LINKS[1] - LINKS[0]))
    return {"hop": hop, "fetch_once": once, "fetch": each}


def rate_and_part(large, small, most, few):
    """Rows per second, and seconds of a part whatever its rows, from two passes."""
    if most == few or large <= small:
        return {"rate": most / large, "part": 0.0}
    per_row = (large - small) / (most - few)
    return {"rate": 1 / per_row, "part": max(0.0, small - few * per_row)}


# The check: iterations of `DaskBackend` on processes of this machine.


class Run:
    """EM on some workers, an iteration at a time."""

    def __init__(self, client, source, params, n_workers, label):
        self.label, self.n_workers, self.params = label, n_workers, params
        before = self._held(client)
        self.backend = DaskBackend(client, source, threads=1)
        if not self.backend.in_memory:
            raise SystemExit("--check-rows: the workers cannot keep that many rows in memory")
        self.backend.warm_up(get_family(params.covariance_type))
        self.backend.stats(params)
        self.shares = sorted((self._held(client) - before).values(), reverse=True)
        self.seconds, self.sent = [], []

    @staticmethod
    def _held(client):
        """How many parts each worker holds."""
        held = client.has_what()
        parts = {w: sum(str(key).startswith("gmm-open") for key in held[w]) for w in held}
        return Counter(parts)

    def iterate(self):
        """One iteration, timed from the end of the pass before it."""
        marks = []

        def mark(state):
            marks.append((time.perf_counter(), loopback_bytes(), state.params))

        em.fit(self.backend, self.params, em.Settings(tol=0.0, max_iter=1), on_state=mark)
        (began, sent, _), (ended, sent_now, self.params) = marks
        self.seconds.append(ended - began)
        self.sent.append(sent_now - sent)

    def result(self, job, known):
        """Predicted, measured, ratio, as JSON values."""
        n, edges = self.backend.n_samples, self.backend.edges
        site = Site(threads=1, memory=2**62, disk=1.0, cores=psutil.cpu_count() or 1)
        given = job, known, site, n, self.n_workers, edges
        computed, dealt = predict(*given), predict(*given, self.shares[0])
        measured = min(self.seconds)
        ratios = [measured / found["seconds"] for found in (computed, dealt)]
        return {
            "what": self.label,
            "n": n,
            "workers": self.n_workers,
            "parts": len(edges) - 1,
            "parts_of_each_worker": self.shares,
            "predicted": computed["seconds"],
            "measured": measured,
            "median": statistics.median(self.seconds),
            "seconds": self.seconds,
            "ratio": ratios[0],
            "predicted_as_dealt": dealt["seconds"],
            "ratio_as_dealt": ratios[1],
            "off": max(abs(ratio - 1) for ratio in ratios) > TOLERANCE,
            "predicted_bytes": computed["scheduler_bytes"] + computed["merge_bytes"],
            "measured_bytes": min(self.sent),
            "computed": computed,
        }


def blocks(n, d, dtype, count):
    """A Dask array of so many blocks: parts as small as one likes."""
    import dask.array as da

    rng = da.random.default_rng(0)
    x = rng.normal(0, 3, size=(n, d), chunks=(-(-n // count), d))
    return DaskSource(x.astype(dtype))


def measure(path, size, args):
    """The job, the constants of this machine, and runs beside what they make one expect."""
    edges = workers.part_edges(size.n, size.d)
    rows = int(np.diff(edges).max())
    few = max(1, rows // 64)
    params, stats, known = pieces(path, rows, args.k, args.family)
    lanes = make_form(params, size.dtype).shapes
    job = Job(size.d, args.k, size.dtype, args.family, 8 * sum(map(math.prod, lanes)))
    with ExitStack() as stack:
        clients = {w: stack.enter_context(cluster(workers=w, threads=w)) for w in CHECKED}
        print("measuring what a task costs ...", flush=True)
        known["sent"] = scheduling(clients[1], params, args.tasks[:3], False, args.rounds)
        known["held"] = scheduling(clients[1], params, args.tasks, True, args.rounds)
        known |= between_tasks(clients, stats, args.rounds)
        print("measuring kernels and passes in turn ...", flush=True)
        runs = []
        for w, client in clients.items():
            small = blocks(size.n, size.d, size.dtype, args.check_blocks)
            runs.append(Run(client, open_path(path), params, w, "file"))
            runs.append(Run(client, small, params, w, "many blocks"))
        kernels = {w: {rows: [], few: []} for w in clients}
        for _ in range(args.rounds):
            for w, found in kernels.items():
                for m, seconds in found.items():
                    seconds.append(side_by_side(clients[w], path, m, params))
            for run in runs:
                run.iterate()
    of_workers = {}
    for w, found in kernels.items():
        of_workers[w] = rate_and_part(min(found[rows]), min(found[few]), rows, few) | known
    # in a cluster every core is busy
    return (
        job,
        of_workers[CHECKED[-1]],
        [run.result(job, of_workers[run.n_workers]) for run in runs],
    )


# The report.

CHECK_HEAD = (
    "pass | workers (parts of each) | predicted | measured, lowest | median | measured / predicted "
    "| the same, parts as dealt | traffic, predicted / measured"
)
HEAD = (
    "n | workers | parts | a pass | bound by | kernel | disk | scheduler | merge | efficiency | "
    "to and from scheduler | between workers | read in a pass | first read"
)
# Where something begins as workers become more.
LIMITS = {
    "the workers' memory holds the data": lambda p: p["in_memory"],
    "the scheduler takes longer than the kernels": lambda p: p["scheduler"] > p["kernel"],
    "less than half of perfect scaling is left, the data in memory": (
        lambda p: p["efficiency"] < 0.5 and p["in_memory"]
    ),
}


def explanation(job, known, site, sizes):
    """What limits where, in sentences."""
    capped = workers.MAX_PARTS * workers.PART_CHUNKS * chunk_rows(job.d)
    most = predict(job, known, site, capped, workers.MAX_PARTS)["scheduler"]
    lines = [
        f"Data of more than {capped:.2g} rows of {job.d} features has no more than "
        f"{workers.MAX_PARTS} parts, larger ones instead: what the scheduler does in a pass stays "
        f"below {most:.1f} s whatever n is, and more workers would have nothing to do."
    ]
    for n in sizes:
        begins = {what: first_workers(job, known, site, n, is_so) for what, is_so in LIMITS.items()}
        words = [f"{what} from {w or 'no number of'} workers on" for what, w in begins.items()]
        lines.append(f"n = {power(n)} ({show_size(n * job.row_bytes)}): {'; '.join(words)}.")
    return lines


def power(n):
    """10⁹ for powers of ten."""
    digits = len(str(n)) - 1
    if n != 10**digits:
        return f"{n:,}"
    return "10" + str(digits).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def constants_rows(content):
    """What, value, measured or assumed."""
    job, known, site = content["job"], content["measured"], Site(**content["assumed"])
    found = {}
    for name, (unit, meaning) in CONSTANTS.items():
        found[meaning] = quantity(known[name] * SCALE[unit], unit)
    for name, (unit, meaning) in COSTS.items():
        held, sent = (quantity(known[c][name] * SCALE[unit], unit) for c in ("held", "sent"))
        found[meaning] = f"{held}; {sent} where parameters go with every task"
    if flops := Row(1, job["d"], job["k"], job["family"]).flops:
        rate = f"{known['rate'] * flops / 1e9:.1f} GFLOP/s a thread"
        found["useful operations, 2 n K (d + 1) (d + 2)"] = rate
    share = f"share of it that data may take (`SHARE`: {workers.SHARE:g})"
    assumed = {
        "threads of a worker, each as fast as here": f"{site.threads}",
        "memory of a worker": show_size(site.memory),
        share: show_size(int(workers.SHARE * site.memory)),
        "disk or network file system, each worker": f"{show_size(int(site.disk))}/s",
        "network, each machine": f"{8 * site.bandwidth / 1e9:g} Gbit/s",
        "latency of a message": quantity(1e3 * site.latency, "ms"),
    }
    rows = [[what, value, "measured"] for what, value in found.items()]
    return rows + [[what, value, "assumed"] for what, value in assumed.items()]


def check_row(r):
    """A checked run, as `CHECK_HEAD` says."""
    return [
        f"{r['n']:,} rows, {r['parts']} parts ({r['what']})",
        f"{r['workers']} ({', '.join(map(str, r['parts_of_each_worker']))})",
        *(quantity(1e3 * r[name], "ms") for name in ("predicted", "measured", "median")),
        f"{r['ratio']:.2f}" + (" **OFF**" if r["off"] else ""),
        f"{r['ratio_as_dealt']:.2f}",
        f"{r['predicted_bytes'] / 1e6:.2f} / {r['measured_bytes'] / 1e6:.2f} MB",
    ]


def pass_row(p):
    """A computed pass, as `HEAD` says."""
    parts = [p[name] for name in ("kernel", "disk", "scheduler", "merge")]
    return [
        power(p["n"]),
        str(p["workers"]),
        str(p["parts"]),
        quantity(p["seconds"], "s"),
        p["bound"],
        *(quantity(seconds, "s") if seconds else "–" for seconds in parts),
        f"{100 * p['efficiency']:.0f} %",
        show_size(int(p["scheduler_bytes"])),
        show_size(int(p["merge_bytes"])),
        "–" if p["in_memory"] else show_size(int(p["disk_bytes"])),
        quantity(p["first_read"], "s"),
    ]


def verdict(results):
    """How well the model did, in words."""
    wrong = sum(r["off"] for r in results)
    if not wrong:
        return f"All predictions are within {100 * TOLERANCE:.0f} % of what was measured."
    return f"THE MODEL IS OFF BY MORE THAN {100 * TOLERANCE:.0f} % IN {wrong} OF {len(results)}."


def markdown(content):
    """The whole report."""
    job, checks = content["job"], content["checks"]
    return report.document(
        "# EM on clusters, computed",
        "",
        f"Made by `make bench-cluster`: d = {job['d']}, K = {job['k']}, {job['dtype']}, "
        f"{job['family']} covariance. {report.sentence(content['machine'])}",
        "",
        "What a row, a part, a task and a merge cost was measured on this machine; networks, "
        "disks and memory are assumed. All processes of the measured clusters share its cores, "
        "and the client and the scheduler one process; that kernels grow as fast as threads and "
        "workers, and the scheduler's tasks cost the same beyond those measured, is assumed, too.",
        "",
        *table("what | value | ", constants_rows(content)),
        "",
        "## The model beside measured passes",
        "",
        "EM iterations on a cluster of processes of this machine, one thread each, data kept in "
        f"memory; the lowest and the median of {len(checks[0]['seconds'])}, taken in turn with "
        "the kernel's. No constant comes from these passes. The model shares the parts evenly; "
        f"Dask may deal them otherwise, which the last ratio allows for. {verdict(checks)}",
        "",
        *table(CHECK_HEAD, map(check_row, checks)),
        "",
        "## Computed",
        "",
        "One EM iteration; kernel, disk, scheduler and merge are what each takes by itself. "
        "Reading and the scheduler's work after the first task overlap with the kernels. "
        "Efficiency is relative to kernels that share the rows evenly and never wait.",
        "",
        *table(HEAD, map(pass_row, content["passes"])),
        "",
        *(f"- {text}" for text in content["explanation"]),
    )


def options():
    made = report.parser(__doc__)
    made.add_argument("--features", type=int, default=8)
    made.add_argument("--k", type=int, default=16)
    made.add_argument("--family", choices=FAMILIES, default="full")
    made.add_argument("--dtype", type=np.dtype, default="float64")
    made.add_argument("--sizes", nargs="+", type=float, default=(1e9, 1e10, 1e11, 1e12))
    made.add_argument("--workers", nargs="+", type=int, default=(1, 2, 8, 64, 512))
    made.add_argument("--threads", type=int, default=16, help="of each worker (16)")
    made.add_argument("--memory-per-worker", type=parse_size, default="64GB", help="64GB")
    made.add_argument("--disk", type=parse_size, default="2GB", help="a second and worker (2GB)")
    made.add_argument("--bandwidth", type=float, default=10, help="Gbit/s of each machine (10)")
    made.add_argument("--latency", type=float, default=0.2, help="ms of a message (0.2)")
    made.add_argument("--check-rows", type=int, default=5_000_000)
    made.add_argument("--check-blocks", type=int, default=480, help="small parts")
    made.add_argument(
        "--tasks", nargs="+", type=int, default=(12, 120, 480, 1920), help="two or more"
    )
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--folder", default=tempfile.gettempdir(), help="where the file is made")
    return made


def main():
    args = options().parse_args()
    size = Size(args.check_rows, args.features, np.dtype(args.dtype))
    check_space(size, args.folder)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = str(Path(folder) / "data.npy")
        write_data(path, size)
        job, known, checks = measure(path, size, args)
    bandwidth, latency = args.bandwidth * 1e9 / 8, args.latency / 1e3
    site = Site(args.threads, args.memory_per_worker, args.disk, bandwidth, latency)
    sizes = [int(n) for n in args.sizes]
    content = {
        "job": {"d": job.d, "k": job.k, "dtype": job.dtype.name, "family": job.family},
        "measured": known,
        "assumed": {name: v for name, v in site._asdict().items() if v is not None},
        "checks": checks,
        "passes": [predict(job, known, site, n, w) for n in sizes for w in args.workers],
        "explanation": explanation(job, known, site, sizes),
    }
    print(markdown({"machine": report.machine()} | content))
    print(verdict(checks))
    report.save(args.out, "scale_model", content, markdown)


if __name__ == "__main__":
    main()
