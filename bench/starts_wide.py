"""Wide data: clusters far apart in dozens to hundreds of features, and few rows for each."""

import statistics
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
from figures import Figure
from sklearn.metrics import adjusted_rand_score
from starts_fits import ONE, OURS, PAUSE, Contestant
from starts_real import digits

from gmm_fast import GaussianMixture

KMEANS = Contestant('init_params="kmeans"', GaussianMixture, {"init_params": "kmeans"})
# Seeds at most, of the fits that have many parameters; and scikit-learn's.
MOST, THEIRS = 10, 3
RAND = 0.99
# A held-out sample's log-likelihood that default stops leave open.
LEVEL = 0.01
HELD_OUT = 500


@dataclass(frozen=True, eq=False)
class Wide:
    """Data to fit, rows that are held out, and the clusters if they are known."""

    name: str
    x: np.ndarray
    held_out: np.ndarray | None
    k: int
    labels: np.ndarray | None = None

    def __str__(self):
        n, d = self.x.shape
        return f"{self.name} ({n:,} x {d}, K = {self.k}, full)"


def plain(n, d, k, seed=77):
    """Unit covariances, centres 3 from the origin in every feature: 70 standard deviations apart
    at 300 features."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, k, n)
    x = rng.normal(size=(n, d))
    centres = 3 * rng.normal(size=(k, d))
    others = rng.integers(0, k, HELD_OUT)
    held_out = rng.normal(size=(HELD_OUT, d)) + centres[others]
    return Wide("far apart", x + centres[labels], held_out, k, labels)


def drawn(name, n, d, shares, apart, seed, scales=False, correlated=False):
    """Clusters of some shares of the rows, some standard deviations apart.

    With `scales` the features are in units from a hundredth to a thousand; when `correlated`
    three factors add noise to all of them.
    """
    rng = np.random.default_rng(seed)
    k = len(shares)
    labels = rng.permutation(np.repeat(np.arange(k), np.round(n * np.array(shares)).astype(int)))
    labels = np.append(labels, rng.choice(k, HELD_OUT, p=shares))
    x = rng.normal(size=(len(labels), d))
    if correlated:
        x += rng.normal(size=(len(labels), 3)) @ rng.normal(size=(3, d))
    x += (apart / np.sqrt(2 * d) * rng.normal(size=(k, d)))[labels]
    if scales:
        x *= 10.0 ** rng.uniform(-2, 3, d)
    fitted = len(labels) - HELD_OUT
    return Wide(name, x[:fitted], x[fitted:], k, labels[:fitted])


def of_digits(components, whole):
    """The digits in many principal components, a fifth held out where they are not whole."""
    x = digits(components)
    if whole:
        return Wide("digits", x, None, 10)
    held = np.random.default_rng(0).permutation(len(x)) < len(x) // 5
    return Wide("digits but for a fifth", x[~held], x[held], 10)


def equal(k):
    return [1 / k] * k


CASES = {
    f"wide_{n}x{d}": partial(plain, n, d, k)
    for n, d, k in (
        (3000, 300, 5),
        (300, 100, 3),
        (500, 100, 5),
        (1000, 200, 5),
        (5000, 300, 10),
        (2000, 500, 2),
        (1000, 100, 10),
        (1500, 250, 3),
    )
} | {
    "wide_few": partial(drawn, "a row for each feature", 400, 80, equal(5), 30, 1),
    "wide_unequal": partial(drawn, "unequal", 1200, 120, [0.55, 0.25, 0.15, 0.05], 40, 2),
    "wide_correlated": partial(
        drawn, "correlated", 900, 60, equal(3), 30, 3, scales=False, correlated=True
    ),
    "wide_scales": partial(drawn, "units 1e-2 to 1e3", 2000, 50, equal(4), 20, 4, scales=True),
    "wide_all": partial(
        drawn,
        "unequal, correlated, units",
        800,
        40,
        [0.5, 0.2, 0.15, 0.1, 0.05],
        30,
        5,
        scales=True,
        correlated=True,
    ),
    "wide_near": partial(drawn, "15 apart", 1000, 200, equal(4), 15, 6),
    "wide_digits30": partial(of_digits, 30, True),
    "wide_digits40": partial(of_digits, 40, True),
    "wide_digits30_part": partial(of_digits, 30, False),
    "wide_digits40_part": partial(of_digits, 40, False),
}


def fitted(case, contestant, seed):
    """Seconds, and what a default fit reaches; JSON values."""
    model = contestant.kind(case.k, random_state=seed, **contestant.parameters)
    time.sleep(PAUSE)
    began = time.perf_counter()
    model.fit(case.x)
    seconds = time.perf_counter() - began
    found = {
        "seconds": seconds,
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
    GaussianMixture(case.k, max_iter=2).fit(case.x[:, :8])  # compile
    team = (OURS, ONE) if case.held_out is None else (OURS, KMEANS, ONE)
    runs = {c.name: [] for c in team}
    for seed in range(min(seeds, MOST)):
        for contestant in team:
            if contestant is not ONE or seed < THEIRS:
                runs[contestant.name].append(fitted(case, contestant, seed))
    return {"case": str(case), "separated": case.labels is not None, "runs": runs}


def of(result, contestant, what):
    """What the runs of a contestant have of that, where they have it."""
    return [run[what] for run in result["runs"].get(contestant.name, ()) if what in run]


def figures_of(result):
    """Clusters found in every seed or, of digits, the likelihood; and held-out likelihoods."""
    case = result["case"]
    if result["separated"]:
        ours, theirs = (of(result, c, "rand") for c in (OURS, ONE))
        first = Figure(
            f"{case}: least adjusted Rand index of {len(ours)} seeds",
            min(ours),
            "",
            RAND if max(theirs) >= RAND else None,
            detail=f"scikit-learn {min(theirs):.3f} to {max(theirs):.3f}",
        )
    else:
        ours, theirs = (of(result, c, "reached") for c in (OURS, ONE))
        first = Figure(
            f"{case}: the worst seed above scikit-learn's median",
            min(ours) - statistics.median(theirs),
            "a sample",
            0.0,
            detail=f"{min(ours):.3f} to {max(ours):.3f}, scikit-learn {min(theirs):.3f} to "
            f"{max(theirs):.3f}",
        )
    if KMEANS.name not in result["runs"]:
        return [first]
    pairs = zip(of(result, OURS, "held_out"), of(result, KMEANS, "held_out"), strict=True)
    held_out = Figure(
        f"{case}: held-out likelihood above that of {KMEANS.name}, worst seed",
        min(ours - theirs for ours, theirs in pairs),
        "a sample",
        -LEVEL,
    )
    return [first, held_out]


HEAD = (
    "case",
    "seeds",
    "gmm-fast: Rand index",
    KMEANS.name,
    "scikit-learn",
    "log-likelihood: gmm-fast",
    "scikit-learn",
    "held out: gmm-fast",
    KMEANS.name,
    "scikit-learn",
    "time: gmm-fast",
    "scikit-learn",
)


def span(values, digits):
    """The least and the highest as text."""
    if not values:
        return "–"
    low, high = (f"{f(values):.{digits}f}" for f in (min, max))
    return low if low == high else f"{low} … {high}"


def row(result):
    """Cells of a table: least … highest of the seeds, median times."""
    rand = [span(of(result, c, "rand"), 3) for c in (OURS, KMEANS, ONE)]
    reached = [span(of(result, c, "reached"), 2) for c in (OURS, ONE)]
    held_out = [span(of(result, c, "held_out"), 2) for c in (OURS, KMEANS, ONE)]
    times = [f"{1e3 * statistics.median(of(result, c, 'seconds')):.0f} ms" for c in (OURS, ONE)]
    seeds = f"{len(result['runs'][OURS.name])} ({len(result['runs'][ONE.name])})"
    return [result["case"], seeds, *rand, *reached, *held_out, *times]
