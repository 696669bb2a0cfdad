"""Searches for the number of components beside scikit-learn's fit of one of them.

    python bench/search.py                       # 1,000,000 x 8 and 2,000 x 2, some ten minutes
    python bench/search.py --rows 50000 --rounds 2

A search from 2 to 10 and scikit-learn's fit of 5 components run in turn, in one process that has
compiled its kernels, on the same data and to the same tolerance. Ratios are of medians.
"""

import statistics

import numpy as np
import report
import sklearn.mixture
from report import Figure, ceiling, show, spread, tally
from timing import timed
from work import blobs

import gmm_fast

LO, HI, K = 2, 10, 5
TOL, MAX_ITER = 1e-3, 100
HOW = {"tol": TOL, "max_iter": MAX_ITER, "random_state": 0}
LARGE, FEATURES = 1_000_000, 8
SMALL = (2000, 2)
# Seconds that the search of small data may take.
QUICK = 1.0


def search(x):
    """Ours: every K from `LO` to `HI`."""
    return gmm_fast.search(x, range(LO, HI + 1), **HOW)


def measure(n, d, rounds):
    """Seconds of both on `n` x `d` samples of five components, in turn; JSON values."""
    x = blobs(n, d, K, np.random.default_rng(0), apart=2.0)[0]
    search(x[: 2 * SMALL[0]])  # kernels and buffers
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(timed(search, x))
        theirs.append(timed(sklearn.mixture.GaussianMixture(K, **HOW).fit, x))
    found, peer = ours[-1][1], theirs[-1][1]
    same = next(model for model in found.models if model.n_components == K)
    return {
        "n": n,
        "d": d,
        "seconds": {"gmm-fast": [s for s, _ in ours], "scikit-learn": [s for s, _ in theirs]},
        "best": found.best.n_components,
        "margin": found.margin,
        "mean_log_likelihood": {"gmm-fast": same.lower_bound_, "scikit-learn": peer.score(x)},
        "table": found.table,
    }


def figure_of(result):
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
        return ceiling(f"{data}: search", mid["gmm-fast"], "s", QUICK, detail)
    what = f"{data}: time of scikit-learn's K = {K} / that of the search"
    return Figure(what, mid["scikit-learn"] / mid["gmm-fast"], "×", 1.0, detail=detail)


def markdown(content):
    """The report."""
    found = [figure_of(result) for result in content["results"]]
    return report.document(
        "# Model search",
        "",
        f"Made by `make bench-search`; {tally(found)}. {report.sentence(content['machine'])}",
        "",
        f"`search(X, range({LO}, {HI + 1}))` and scikit-learn's `GaussianMixture({K}).fit(X)` in "
        f"turn, {content['rounds']} rounds in one process with compiled kernels, both to tol "
        f"{TOL:g} within {MAX_ITER} iterations; ratios are of medians. Times: median [lowest, "
        "highest].",
        "",
        *report.figure_table(found),
    )


def main():
    parser = report.parser(__doc__)
    parser.add_argument("--rows", type=int, default=LARGE, help="of the larger data")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    results = []
    for n, d in (SMALL, (args.rows, FEATURES)):
        results.append(measure(n, d, args.rounds))
        show([figure_of(results[-1])])
    found = [figure_of(result) for result in results]
    print(tally(found))
    figures = [figure.as_json() for figure in found]
    content = {"rounds": args.rounds, "figures": figures, "results": results}
    report.save(args.out, "search", content, markdown)


if __name__ == "__main__":
    main()
