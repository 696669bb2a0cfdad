"""How often default starts find the best likelihood known, and how long they take.

    python bench/starts.py                        # every case, 50 seeds, some ten minutes
    python bench/starts.py iris grid --seeds 10   # some cases; --out leaves the others as they are

Everybody runs to the same tolerance, in turn, seed by seed. Found is what ends within 1e-4 a sample
of the best likelihood known: mclust's value where there is one, else the best of all runs and of EM
from the components that samples were drawn from. Fits with a component on no more samples than
features are singular: they count as not found.
"""

import argparse
import json
import statistics
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import machine
import numpy as np
import sklearn.mixture
from figures import Figure, lines, table
from report import HEAD, sentence, tally
from sklearn.exceptions import ConvergenceWarning
from starts_cases import CASES

from gmm_fast import GaussianMixture

TOL, MAX_ITER = 1e-6, 2000
# A sample's share of likelihood within which a start has found the optimum.
NEAR = 1e-4
SHARE = 90.0
# Seconds before each fit: threads of the one before spin for a while.
PAUSE = 0.05


@dataclass(frozen=True)
class Contestant:
    """Who fits, with which parameters, for how many of the seeds."""

    name: str
    kind: type
    parameters: dict
    share: float = 1.0


CONTESTANTS = (
    Contestant("gmm-fast", GaussianMixture, {}),
    Contestant("scikit-learn, n_init=1", sklearn.mixture.GaussianMixture, {}),
    # a tenth of the work of the two others would take longer than they do
    Contestant("scikit-learn, n_init=10", sklearn.mixture.GaussianMixture, {"n_init": 10}, 0.2),
)
OURS, ONE, TEN = (c.name for c in CONTESTANTS)


def fitted(case, contestant, seed, tol=TOL, max_iter=MAX_ITER):
    """Seconds, and mean log-likelihood of the fit; minus infinity if it is singular."""
    model = contestant.kind(
        case.k,
        covariance_type=case.family,
        tol=tol,
        max_iter=max_iter,
        random_state=seed,
        **contestant.parameters,
    )
    time.sleep(PAUSE)
    began = time.perf_counter()
    model.fit(case.x)
    seconds = time.perf_counter() - began
    n, d = case.x.shape
    if model.weights_.min() * n <= d:
        return seconds, -np.inf
    return seconds, model.score(case.x)


def from_labels(case):
    """Mean log-likelihood of EM from the true components, if they are known."""
    if case.labels is None:
        return -np.inf
    model = GaussianMixture(case.k, covariance_type=case.family, tol=1e-9, max_iter=10**4)
    return model.fit(case.x, labels=case.labels).lower_bound_


def measure(case, seeds):
    """All runs of one case: {contestant: {"seconds": [...], "reached": [...]}}, and the best."""
    runs = {c.name: {"seconds": [], "reached": [], "at_default_tol": []} for c in CONTESTANTS}
    for contestant in CONTESTANTS:  # compile, load, allocate
        fitted(case, contestant, 0, 1.0, 2)
    for seed in range(seeds):
        for contestant in CONTESTANTS:
            if seed >= max(1, contestant.share * seeds):
                continue
            seconds, reached = fitted(case, contestant, seed)
            runs[contestant.name]["seconds"].append(seconds)
            runs[contestant.name]["reached"].append(reached)
            if contestant.share == 1:
                usual = fitted(case, contestant, seed, 1e-3, 100)
                runs[contestant.name]["at_default_tol"].append(usual)
    best = max(from_labels(case), *(max(run["reached"]) for run in runs.values()))
    if case.reference is not None:
        best = case.reference / len(case.x)
    for run in runs.values():
        run["found"] = float(np.mean(np.array(run["reached"]) >= best - NEAR))
        run["median_seconds"] = statistics.median(run["seconds"])
    return {"case": str(case), "says": case.says, "best": best, "runs": runs}


