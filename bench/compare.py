"""gmm-fast beside its peers, every figure with its target.

    python bench/compare.py                          # everything, about a quarter of an hour
    python bench/compare.py 100000,8,8,full          # one row of EM iterations: n,d,K,family
    python bench/compare.py --only fits,scoring      # some sections
    python bench/compare.py --peers scikit-learn     # fewer peers

Peers that are not installed are named as such. The others must all do the same work.
"""

import argparse
import time
from pathlib import Path

import machine
import processes
import report
import rows
import sections
import targets
from competitors import PEERS
from figures import lines
from work import Row


def em_rows(args, results):
    """Figures of all rows; `results` gets what was measured."""
    figures = []
    for row in args.rows or targets.ROWS:
        result = rows.bench_row(row, args.rounds, args.budget, args.peers)
        results.append(result)
        found = rows.figures_of(row, result)
        figures += found
        for name, measured in result["competitors"].items():
            print(f"    {row}: {name} {rows.spread(measured['seconds'])} ms", flush=True)
        show(found)
    return figures


def show(figures):
    print("\n".join(lines(figures)), flush=True)


def one_section(name, args, results):
    """Figures of a section, printed as soon as they are there."""
    print(report.TITLES[name], flush=True)
    if name == "rows":
        return em_rows(args, results)
    found = {
        "threads": lambda: sections.threads(args.rounds, args.budget),
        "fits": lambda: sections.default_fits(args.rounds),
        "scoring": lambda: sections.scoring(args.rounds),
        "silhouette": lambda: sections.silhouette(args.rounds),
        "memory": processes.memory,
        "processes": processes.process_times,
    }[name]()
    show(found)
    return found


def names(known):
    """Parser of a list of names."""

    def parse(text):
        chosen = [name for name in text.split(",") if name]
        strange = set(chosen) - set(known)
        if strange:
            raise argparse.ArgumentTypeError(
                f"unknown {', '.join(sorted(strange))}; choose from {', '.join(known)}"
            )
        return chosen

    return parse


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", type=Row.parse, help="n,d,K,family")
    parser.add_argument("--only", type=names(report.TITLES), help=", ".join(report.TITLES))
    parser.add_argument("--peers", type=names(PEERS), default=list(PEERS), help=", ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--budget", type=float, default=20.0, help="seconds for one competitor in one row"
    )
    parser.add_argument("--out", type=Path, help="folder for compare.json and compare.md")
    args = parser.parse_args()
    if args.only is None:
        args.only = ["rows"] if args.rows else list(report.TITLES)
    return args


def main():
    args = arguments()
    started = time.perf_counter()
    results = []
    found = {name: one_section(name, args, results) for name in args.only}
    seconds = time.perf_counter() - started
    everything = [figure for figures in found.values() for figure in figures]
    print(f"{report.tally(everything)}, {seconds / 60:.1f} minutes")
    if args.out:
        report.write(args.out, machine.facts(), found, results, seconds)


if __name__ == "__main__":
    main()
