"""Seconds per EM iteration of gmm-fast and scikit-learn, side by side on the same work.

Both start from the same parameters and run the same number of iterations, in turn in one
process; the log-likelihoods they reach must agree. Time per iteration is the difference between
a long and a short run, so that what happens once does not count. Ratios are of medians.

    python bench/compare.py                 # the standard rows
    python bench/compare.py 100000,8,8,full # one row: n,d,K,family
"""

import argparse
import json
import os
import platform
import statistics
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import scipy
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

import gmm_fast
from gmm_fast import em
from gmm_fast.backends import LocalBackend
from gmm_fast.families import get_family
from gmm_fast.params import Params
from gmm_fast.sources import open_source

ROWS = (
    (100_000, 8, 8, "full"),
    (100_000, 2, 64, "full"),
    (100_000, 32, 32, "full"),
    (20_000, 128, 16, "full"),
    (100_000, 8, 8, "tied"),
    (100_000, 8, 8, "diag"),
    (100_000, 8, 8, "spherical"),
)
TARGETS = {(100_000, 8, 8, "full"): 30.0}
SAME = 5  # iterations after which everybody's log-likelihood must agree
# Seconds before each measurement: OpenBLAS's threads spin for a while after scikit-learn's last
# call and would take a core from whoever comes next.
PAUSE = 0.3


@dataclass
class Work:
    """One row: data and the start that everybody shares."""

    x: np.ndarray
    params: Params

    @classmethod
    def make(cls, n, d, k, family, seed=0):
        rng = np.random.default_rng(seed)
        centres = 2.0 * rng.normal(size=(k, d))
        labels = rng.integers(0, k, n)
        spread = rng.uniform(0.5, 1.5, size=(k, d))
        x = centres[labels] + spread[labels] * rng.normal(size=(n, d))
        means = x[rng.choice(n, k, replace=False)]
        unit = get_family(family).unit(d)
        covariances = np.repeat(unit, k, axis=0) if family != "tied" else unit
        return cls(x, Params(np.full(k, 1 / k), means, covariances, family))


class Ours:
    timed = (1, 31)  # iterations of the two runs whose difference is timed

    def __init__(self, work, dtype):
        self.name = f"gmm-fast {np.dtype(dtype).name}"
        self.params = work.params
        self.backend = LocalBackend(open_source(work.x.astype(dtype)))

    def run(self, iterations):
        """Run that many iterations; returns seconds and the mean log-likelihood reached."""
        settings = em.Settings(tol=0.0, max_iter=iterations)
        started = time.perf_counter()
        result = em.fit(self.backend, self.params, settings)
        return time.perf_counter() - started, result.mean_log_likelihood


class ScikitLearn:
    name = "scikit-learn"
    timed = (1, 5)

    def __init__(self, work):
        self.x = work.x
        p = work.params
        # precisions equal covariances here: all variances of the start are 1
        self.start = {
            "n_components": p.n_components,
            "covariance_type": p.covariance_type,
            "weights_init": p.weights,
            "means_init": p.means,
            "precisions_init": p.covariances,
            "tol": 0.0,
        }

    def run(self, iterations):
        model = GaussianMixture(max_iter=iterations, **self.start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            started = time.perf_counter()
            model.fit(self.x)
            seconds = time.perf_counter() - started
        if model.n_iter_ != iterations:
            raise SystemExit(f"scikit-learn stopped after {model.n_iter_} of {iterations}")
        return seconds, model.score(self.x)


def measure(competitors, rounds):
    """Seconds per iteration of each, round by round in turn, and where each one got."""
    seconds = {c.name: [] for c in competitors}
    reached = {c.name: c.run(SAME)[1] for c in competitors}  # compiles and allocates, too
    for _ in range(rounds):
        for c in competitors:
            time.sleep(PAUSE)
            few, many = c.timed
            short, _ = c.run(few)
            long, _ = c.run(many)
            seconds[c.name].append((long - short) / (many - few))
    return seconds, reached


def check_same(reached):
    """Everybody must have done the same work."""
    want = reached[ScikitLearn.name]
    for name, value in reached.items():
        allowed = 1e-5 if "float32" in name else 1e-9
        if abs(value - want) > allowed * abs(want):
            raise SystemExit(f"{name} reached {value}, scikit-learn {want}: not the same work")


def bench_row(n, d, k, family, rounds):
    """One row of the table."""
    work = Work.make(n, d, k, family)
    ours = Ours(work, np.float64)
    competitors = [ours, Ours(work, np.float32), ScikitLearn(work)]
    seconds, reached = measure(competitors, rounds)
    check_same(reached)
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    return {
        "n": n,
        "d": d,
        "k": k,
        "family": family,
        "seconds": seconds,
        "median": medians,
        "ratio": medians[ScikitLearn.name] / medians[ours.name],
        "ratio_float32": medians[ScikitLearn.name] / medians[competitors[1].name],
        "target": TARGETS.get((n, d, k, family)),
        "mean_log_likelihood": reached,
    }


def machine():
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": numba.config.NUMBA_NUM_THREADS,
        "python": platform.python_version(),
        "gmm-fast": gmm_fast.__version__,
        "numpy": np.__version__,
        "numba": numba.__version__,
        "scipy": scipy.__version__,
        "scikit-learn": sklearn.__version__,
    }


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "unknown")


def markdown(rows, facts):
    """The table, with machine and versions."""
    lines = [
        "# Seconds per EM iteration",
        "",
        "Made by `make bench`. " + ", ".join(f"{k} {v}" for k, v in facts.items()) + ".",
        "",
        "Medians of interleaved runs, same start, same iterations; in brackets the lowest and "
        "highest. Ratios are scikit-learn's median over ours.",
        "",
        "| n, d, K | family | gmm-fast float64 | gmm-fast float32 | scikit-learn | ratio | "
        "ratio float32 | target |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [f"{_ms(s)}" for s in row["seconds"].values()]
        target = "" if row["target"] is None else f"≥ {row['target']:.0f} ×"
        lines.append(
            f"| {row['n']:,}, {row['d']}, {row['k']} | {row['family']} | {' | '.join(cells)} | "
            f"{row['ratio']:.1f} × | {row['ratio_float32']:.1f} × | {target} |"
        )
    return "\n".join(lines) + "\n"


def _ms(seconds):
    low, mid, high = min(seconds), statistics.median(seconds), max(seconds)
    return f"{mid * 1e3:.2f} ms [{low * 1e3:.2f}, {high * 1e3:.2f}]"


def parse_row(text):
    n, d, k, family = text.split(",")
    return int(n), int(d), int(k), family


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", type=parse_row, help="n,d,K,family")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder for compare.json and compare.md")
    args = parser.parse_args()
    rows = []
    for n, d, k, family in args.rows or ROWS:
        row = bench_row(n, d, k, family, args.rounds)
        rows.append(row)
        target = "" if row["target"] is None else f"  (target {row['target']:.0f} x)"
        times = "  ".join(f"{name} {_ms(s)}" for name, s in row["seconds"].items())
        print(f"{n:,} x {d}, K = {k}, {family}: {row['ratio']:.1f} x{target}", flush=True)
        print(f"    {times}", flush=True)
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
        facts = machine()
        report = json.dumps({"machine": facts, "rows": rows}, indent=1)
        (args.out / "compare.json").write_text(report + "\n")
        (args.out / "compare.md").write_text(markdown(rows, facts))


if __name__ == "__main__":
    main()
