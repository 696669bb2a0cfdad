"""Seconds per EM iteration beside the peers, at every row of the targets."""

import statistics

import numba
import numpy as np
import targets
from competitors import PEERS, Ours, competitors_of
from figures import Figure, spread, table
from timing import measure
from work import Work

OURS = "gmm-fast float64"
OURS32 = "gmm-fast float32"


def bench_row(row, rounds, budget, peers=PEERS):
    """Measure one row.

    Returns
    -------
    dict
        JSON values.
    """
    work = Work.make(row)
    competitors, missing = competitors_of(work, peers)
    threads = numba.config.NUMBA_NUM_THREADS
    found, peaks = measure(work, competitors, rounds, budget, threads)
    return {
        "n": row.n,
        "d": row.d,
        "k": row.k,
        "family": row.family,
        "competitors": {name: m.as_json() for name, m in found.items()},
        "missing": missing,
        "peak_gflops": peaks,
        "share": shares(row, found[OURS], peaks),
        "share_float32": shares(row, found[OURS32], [2 * p for p in peaks]),
    }


def shares(row, measured, peaks):
    """Share of the FMA peak in each round, None where it is not defined."""
    if row.flops is None:
        return None
    pairs = zip(measured.seconds, peaks, strict=False)  # a slow competitor has fewer rounds
    return [row.flops / seconds / (1e9 * gflops) for seconds, gflops in pairs]


def figures_of(row, result):
    """What one row shows, beside the targets."""
    goal = targets.ROWS.get(row, targets.Goal())
    median = {name: c["median"] for name, c in result["competitors"].items()}
    found = []

    def ratio(what, slow, fast, target):
        if slow in median:
            value = median[slow] / median[fast]
            found.append(Figure(f"{row}: {what}", value, "×", target))

    ratio("faster than scikit-learn", "scikit-learn", OURS, goal.scikit_learn)
    ratio("faster than oneDAL, float64", "oneDAL float64", OURS, goal.onedal)
    ratio("faster than oneDAL, float32", "oneDAL float32", OURS32, goal.onedal)
    ratio("float32 faster than float64", OURS, OURS32, targets.FLOAT32)
    for name, why in result["missing"].items():
        if why == "not installed" and name == "oneDAL":
            found.append(missing_figure(row, name, goal))
    if result["share"] is not None and (goal.share is not None or goal.ns is None):
        share = 100 * statistics.median(result["share"])
        target = None if goal.share is None else 100 * goal.share
        found.append(Figure(f"{row}: share of the FMA peak", share, "%", target))
    if goal.ns is not None:
        ns = 1e9 * median[OURS] / (row.n * row.k)
        found.append(Figure(f"{row}: per sample and component", ns, "ns", goal.ns, at_least=False))
    return found


def missing_figure(row, name, goal):
    """A target that could not be measured is not met."""
    return Figure(
        f"{row}: faster than {name}", 0.0, "×", goal.onedal, wrong=f"{name} is not installed"
    )


def markdown(results):
    """Medians of everybody."""
    names = list(dict.fromkeys(name for r in results for name in r["competitors"]))
    head = ["n, d, K", "family", *names, "GFLOP/s peak", "share float64", "share float32"]
    body = []
    for r in results:
        cells = [cell(r, name) for name in names]
        peak = f"{statistics.median(r['peak_gflops']):.0f}"
        size = f"{r['n']:,}, {r['d']}, {r['k']}"
        shown = [percent(r["share"]), percent(r["share_float32"])]
        body.append([size, r["family"], *cells, peak, *shown])
    notes = {
        f"- {name}: {c['note']}"
        for r in results
        for name, c in r["competitors"].items()
        if c["note"]
    }
    return [*table(head, body), "", *sorted(notes)]


def cell(result, name):
    """Milliseconds of one competitor, or why there are none."""
    if name in result["competitors"]:
        measured = result["competitors"][name]
        if len(measured["seconds"]) == 1:
            return f"{1e3 * measured['median']:.0f} (once)"
        return spread(measured["seconds"]) + (" (stopped early)" if measured["stopped"] else "")
    return result["missing"].get(name.split()[0], "–")


def percent(shares):
    return "–" if shares is None else f"{100 * statistics.median(shares):.0f} %"


def threads_row(row, rounds, budget):
    """All threads beside one: ratio of the medians, and what the machine itself gains."""
    work = Work.make(row)
    most = numba.config.NUMBA_NUM_THREADS
    competitors = [Ours(work, np.float64, threads=count) for count in (most, 1)]
    found, peaks = measure(work, competitors, rounds, budget, most)
    many, one = (found[c.name].median for c in competitors)
    return {
        "row": str(row),
        "threads": most,
        "seconds": {name: m.seconds for name, m in found.items()},
        "peak_gflops": peaks,
        "ratio": one / many,
    }
