"""Time and traffic of EM on clusters: computed for 10⁹ to 10¹² rows, checked on this machine.

    python bench/scale_model.py                           # d = 8, K = 16, float64, full
    python bench/scale_model.py --features 32 --k 64 --threads 8 --disk 1GB --bandwidth 25
    python bench/scale_model.py --out bench/results       # scale_model.json and .md

What a row, a part, a task and a merge cost is measured here, the network and the machines'
disks and memory are assumed (options). The same model then has to predict passes of `DaskBackend`
on processes of this machine, which no constant comes from. Needs Dask (the `dask` extra).
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

import machine
import numpy as np
from figures import quantity, table
from large import Size, check_space
from memory import write_data
from report import sentence
from scale_check import TOLERANCE, measure
from scale_constants import COSTS, MEANING, SCALE
from scale_time import Site, first_workers, predict
from work import FAMILIES

from gmm_fast.backends import workers
from gmm_fast.memory import parse_size, show_size

SIZES = (10**9, 10**10, 10**11, 10**12)
WORKERS = (1, 2, 8, 64, 512)


def shown(value, unit):
    return quantity(value * SCALE[unit], unit)


def constants_rows(job, constants, site):
    """What, value, measured or assumed."""
    rows = []
    for name, (unit, meaning) in MEANING.items():
        rows.append([meaning, shown(getattr(constants, name), unit), "measured"])
    for name, (unit, meaning) in COSTS.items():
        held, sent = (getattr(costs, name) for costs in (constants.held, constants.sent))
        value = f"{shown(held, unit)}; {shown(sent, unit)} where parameters go with every task"
        rows.append([meaning, value, "measured"])
    if job.flops_of_row:
        rate = constants.rate * job.flops_of_row / 1e9
        rows.append(
            ["useful operations, 2 n K (d + 1) (d + 2)", f"{rate:.1f} GFLOP/s a thread", "measured"]
        )
    assumed = {
        "threads of a worker, each as fast as here": f"{site.threads}",
        "memory of a worker": show_size(site.memory),
        f"share of it that data may take (`SHARE`: {workers.SHARE:g})": show_size(
            int(workers.SHARE * site.memory)
        ),
        "disk or network file system, each worker": f"{show_size(int(site.disk))}/s",
        "network, each machine": f"{8 * site.bandwidth / 1e9:g} Gbit/s",
        "latency of a message": quantity(1e3 * site.latency, "ms"),
    }
    return rows + [[what, value, "assumed"] for what, value in assumed.items()]


def check_rows(results):
    """The checked passes as cells."""
    return [
        [
            f"{r['n']:,} rows, {r['parts']} parts ({r['what']})",
            f"{r['workers']} ({', '.join(map(str, r['parts_of_each_worker']))})",
            quantity(1e3 * r["predicted"], "ms"),
            quantity(1e3 * r["measured"], "ms"),
            quantity(1e3 * r["median"], "ms"),
            f"{r['ratio']:.2f}" + (" **OFF**" if r["off"] else ""),
            f"{r['ratio_as_dealt']:.2f}",
            f"{r['predicted_bytes'] / 1e6:.2f} / {r['measured_bytes'] / 1e6:.2f} MB",
        ]
        for r in results
    ]


CHECK_HEAD = (
    "pass",
    "workers (parts of each)",
    "predicted",
    "measured, lowest",
    "median",
    "measured / predicted",
    "the same, parts as dealt",
    "traffic, predicted / measured",
)
HEAD = (
    "n",
    "workers",
    "parts",
    "a pass",
    "bound by",
    "kernel",
    "disk",
    "scheduler",
    "merge",
    "efficiency",
    "to and from scheduler",
    "between workers",
    "read in a pass",
    "first read",
)


def power(n):
    """10⁹ for powers of ten."""
    digits = len(str(n)) - 1
    if n != 10**digits:
        return f"{n:,}"
    return "10" + str(digits).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


def pass_row(found):
    """One `Pass` as cells."""
    seconds = [found.kernel, found.disk, found.scheduler, found.merge]
    return [
        power(found.n),
        str(found.workers),
        str(found.parts),
        quantity(found.seconds, "s"),
        found.bound,
        *(quantity(s, "s") if s else "–" for s in seconds),
        f"{100 * found.efficiency:.0f} %",
        show_size(int(found.scheduler_bytes)),
        show_size(int(found.merge_bytes)),
        "–" if found.in_memory else show_size(int(found.disk_bytes)),
        quantity(found.first_read, "s"),
    ]


def dealing(results):
    """How far from even Dask dealt the parts of the checked passes."""
    several = [r for r in results if r["workers"] > 1]
    if not several:
        return []
    named = ", ".join(
        f"{r['parts_of_each_worker'][0]} of {r['parts']} to one of {r['workers']} workers"
        for r in several
    )
    return [
        f"The table shares parts evenly. In the checked passes Dask dealt {named}; kernels take "
        "longer by as much as the largest share is above the even one."
    ]


def explanation(job, constants, site, sizes):
    """What limits where, in sentences with the numbers."""
    capped = job.capped_rows
    lines = [
        f"Data of more than {capped:.2g} rows of {job.d} features has no more than "
        f"{workers.MAX_PARTS} parts, larger ones instead: what the scheduler does in a pass stays "
        f"below {scheduler_seconds(job, constants, site, capped):.1f} s whatever n is, and more "
        f"than {workers.MAX_PARTS} workers would have nothing to do."
    ]
    for n in sizes:
        slower = first_workers(job, constants, site, n, lambda p: p.scheduler > p.kernel)
        fits = first_workers(job, constants, site, n, lambda p: p.in_memory)
        half = first_workers(job, constants, site, n, lambda p: p.efficiency < 0.5 and p.in_memory)
        one = predict(job, constants, site, n, 1)
        lines.append(
            f"n = {power(n)} ({show_size(n * job.row_bytes)}, {one.parts} parts): one worker's "
            f"kernels take {quantity(one.kernel, 's')}, the scheduler "
            f"{quantity(one.scheduler, 's')} a pass. "
            + at_workers("The workers' memory holds the data", fits)
            + reading(one, site, fits)
            + at_workers(" The scheduler takes longer than the kernels", slower)
            + at_workers(
                " With the data in memory, less than half of perfect scaling is left", half
            )
        )
    lines.append(
        "The scheduler's time hardly depends on the number of workers. The "
        f"{shown(constants.held.lead, 'ms')} a task that pass before the first one begins are "
        f"added to the kernels' time; the {shown(constants.held.after, 'ms')} after it are hidden "
        "behind the kernels as long as those take longer."
    )
    return lines


def at_workers(what, n_workers):
    """A sentence on where something begins."""
    if n_workers is None:
        return f"{what} at no number of workers that gives each a part."
    return f"{what} from {n_workers} worker{'s' * (n_workers > 1)} on."


def reading(one, site, fits):
    if one.in_memory:
        return ""
    slower = "the disk is what is waited for" if one.disk > one.kernel else "the kernels hide it"
    until = "" if fits is None else " with fewer"
    return (
        f" It is read in every pass{until}, {quantity(one.first_read, 's')} for one worker at "
        f"{show_size(int(site.disk))}/s: {slower}."
    )


def scheduler_seconds(job, constants, site, n):
    return predict(job, constants, site, n, workers.MAX_PARTS).scheduler


def how_wrong(r):
    """One check in words."""
    most, workers_used = r["parts_of_each_worker"][0], r["workers"]
    text = f"{r['what']} with {workers_used} worker{'s' * (workers_used > 1)}: "
    text += f"{r['ratio']:.2f} times what was predicted"
    if most > -(-r["parts"] // workers_used):
        text += f" ({r['ratio_as_dealt']:.2f} had it known that one worker got {most} of "
        text += f"{r['parts']} parts)"
    return text


def check_sentence(results):
    """How well the model did, in words."""
    wrong = [r for r in results if r["off"]]
    if not wrong:
        return f"All predictions are within {100 * TOLERANCE:.0f} % of what was measured."
    named = "; ".join(map(how_wrong, wrong))
    return (
        f"THE MODEL IS OFF BY MORE THAN {100 * TOLERANCE:.0f} % IN {len(wrong)} OF "
        f"{len(results)} CHECKS: {named}."
    )


def markdown(job, constants, site, results, passes, sentences, facts):
    """The whole report."""
    lines = [
        "# EM on clusters, computed",
        "",
        f"Made by `make bench-cluster`: d = {job.d}, K = {job.k}, {job.dtype.name}, {job.family} "
        f"covariance. {sentence(facts)}",
        "",
        "What a row, a part, a task and a merge cost was measured on this machine; networks, "
        "disks and memory are assumed. All processes of the measured clusters share its cores, "
        "and the client and the scheduler one process; that kernels grow as fast as threads and "
        "workers, and the scheduler's tasks cost the same beyond those measured, is assumed, too.",
        "",
        *table(["what", "value", ""], constants_rows(job, constants, site)),
        "",
        "## The model beside measured passes",
        "",
        "EM iterations on a cluster of processes of this machine, one thread each, data kept in "
        f"memory; the lowest and the median of {len(results[0]['seconds'])}, taken in turn with "
        "the kernel's. No constant comes from these passes. The model shares the parts evenly; "
        "Dask may deal them otherwise, which the last ratio allows for. " + check_sentence(results),
        "",
        *table(CHECK_HEAD, check_rows(results)),
        "",
        "## Computed",
        "",
        "One EM iteration; kernel, disk, scheduler and merge are what each takes by itself. "
        "Reading and the scheduler's work after the first task overlap with the kernels. "
        "Efficiency is relative to kernels that share the rows evenly and never wait.",
        "",
        *table(HEAD, [pass_row(p) for p in passes]),
        "",
        *(f"- {text}" for text in sentences),
    ]
    return "\n".join(lines) + "\n"


def parser():
    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    made.add_argument("--features", type=int, default=8)
    made.add_argument("--k", type=int, default=16)
    made.add_argument("--family", choices=FAMILIES, default="full")
    made.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    made.add_argument("--sizes", nargs="+", type=lambda text: int(float(text)), default=SIZES)
    made.add_argument("--workers", nargs="+", type=int, default=WORKERS)
    made.add_argument("--threads", type=int, default=16, help="of each worker (16)")
    made.add_argument("--memory-per-worker", type=parse_size, default="64GB", help="64GB")
    made.add_argument("--disk", type=parse_size, default="2GB", help="a second and worker (2GB)")
    made.add_argument("--bandwidth", type=float, default=10, help="Gbit/s of each machine (10)")
    made.add_argument("--latency", type=float, default=0.2, help="ms of a message (0.2)")
    made.add_argument("--check-rows", type=int, default=5_000_000)
    made.add_argument("--check-workers", nargs="+", type=int, default=(1, 2), help="1 first")
    made.add_argument("--check-blocks", type=int, default=480, help="small parts; 0 for no check")
    made.add_argument("--tasks", nargs="+", type=int, default=(12, 120, 480, 1920))
    made.add_argument("--rounds", type=int, default=7)
    made.add_argument("--folder", default=tempfile.gettempdir(), help="where the file is made")
    made.add_argument("--out", type=Path, help="folder for scale_model.json and .md")
    return made


def main():
    args = parser().parse_args()
    if args.check_workers[0] != 1 or len(args.tasks) < 2:
        raise SystemExit("--check-workers must begin with 1, and --tasks name two numbers or more")
    size = Size(args.check_rows, args.features, np.dtype(args.dtype))
    check_space(size, args.folder)
    with tempfile.TemporaryDirectory(dir=args.folder) as inside:
        path = str(Path(inside) / "data.npy")
        write_data(path, *size[:2], dtype=size.dtype)
        job, constants, results = measure(
            path,
            args.k,
            args.family,
            worker_counts=args.check_workers,
            blocks=args.check_blocks,
            counts=args.tasks,
            rounds=args.rounds,
        )
    bandwidth, latency = args.bandwidth * 1e9 / 8, args.latency / 1e3
    site = Site(args.threads, args.memory_per_worker, args.disk, bandwidth, latency)
    passes = [predict(job, constants, site, n, w) for n in args.sizes for w in args.workers]
    sentences = explanation(job, constants, site, args.sizes) + dealing(results)
    facts = machine.facts()
    text = markdown(job, constants, site, results, passes, sentences, facts)
    print(text)
    if any(r["off"] for r in results):
        print(f"!!! {check_sentence(results)}")
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        whole = {
            "machine": facts,
            "job": {"d": job.d, "k": job.k, "dtype": job.dtype.name, "family": job.family},
            "measured": asdict(constants),
            "assumed": {name: v for name, v in asdict(site).items() if v is not None},
            "checks": results,
            "passes": [p.as_json() for p in passes],
            "explanation": sentences,
        }
        (args.out / "scale_model.json").write_text(json.dumps(whole, indent=1) + "\n")
        (args.out / "scale_model.md").write_text(text)


if __name__ == "__main__":
    main()
