"""Every case of `starts.py`, in one table for each of its groups."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import starts_data as data
from sklearn.datasets import load_breast_cancer, load_iris, load_linnerud, load_wine


def goal(found=None, median=None, worst=None, beside=False):
    """What fits are to reach; None where nothing is asked.

    % of the seeds that end at the best known, what the median and the worst may miss of it, and
    whether the median is to be that of scikit-learn's n_init=10 at least.
    """
    return {"found": found, "median": median, "worst": worst, "beside": beside}


SMOOTH = goal(found=95.0)
RUGGED = goal(median=0.01, worst=0.05, beside=True)
# Of the digits' full covariances more than one in a thousand is missing at the default effort.
DIGITS = goal(median=0.08, beside=True)
BESIDE = goal(beside=True)
# Measured for the record: values that were rounded have a likelihood without bound, and with less
# than five rows for each feature of a component likelihoods prefer chance.
NONE = goal()
# Seconds for each of scikit-learn's contestants on rugged data.
LONG = 25.0


@dataclass(frozen=True, eq=False)
class Case:
    """Data to fit, and what is asked of it."""

    name: str
    says: str  # what is hard about it
    load: Callable | None  # returns what `starts_data` says
    k: object  # a number, or the range of a search
    family: str = "full"
    goal: dict = field(default_factory=SMOOTH.copy)
    cap: float = 6.0  # seconds of each of scikit-learn's contestants, but for its first fits
    reference: float | None = None  # log-likelihood that mclust reaches
    others: tuple = ()  # ranges of a search that share candidates with `k`
    x: np.ndarray | None = None
    labels: np.ndarray | None = None
    held_out: np.ndarray | None = None

    def ready(self):
        """The same with its data."""
        if self.load is None:
            return self
        found = self.load()
        found = found if isinstance(found, tuple) else (found,)
        names = ("x", "labels", "held_out")
        return replace(self, load=None, **dict(zip(names, found, strict=False)))

    def __str__(self):
        n, d = self.x.shape
        k = f"{self.k[0]} to {self.k[-1]}" if isinstance(self.k, range) else self.k
        return f"{self.name} ({n:,} x {d}, K = {k}, {self.family})"


def load(name):
    """Loader of a file of bench/data."""
    return partial(data.csv, name)


def iris():
    return load_iris().data


def wine():
    return load_wine().data


def cancer():
    return load_breast_cancer().data


def _tables():
    """Measurements of some dozens to hundreds of rows."""
    rows = (
        ("wine", "13 features", wine, 3, "tied diag"),
        ("wine", "13 features, 178 rows", wine, 3, "full", NONE),
        # full is among the synthetic cases, with mclust's value
        ("iris", "petals and sepals", iris, 3, "tied diag spherical"),
        ("cancer", "30 features", cancer, 2, "full tied diag spherical"),
        ("cancer", "30 features", cancer, 3, "full tied diag spherical"),
        ("eruptions", "of Old Faithful", data.faithful, 2, "full tied diag"),
        ("diabetes", "9 features, one cluster in two halves", data.diabetes, 2, "full tied diag"),
        ("linnerud", "20 rows", lambda: load_linnerud().data.astype(float), 2, "tied diag"),
        ("penguins", "three species", load("penguins"), 3, "full tied diag"),
        ("galaxies", "one feature, 82 rows", load("galaxies"), 3, "full tied"),
        ("acidity", "one feature, 155 rows", load("acidity"), 2, "full tied"),
        ("blobs", "five overlapping clusters", load("blobs5"), 5, "full diag"),
        ("volumes", "volumes 1 : 9 : 450", load("volumes"), 3, "full diag"),
    )
    return {
        f"{name}_{family}{k}": Case(name, says, loader, k, family, *more)
        for name, says, loader, k, families, *more in rows
        for family in families.split()
    }


def _photo(name, k, jittered=True):
    words = "pixels, jittered by half a step" if jittered else "pixels as they are: integers"
    asked = (SMOOTH if k <= 6 else RUGGED) if jittered else NONE
    title = name if jittered else f"{name} in integers"
    loader = partial(data.photo, name, jittered)
    return Case(title, words, loader, k, goal=asked, cap=6.0 if k <= 6 else LONG)


def _digits(k, family, asked):
    says = "20 principal components of 8 x 8 pixels"
    return Case("digits", says, partial(data.digits, 20), k, family, asked, LONG)


def _diamonds(jittered):
    says = "carats, sizes, prices" + (", jittered by half a step" if jittered else " as they are")
    name = "diamonds" if jittered else "diamonds on their grid"
    asked = BESIDE if jittered else NONE
    return Case(name, says, partial(data.diamonds, jittered), 8, goal=asked, cap=LONG)


SMOOTH_CASES = {
    "elongated": Case("elongated", "parallel cigars, 20 : 1", data.elongated, 4),
    "unequal": Case("unequal", "sizes 100 : 100 : 33 : 1", data.unequal, 4),
    "overlapping": Case(
        "overlapping", "neighbours one and a half sigma apart", data.overlapping, 5
    ),
    "units": Case("units", "features from 1e-3 to 1e3", data.units, 5),
    "many_features": Case("20 features", "ten correlated components", data.many_features, 10),
    "moons": Case("moons", "two half circles", data.moons, 6),
    "rare": Case("rare", "overlap, and populations down to 0.5 %", data.rare, 8),
    "nested": Case("nested", "narrow inside wide", data.nested, 3),
    "grid": Case("grid", "25 clusters", data.grid, 25),
    "tied": Case("tied", "one correlated covariance", data.tied, 6, "tied"),
    "diag": Case("diag", "unequal widths along the axes", data.diag, 8, "diag"),
    "iris": Case(
        "iris", "mclust's value", partial(load_iris, return_X_y=True), 3, reference=-180.185477
    ),
    "faithful": Case("faithful", "mclust's value", data.faithful, 3, "tied", reference=-1126.316),
    **_tables(),
    **{f"china_{k}": _photo("china", k) for k in (2, 3, 4, 5, 6)},
    **{f"flower_{k}": _photo("flower", k) for k in (2, 4, 6)},
    "china_integers_3": _photo("china", 3, False),
    "china_integers_5": _photo("china", 5, False),
    "flower_integers_4": _photo("flower", 4, False),
}
RUGGED_CASES = {
    "digits_full10": _digits(10, "full", DIGITS),
    "digits_diag10": _digits(10, "diag", RUGGED),
    "digits_spherical20": _digits(20, "spherical", RUGGED),
    "china_8": _photo("china", 8),
    "china_10": _photo("china", 10),
    "flower_8": _photo("flower", 8),
    "flower_10": _photo("flower", 10),
    "prices": Case(
        "prices and sizes", "grids of 1, 0.5 and 500", data.homes, 6, goal=BESIDE, cap=LONG
    ),
    "diamonds": _diamonds(True),
    "diamonds_grid": _diamonds(False),
}
_opponent = partial(data.opponent, "china")
_hard = {"goal": RUGGED, "cap": LONG / 2}
# Data that nobody tunes starts on: measured like the rest, looked at last.
UNSEEN_CASES = {
    "unseen_colours": Case("colours", "657 named colours in Luv", load("colours"), 4),
    "unseen_cars": Case("cars", "32 rows", load("cars"), 2, "diag"),
    "unseen_patches": Case("patches", "5 x 5 pixels", data.patches, 5),
    "unseen_opponent": Case("opponent", "colours of china", _opponent, 4),
    "unseen_edges": Case("edges", "brightness, slopes", data.edges, 8, **_hard),
    "unseen_projected": Case(
        "projected digits", "12 random directions", data.projected, 12, "diag", **_hard
    ),
    "unseen_rings": Case("rings", "three rings", data.rings, 9, **_hard),
    "unseen_heavy": Case("heavy tails", "Student's t", data.heavy, 7, **_hard),
}


def far_apart(n, d, k):
    return Case("far apart", "", partial(data.plain, n, d, k), k)


def _drawn(name, n, d, shares, *more, **options):
    return Case(name, "", partial(data.drawn, n, d, shares, *more, **options), len(shares))


def _equal(k):
    return [1 / k] * k


_few = "a row for each feature"
_all = {"scales": True, "correlated": True}
_sizes = ((3000, 300, 5), (300, 100, 3), (500, 100, 5), (1000, 200, 5))
_sizes += ((5000, 300, 10), (2000, 500, 2), (1000, 100, 10), (1500, 250, 3))
WIDE_CASES = {
    **{f"wide_{n}x{d}": far_apart(n, d, k) for n, d, k in _sizes},
    "wide_few": _drawn(_few, 400, 80, _equal(5), 30, 1),
    "wide_unequal": _drawn("unequal", 1200, 120, [0.55, 0.25, 0.15, 0.05], 40, 2),
    "wide_correlated": _drawn("correlated", 900, 60, _equal(3), 30, 3, correlated=True),
    "wide_scales": _drawn("units 1e-2 to 1e3", 2000, 50, _equal(4), 20, 4, scales=True),
    "wide_all": _drawn(
        "unequal, correlated, units", 800, 40, [0.5, 0.2, 0.15, 0.1, 0.05], 30, 5, **_all
    ),
    "wide_near": _drawn("15 apart", 1000, 200, _equal(4), 15, 6),
    "wide_digits30": Case("digits", "", partial(data.digits, 30), 10),
    "wide_digits40": Case("digits", "", partial(data.digits, 40), 10),
    "wide_digits30_part": Case("digits but for a fifth", "", partial(data.digits_held_out, 30), 10),
    "wide_digits40_part": Case("digits but for a fifth", "", partial(data.digits_held_out, 40), 10),
}


@dataclass(frozen=True)
class Rounded:
    """Data of one seed after another, and how many populations there are; 0 for a photo."""

    name: str
    make: Callable  # seed -> rows
    truth: int
    family: str = "full"
    k: int = 0  # of the fits to a photo
    numbers: range = range(1, 9)

    def __str__(self):
        return f"{self.name}, {self.family}"


def _in_integers(name, k):
    return Rounded(f"{name} in integers, K = {k}", lambda seed: data.photo(name, False), 0, k=k)


_five, _three = partial(data.heights, n=1000, d=5), partial(data.ages, n=1000, d=3)
_heights_300, _ages_300 = (partial(make, n=300) for make in (data.heights, data.ages))
_ten_thousand = partial(data.heights, n=10_000)
_one_price, _items = partial(data.prices, groups=1), "five Likert items, two groups"
ROUNDED_CASES = {
    "rounded_heights": Rounded("heights, 3,000", data.heights, 1),
    "rounded_heights_300": Rounded("heights, 300", _heights_300, 1),
    "rounded_heights_10000": Rounded("heights, 10,000", _ten_thousand, 1),
    "rounded_heights_wide": Rounded("five heights", _five, 1),
    "rounded_ages": Rounded("ages of two groups, 3,000", data.ages, 2),
    "rounded_ages_300": Rounded("ages of two groups, 300", _ages_300, 2),
    "rounded_ages_3": Rounded("three ages, two groups", _three, 2),
    "rounded_ages_heaped": Rounded("ages of two groups, half in fives", data.heaped, 2),
    "rounded_heights_partly": Rounded("heights, a tenth exact", data.partly, 1),
    "rounded_counts_50": Rounded("counts of 50", data.counts, 1),
    "rounded_counts_4": Rounded("counts of 4", partial(data.counts, rate=4.0), 1),
    "rounded_counts_two": Rounded("two groups of counts", data.two_counts, 2, "diag"),
    "rounded_likert": Rounded(_items, data.likert, 2, "diag"),
    "rounded_likert_full": Rounded(_items, data.likert, 2),
    "rounded_prices": Rounded("sizes and prices, two groups", data.prices, 2),
    "rounded_prices_one": Rounded("sizes and prices, one group", _one_price, 1),
    **{
        f"rounded_{name}_{k}": _in_integers(name, k)
        for name in ("china", "flower")
        for k in (4, 8, 12, 16)
    },
}

EFFORT_CASES = {
    f"effort_{name}": replace(RUGGED_CASES[name], goal=asked)
    for name, asked in (
        ("digits_full10", goal(median=0.03)),
        ("digits_diag10", NONE),
        ("china_8", NONE),
        ("flower_10", NONE),
    )
}


def speed(ratio=None, seconds=None):
    """How many times scikit-learn's speed, or in which time; nothing: it would take minutes."""
    return {"ratio": ratio, "seconds": seconds}


