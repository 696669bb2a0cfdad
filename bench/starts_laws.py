"""Laws of a search: never below a fit, never less with more components, the same in any range."""

import numpy as np
from report import ceiling
from starts_fits import unsound

from gmm_fast import GaussianMixture, search

# Seeds at most: each makes several searches.
MOST = 3
# A sample's log-likelihood: what rounding and the order of sums may leave.
LEVEL = 1e-5
LAWS = {
    "below": "furthest below a fit of the same K",
    "falls": "most lost with one more component",
    "apart": "furthest apart in different ranges",
}
HEAD = " | ".join(["case", "seeds", *LAWS.values()])


def searched(case, numbers, seed):
    """{K: (mean log-likelihood, whether it is sound)} of a search's candidates."""
    options = {"covariance": case.family, "random_state": seed, "silhouette_rows": 0}
    return {
        model.n_components: (float(model.lower_bound_), not unsound(model, case.x))
        for model in search(case.x, numbers, **options).models
        if model is not None
    }


def measure(name, case, seeds):
    """Searches of several ranges, and fits of the first's numbers."""
    case, runs = case.ready(), []
    for seed in range(min(seeds, MOST)):
        how = {"covariance_type": case.family, "random_state": seed}
        fits = {k: float(GaussianMixture(k, **how).fit(case.x).lower_bound_) for k in case.k}
        main = searched(case, case.k, seed)
        runs.append(compared(fits, main, [searched(case, r, seed) for r in case.others]))
    return {"case": str(case), "ranges": [str(r) for r in case.others], "runs": runs}


def compared(fits, main, others):
    """How far candidates are below fits, below fewer components, and apart between ranges."""
    below = [fits[k] - main[k][0] if k in main else np.inf for k in fits]
    falls = [
        found[k - 1][0] - found[k][0]
        for found in (main, *others)
        for k in found
        if k - 1 in found and found[k][1] and found[k - 1][1]
    ]
    apart = [abs(found[k][0] - main[k][0]) for found in others for k in found if k in main]
    return {
        "fits": fits,
        "search": {k: reached for k, (reached, _) in main.items()},
        "below": max(below),
        "falls": max(falls, default=0.0),
        "apart": max(apart, default=0.0),
    }


def worst(result):
    """{law: its worst seed}."""
    return {law: max(run[law] for run in result["runs"]) for law in LAWS}


def figures_of(result):
    """The worst seed of each law."""
    detail = f"worst of {len(result['runs'])} seeds"
    return [
        ceiling(f"{result['case']}: {LAWS[law]}", value, "a sample", LEVEL, detail)
        for law, value in worst(result).items()
    ]


def row(result):
    """A case, as `HEAD` says."""
    values = (f"{value:.6f}" for value in worst(result).values())
    return [result["case"], str(len(result["runs"])), *values]
