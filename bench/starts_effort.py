"""Likelihood against effort, where more of it is to pay."""

import numpy as np
from report import ceiling
from starts_fits import OURS, Contestant, compared, milliseconds, short, turns

EFFORTS = (0, 1, 3, 10)
# Seeds at most, for ten times the work.
MOST = 10


def measure(name, case, seeds):
    """Fits at each effort."""
    case = case.ready()
    team = [Contestant(f"effort={e}", OURS.kind, {"effort": e}) for e in EFFORTS]
    runs = turns(case, team, min(seeds, MOST))
    found = compared(name.removeprefix("effort_"), case, runs)
    return found | {"goal": case.goal["median"]}


def figures_of(result):
    """The highest effort beside its target."""
    most = f"effort={EFFORTS[-1]}"
    found, goal = result["summary"][most], result["goal"]
    what = f"{result['case']}: median below the best known at {most}"
    return [ceiling(what, found["median"], "a sample", goal, milliseconds(found))]


HEAD = " | ".join(
    ["case", "best known", *(f"effort={e}: median, worst below; time" for e in EFFORTS)]
)


def row(result):
    """A case, as `HEAD` says."""
    cells = [
        f"{short(s['median'])}, {short(s['worst'])}; {milliseconds(s)}"
        for s in result["summary"].values()
    ]
    return [result["case"], f"{np.round(result['best'], 5)} ({result['best_from']})", *cells]
