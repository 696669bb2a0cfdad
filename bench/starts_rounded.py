"""Rounded data: what searches choose beside scikit-learn's sweep, and what default fits end in."""

from functools import partial

import numpy as np
import sklearn.mixture
from report import Figure, ceiling
from timing import timed

from gmm_fast import GaussianMixture, search

# Seeds at most of cases that take long, and of scikit-learn's.
MOST_PHOTOS, MOST_PEER = 50, 20
# Share of seeds in which a search is to choose what is there.
RIGHT = 95.0
# A standard deviation of half a step, in units of its square: what is narrower is not resolved.
RESOLVED = 0.25
HEAD = "case | there are | gmm-fast chooses | time | scikit-learn's sweep chooses"


def measure(name, case, seeds):
    """What was chosen, or what fits to a photo ended in, seed by seed."""
    found = {"case": str(case), "truth": case.truth}
    if case.truth:
        return found | searched(case, seeds)
    return found | {"fits": [fitted(case, seed) for seed in range(min(seeds, MOST_PHOTOS))]}


def searched(case, seeds):
    """What each search chose, and scikit-learn's sweeps."""
    chosen, peer, times = [], [], []
    for seed in range(seeds):
        x = case.make(seed)
        how = {"covariance": case.family, "random_state": seed, "silhouette_rows": 0}
        seconds, found = timed(partial(search, **how), x, case.numbers, pause=0)
        times.append(seconds)
        chosen.append(found.best.n_components)
        if seed < MOST_PEER:
            peer.append(sweep(case, x, seed))
    return {"chosen": chosen, "peer": peer, "search_seconds": float(np.median(times))}


def sweep(case, x, seed):
    """The K of the lowest BIC of scikit-learn's fits."""
    how = {"covariance_type": case.family, "random_state": seed}
    models = [sklearn.mixture.GaussianMixture(k, **how).fit(x) for k in case.numbers]
    return min(models, key=lambda model: model.bic(x)).n_components


def fitted(case, seed):
    """What a default fit of a photo ends in."""
    _, model = timed(GaussianMixture(case.k, random_state=seed).fit, case.make(seed), pause=0)
    rounded = model.result_.rounded
    least = float(np.linalg.eigvalsh(model.covariances_).min())
    return {
        "collapsed": any("collapsed" in event for event in model.events_),
        # components that no data of whole numbers tells anything about
        "below": least < (1 / 12 if rounded else RESOLVED),
        "rounded": rounded,
        "excess": model.result_.excess,
    }


def figures_of(result):
    """How often the truth was chosen, or how many fits ended in what is not resolved."""
    if not result["truth"]:
        bad = sum(run["collapsed"] or run["below"] for run in result["fits"])
        detail = f"of {len(result['fits'])} fits"
        what = f"{result['case']}: collapsed or not resolved"
        return [ceiling(what, bad, "", 0, detail)]
    ours, peer = (
        100 * float(np.mean(np.array(result[who]) == result["truth"])) for who in ("chosen", "peer")
    )
    detail = f"scikit-learn's sweep {peer:.0f} % of {len(result['peer'])}"
    return [Figure(f"{result['case']}: right", ours, "%", max(RIGHT, peer), detail=detail)]


def row(result):
    """A case, as `HEAD` says."""
    if result["truth"]:
        seconds, chosen = f"{result['search_seconds']:.2f} s", tally(result["chosen"])
        return [result["case"], str(result["truth"]), chosen, seconds, tally(result["peer"])]
    fits = result["fits"]
    aware = f"{len(fits)} fits, {sum(run['rounded'] for run in fits)} of them aware of the rounding"
    excess = f"excess at most {max(run['excess'] for run in fits):.3g}"
    return [result["case"], "–", aware, "", excess]


def tally(chosen):
    numbers, times = np.unique(chosen, return_counts=True)
    return ", ".join(f"{k} ({n} ×)" for k, n in zip(numbers, times, strict=True))
