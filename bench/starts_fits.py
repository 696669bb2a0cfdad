"""Default fits from many seeds, beside scikit-learn's and the best likelihood known."""

import inspect
import json
import os
import statistics
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import sklearn.mixture
from figures import Figure
from starts_cases import NEAR

from gmm_fast import GaussianMixture

BEST_KNOWN = Path(__file__).parent / "best_known.json"
# Seconds before each fit: threads of the one before spin for a while. Tests set none.
PAUSE = min(0.05, float(os.environ.get("BENCH_PAUSE", "0.05")))
# Fits of a contestant of scikit-learn that are made whatever they take.
FEWEST = 2
# Fits with n_init=10 that must be possible; else their median is computed from single starts.
MANY = 3
# A covariance is singular where a direction has less than this share of the data's variance.
SINGULAR = 1e-8
HAS_EFFORT = "effort" in inspect.signature(GaussianMixture).parameters


@dataclass(frozen=True)
class Contestant:
    """Who fits, and with which parameters."""

    name: str
    kind: type
    parameters: dict


OURS = Contestant("gmm-fast", GaussianMixture, {})
ONE = Contestant("scikit-learn, n_init=1", sklearn.mixture.GaussianMixture, {})
TEN = Contestant("scikit-learn, n_init=10", sklearn.mixture.GaussianMixture, {"n_init": 10})


@dataclass
class Fit:
    """One fit: its seconds, mean log-likelihood, and why it is not sound, if so."""

    seconds: float
    reached: float
    unsound: str


def fitted(case, contestant, seed, **parameters):
    """A fit at the defaults but for the contestant's `parameters`; (Fit, model)."""
    parameters = contestant.parameters | parameters
    model = contestant.kind(case.k, covariance_type=case.family, random_state=seed, **parameters)
    time.sleep(PAUSE)
    began = time.perf_counter()
    model.fit(case.x)
    seconds = time.perf_counter() - began
    return Fit(seconds, float(model.score(case.x)), unsound(model, case.x)), model


def unsound(model, x):
    """Why a fit's likelihood says nothing, or an empty string.

    A component has no more rows than features, or one has collapsed. Of a tied covariance all
    rows decide.
    """
    least = 0 if model.covariance_type == "tied" else x.shape[1] + 1
    if model.weights_.min() * len(x) < least:
        return "few rows"
    if any("collapsed" in event for event in getattr(model, "events_", ())):
        return "collapsed"
    return "collapsed" if narrowest(model, x) < SINGULAR else ""


def narrowest(model, x):
    """The least variance in any direction of a component, in units of the data's variances."""
    spread = x.std(axis=0)
    covariances = np.asarray(model.covariances_)
    if model.covariance_type in ("full", "tied"):
        return np.linalg.eigvalsh(covariances / np.outer(spread, spread)).min()
    if model.covariance_type == "spherical":
        covariances = covariances[:, None]
    return (covariances / spread**2).min()


def from_labels(case):
    """Mean log-likelihood of EM from the true components, if they are known."""
    if case.labels is None:
        return -np.inf
    model = GaussianMixture(case.k, covariance_type=case.family, tol=1e-9, max_iter=10**4)
    model.fit(case.x, labels=case.labels)
    return -np.inf if unsound(model, case.x) else model.lower_bound_


@cache
def best_known():
    """{case: {"case", "mean_log_likelihood", "found"}} of long runs of `best_known.py`."""
    return json.loads(BEST_KNOWN.read_text()) if BEST_KNOWN.exists() else {}


def best_of(name, case, runs):
    """The best mean log-likelihood known, and who says so."""
    if case.reference is not None:
        return case.reference / len(case.x), "mclust"
    kept = best_known().get(name, {})
    known = {"the true components": from_labels(case)}
    if kept.get("case") == str(case):  # of the same data
        known["best_known.json"] = kept["mean_log_likelihood"]
    for who, run in runs.items():
        known[who] = max(sound_ones(run), default=-np.inf)
    who = max(known, key=known.get)
    return known[who], who


def sound_ones(run):
    """What the sound fits of a contestant reached."""
    return [r for r, why in zip(run["reached"], run["unsound"], strict=True) if not why]


def turns(case, contestants, seeds):
    """Fits of all contestants in turn, seed by seed, within the case's cap; {name: run}."""
    few = replace(case, x=case.x[:1000])
    for contestant in contestants:  # compile, load
        fitted(few, contestant, 0, tol=1.0, max_iter=2)
    runs = {c.name: {"seconds": [], "reached": [], "unsound": []} for c in contestants}
    for seed in range(seeds):
        for contestant in contestants:
            run = runs[contestant.name]
            if contestant.kind is not GaussianMixture and not has_time(run, case.cap):
                continue
            fit, _ = fitted(case, contestant, seed)
            run["seconds"].append(fit.seconds)
            run["reached"].append(fit.reached)
            run["unsound"].append(fit.unsound)
    return runs


