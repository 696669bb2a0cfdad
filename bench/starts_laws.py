"""Laws of a search: never below a fit, never less with more components, the same in any range."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from figures import Figure
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.decomposition import PCA
from starts_fits import unsound
from starts_real import csv, digits, faithful, photo

from gmm_fast import GaussianMixture, search

# Seeds at most: each makes several searches.
MOST = 3
# A sample's log-likelihood: what rounding and the order of sums may leave.
LEVEL = 1e-5


@dataclass(frozen=True, eq=False)
class Searched:
    """Data, the range to search, and other ranges that share candidates with it."""

    name: str
    x: np.ndarray
    family: str = "full"
    numbers: range = range(2, 7)
    others: tuple = (range(2, 11), range(4, 7), range(6, 7))

    def __str__(self):
        n, d = self.x.shape
        low, high = self.numbers[0], self.numbers[-1]
        return f"{self.name} ({n:,} x {d}, K = {low} to {high}, {self.family})"


def topics():
    """16 principal components of 20,000 unit vectors of 384 features about 30 topics."""
    rng = np.random.default_rng(15)
    centres = rng.normal(size=(30, 384))
    labels = rng.choice(30, 20_000, p=rng.dirichlet(np.full(30, 3.0)))
    x = centres[labels] + 1.3 * rng.normal(size=(20_000, 384))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return PCA(16, svd_solver="full").fit_transform(x)


def _made(name, load, family="full", *ranges):
    return Searched(name, load(), family, *ranges)


CASES = {
    "search_iris": partial(_made, "iris", lambda: load_iris().data),
    "search_iris_diag": partial(_made, "iris", lambda: load_iris().data, "diag"),
    "search_wine": partial(_made, "wine", lambda: load_wine().data, "diag"),
    "search_wine_tied": partial(_made, "wine", lambda: load_wine().data, "tied"),
    "search_faithful": partial(_made, "faithful", faithful),
    "search_penguins": partial(_made, "penguins", partial(csv, "penguins")),
    "search_cancer": partial(_made, "cancer", lambda: load_breast_cancer().data, "diag"),
    "search_digits": partial(_made, "digits", partial(digits, 16)),
    "search_digits_spherical": partial(_made, "digits", partial(digits, 16), "spherical"),
    "search_china": partial(_made, "every 13th pixel of china", lambda: photo("china")[::13]),
    "search_topics": partial(
        _made, "topics", topics, "full", range(8, 13), (range(10, 11), range(10, 15))
    ),
}


def searched(case, numbers, seed):
    """{K: (mean log-likelihood, whether it is sound)} of a search's candidates."""
    options = {"covariance": case.family, "random_state": seed, "silhouette_rows": 0}
    found = search(case.x, numbers, **options)
    return {
        model.n_components: (float(model.lower_bound_), not unsound(model, case.x))
        for model in found.models
        if model is not None
    }


def measure(name, case, seeds):
    """Searches of several ranges, and fits of the first's numbers."""
    runs = []
    for seed in range(min(seeds, MOST)):
        how = {"covariance_type": case.family, "random_state": seed}
        fits = {k: float(GaussianMixture(k, **how).fit(case.x).lower_bound_) for k in case.numbers}
        main = searched(case, case.numbers, seed)
        others = [searched(case, numbers, seed) for numbers in case.others]
        runs.append(compared(fits, main, others))
    return {"case": str(case), "ranges": [str(r) for r in case.others], "runs": runs}


def compared(fits, main, others):
    """How far candidates are below fits, below fewer components, and apart between ranges."""
    below = {k: fits[k] - main[k][0] if k in main else np.inf for k in fits}
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
        "below": max(below.values()),
        "falls": max(falls, default=0.0),
        "apart": max(apart, default=0.0),
    }


LAWS = {
    "below": "furthest below a fit of the same K",
    "falls": "most lost with one more component",
    "apart": "furthest apart in different ranges",
}


def figures_of(result):
    """The worst seed of each law."""
    return [
        Figure(
            f"{result['case']}: {says}",
            max(run[law] for run in result["runs"]),
            "a sample",
            LEVEL,
            at_least=False,
            detail=f"worst of {len(result['runs'])} seeds",
        )
        for law, says in LAWS.items()
    ]


HEAD = ("case", "seeds", *LAWS.values())


def row(result):
    worst = [max(run[law] for run in result["runs"]) for law in LAWS]
    return [result["case"], str(len(result["runs"])), *(f"{value:.6f}" for value in worst)]
