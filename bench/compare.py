"""gmm-fast beside its peers, every figure with its target.

    python bench/compare.py                          # everything, about a quarter of an hour
    python bench/compare.py 100000,8,8,full          # one row of EM iterations: n,d,K,family
    python bench/compare.py --only fits,scoring      # some sections
    python bench/compare.py --peers scikit-learn     # fewer peers

Peers that are not installed are named as such. The others must all do the same work.
"""

import argparse
import statistics
import time
from itertools import chain

import numba
import report
import sections
import targets
from competitors import PEERS, competitors_of
from report import Figure, ceiling, quantity, show, spread, table, tally
from timing import measure
from work import Row, Work

OURS, OURS32 = "gmm-fast float64", "gmm-fast float32"
TITLES = {
    "rows": "EM iterations",
    "threads": "Threads",
    "fits": "Default fits",
    "quality": "Likelihood of a photo",
    "scoring": "Scoring",
    "silhouette": "Silhouette",
    "memory": "Memory",
    "processes": "Processes",
}


def bench_row(row, args):
    """Seconds per EM iteration of all peers at one row, as JSON values."""
    work = Work.make(row)
    competitors, missing = competitors_of(work, args.peers)
    found, peaks = measure(
        work, competitors, args.rounds, args.budget, numba.config.NUMBA_NUM_THREADS
    )
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
    ratios = (
        ("faster than scikit-learn", "scikit-learn", OURS, goal.scikit_learn),
        ("faster than oneDAL, float64", "oneDAL float64", OURS, goal.onedal),
        ("faster than oneDAL, float32", "oneDAL float32", OURS32, goal.onedal),
        ("float32 faster than float64", OURS, OURS32, targets.FLOAT32),
    )
    found = [
        Figure(f"{row}: {what}", median[slow] / median[fast], "×", target)
        for what, slow, fast, target in ratios
        if slow in median
    ]
    if result["missing"].get("oneDAL") == "not installed":  # then the target is not met
        why = {"wrong": "oneDAL is not installed"}
        found.append(Figure(f"{row}: faster than oneDAL", 0.0, "×", goal.onedal, **why))
    if result["share"] is not None and (goal.share is not None or goal.ns is None):
        share = 100 * statistics.median(result["share"])
        target = None if goal.share is None else 100 * goal.share
        found.append(Figure(f"{row}: share of the FMA peak", share, "%", target))
    if goal.ns is not None:
        ns = 1e9 * median[OURS] / (row.n * row.k)
        found.append(ceiling(f"{row}: per sample and component", ns, "ns", goal.ns))
    return found


def em_rows(args, results):
    """Figures of all rows; `results` gets what was measured."""
    figures = []
    for row in args.rows or targets.ROWS:
        results.append(bench_row(row, args))
        for name, measured in results[-1]["competitors"].items():
            print(f"    {row}: {name} {spread(measured['seconds'])} ms", flush=True)
        figures += figures_of(row, results[-1])
        show(figures_of(row, results[-1]))
    return figures


def one_section(name, args, results):
    """Figures of a section, printed as soon as they are there."""
    print(TITLES[name], flush=True)
    if name == "rows":
        return em_rows(args, results)
    if name == "threads":
        found = sections.threads(args.rounds, args.budget)
    else:
        found = getattr(sections, name)(args.rounds)
    show(found)
    return found


def rows_table(results):
    """Medians of everybody, and notes."""
    names = list(dict.fromkeys(name for r in results for name in r["competitors"]))
    head = ["n, d, K", "family", *names, "GFLOP/s peak", "share float64", "share float32"]
    body = [
        [
            f"{r['n']:,}, {r['d']}, {r['k']}",
            r["family"],
            *(cell(r, name) for name in names),
            f"{statistics.median(r['peak_gflops']):.0f}",
            *(percent(r[share]) for share in ("share", "share_float32")),
        ]
        for r in results
    ]
    notes = {(name, c["note"]) for r in results for name, c in r["competitors"].items()}
    return [*table(" | ".join(head), body), "", *sorted(f"- {n}: {t}" for n, t in notes if t)]


def cell(result, name):
    """Milliseconds of one competitor, or why there are none."""
    if name not in result["competitors"]:
        return result["missing"].get(name.split()[0], "–")
    measured = result["competitors"][name]
    if len(measured["seconds"]) == 1:
        return f"{1e3 * measured['median']:.0f} (once)"
    return spread(measured["seconds"]) + (" (stopped early)" if measured["stopped"] else "")


def percent(shares):
    return "–" if shares is None else f"{100 * statistics.median(shares):.0f} %"


def markdown(content):
    """The whole report."""
    figures = {
        name: [Figure.from_json(values) for values in found]
        for name, found in content["figures"].items()
    }
    minutes = quantity(content["seconds"] / 60, "minutes")
    lines = [
        "# gmm-fast beside its peers",
        "",
        f"Made by `make bench` in {minutes}: {tally(chain(*figures.values()))}.",
        "",
        report.sentence(content["machine"]),
        "",
        "Every competitor starts from the same parameters, and all must have the same "
        "log-likelihood after the same iterations (1e-9 relative in float64, 1e-5 in float32), "
        "or the run fails. They are measured in turn, in one process; a time per iteration is "
        "the difference of a long and a short run, or, for who needs more than half a second, a "
        "run of four divided by five (each run has an E-step besides). Ratios are of medians.",
    ]
    for name, found in figures.items():
        lines += ["", f"## {TITLES[name]}", ""]
        if name == "rows":
            lines += ["Milliseconds per iteration: median [lowest, highest].", ""]
            lines += [*rows_table(content["rows"]), ""]
        lines += report.figure_table(found)
    return report.document(*lines)


def names(known):
    """Parser of a list of names."""

    def parse(text):
        chosen = [name for name in text.split(",") if name]
        if strange := sorted(set(chosen) - set(known)):
            said = f"unknown {', '.join(strange)}; choose from {', '.join(known)}"
            raise argparse.ArgumentTypeError(said)
        return chosen

    return parse


def main():
    parser = report.parser(__doc__)
    parser.add_argument("rows", nargs="*", type=Row.parse, help="n,d,K,family")
    parser.add_argument("--only", type=names(TITLES), help=", ".join(TITLES))
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS), help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=20.0, help="s for a competitor in a row")
    args = parser.parse_args()
    chosen = args.only or (["rows"] if args.rows else TITLES)
    started, results = time.perf_counter(), []
    found = {name: one_section(name, args, results) for name in chosen}
    seconds = time.perf_counter() - started
    print(f"{tally(chain(*found.values()))}, {seconds / 60:.1f} minutes")
    figures = {name: [figure.as_json() for figure in mine] for name, mine in found.items()}
    content = {"seconds": seconds, "figures": figures, "rows": results}
    report.save(args.out, "compare", content, markdown)


if __name__ == "__main__":
    main()
