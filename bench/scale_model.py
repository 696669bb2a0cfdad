"""Time and traffic of EM on clusters: computed for 10⁹ to 10¹² rows, checked on this machine.

    python bench/scale_model.py --out bench/results       # d = 8, K = 16, float64, full
    python bench/scale_model.py --features 32 --k 64 --threads 8 --disk 1GB --bandwidth 25

An iteration is what `DaskBackend.stats` does (an M-step takes no time beside it): a task for each
part of the data, then a tree of tasks that merge their statistics. With the constants of `MEANING`,

    seconds = lead + max(work, disk, after) + merge
    lead    = once + lead x tasks + (sending the parameters), until the first task begins
    work    = rows / (rate x speedup) + (part + worker) x parts, of the worker that has most
    disk    = bytes of its rows / what it reads in a second; 0 where all memories hold the data
    after   = after x tasks: client and scheduler, while the workers work
    merge   = at each level of the tree hop + Stats x (fetch + network); one Stats to the client

The constants are measured here, the network and the machines' disks and memory are assumed
(options). The same model then has to predict passes of `DaskBackend` on processes of this machine,
which no constant comes from. Needs the `dask` extra.
"""

import functools
import math
import pickle
import statistics
import tempfile
import time
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
from gmm_fast.backends import DaskBackend, LocalBackend, cluster, n_lanes, tasks, workers
from gmm_fast.backends.memory import parse_size
from gmm_fast.mixture.families import get_family
from gmm_fast.mixture.forms import make_form
from gmm_fast.mixture.params import Params
from gmm_fast.sources import DaskSource, RowRange, open_path
from gmm_fast.text import show_size

SCALE = {"million rows/s": 1e-6, "ms": 1e3, "kB": 1e-3}
MEANING = {
    "rate": ("million rows/s", "kernel, one thread, a process on every core"),
    "part": ("ms", "kernel, for each part: parameters made ready, accumulators added up"),
    "hop": ("ms", "a task that merges, whatever it merges"),
    "fetch": ("ms", "getting and adding one Stats of another worker, besides the network"),
    "stats_bytes": ("kB", "Stats, pickled"),
    "params_bytes": ("kB", "parameters, pickled"),
    # of a pass beside the work in it: "sent" with every task, or "held" by a task
    "once": ("ms", "from the start of a pass to its first task, whatever the parts"),
    "lead": ("ms", "the same for each task: the scheduler takes in all before it hands out any"),
    "after": ("ms", "client and scheduler, for each task, while workers work (processor time)"),
    "worker": ("ms", "a worker, for each task"),
    "n_bytes": ("kB", "messages for each task besides the parameters"),
}
COSTS = ("once", "lead", "after", "worker", "n_bytes")
CHECKED = (1, 2)  # workers of the checked passes
TOLERANCE = 0.25  # a prediction that is off by more is said loudly
MERGED = (2, 32)  # Stats in the merges that tell what one costs


class Job(NamedTuple):
    """What is fitted, but for the number of rows."""

    d: int
    k: int
    dtype: np.dtype
    family: str
    lane_bytes: int  # of one accumulator of a kernel


class Site(NamedTuple):
    """A cluster: threads, bytes and bytes per second of each worker; bytes and seconds between."""

    threads: int
    memory: int
    disk: float
    bandwidth: float = math.inf
    latency: float = 0.0
    cores: int | None = None  # that workers, scheduler and client share, when all are one machine


def params_size(job):
    """Bytes, as `DaskBackend` reckons."""
    return 8 * (job.k * job.d + unit_covariances(job.k, job.d, job.family).size + job.k)


