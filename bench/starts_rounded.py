"""Rounded data: what searches choose beside scikit-learn's sweep, and what default fits end in."""

import time
import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import sklearn.mixture
from figures import Figure
from starts_real import photo

from gmm_fast import GaussianMixture, search

# Seeds at most of cases that take long, and of scikit-learn's.
MOST_PHOTOS, MOST_PEER = 50, 20
# Share of seeds in which a search is to choose what is there.
RIGHT = 95.0
# A standard deviation of half a step, in units of its square: what is narrower is not resolved.
RESOLVED = 0.25


@dataclass(frozen=True, eq=False)
class Rounded:
    """Data of one seed after another, and how many populations there are; 0 for a photo.

    Attributes
    ----------
    name : str
    make : callable
        seed -> (n, d) array.
    truth : int
    family : str
    k : int
        Of the fits to a photo.
    """

    name: str
    make: object
    truth: int
    family: str = "full"
    k: int = 0
    numbers: range = range(1, 9)

    def __str__(self):
        return f"{self.name}, {self.family}"


def heights(seed, n=3000, d=1):
    rng = np.random.default_rng(seed)
    return rng.normal(170, 10, (n, d)).round()


def ages(seed, n=3000, d=1):
    rng = np.random.default_rng(seed)
    old = rng.random(n) < 0.4
    centres, widths = np.where(old, 55, 25)[:, None], np.where(old, 7, 4)[:, None]
    return rng.normal(centres, widths, (n, d)).round()


def heaped(seed, n=3000):
    """The same, half of them in fives."""
    fives = np.random.default_rng([seed, 5]).random((n, 1)) < 0.5
    years = ages(seed, n)
    return np.where(fives, (years / 5).round() * 5, years)


def partly(seed, n=3000):
    """Heights, a tenth of them exact."""
    rng = np.random.default_rng(seed)
    x = rng.normal(170, 10, (n, 1))
    return np.where(rng.random((n, 1)) < 0.1, x, x.round())


def counts(seed, n=3000, rates=(50.0,)):
    return np.random.default_rng(seed).poisson(rates, (n, len(rates))).astype(float)


def two_counts(seed, n=2000):
    rng = np.random.default_rng(seed)
    rates = np.where(rng.random((n, 1)) < 0.5, (4.0, 30.0), (25.0, 50.0))
    return rng.poisson(rates).astype(float)


def likert(seed, n=1500, d=5):
    rng = np.random.default_rng(seed)
    centre = np.where(rng.random((n, 1)) < 0.5, 2.0, 4.0)
    return rng.normal(centre, 0.6, (n, d)).round().clip(1, 5)


def prices(seed, n=2000, groups=2):
    """Logarithms of prices in steps of 500, sizes in whole square metres."""
    rng = np.random.default_rng(seed)
    dear = rng.random(n) < (0.4 if groups == 2 else 0.0)
    size = rng.normal(np.where(dear, 130, 70), np.where(dear, 15, 10), n)
    price = rng.normal(np.where(dear, 620e3, 240e3), np.where(dear, 60e3, 30e3), n)
    return np.column_stack([size.round(), (price / 500).round() * 500])


def _searched(name, make, truth, family="full"):
    return Rounded(name, make, truth, family)


def _photo(name, k):
    return Rounded(f"{name} in integers, K = {k}", lambda seed: photo(name, False), 0, k=k)


CASES = {
    "rounded_heights": partial(_searched, "heights, 3,000", heights, 1),
    "rounded_heights_300": partial(_searched, "heights, 300", partial(heights, n=300), 1),
    "rounded_heights_10000": partial(_searched, "heights, 10,000", partial(heights, n=10_000), 1),
    "rounded_heights_wide": partial(_searched, "five heights", partial(heights, n=1000, d=5), 1),
    "rounded_ages": partial(_searched, "ages of two groups, 3,000", ages, 2),
    "rounded_ages_300": partial(_searched, "ages of two groups, 300", partial(ages, n=300), 2),
    "rounded_ages_3": partial(_searched, "three ages, two groups", partial(ages, n=1000, d=3), 2),
    "rounded_ages_heaped": partial(_searched, "ages of two groups, half in fives", heaped, 2),
    "rounded_heights_partly": partial(_searched, "heights, a tenth exact", partly, 1),
    "rounded_counts_50": partial(_searched, "counts of 50", counts, 1),
    "rounded_counts_4": partial(_searched, "counts of 4", partial(counts, rates=(4.0,)), 1),
    "rounded_counts_two": partial(_searched, "two groups of counts", two_counts, 2, "diag"),
    "rounded_likert": partial(_searched, "five Likert items, two groups", likert, 2, "diag"),
    "rounded_likert_full": partial(_searched, "five Likert items, two groups", likert, 2),
    "rounded_prices": partial(_searched, "sizes and prices, two groups", prices, 2),
    "rounded_prices_one": partial(
        _searched, "sizes and prices, one group", partial(prices, groups=1), 1
    ),
    **{
        f"rounded_{name}_{k}": partial(_photo, name, k)
        for name in ("china", "flower")
        for k in (4, 8, 12, 16)
    },
}


