"""Data larger than memory, and workers: streamed against kept, Parquet against .npy, two workers
against two threads.

    python bench/scale.py                                # files of 1.6 and 1.3 GB, some minutes
    python bench/scale.py --sizes 2000000,4,float32 --cluster 1000000,8,float64 --rounds 2

Memory is that of a `gmm-fast fit` in a process of its own; fits have to reach the same
log-likelihood however they read, to the bit. Passes are timed in one process, in turn, round by
round. Files are made in a temporary folder (`--folder` says where) and removed.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import figures
import machine
import numpy as np
from figures import Figure
from large import Size, check_space
from memory import peak_of, write_data
from report import sentence, tally

from gmm_fast import em, init, starting
from gmm_fast.backends import DaskBackend, LocalBackend, cluster
from gmm_fast.families import get_family
from gmm_fast.sources import open_source
from gmm_fast.threads import wait_quietly

SIZES = (Size.parse("100000000,4,float32"), Size.parse("20000000,8,float64"))
CLUSTER = Size.parse("10000000,8,float64")
CLUSTER_K = 16
PROMISE = 300  # MB of anonymous memory
STREAMED = 80.0  # % of the rate in memory, at least
PARQUET = 50.0  # % of the rate of .npy, at least
OVERHEAD = 15.0  # % of a local pass, at most
GROUP_ROWS = 1_000_000
WARM = 3  # passes that are not counted: the page cache fills, and threads find their pace


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


def fit_once(data, args, memory, folder):
    """Peak memory and log-likelihood of a fit in a process of its own."""
    command = [sys.executable, "-m", "gmm_fast", "fit", "--k", str(args.k), "--json", "--no-model"]
    command += ["--max-iter", "2", "--tol", "0", "--memory", memory, data]
    output, peak, _ = peak_of(command, folder)
    return {"peak": peak, "log_likelihood": json.loads(output)["log_likelihood"]}


def time_passes(folder, k, rounds):
    """Seconds of passes over the data in memory, streamed, and streamed from Parquet, in turn.

    The decoder of Parquet wants kernels that wait quietly, as in a fit; all of them do here.
    """
    wait_quietly()
    npy, parquet = (open_source(Path(folder) / name) for name in ("x.npy", "x.parquet"))
    ways = {
        "in memory": LocalBackend(npy, room=2**62),
        "streamed": LocalBackend(npy, room=0),
        "Parquet": LocalBackend(parquet, room=0),
    }
    start, settings = starting.Start("k-means++"), em.Settings()
    params = init.initial_params(ways["in memory"], k, "full", start, settings).params
    found = {name: [] for name in ways}
    for turn in range(-WARM, rounds):
        for name, backend in ways.items():
            began = time.perf_counter()
            backend.stats(params)
            if turn >= 0:
                found[name].append(time.perf_counter() - began)
    return found


def bench_files(size, args):
    """What one size takes: seconds of passes and fits, by way of reading."""
    check_space(size._replace(n=2 * size.n), args.folder)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        write_data(Path(folder) / "x.npy", size.n, size.d, dtype=size.dtype)
        write_parquet(Path(folder) / "x.npy", Path(folder) / "x.parquet")
        fits = {
            "in memory": fit_once("x.npy", args, "1000GB", folder),
            "streamed": fit_once("x.npy", args, args.memory, folder),
            "Parquet": fit_once("x.parquet", args, args.memory, folder),
        }
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            passes = process.submit(time_passes, folder, args.k, args.rounds).result()
    reached = {fit["log_likelihood"] for fit in fits.values()}
    if len(reached) != 1:
        raise SystemExit(f"{size}: not the same work: log-likelihoods {sorted(reached)}")
    return {"passes": passes, "fits": fits}


def figures_of(size, runs, args):
    """What the runs of one size say."""
    middle = {way: statistics.median(seconds) for way, seconds in runs["passes"].items()}
    peaks = {way: fit["peak"] / 1e6 for way, fit in runs["fits"].items()}
    rates = {way: f"{size.n / s / 1e6:.0f} million rows/s, {s:.3f} s" for way, s in middle.items()}
    head = f"{size}, K = {args.k}"
    return [
        Figure(
            f"{head}: streamed, of the rate in memory",
            100 * middle["in memory"] / middle["streamed"],
            "%",
            STREAMED,
            detail=f"{rates['streamed']} a pass; in memory {rates['in memory']}",
        ),
        Figure(f"{head}: anonymous memory", peaks["streamed"], "MB", PROMISE, False),
        Figure(
            f"{head}: Parquet, of the rate of .npy",
            100 * middle["streamed"] / middle["Parquet"],
            "%",
            PARQUET,
            detail=f"{rates['Parquet']} a pass",
        ),
        Figure(f"{head}: anonymous memory, Parquet", peaks["Parquet"], "MB", PROMISE, False),
    ]


def bench_cluster(size, args):
    """Seconds of passes on 2 threads and on 2 workers, in turn."""
    check_space(size, args.folder)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "x.npy"
        write_data(path, size.n, size.d, dtype=size.dtype)
        with cluster(workers=2, threads=2) as client:
            local = LocalBackend(open_source(path), threads=2, room=2**62)
            workers = DaskBackend(client, open_source(path))
            workers.warm_up(get_family("full"))
            start, settings = starting.Start("k-means++"), em.Settings()
            params = init.initial_params(local, CLUSTER_K, "full", start, settings).params
            passes = {"threads": [], "workers": []}
            for turn in range(1 + args.passes):  # the first one reads
                for name, backend in (("threads", local), ("workers", workers)):
                    began = time.perf_counter()
                    stats = backend.stats(params)
                    passes[name].append(time.perf_counter() - began)
                    if turn == 0:
                        passes[name].clear()
                        same(local, params, stats)
    return passes


def same(local, params, stats):
    want = local.stats(params).log_likelihood
    if abs(stats.log_likelihood / want - 1) > 1e-12:
        raise SystemExit(f"not the same work: {stats.log_likelihood} and {want}")


def overhead(size, passes):
    """The figure for two workers."""
    ours, theirs = (statistics.median(passes[name]) for name in ("threads", "workers"))
    return Figure(
        f"{size}, K = {CLUSTER_K}: two workers take more than two threads by",
        100 * (theirs / ours - 1),
        "%",
        OVERHEAD,
        False,
        detail=f"{theirs:.3f} s and {ours:.3f} s a pass, medians of {len(passes['threads'])}",
    )


def markdown(found, facts):
    """The figures as a document."""
    head = ["what", "value", "target", "verdict", "detail"]
    body = [figure.cells() for figure in found]
    lines = ["# Data larger than memory, and workers", ""]
    lines += [f"Made by `make bench-scale`; {tally(found)}. {sentence(facts)}", ""]
    return "\n".join([*lines, *figures.table(head, body)]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="*", type=Size.parse, default=SIZES, help="n,d,dtype")
    parser.add_argument("--cluster", type=Size.parse, default=CLUSTER, help="n,d,dtype")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9, help="over the files")
    parser.add_argument("--passes", type=int, default=15, help="on the cluster")
    parser.add_argument("--memory", default=f"{PROMISE}MB", help="for what is streamed")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where files are made")
    parser.add_argument("--out", type=Path, help="folder for scale.json and scale.md")
    args = parser.parse_args()
    found, raw = [], {}
    for size in args.sizes:
        raw[str(size)] = runs = bench_files(size, args)
        found += figures_of(size, runs, args)
        print("\n".join(figures.lines(found[-4:])), flush=True)
    raw["passes"] = bench_cluster(args.cluster, args)
    found.append(overhead(args.cluster, raw["passes"]))
    print("\n".join(figures.lines(found[-1:])))
    print(tally(found))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        facts = machine.facts()
        content = {"machine": facts, "figures": [f.as_json() for f in found], "runs": raw}
        (args.out / "scale.json").write_text(json.dumps(content, indent=1) + "\n")
        (args.out / "scale.md").write_text(markdown(found, facts))


if __name__ == "__main__":
    main()
