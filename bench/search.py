"""Searches for the number of components beside scikit-learn's fit of one of them.

    python bench/search.py                       # 1,000,000 x 8 and 2,000 x 2, some ten minutes
    python bench/search.py --rows 50000 --rounds 2

A search from 2 to 10 and scikit-learn's fit of 5 components run in turn, in one process that has
compiled its kernels, on the same data and to the same tolerance. Ratios are of medians.
"""

import argparse
import json
import statistics
import time
import warnings
from pathlib import Path

import machine
import numpy as np
import sklearn.mixture
from figures import Figure, lines, spread, table
from report import HEAD, sentence, tally
from sklearn.exceptions import ConvergenceWarning
from timing import PAUSE
from work import blobs

import gmm_fast

LO, HI, K = 2, 10, 5
TOL, MAX_ITER = 1e-3, 100
LARGE, FEATURES = 1_000_000, 8
SMALL = (2000, 2)
# Seconds that the search of small data may take.
QUICK = 1.0


def search(x):
    """Ours: every K from `LO` to `HI`."""
    return gmm_fast.search(x, range(LO, HI + 1), tol=TOL, max_iter=MAX_ITER, random_state=0)


def one_fit(x):
    """scikit-learn's fit of `K` components."""
    how = {"tol": TOL, "max_iter": MAX_ITER, "random_state": 0}
    return sklearn.mixture.GaussianMixture(K, **how).fit(x)


def timed(function, x):
    """What a function of the data returns, and the seconds that took."""
    time.sleep(PAUSE)
    began = time.perf_counter()
    found = function(x)
    return found, time.perf_counter() - began


def measure(n, d, rounds):
    """Seconds of both on `n` x `d` samples of five components, in turn; JSON values."""
    x = blobs(n, d, K, np.random.default_rng(0), apart=2.0)[0]
    search(x[: 2 * SMALL[0]])  # kernels and buffers
    seconds = {"gmm-fast": [], "scikit-learn": []}
    for _ in range(rounds):
        ours, took = timed(search, x)
        seconds["gmm-fast"].append(took)
        theirs, took = timed(one_fit, x)
        seconds["scikit-learn"].append(took)
    same = next(model for model in ours.models if model.n_components == K)
    return {
        "n": n,
        "d": d,
        "seconds": seconds,
        "best": ours.best.n_components,
        "margin": ours.margin,
        "mean_log_likelihood": {"gmm-fast": same.lower_bound_, "scikit-learn": theirs.score(x)},
        "table": ours.table,
    }


def figures_of(result):
    """What was measured on one data set, beside its target."""
    mid = {name: statistics.median(s) for name, s in result["seconds"].items()}
    data = f"{result['n']:,} × {result['d']}"
    reached = result["mean_log_likelihood"]
    detail = (
        f"search {LO} to {HI} {spread(result['seconds']['gmm-fast'])} ms, scikit-learn's K = {K} "
        f"{spread(result['seconds']['scikit-learn'])} ms; log-likelihood of a sample at K = {K} "
        f"{reached['gmm-fast']:.5f} and {reached['scikit-learn']:.5f}; best K {result['best']}"
    )
    if (result["n"], result["d"]) == SMALL:
        return [Figure(f"{data}: search", mid["gmm-fast"], "s", QUICK, False, detail)]
    ratio = mid["scikit-learn"] / mid["gmm-fast"]
    what = f"{data}: time of scikit-learn's K = {K} / that of the search"
    return [Figure(what, ratio, "×", 1.0, detail=detail)]


def markdown(found, facts, rounds):
    """The report."""
    text = [
        "# Model search",
        "",
        f"Made by `make bench-search`; {tally(found)}. {sentence(facts)}",
        "",
        f"`search(X, range({LO}, {HI + 1}))` and scikit-learn's `GaussianMixture({K}).fit(X)` in "
        f"turn, {rounds} rounds in one process with compiled kernels, both to tol {TOL:g} within "
        f"{MAX_ITER} iterations; ratios are of medians. Times: median [lowest, highest].",
        "",
        *table(HEAD, [figure.cells() for figure in found]),
    ]
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=LARGE, help="of the larger data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="folder for search.json and search.md")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    results, found = [], []
    for n, d in (SMALL, (args.rows, FEATURES)):
        results.append(measure(n, d, args.rounds))
        found += figures_of(results[-1])
        print("\n".join(lines(found[-1:])), flush=True)
    print(tally(found))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        facts = machine.facts()
        figures = [figure.as_json() for figure in found]
        content = {"machine": facts, "rounds": args.rounds, "figures": figures, "results": results}
        (args.out / "search.json").write_text(json.dumps(content, indent=1, default=str) + "\n")
        (args.out / "search.md").write_text(markdown(found, facts, args.rounds))


if __name__ == "__main__":
    main()