def _blobs(n, d, family, k, ratio):
    return Case("blobs", "", partial(data.spread, n, d, k), k, family, speed(ratio))


_FEW_ROWS, _DIGITS = speed(seconds=0.015), speed(seconds=0.5)
_shapes = (
    (3_000, 768, "tied", 3, 1.0),
    (20_000, 384, "diag", 20, 1.0),
    (5_000, 384, "full", 5, 1.0),
    (2_000, 1_000, "diag", 4, 1.0),
    (200_000, 39, "diag", 256, 1.0),
    (200_000, 39, "diag", 512, None),
    (300_000, 20, "full", 8, 1.0),
    (1_000_000, 8, "full", 8, 15.0),
    (1_000_000, 2, "full", 16, 15.0),
)
TIMES_CASES = {
    **{f"time_{n}x{d}_{family}{k}": _blobs(n, d, family, k, r) for n, d, family, k, r in _shapes},
    "time_iris": Case("iris", "", iris, 3, goal=_FEW_ROWS),
    "time_wine": Case("wine", "", wine, 3, "tied", _FEW_ROWS),
    "time_faithful": Case("faithful", "", data.faithful, 2, goal=_FEW_ROWS),
    "time_penguins": Case("penguins", "", load("penguins"), 3, goal=_FEW_ROWS),
    "time_volumes": Case("volumes", "", load("volumes"), 4, goal=_FEW_ROWS),
    "time_digits_full": Case("digits", "", partial(data.digits, 20), 10, "full", _DIGITS),
    "time_digits_diag": Case("digits", "", partial(data.digits, 20), 10, "diag", _DIGITS),
}


def _searched(name, loader, family="full", numbers=range(2, 7), others=None):
    others = others or (range(2, 11), range(4, 7), range(6, 7))
    return Case(name, "", loader, numbers, family, others=others)


_sixteen = partial(data.digits, 16)
_topics = range(8, 13), (range(10, 11), range(10, 15))
SEARCH_CASES = {
    "search_iris": _searched("iris", iris),
    "search_iris_diag": _searched("iris", iris, "diag"),
    "search_wine": _searched("wine", wine, "diag"),
    "search_wine_tied": _searched("wine", wine, "tied"),
    "search_faithful": _searched("faithful", data.faithful),
    "search_penguins": _searched("penguins", load("penguins")),
    "search_cancer": _searched("cancer", cancer, "diag"),
    "search_digits": _searched("digits", _sixteen),
    "search_digits_spherical": _searched("digits", _sixteen, "spherical"),
    "search_china": _searched("every 13th pixel of china", lambda: data.photo("china")[::13]),
    "search_topics": _searched("topics", data.topics, "full", *_topics),
}