def merge_levels(job, parts):
    """[(tasks, Stats that one merges)] of the tree that `DaskBackend.stats` builds."""
    fan_in = max(2, min(workers.MOST_MERGED, workers.MERGED_BYTES // params_size(job)))
    levels = []
    while parts > 1:
        levels.append((-(-parts // fan_in), min(fan_in, parts)))
        parts = levels[-1][0]
    return levels


def sending(job, known, parts, n_workers, site):
    """Costs of tasks, seconds until workers have the parameters, and the bytes of those."""
    size = known["params_bytes"]
    if workers.send_with_tasks(2 * params_size(job), parts):
        n_bytes = size * (1 + parts)
        return known["sent"], 2 * site.latency + n_bytes / site.bandwidth, n_bytes
    # a task holds them; workers fetch them from those that have them already
    steps = 4 + math.ceil(math.log2(n_workers))
    return known["held"], steps * (2 * site.latency + size / site.bandwidth), size * (1 + n_workers)


def predict(job, known, site, n, n_workers, edges=None):
    """One EM iteration over `n` rows, as JSON values; seconds, bytes, and what takes longest.

    Data is cut at `edges`, by default as a file, and shared evenly. Efficiency is relative to
    kernels that share the rows evenly and never wait.
    """
    edges = workers.part_edges(n, job.d) if edges is None else edges
    parts, part_rows = len(edges) - 1, int(np.diff(edges).max())
    levels = merge_levels(job, parts)
    n_tasks = parts + sum(groups for groups, _ in levels)
    busiest = -(-parts // n_workers)
    rows, row_bytes = min(n, busiest * part_rows), job.d * job.dtype.itemsize

    # lanes are shared out, and a lane stays with one thread
    lanes = n_lanes(part_rows, job.lane_bytes)
    speedup = lanes / math.ceil(lanes / site.threads)
    kernel = rows / (known["rate"] * speedup) + busiest * known["part"]
    in_memory = n * row_bytes <= workers.SHARE * n_workers * site.memory
    read = rows * row_bytes / site.disk
    disk = 0.0 if in_memory else read

    costs, sent, sent_bytes = sending(job, known, parts, n_workers, site)
    lead, after = costs["once"] + costs["lead"] * n_tasks + sent, costs["after"] * n_tasks
    work = kernel + busiest * costs["worker"]
    if site.cores:  # those of one machine do all of it
        everything = kernel * parts / busiest + parts * costs["worker"] + after
        work = max(work, everything / site.cores)

    away = 1 - 1 / n_workers  # of the Stats that a worker merges, on average
    carried = known["stats_bytes"] / site.bandwidth
    merge = 2 * (site.latency + carried)  # to the client
    for groups, size in levels:
        merge += known["hop"] + 4 * site.latency
        merge += -(-groups // n_workers) * size * away * (known["fetch"] + carried)

    limits = {"kernel": kernel, "disk": disk, "scheduler": lead + after, "merge": merge}
    seconds = lead + max(work, disk, after) + merge
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
        "scheduler_bytes": n_tasks * costs["n_bytes"] + sent_bytes + 2 * known["stats_bytes"],
        "merge_bytes": away * known["stats_bytes"] * (n_tasks - 1),
        "disk_bytes": 0 if in_memory else n * row_bytes,
        "first_read": read,
    }


# How the constants are measured: none of it is a pass of `DaskBackend`.


@functools.lru_cache(maxsize=4)
def opened(path, rows):
    return LocalBackend(RowRange(open_path(path), 0, rows), threads=1, room=2**62)


def begin(path, rows, k, family):
    """Parameters and Stats as they pass around in a fit."""
    backend = opened(path, rows)
    means = backend.take(np.linspace(0, rows - 1, k).astype(np.int64))
    covariances = unit_covariances(k, means.shape[1], family)
    start = Params(np.full(k, 1 / k), means, covariances, family)
    # after an iteration, as in a fit: these carry the factors of their covariances
    params = em.fit(backend, start, em.Settings(tol=0.0, max_iter=1)).params
    return params, backend.stats(params)


def _kernel_seconds(path, rows, params, at):
    """Of the fastest of some passes, on this worker; all workers begin at the time `at`."""
    backend, found = opened(path, rows), []
    time.sleep(max(0, at - time.time()))
    # few rows would stay in the processor's cache, and in a pass over all data they never do
    for _ in range(3 if rows > 2**19 else 1):
        began = time.perf_counter()
        tasks.alone(backend.stats, params)
        found.append(time.perf_counter() - began)
    return min(found)


def addresses(client):
    client.wait_for_workers(1)  # on a busy machine they may not have said that they are there
    return list(client.scheduler_info(n_workers=-1)["workers"])


def side_by_side(client, path, rows, params):
    """Mean seconds of passes over `rows` rows, one on each worker at the same time, one thread."""
    at = time.time() + 0.05
    futures = [
        client.submit(_kernel_seconds, path, rows, params, at, workers=[worker], pure=False)
        for worker in addresses(client)
    ]
    return statistics.mean(client.gather(futures))


def rate_and_part(large, small, most, few):
    """Rows per second, and seconds of a part whatever its rows, from two passes."""
    if most == few or large <= small:
        return {"rate": most / large, "part": 0.0}
    per_row = (large - small) / (most - few)
    return {"rate": 1 / per_row, "part": max(0.0, small - few * per_row)}


def line(xs, ys):
    """Intercept and slope, not below 0, of a line; relative errors are alike."""
    slope, once = np.polyfit(xs, ys, 1, w=1 / np.maximum(np.abs(ys), 1e-9))
    return max(0.0, float(once)), max(0.0, float(slope))


def loopback_bytes():
    counters = psutil.net_io_counters(pernic=True)
    return sum(c.bytes_sent for name, c in counters.items() if name.startswith("lo"))


def _clock(part, params):
    return time.time()


def _trivial_pass(client, parts, params, held):
    """Seconds to the first task, from there to the end, processor seconds from there; bytes."""
    from distributed import wait

    sent, began = loopback_bytes(), time.time()
    shared = client.submit(tasks.hold, params, pure=False) if held else params
    futures = client.map(_clock, parts, [shared] * len(parts), pure=False)
    with client.as_current():
        wait(futures, return_when="FIRST_COMPLETED")
        spent = time.process_time()  # of client and scheduler: they are one process
        wait(futures)
    after, done, sent = time.process_time() - spent, time.time(), loopback_bytes() - sent
    first = min(client.gather(futures))
    return first - began, done - first, after, sent


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


def _merge_seconds(client, stats, count):
    """Of merging `count` Stats that another worker holds."""
    from distributed import wait

    here, there = addresses(client)[:2]
    with client.as_current():
        hold = {"pure": False, "workers": [there]}
        wait(held := [client.submit(tasks.hold, stats, **hold) for _ in range(count)])
        began = time.perf_counter()
        wait(client.submit(tasks.merge_all, held, pure=False, workers=[here]))
        return time.perf_counter() - began


def merging(client, stats, rounds):
    """hop and fetch, from merges of few Stats and of many."""
    times = [[_merge_seconds(client, stats, n) for _ in range(rounds)] for n in MERGED]
    return dict(zip(("hop", "fetch"), line(MERGED, np.median(times, axis=1)), strict=True))


# The check: iterations of `DaskBackend` on processes of this machine.


class Run:
    """EM on some workers, an iteration at a time."""

    def __init__(self, client, source, params, n_workers, label):
        self.label, self.n_workers, self.params = label, n_workers, params
        self.backend = DaskBackend(client, source, threads=1)
        if not self.backend.in_memory:
            raise SystemExit("--check-rows: the workers cannot keep that many rows in memory")
        self.backend.warm_up(get_family(params.covariance_type))
        self.seconds, self.sent = [], []

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
        """Predicted and measured, as JSON values."""
        site = Site(threads=1, memory=2**62, disk=1.0, cores=psutil.cpu_count() or 1)
        n, edges = self.backend.n_samples, self.backend.edges
        computed = predict(job, known, site, n, self.n_workers, edges)
        ratio = min(self.seconds) / computed["seconds"]
        return {
            "what": self.label,
            "workers": self.n_workers,
            "seconds": self.seconds,
            "ratio": ratio,
            "off": abs(ratio - 1) > TOLERANCE,
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
    rows = int(np.diff(workers.part_edges(size.n, size.d)).max())
    few = max(1, rows // 64)
    params, stats = begin(path, rows, args.k, args.family)
    lanes = make_form(params, size.dtype).shapes
    job = Job(size.d, args.k, size.dtype, args.family, 8 * sum(map(math.prod, lanes)))
    sizes = [len(pickle.dumps(thing, protocol=5)) for thing in (stats, params)]
    known = dict(zip(("stats_bytes", "params_bytes"), sizes, strict=True))
    with ExitStack() as stack:
        clients = {w: stack.enter_context(cluster(workers=w, threads=w)) for w in CHECKED}
        print("measuring what a task costs ...", flush=True)
        known["sent"] = scheduling(clients[1], params, args.tasks[:3], False, args.rounds)
        known["held"] = scheduling(clients[1], params, args.tasks, True, args.rounds)
        known |= merging(clients[CHECKED[-1]], stats, args.rounds)
        print("measuring kernels and passes in turn ...", flush=True)
        small = blocks(size.n, size.d, size.dtype, args.check_blocks)
        data = {"file": open_path(path), "many blocks": small}
        runs = [Run(clients[w], data[what], params, w, what) for w in CHECKED for what in data]
        kernels = {w: {rows: [], few: []} for w in CHECKED}
        for _ in range(args.rounds):
            for w, found in kernels.items():
                for m, seconds in found.items():
                    seconds.append(side_by_side(clients[w], path, m, params))
            for run in runs:
                run.iterate()
    for w, found in kernels.items():
        kernels[w] = rate_and_part(min(found[rows]), min(found[few]), rows, few) | known
    checks = [run.result(job, kernels[run.n_workers]) for run in runs]
    return job, kernels[CHECKED[-1]], checks  # in a cluster every core is busy


# The report.

CHECK_HEAD = (
    "pass | workers | predicted | measured, lowest | median | measured / predicted | "
    "traffic, predicted / measured"
)
HEAD = (
    "n | workers | parts | a pass | bound by | kernel | disk | scheduler | merge | efficiency | "
    "to and from scheduler | between workers | read in a pass | first read"
)


def constants_rows(content):
    """What was measured, as cells."""
    job, known = content["job"], content["measured"]
    rows = []
    for name, (unit, meaning) in MEANING.items():
        kinds = [known["held"], known["sent"]] if name in COSTS else [known]
        values = [quantity(kind[name] * SCALE[unit], unit) for kind in kinds]
        rows.append([meaning, " where a task holds the parameters, else ".join(values)])
    if flops := Row(1, job["d"], job["k"], job["family"]).flops:
        rate = f"{known['rate'] * flops / 1e9:.1f} GFLOP/s a thread"
        rows.append(["useful operations, 2 n K (d + 1) (d + 2)", rate])
    return rows


def check_row(r):
    """A checked run, as `CHECK_HEAD` says."""
    computed = r["computed"]
    seconds = computed["seconds"], min(r["seconds"]), statistics.median(r["seconds"])
    traffic = computed["scheduler_bytes"] + computed["merge_bytes"], r["measured_bytes"]
    return [
        f"{computed['n']:,} rows, {computed['parts']} parts ({r['what']})",
        str(r["workers"]),
        *(quantity(1e3 * s, "ms") for s in seconds),
        f"{r['ratio']:.2f}" + (" **OFF**" if r["off"] else ""),
        " / ".join(f"{n_bytes / 1e6:.2f}" for n_bytes in traffic) + " MB",
    ]


def power(n):
    """10⁹ for powers of ten."""
    digits = len(str(n)) - 1
    if n != 10**digits:
        return f"{n:,}"
    return "10" + str(digits).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def pass_row(p):
    """A computed pass, as `HEAD` says."""
    limits = [p[name] for name in ("kernel", "disk", "scheduler", "merge")]
    return [
        power(p["n"]),
        str(p["workers"]),
        str(p["parts"]),
        quantity(p["seconds"], "s"),
        p["bound"],
        *(quantity(seconds, "s") if seconds else "–" for seconds in limits),
        f"{100 * p['efficiency']:.0f} %",
        show_size(int(p["scheduler_bytes"])),
        show_size(int(p["merge_bytes"])),
        "–" if p["in_memory"] else show_size(int(p["disk_bytes"])),
        quantity(p["first_read"], "s"),
    ]


def verdict(checks):
    """How well the model did, in words."""
    wrong, most = sum(r["off"] for r in checks), f"{100 * TOLERANCE:.0f} %"
    if wrong:
        return f"THE MODEL IS OFF BY MORE THAN {most} IN {wrong} OF {len(checks)} CHECKS."
    return f"All predictions are within {most} of what was measured."


def markdown(content):
    """The whole report."""
    job, checks, site = content["job"], content["checks"], Site(**content["assumed"])
    return report.document(
        "# EM on clusters, computed",
        "",
        f"Made by `make bench-cluster`: d = {job['d']}, K = {job['k']}, {job['dtype']}, "
        f"{job['family']} covariance. {report.sentence(content['machine'])}",
        "",
        "What a row, a part, a task and a merge cost was measured on this machine. All processes "
        "of the measured clusters share its cores, and the client and the scheduler one process; "
        "that kernels grow as fast as threads and workers, and the scheduler's tasks cost the "
        "same beyond those measured, is assumed.",
        "",
        *table("measured | value", constants_rows(content)),
        "",
        "## The model beside measured passes",
        "",
        "EM iterations on a cluster of processes of this machine, one thread each, data kept in "
        f"memory; the lowest and the median of {len(checks[0]['seconds'])}, taken in turn with "
        f"the kernel's. No constant comes from these passes. {verdict(checks)}",
        "",
        *table(CHECK_HEAD, map(check_row, checks)),
        "",
        "## Computed",
        "",
        f"Assumed: {site.threads} threads a worker, each as fast as here; memory of "
        f"{show_size(site.memory)}, of which data may take {workers.SHARE:g}; a disk or network "
        f"file system of {show_size(int(site.disk))}/s for each worker; a network of "
        f"{8 * site.bandwidth / 1e9:g} Gbit/s and {1e3 * site.latency:g} ms a message.",
        "",
        "One EM iteration; kernel, disk, scheduler and merge are what each takes by itself. "
        "Reading and the scheduler's work after the first task overlap with the kernels. "
        "Efficiency is relative to kernels that share the rows evenly and never wait. There are no "
        f"more than {workers.MAX_PARTS} parts: what the scheduler does in a pass has a bound.",
        "",
        *table(HEAD, map(pass_row, content["passes"])),
    )


def options():
    made = report.parser(__doc__)
    made.add_argument("--features", type=int, default=8)
    made.add_argument("--k", type=int, default=16)
    made.add_argument("--family", choices=FAMILIES, default="full")
    made.add_argument("--dtype", choices=("float64", "float32"), default="float64")
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
    }
    print(markdown({"machine": report.machine()} | content))
    report.save(args.out, "scale_model", content, markdown)


if __name__ == "__main__":
    main()