def measure(name, case, seeds):
    """What was chosen, or what fits to a photo ended in, seed by seed."""
    if case.truth:
        return {"case": str(case), "truth": case.truth} | searched(case, seeds)
    runs = [fitted(case, seed) for seed in range(min(seeds, MOST_PHOTOS))]
    return {"case": str(case), "truth": 0, "fits": runs}


def searched(case, seeds):
    chosen, peer, seconds = [], [], []
    for seed in range(seeds):
        x = case.make(seed)
        began = time.perf_counter()
        how = {"covariance": case.family, "random_state": seed, "silhouette_rows": 0}
        chosen.append(search(x, case.numbers, **how).best.n_components)
        seconds.append(time.perf_counter() - began)
        if seed < MOST_PEER:
            peer.append(sweep(case, x, seed))
    return {"chosen": chosen, "peer": peer, "search_seconds": float(np.median(seconds))}


def sweep(case, x, seed):
    """The K of the lowest BIC of scikit-learn's fits."""
    bics = {}
    for k in case.numbers:
        how = {"covariance_type": case.family, "random_state": seed}
        model = sklearn.mixture.GaussianMixture(k, **how).fit(x)
        bics[k] = model.bic(x)
    return min(bics, key=bics.get)


def fitted(case, seed):
    """What a default fit of a photo ends in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianMixture(case.k, random_state=seed).fit(case.make(seed))
    rounded = model.result_.rounded
    least = float(np.linalg.eigvalsh(model.covariances_).min())
    return {
        "collapsed": any("collapsed" in event for event in model.events_),
        # components that no data of whole numbers tells anything about
        "below": least < (1 / 12 if rounded else RESOLVED),
        "rounded": rounded,
        "excess": model.result_.excess,
    }


def _right(chosen, truth):
    return 100 * float(np.mean(np.array(chosen) == truth))


def figures_of(result):
    """How often the truth was chosen, or how many fits ended in what is not resolved."""
    if not result["truth"]:
        bad = sum(run["collapsed"] or run["below"] for run in result["fits"])
        detail = f"of {len(result['fits'])} fits"
        what = f"{result['case']}: collapsed or not resolved"
        return [Figure(what, bad, "", 0, at_least=False, detail=detail)]
    ours, peer = (_right(result[who], result["truth"]) for who in ("chosen", "peer"))
    detail = f"scikit-learn's sweep {peer:.0f} % of {len(result['peer'])}"
    return [Figure(f"{result['case']}: right", ours, "%", max(RIGHT, peer), detail=detail)]


HEAD = ("case", "there are", "gmm-fast chooses", "time", "scikit-learn's sweep chooses")


def row(result):
    """Cells of a table."""
    if not result["truth"]:
        fits = result["fits"]
        aware = sum(run["rounded"] for run in fits)
        return [
            result["case"],
            "–",
            f"{len(fits)} fits, {aware} of them aware of the rounding",
            "",
            f"excess at most {max(run['excess'] for run in fits):.3g}",
        ]
    return [
        result["case"],
        str(result["truth"]),
        _tally(result["chosen"]),
        f"{result['search_seconds']:.2f} s",
        _tally(result["peer"]),
    ]


def _tally(chosen):
    numbers, times = np.unique(chosen, return_counts=True)
    return ", ".join(f"{k} ({n} ×)" for k, n in zip(numbers, times, strict=True))