def figures_of(result):
    """The figures of a case beside their targets."""
    runs, case = result["runs"], result["case"]
    theirs = {name: f"{100 * runs[name]['found']:.0f} %" for name in (ONE, TEN)}
    possible = runs[TEN]["found"] > 0
    share = Figure(
        f"{case}: found",
        100 * runs[OURS]["found"],
        "%",
        SHARE if possible else None,
        detail=", ".join(f"{name}: {found}" for name, found in theirs.items()),
    )
    times = {name: runs[name]["median_seconds"] for name in runs}
    quicker = Figure(
        f"{case}: time of {ONE} / ours",
        times[ONE] / times[OURS],
        "×",
        1.0,
        detail=", ".join(f"{name}: {1e3 * s:.0f} ms" for name, s in times.items()),
    )
    return [share, quicker]


def behind(result, name):
    """Median of how far fits at the default tolerance end below the best, as text."""
    usual = result["runs"][name]["at_default_tol"]
    return f"{result['best'] - statistics.median(r for _, r in usual):.4f}"


def markdown(results, found, seeds, facts):
    """The report."""
    some = max(1, int(CONTESTANTS[-1].share * seeds))
    head = [
        "case",
        "what is hard",
        "gmm-fast",
        "scikit-learn, n_init=1",
        f"n_init=10 ({some} seeds)",
        "default tol: gmm-fast",
        "scikit-learn",
    ]
    rows = []
    for result in results:
        runs = result["runs"]
        cells = [
            f"{100 * runs[name]['found']:.0f} %, {1e3 * runs[name]['median_seconds']:.0f} ms"
            for name in (OURS, ONE, TEN)
        ]
        rows.append(
            [result["case"], result["says"], *cells, behind(result, OURS), behind(result, ONE)]
        )
    text = [
        "# Starts",
        "",
        f"Made by `make bench-starts`; {tally(found)}. {sentence(facts)}",
        "",
        f"Of {seeds} seeds, the share whose fit ends within {NEAR:g} a sample of the best "
        f"log-likelihood known, and the median time of a fit, all to tol {TOL:g}. The last two "
        "columns are fits at the default tolerance: how far the median ends below that best.",
        "",
        *table(head, rows),
        "",
        *table(HEAD, [figure.cells() for figure in found]),
    ]
    return "\n".join(text) + "\n"


def with_others(results, path, seeds, known):
    """Results of all cases, in order; of those not measured now what the file says, if alike."""
    before = json.loads(path.read_text()) if path.exists() else {"seeds": None}
    if before["seeds"] == seeds:
        measured = {result["case"]: result for result in before["results"]}
        names = {name: str(make()) for name, make in known.items()}
        results = {n: measured[case] for n, case in names.items() if case in measured} | results
    return [results[name] for name in known if name in results]


def main():
    known = {make.__name__: make for make in CASES}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help=", ".join(known))
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--out", type=Path, help="folder for starts.json and starts.md")
    args = parser.parse_args()
    if strange := set(args.cases) - set(known):
        parser.error(f"no such case: {', '.join(sorted(strange))}; choose from {', '.join(known)}")
    warnings.simplefilter("ignore", ConvergenceWarning)  # some fits of two iterations
    results = {}
    for name in args.cases or known:
        results[name] = measure(known[name](), args.seeds)
        print("\n".join(lines(figures_of(results[name]))), flush=True)
    print(tally([figure for result in results.values() for figure in figures_of(result)]))
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        results = with_others(results, args.out / "starts.json", args.seeds, known)
        found = [figure for result in results for figure in figures_of(result)]
        facts = machine.facts()
        content = {
            "machine": facts,
            "seeds": args.seeds,
            "figures": [figure.as_json() for figure in found],
            "results": results,
        }
        (args.out / "starts.json").write_text(json.dumps(content, indent=1) + "\n")
        (args.out / "starts.md").write_text(markdown(results, found, args.seeds, facts))


if __name__ == "__main__":
    main()
