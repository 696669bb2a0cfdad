"""Wide data: clusters far apart in dozens to hundreds of features, and few rows for each."""

import statistics

from report import Figure
from sklearn.metrics import adjusted_rand_score
from starts_fits import ONE, OURS, Contestant, in_turn

from gmm_fast import GaussianMixture

KMEANS = Contestant('init_params="kmeans"', GaussianMixture, {"init_params": "kmeans"})
# Seeds at most, of the fits that have many parameters; and scikit-learn's.
MOST, THEIRS = 10, 3
RAND = 0.99
# A held-out sample's log-likelihood that default stops leave open.
LEVEL = 0.01


def seen(model, case):
    """What a fit reached; JSON values."""
    found = {
        "reached": float(model.score(case.x)),
        "events": list(getattr(model, "events_", ())),
    }
    if case.held_out is not None:
        found["held_out"] = float(model.score(case.held_out))
    if case.labels is not None:
        found["rand"] = float(adjusted_rand_score(case.labels, model.predict(case.x)))
    return found


def measure(name, case, seeds):
    """Default fits, k-means starts and scikit-learn's, in turn."""
    case = case.ready()
    team = (OURS, ONE) if case.held_out is None else (OURS, KMEANS, ONE)

    def goes_on(contestant, fits):
        return contestant is not ONE or len(fits) < THEIRS

    runs = in_turn(case, team, min(seeds, MOST), seen, goes_on)
    return {"case": str(case), "separated": case.labels is not None, "runs": runs}


def of(result, contestant, what):
    """What the runs of a contestant have of that, where they have it."""
    return [run[what] for run in result["runs"].get(contestant.name, ()) if what in run]


def figures_of(result):
    """Clusters found in every seed or, of digits, the likelihood; and held-out likelihoods."""
    case = result["case"]
    what = "rand" if result["separated"] else "reached"
    ours, theirs = (of(result, c, what) for c in (OURS, ONE))
    peer = f"scikit-learn {min(theirs):.3f} to {max(theirs):.3f}"
    if result["separated"]:
        target = RAND if max(theirs) >= RAND else None
        what = f"{case}: least adjusted Rand index of {len(ours)} seeds"
        found = [Figure(what, min(ours), "", target, detail=peer)]
    else:
        above = min(ours) - statistics.median(theirs)
        what = f"{case}: the worst seed above scikit-learn's median"
        detail = f"{min(ours):.3f} to {max(ours):.3f}, {peer}"
        found = [Figure(what, above, "a sample", 0.0, detail=detail)]
    if KMEANS.name in result["runs"]:
        pairs = zip(of(result, OURS, "held_out"), of(result, KMEANS, "held_out"), strict=True)
        what = f"{case}: held-out likelihood above that of {KMEANS.name}, worst seed"
        found.append(Figure(what, min(a - b for a, b in pairs), "a sample", -LEVEL))
    return found


HEAD = (
    f"case | seeds | gmm-fast: Rand index | {KMEANS.name} | scikit-learn | "
    "log-likelihood: gmm-fast | scikit-learn | "
    f"held out: gmm-fast | {KMEANS.name} | scikit-learn | time: gmm-fast | scikit-learn"
)


def span(values, digits):
    """The least and the highest as text."""
    if not values:
        return "–"
    low, high = (f"{f(values):.{digits}f}" for f in (min, max))
    return low if low == high else f"{low} … {high}"


def row(result):
    """A case, as `HEAD` says: least … highest of the seeds, median times."""
    rand = [span(of(result, c, "rand"), 3) for c in (OURS, KMEANS, ONE)]
    reached = [span(of(result, c, "reached"), 2) for c in (OURS, ONE)]
    held_out = [span(of(result, c, "held_out"), 2) for c in (OURS, KMEANS, ONE)]
    times = [f"{1e3 * statistics.median(of(result, c, 'seconds')):.0f} ms" for c in (OURS, ONE)]
    seeds = f"{len(result['runs'][OURS.name])} ({len(result['runs'][ONE.name])})"
    return [result["case"], seeds, *rand, *reached, *held_out, *times]
