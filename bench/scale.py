"""Data larger than memory, and workers: streamed against kept, Parquet against .npy, two workers
against two threads.

    python bench/scale.py                                # files of 1.6 and 1.3 GB, some minutes
    python bench/scale.py --sizes 2000000,4,float32 --cluster 1000000,8,float64 --rounds 2

Memory is that of a `gmm-fast fit` in a process of its own; fits have to reach the same
log-likelihood however they read, to the bit. Passes are timed in one process, in turn, round by
round. Files are made in a temporary folder (`--folder` says where) and removed.
"""

import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import report
from large import MEMORY, Size, check_space, fit_file, write_data
from report import Figure, ceiling, show, tally

from gmm_fast import em
from gmm_fast.backends import DaskBackend, LocalBackend, cluster
from gmm_fast.backends.threads import wait_quietly
from gmm_fast.mixture.families import get_family
from gmm_fast.sources import open_source
from gmm_fast.starts import initial, starting

SIZES = (Size.parse("100000000,4,float32"), Size.parse("20000000,8,float64"))
CLUSTER, CLUSTER_K = Size.parse("10000000,8,float64"), 16
PROMISE = 300  # MB of anonymous memory
STREAMED = 80.0  # % of the rate in memory, at least
PARQUET = 50.0  # % of the rate of .npy, at least
OVERHEAD = 15.0  # % of a local pass, at most
GROUP_ROWS = 1_000_000
# Passes that are not counted: the page cache fills, and threads find their pace.
WARM = 3
WAYS = {
    "in memory": ("x.npy", "1000GB"),
    "streamed": ("x.npy", MEMORY),
    "Parquet": ("x.parquet", MEMORY),
}


def write_parquet(npy, path):
    """The same table as Parquet, with pyarrow's defaults but for the length of row groups."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    x = np.load(npy, mmap_mode="r")
    names = [f"x{j}" for j in range(x.shape[1])]
    schema = pa.schema([(name, pa.from_numpy_dtype(x.dtype)) for name in names])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(x), GROUP_ROWS):
            group = np.ascontiguousarray(x[start : start + GROUP_ROWS].T)
            writer.write_table(pa.table(list(group), schema=schema))


def in_turn(backends, params, passes, warm):
    """{name: seconds} of passes over the data, in turn, after some that are not counted.

    The first ones must have found the same log-likelihood.
    """
    seconds, found = {name: [] for name in backends}, []
    for turn in range(-warm, passes):
        for name, backend in backends.items():
            began = time.perf_counter()
            found.append(backend.stats(params).log_likelihood)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - began)
    first = found[: len(backends)]
    if np.ptp(first) > 1e-12 * abs(first[0]):
        raise SystemExit(f"not the same work: log-likelihoods {first}")
    return seconds


def start_of(backend, k):
    start, settings = starting.Start("k-means++"), em.Settings()
    return initial.initial_params(backend, k, "full", start, settings).params


def time_passes(folder, k, rounds):
    """Seconds of passes in each of the `WAYS`.

    The decoder of Parquet wants kernels that wait quietly, as in a fit; all of them do here.
    """
    wait_quietly()
    backends = {
        way: LocalBackend(open_source(Path(folder) / file), room=2**62 if way == "in memory" else 0)
        for way, (file, _) in WAYS.items()
    }
    return in_turn(backends, start_of(backends["in memory"], k), rounds, WARM)


def bench_files(size, args):
    """What one size takes: seconds of passes and fits, by way of reading."""
    check_space(size._replace(n=2 * size.n), args.folder)
    fits = {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        write_data(Path(folder) / "x.npy", size)
        write_parquet(Path(folder) / "x.npy", Path(folder) / "x.parquet")
        for way, (file, memory) in WAYS.items():
            fit, peak, _ = fit_file(file, args.k, 2, memory, folder)
            fits[way] = {"peak": peak, "log_likelihood": fit["log_likelihood"]}
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            passes = process.submit(time_passes, folder, args.k, args.rounds).result()
    reached = {fit["log_likelihood"] for fit in fits.values()}
    if len(reached) != 1:
        raise SystemExit(f"{size}: not the same work: log-likelihoods {sorted(reached)}")
    return {"passes": passes, "fits": fits}


def figures_of(size, k, runs):
    """What the runs of one size say."""
    middle = {way: statistics.median(seconds) for way, seconds in runs["passes"].items()}
    peaks = {way: fit["peak"] / 1e6 for way, fit in runs["fits"].items()}
    rates = {way: f"{size.n / s / 1e6:.0f} million rows/s, {s:.3f} s" for way, s in middle.items()}
    streamed = 100 * middle["in memory"] / middle["streamed"]
    parquet = 100 * middle["streamed"] / middle["Parquet"]
    beside = f"{rates['streamed']} a pass; in memory {rates['in memory']}"
    a_pass = f"{rates['Parquet']} a pass"
    head, memory = f"{size}, K = {k}", "anonymous memory"
    return [
        Figure(f"{head}: streamed, of the rate in memory", streamed, "%", STREAMED, detail=beside),
        ceiling(f"{head}: {memory}", peaks["streamed"], "MB", PROMISE),
        Figure(f"{head}: Parquet, of the rate of .npy", parquet, "%", PARQUET, detail=a_pass),
        ceiling(f"{head}: {memory}, Parquet", peaks["Parquet"], "MB", PROMISE),
    ]


def bench_cluster(size, args):
    """Seconds of passes on 2 threads and on 2 workers, in turn."""
    check_space(size, args.folder)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "x.npy"
        write_data(path, size)
        with cluster(workers=2, threads=2) as client:
            local = LocalBackend(open_source(path), threads=2, room=2**62)
            workers = DaskBackend(client, open_source(path))
            workers.warm_up(get_family("full"))
            backends = {"threads": local, "workers": workers}
            return in_turn(backends, start_of(local, CLUSTER_K), args.passes, 1)


def overhead(size, passes):
    """The figure for two workers."""
    ours, theirs = (statistics.median(passes[name]) for name in ("threads", "workers"))
    detail = f"{theirs:.3f} s and {ours:.3f} s a pass, medians of {len(passes['threads'])}"
    what = f"{size}, K = {CLUSTER_K}: two workers take more than two threads by"
    return ceiling(what, 100 * (theirs / ours - 1), "%", OVERHEAD, detail)


def markdown(content):
    """The figures as a document."""
    found = [Figure.from_json(values) for values in content["figures"]]
    made = f"Made by `make bench-scale`; {tally(found)}. {report.sentence(content['machine'])}"
    lines = report.figure_table(found, "what | value | target | verdict | detail")
    return report.document("# Data larger than memory, and workers", "", made, "", *lines)


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--sizes", nargs="*", type=Size.parse, default=SIZES, help="n,d,dtype")
    parser.add_argument("--cluster", type=Size.parse, default=CLUSTER, help="n,d,dtype")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9, help="over the files")
    parser.add_argument("--passes", type=int, default=15, help="on the cluster")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where files are made")
    args = parser.parse_args()
    found, raw = [], {}
    for size in args.sizes:
        raw[str(size)] = runs = bench_files(size, args)
        found += figures_of(size, args.k, runs)
        show(found[-4:])
    raw["passes"] = bench_cluster(args.cluster, args)
    found.append(overhead(args.cluster, raw["passes"]))
    show(found[-1:])
    print(tally(found))
    content = {"figures": [figure.as_json() for figure in found], "runs": raw}
    report.save(args.out, "scale", content, markdown)


if __name__ == "__main__":
    main()
