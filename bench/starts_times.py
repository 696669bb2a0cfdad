"""Times of default fits beside scikit-learn's single start, and the start's share of ours."""

import statistics
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import sklearn.mixture
from figures import Figure, spread
from sklearn.datasets import load_iris, load_wine
from starts_real import csv, digits, faithful
from timing import PAUSE
from work import Row, blobs

from gmm_fast import GaussianMixture

# Fits of each, in turn; whoever needs longer than `SLOW` seconds for the first has one only.
ROUNDS, SLOW = 3, 20.0
# Seeds of the fits of few rows, and seconds that one may take.
SEEDS, FEW_ROWS, DIGITS = 20, 0.015, 0.5


@dataclass(frozen=True, eq=False)
class Timed:
    """Data, the fit, and what is asked: times scikit-learn's speed, or seconds."""

    name: str
    x: np.ndarray
    k: int
    family: str = "full"
    ratio: float | None = None
    seconds: float | None = None
    peer: bool = True
    rounds: int = ROUNDS

    def __str__(self):
        n, d = self.x.shape
        return f"{self.name} ({n:,} x {d}, K = {self.k}, {self.family})"


# Rows, and how many times as fast as scikit-learn's single start; None: it would take minutes.
TABLE = {
    Row(3_000, 768, 3, "tied"): 1.0,
    Row(20_000, 384, 20, "diag"): 1.0,
    Row(5_000, 384, 5, "full"): 1.0,
    Row(2_000, 1_000, 4, "diag"): 1.0,
    Row(200_000, 39, 256, "diag"): 1.0,
    Row(200_000, 39, 512, "diag"): None,
    Row(300_000, 20, 8, "full"): 1.0,
    Row(1_000_000, 8, 8, "full"): 15.0,
    Row(1_000_000, 2, 16, "full"): 15.0,
}


def made(shape, ratio):
    """Clusters three standard deviations from the origin, of different widths."""
    x, _ = blobs(shape.n, shape.d, shape.k, np.random.default_rng(0))
    return Timed("blobs", x, shape.k, shape.family, ratio, peer=ratio is not None)


def few(name, load, k, family="full"):
    return Timed(name, load(), k, family, seconds=FEW_ROWS, rounds=SEEDS)


def of_digits(k, family):
    return Timed("digits", digits(20), k, family, seconds=DIGITS, rounds=SEEDS)


CASES = {
    f"time_{shape.n}x{shape.d}_{shape.family}{shape.k}": partial(made, shape, ratio)
    for shape, ratio in TABLE.items()
} | {
    "time_iris": partial(few, "iris", lambda: load_iris().data, 3),
    "time_wine": partial(few, "wine", lambda: load_wine().data, 3, "tied"),
    "time_faithful": partial(few, "faithful", faithful, 2),
    "time_penguins": partial(few, "penguins", partial(csv, "penguins"), 3),
    "time_volumes": partial(few, "volumes", partial(csv, "volumes"), 4),
    "time_digits_full": partial(of_digits, 10, "full"),
    "time_digits_diag": partial(of_digits, 10, "diag"),
}


def fitted(kind, case, seed):
    """Seconds, the start's seconds where they are told, and the mean log-likelihood."""
    model = kind(case.k, covariance_type=case.family, random_state=seed)
    time.sleep(PAUSE if case.seconds is None else min(PAUSE, 0.05))
    began = time.perf_counter()
    model.fit(case.x)
    seconds = time.perf_counter() - began
    result = getattr(model, "result_", None)
    start = result.seconds.get("init", 0.0) if result is not None else None
    return {"seconds": seconds, "start": start, "reached": float(model.lower_bound_)}


def measure(name, case, seeds):
    """Fits in turn, as many rounds as the case says and not more than `seeds`."""
    kinds = {"gmm-fast": GaussianMixture}
    if case.peer:
        kinds["scikit-learn"] = sklearn.mixture.GaussianMixture
    # compile for this number of features
    some = case.x[: 20 * case.k] if len(case.x) > 20 * case.k else case.x
    GaussianMixture(case.k, covariance_type=case.family, max_iter=2).fit(some)
    runs = {name: [] for name in kinds}
    for turn in range(max(1, min(seeds, case.rounds))):
        for name, kind in kinds.items():
            if turn == 0 or runs[name][0]["seconds"] < SLOW:
                runs[name].append(fitted(kind, case, turn))
    goals = {"ratio": case.ratio, "seconds": case.seconds}
    return {"case": str(case), "goals": goals, "runs": runs}


def times(result, who):
    return [run["seconds"] for run in result["runs"].get(who, ())]


def share_of_start(result):
    """Percent of our seconds that the start takes."""
    ours = result["runs"]["gmm-fast"]
    return 100 * statistics.median(run["start"] / run["seconds"] for run in ours)


def figures_of(result):
    """The ratio of medians, or the median time, beside its target."""
    case, goals = result["case"], result["goals"]
    ours, theirs = times(result, "gmm-fast"), times(result, "scikit-learn")
    detail = f"gmm-fast {spread(ours)} ms, of which the start {share_of_start(result):.0f} %"
    if theirs:
        detail += f"; scikit-learn {spread(theirs)} ms"
    if goals["seconds"] is not None:
        mid, most = 1e3 * statistics.median(ours), 1e3 * goals["seconds"]
        return [Figure(f"{case}: time", mid, "ms", most, at_least=False, detail=detail)]
    if not theirs:
        return [Figure(f"{case}: time", statistics.median(ours), "s", detail=detail)]
    ratio = statistics.median(theirs) / statistics.median(ours)
    what = f"{case}: time of scikit-learn's single start / ours"
    return [Figure(what, ratio, "×", goals["ratio"], detail=detail)]


HEAD = (
    "case",
    "rounds",
    "gmm-fast, ms",
    "the start's share",
    "scikit-learn, ms",
    "log-likelihood: gmm-fast",
    "scikit-learn",
)


def row(result):
    """Cells of a table; times as median [lowest, highest]."""
    theirs = result["runs"].get("scikit-learn", [])
    reached = [
        f"{statistics.median(run['reached'] for run in runs):.4f}" if runs else "–"
        for runs in (result["runs"]["gmm-fast"], theirs)
    ]
    return [
        result["case"],
        " and ".join(str(len(runs)) for runs in result["runs"].values()),
        spread(times(result, "gmm-fast")),
        f"{share_of_start(result):.0f} %",
        spread(times(result, "scikit-learn")) if theirs else "–",
        *reached,
    ]
