"""Fits of several contestants in turn, and default fits beside the best likelihood known."""

import json
import statistics
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sklearn.mixture
from report import Figure, ceiling
from timing import PAUSE, timed

from gmm_fast import GaussianMixture

BEST_KNOWN = Path(__file__).parent / "best_known.json"
# Seconds before each fit: threads of the one before spin for a while.
SHORT = min(0.05, PAUSE)
# A sample's share of likelihood within which a start has found the optimum.
NEAR = 1e-3
# Fits of a contestant of scikit-learn that are made whatever they take.
FEWEST = 2
# Fits with n_init=10 that must be possible; else their median is computed from single starts.
MANY = 3
# A covariance is singular where a direction has less than this share of the data's variance.
SINGULAR = 1e-8


class Contestant(NamedTuple):
    """Who fits, and with which parameters."""

    name: str
    kind: type
    parameters: dict


OURS = Contestant("gmm-fast", GaussianMixture, {})
ONE = Contestant("scikit-learn, n_init=1", sklearn.mixture.GaussianMixture, {})
TEN = Contestant("scikit-learn, n_init=10", sklearn.mixture.GaussianMixture, {"n_init": 10})


def fitted(case, contestant, seed, look, pause=SHORT, **more):
    """Seconds of a fit at the defaults but for `parameters`, and what look(model, case) says."""
    parameters = {"covariance_type": case.family, "random_state": seed}
    model = contestant.kind(case.k, **parameters, **contestant.parameters, **more)
    seconds, _ = timed(model.fit, case.x, pause=pause)
    return {"seconds": seconds} | look(model, case)


def in_turn(case, team, seeds, look, goes_on, pause=SHORT):
    """{name: [fit]} of all contestants in turn, while goes_on(contestant, its fits so far)."""
    few = replace(case, x=case.x[: max(1000, 20 * case.k)])
    for contestant in team:  # compile, load
        fitted(few, contestant, 0, lambda model, case: {}, 0, tol=1.0, max_iter=2)
    runs = {contestant.name: [] for contestant in team}
    for seed in range(seeds):
        for contestant in team:
            mine = runs[contestant.name]
            if goes_on(contestant, mine):
                mine.append(fitted(case, contestant, seed, look, pause))
    return runs


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


def judged(model, case):
    return {"reached": float(model.score(case.x)), "unsound": unsound(model, case.x)}


def turns(case, team, seeds):
    """{name: {"seconds", "reached", "unsound"}} of fits in turn, within the case's cap."""

    def has_time(contestant, fits):
        spent = [fit["seconds"] for fit in fits]
        if contestant.kind is GaussianMixture or len(spent) < FEWEST:
            return True
        return sum(spent) + statistics.median(spent) <= case.cap

    runs = in_turn(case, team, seeds, judged, has_time)
    return {
        name: {what: [fit[what] for fit in fits] for what in fits[0]} for name, fits in runs.items()
    }


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
    known |= {who: max(sound_ones(run), default=-np.inf) for who, run in runs.items()}
    who = max(known, key=known.get)
    return known[who], who


def sound_ones(run):
    """What the sound fits of a contestant reached."""
    return [r for r, why in zip(run["reached"], run["unsound"], strict=True) if not why]


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


def compared(name, case, runs):
    """Runs beside the best known, as JSON values."""
    best, who = best_of(name, case, runs)
    summaries = {contestant: summary(run, best) for contestant, run in runs.items()}
    found = {"case": str(case), "best": best, "best_from": who}
    return found | {"runs": runs, "summary": summaries}


def measure(name, case, seeds):
    """All runs of one case as JSON values."""
    case = case.ready()
    runs = turns(case, (OURS, ONE), seeds)
    if 10 * MANY * statistics.median(runs[ONE.name]["seconds"]) <= case.cap:
        runs |= turns(case, (TEN,), seeds)
    result = compared(name, case, runs) | {"says": case.says, "goal": case.goal}
    if TEN.name not in runs:
        result["summary"][TEN.name] = of_ten(runs[ONE.name], result["best"])
    return result


def figures_of(result):
    """The figures of a case beside their targets."""
    case, goal, ours = result["case"], result["goal"], result["summary"][OURS.name]
    found = []
    if goal["found"] is not None or not any(goal.values()):
        found.append(Figure(f"{case}: found", ours["found"], "%", goal["found"]))
    for which in ("median", "worst"):
        if goal[which] is not None:
            what = f"{case}: {which} below the best known"
            found.append(ceiling(what, ours[which], "a sample", goal[which]))
    if goal["beside"]:
        ten, what = result["summary"][TEN.name], f"{case}: median above that of {TEN.name}"
        above = ten["median"] - ours["median"] if np.isfinite(ours["median"]) else -np.inf
        found.append(Figure(what, above, "a sample", 0.0, detail=from_singles(ten)))
    found[0].detail = "; ".join(part for part in (details(result), found[0].detail) if part)
    return found


def details(result):
    """What the others found and how long all took."""
    cells = []
    for name, s in result["summary"].items():
        share = f" {s['found']:.0f} % of {s['fits']}," if "found" in s else ""
        cells.append(f"{name}:{share} {milliseconds(s)}")
    return ", ".join(cells)


def from_singles(ten):
    return f"from {ten['of_single']} single starts" if "of_single" in ten else ""


HEAD = (
    "case | what is hard | best known | gmm-fast: found | median, worst below | time | "
    "scikit-learn, n_init=1: found | median below | time | n_init=10: found | median below | time"
)


def row(result):
    """A case, as `HEAD` says."""
    ours, one, ten = (result["summary"][c.name] for c in (OURS, ONE, TEN))
    cells = [result["case"], result["says"], f"{result['best']:.5f} ({result['best_from']})"]
    cells += [share(ours), f"{short(ours['median'])}, {short(ours['worst'])}", milliseconds(ours)]
    cells += [share(one), short(one["median"]), milliseconds(one)]
    found = share(ten) if "found" in ten else f"– ({from_singles(ten)})"
    return [*cells, found, short(ten["median"]), milliseconds(ten)]


def share(summary):
    """Share found of how many, and how many were not sound."""
    text = f"{summary['found']:.0f} % of {summary['fits']}"
    return text + (f" ({summary['unsound']} not sound)" if summary["unsound"] else "")


def short(missing):
    return f"{missing:.4f}" if np.isfinite(missing) else "not sound"


def milliseconds(summary):
    return f"{1e3 * summary['seconds']:.0f} ms"
