"""Measurements and photos to start on: smooth cases with one wide basin, and rugged ones."""

from functools import cache, partial
from pathlib import Path

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_linnerud,
    load_sample_image,
    load_wine,
)
from sklearn.decomposition import PCA
from starts_cases import FAITHFUL, RUGGED, SMOOTH, Case, Goal

DATA = Path(__file__).parent / "data"
# Of the digits' full covariances more than one in a thousand is missing at the default effort.
DIGITS = Goal(median=0.08, beside=True)
# Measured for the record: values that were rounded have a likelihood without bound.
NONE = Goal()
# Seconds for each of scikit-learn's contestants on rugged data.
LONG = 25.0


def csv(name):
    """The columns of a file of `DATA` but for a last one of labels."""
    path = DATA / f"{name}.csv"
    head = path.read_text().splitlines()[0].split(",")
    x = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
    return x[:, :-1] if head[-1] == "label" else x


@cache
def photo(name, jittered=True):
    """Pixels of one of scikit-learn's photos; jittered by half a step they have a density."""
    x = load_sample_image(f"{name}.jpg").reshape(-1, 3).astype(float)
    if jittered:
        x += np.random.default_rng(0).uniform(-0.5, 0.5, x.shape)
    return x


@cache
def digits(components):
    """Leading principal components of scikit-learn's digits."""
    return PCA(components, svd_solver="full").fit_transform(load_digits().data)


@cache
def prices():
    """Sizes, rooms and prices of homes in six markets, on grids of 1, 0.5 and 500."""
    rng = np.random.default_rng(12)
    market = rng.choice(6, 6000, p=[0.3, 0.25, 0.2, 0.12, 0.08, 0.05])
    size = np.exp(rng.normal(np.log([45, 70, 95, 120, 180, 60])[market], 0.28))
    rooms = size / rng.normal(26, 3.5, 6000).clip(15) + rng.normal(0.4, 0.5, 6000)
    square_metre = np.array([5200, 3100, 2400, 3800, 4600, 8000])[market]
    price = size * square_metre * np.exp(rng.normal(0, 0.17, 6000))
    steps = np.array([1.0, 0.5, 500.0])
    return np.round(np.column_stack([size, rooms, price]) / steps) * steps


@cache
def diamonds(jittered=True):
    """Carats, depths, widths of the table and prices; jittered by half a step of their grids."""
    x = csv("diamonds")
    if jittered:
        x += np.random.default_rng(0).uniform(-0.5, 0.5, x.shape) * [0.01, 0.1, 1.0, 1.0]
    return x


def _photo(name, k, jittered=True):
    words = "pixels, jittered by half a step" if jittered else "pixels as they are: integers"
    goal = (SMOOTH if k <= 6 else RUGGED) if jittered else NONE
    cap = 6.0 if k <= 6 else LONG
    title = name if jittered else f"{name} in integers"
    return Case(title, words, photo(name, jittered), k, goal=goal, cap=cap)


def _digits(k, family, goal):
    says = "20 principal components of 8 x 8 pixels"
    return Case("digits", says, digits(20), k, family, goal=goal, cap=LONG)


def _table(name, says, load, k, family="full", goal=SMOOTH):
    return Case(name, says, load(), k, family, goal=goal)


def _set(load):
    return lambda: load().data.astype(float)


def diabetes():
    """The serum and body measurements of the patients, without their sex."""
    return np.delete(load_diabetes(scaled=False).data, 1, axis=1)


def faithful():
    return np.loadtxt(FAITHFUL, delimiter=",", skiprows=1, usecols=(-2, -1))


def _tables():
    """{name: case} of measurements of some dozens to hundreds of rows."""
    found = {}

    def add(name, says, load, k, families, goal=SMOOTH):
        for family in families.split():
            key = f"{name}_{family}{k}"
            found[key] = partial(_table, name, says, load, k, family, goal)

    add("wine", "13 features", _set(load_wine), 3, "tied diag")
    # with less than five rows for each feature of a component, likelihoods prefer chance
    add("wine", "13 features, 178 rows", _set(load_wine), 3, "full", NONE)
    # full is among the synthetic cases, with mclust's value
    add("iris", "petals and sepals", _set(load_iris), 3, "tied diag spherical")
    for k in (2, 3):
        add("cancer", "30 features", _set(load_breast_cancer), k, "full tied diag spherical")
    add("eruptions", "of Old Faithful", faithful, 2, "full tied diag")
    add("diabetes", "9 features, one cluster in two halves", diabetes, 2, "full tied diag")
    add("linnerud", "20 rows", _set(load_linnerud), 2, "tied diag")
    add("penguins", "three species", partial(csv, "penguins"), 3, "full tied diag")
    add("galaxies", "one feature, 82 rows", partial(csv, "galaxies"), 3, "full tied")
    add("acidity", "one feature, 155 rows", partial(csv, "acidity"), 2, "full tied")
    add("blobs", "five overlapping clusters", partial(csv, "blobs5"), 5, "full diag")
    add("volumes", "volumes 1 : 9 : 450", partial(csv, "volumes"), 3, "full diag")
    return found


CASES = (
    _tables()
    | {f"china_{k}": partial(_photo, "china", k) for k in (2, 3, 4, 5, 6)}
    | {f"flower_{k}": partial(_photo, "flower", k) for k in (2, 4, 6)}
    | {
        "china_integers_3": partial(_photo, "china", 3, False),
        "china_integers_5": partial(_photo, "china", 5, False),
        "flower_integers_4": partial(_photo, "flower", 4, False),
    }
)


def _prices():
    says = "grids of 1, 0.5 and 500"
    return Case("prices and sizes", says, prices(), 6, goal=Goal(beside=True), cap=LONG)


def _diamonds(jittered):
    says = "carats, sizes, prices" + (", jittered by half a step" if jittered else " as they are")
    goal = Goal(beside=True) if jittered else NONE
    name = "diamonds" if jittered else "diamonds on their grid"
    return Case(name, says, diamonds(jittered), 8, goal=goal, cap=LONG)


RUGGED_CASES = {
    "digits_full10": partial(_digits, 10, "full", DIGITS),
    "digits_diag10": partial(_digits, 10, "diag", RUGGED),
    "digits_spherical20": partial(_digits, 20, "spherical", RUGGED),
    "china_8": partial(_photo, "china", 8),
    "china_10": partial(_photo, "china", 10),
    "flower_8": partial(_photo, "flower", 8),
    "flower_10": partial(_photo, "flower", 10),
    "prices": _prices,
    "diamonds": partial(_diamonds, True),
    "diamonds_grid": partial(_diamonds, False),
}