def has_time(run, cap):
    """Whether another fit of a contestant is within its seconds."""
    spent = run["seconds"]
    return len(spent) < FEWEST or sum(spent) + statistics.median(spent) <= cap


def measure(name, case, seeds):
    """All runs of one case as JSON values."""
    runs = turns(case, (OURS, ONE), seeds)
    once = statistics.median(runs[ONE.name]["seconds"])
    if 10 * once * MANY <= case.cap:
        runs |= turns(case, (TEN,), seeds)
    best, who = best_of(name, case, runs)
    return {
        "case": str(case),
        "says": case.says,
        "goal": case.goal._asdict(),
        "best": best,
        "best_from": who,
        "runs": runs,
        "summary": {contestant: summary(run, best) for contestant, run in runs.items()}
        | ({} if TEN.name in runs else {TEN.name: of_ten(runs[ONE.name], best)}),
    }


def summary(run, best):
    """Share found, and the median and the worst of what is missing to the best, a sample."""
    sound = np.array([not why for why in run["unsound"]])
    missing = np.where(sound, best - np.array(run["reached"]), np.inf)
    return {
        "fits": len(missing),
        "unsound": int((~sound).sum()),
        "found": 100 * float(np.mean(missing <= NEAR)),
        "median": float(np.median(missing)),
        "worst": float(missing.max()),
        "seconds": statistics.median(run["seconds"]),
    }


def of_ten(run, best):
    """What the best of ten such fits is: the median of their maximum, from the single ones.

    Ten starts are ten draws, so their maximum is below the q-quantile of one in q**10 of all
    cases.
    """
    sound = sound_ones(run)
    reached = np.quantile(sound, 0.5**0.1, method="higher") if sound else -np.inf
    return {
        "fits": 0,
        "of_single": len(run["reached"]),
        "median": float(best - reached),
        "seconds": 10 * statistics.median(run["seconds"]),
    }


def figures_of(result):
    """The figures of a case beside their targets."""
    case, goal, ours = result["case"], result["goal"], result["summary"][OURS.name]
    ten = result["summary"][TEN.name]
    found = []
    if goal["found"] is not None or not any(goal.values()):
        found.append(Figure(f"{case}: found", ours["found"], "%", goal["found"]))
    for which in ("median", "worst"):
        if goal[which] is not None:
            what = f"{case}: {which} below the best known"
            found.append(Figure(what, ours[which], "a sample", goal[which], at_least=False))
    if goal["beside"]:
        what = f"{case}: median above that of {TEN.name}"
        above = ten["median"] - ours["median"] if np.isfinite(ours["median"]) else -np.inf
        found.append(Figure(what, above, "a sample", 0.0, detail=from_singles(ten)))
    found[0].detail = "; ".join(part for part in (details(result), found[0].detail) if part)
    return found


def details(result):
    """What the others found and how long all took."""
    cells = []
    for name, s in result["summary"].items():
        share = f" {s['found']:.0f} % of {s['fits']}," if "found" in s else ""
        cells.append(f"{name}:{share} {1e3 * s['seconds']:.0f} ms")
    return ", ".join(cells)


def from_singles(ten):
    return f"from {ten['of_single']} single starts" if "of_single" in ten else ""


HEAD = (
    "case",
    "what is hard",
    "best known",
    "gmm-fast: found",
    "median, worst below",
    "time",
    "scikit-learn, n_init=1: found",
    "median below",
    "time",
    "n_init=10: found",
    "median below",
    "time",
)


def row(result):
    """Cells of a table."""
    ours, one, ten = (result["summary"][c.name] for c in (OURS, ONE, TEN))
    return [
        result["case"],
        result["says"],
        f"{result['best']:.5f} ({result['best_from']})",
        share(ours),
        f"{short(ours['median'])}, {short(ours['worst'])}",
        f"{1e3 * ours['seconds']:.0f} ms",
        share(one),
        short(one["median"]),
        f"{1e3 * one['seconds']:.0f} ms",
        share(ten) if "found" in ten else f"– ({from_singles(ten)})",
        short(ten["median"]),
        f"{1e3 * ten['seconds']:.0f} ms",
    ]


def share(summary):
    """Share found of how many, and how many were not sound."""
    text = f"{summary['found']:.0f} % of {summary['fits']}"
    return text + (f" ({summary['unsound']} not sound)" if summary["unsound"] else "")


def short(missing):
    return f"{missing:.4f}" if np.isfinite(missing) else "not sound"
