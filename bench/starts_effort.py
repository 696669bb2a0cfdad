"""Likelihood against effort, where more of it is to pay."""

import statistics

import numpy as np
from figures import Figure
from starts_fits import HAS_EFFORT, OURS, Contestant, best_of, short, summary, turns
from starts_real import RUGGED_CASES

EFFORTS = (0, 1, 3, 10)
# Seeds at most, for ten times the work.
MOST = 10
# What may be missing of the best known, a sample, at the median of the highest effort.
MISSING = 0.03

CASES = {
    f"effort_{name}": RUGGED_CASES[name]
    for name in ("digits_full10", "digits_diag10", "china_8", "flower_10")
}
JUDGED = ("effort_digits_full10",)


def measure(name, case, seeds):
    """Fits at each effort; a note where the estimator knows none."""
    if not HAS_EFFORT:
        return {"case": str(case), "note": "skipped: GaussianMixture has no parameter effort"}
    team = [Contestant(f"effort={e}", OURS.kind, {"effort": e}) for e in EFFORTS]
    runs = turns(case, team, min(seeds, MOST))
    best, who = best_of(name.removeprefix("effort_"), case, runs)
    return {
        "case": str(case),
        "best": best,
        "best_from": who,
        "goal": MISSING if name in JUDGED else None,
        "runs": runs,
        "summary": {contestant: summary(run, best) for contestant, run in runs.items()},
    }


def figures_of(result):
    """The highest effort beside its target."""
    if "note" in result:
        return []
    most = f"effort={EFFORTS[-1]}"
    missing = result["summary"][most]["median"]
    what = f"{result['case']}: median below the best known at {most}"
    detail = f"{1e3 * statistics.median(result['runs'][most]['seconds']):.0f} ms"
    return [Figure(what, missing, "a sample", result["goal"], at_least=False, detail=detail)]


HEAD = ("case", "best known", *(f"effort={e}: median, worst below; time" for e in EFFORTS))


def row(result):
    if "note" in result:
        return [result["case"], result["note"], *[""] * len(EFFORTS)]
    cells = [
        f"{short(s['median'])}, {short(s['worst'])}; {1e3 * s['seconds']:.0f} ms"
        for s in result["summary"].values()
    ]
    return [result["case"], f"{np.round(result['best'], 5)} ({result['best_from']})", *cells]
