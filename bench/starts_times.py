"""Times of default fits beside scikit-learn's single start, and the start's share of ours."""

import statistics

from report import Figure, ceiling, spread
from starts_fits import ONE, OURS, in_turn
from timing import PAUSE

# Fits of each, in turn, of many rows and of few; whoever needs longer than `SLOW` seconds for the
# first has one only.
ROUNDS, SEEDS, SLOW = 3, 20, 20.0
PEER = ONE._replace(name="scikit-learn")


def told(model, case):
    """The start's seconds where they are told, and the mean log-likelihood."""
    result = getattr(model, "result_", None)
    start = result.seconds.get("init", 0.0) if result is not None else None
    return {"start": start, "reached": float(model.lower_bound_)}


def measure(name, case, seeds):
    """Fits in turn, without scikit-learn's where nothing is asked."""
    case = case.ready()
    team = (OURS, PEER) if any(case.goal.values()) else (OURS,)
    rounds = max(1, min(seeds, SEEDS if case.goal["seconds"] else ROUNDS))

    def goes_on(contestant, fits):
        return not fits or fits[0]["seconds"] < SLOW

    runs = in_turn(case, team, rounds, told, goes_on, PAUSE)
    return {"case": str(case), "goals": case.goal, "runs": runs}


def of(result, contestant, what):
    return [run[what] for run in result["runs"].get(contestant.name, ())]


def share_of_start(result):
    """Percent of our seconds that the start takes, as text."""
    pairs = zip(of(result, OURS, "start"), of(result, OURS, "seconds"), strict=True)
    return f"{100 * statistics.median(start / seconds for start, seconds in pairs):.0f} %"


def figures_of(result):
    """The ratio of medians, or the median time, beside its target."""
    case, goals = result["case"], result["goals"]
    ours, theirs = (of(result, c, "seconds") for c in (OURS, PEER))
    detail = f"gmm-fast {spread(ours)} ms, of which the start {share_of_start(result)}"
    if theirs:
        detail += f"; scikit-learn {spread(theirs)} ms"
    mid = statistics.median(ours)
    if goals["seconds"] is not None:
        most = 1e3 * goals["seconds"]
        return [ceiling(f"{case}: time", 1e3 * mid, "ms", most, detail)]
    if not theirs:
        return [Figure(f"{case}: time", mid, "s", detail=detail)]
    what = f"{case}: time of scikit-learn's single start / ours"
    return [Figure(what, statistics.median(theirs) / mid, "×", goals["ratio"], detail=detail)]


HEAD = (
    "case | rounds | gmm-fast, ms | the start's share | scikit-learn, ms | "
    "log-likelihood: gmm-fast | scikit-learn"
)


def row(result):
    """A case, as `HEAD` says; times as median [lowest, highest]."""
    ours, theirs = (of(result, c, "seconds") for c in (OURS, PEER))
    reached = [of(result, c, "reached") for c in (OURS, PEER)]
    return [
        result["case"],
        " and ".join(str(len(runs)) for runs in result["runs"].values()),
        spread(ours),
        share_of_start(result),
        spread(theirs) if theirs else "–",
        *(f"{statistics.median(values):.4f}" if values else "–" for values in reached),
    ]
