"""Data on which starts are hard to find: shapes, sizes, overlap, units, dimensions."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.datasets import load_iris, make_moons

FAITHFUL = Path(__file__).parent.parent / "tests" / "reference" / "faithful.csv"
# A sample's share of likelihood within which a start has found the optimum.
NEAR = 1e-3


class Goal(NamedTuple):
    """What starts are to reach on a case; None where nothing is asked."""

    found: float | None = None  # % of the seeds that end within `NEAR` of the best known
    median: float | None = None  # of what is missing to the best known, a sample, at most
    worst: float | None = None
    beside: bool = False  # whether the median is at least that of scikit-learn's n_init=10


SMOOTH = Goal(found=95.0)
RUGGED = Goal(median=0.01, worst=0.05, beside=True)


@dataclass(frozen=True, eq=False)
class Case:
    """Data to start on.

    Attributes
    ----------
    name, says : str
        What it is called, and what is hard about it.
    x : (n, d) float64
    k : int
    family : str
    labels : (n,) int or None
        The components that samples were drawn from.
    reference : float or None
        Log-likelihood that mclust reaches.
    goal : Goal
        What is asked of the default.
    cap : float
        Seconds that each of scikit-learn's contestants may take, but for its first three fits.
    """

    name: str
    says: str
    x: np.ndarray
    k: int
    family: str = "full"
    labels: np.ndarray | None = None
    reference: float | None = None
    goal: Goal = SMOOTH
    cap: float = 6.0

    def __str__(self):
        n, d = self.x.shape
        return f"{self.name} ({n:,} x {d}, K = {self.k}, {self.family})"


def _mixture(rng, means, factors, sizes):
    """Samples of Gaussians mean + factor z, and their components."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    z = rng.normal(size=(len(labels), means.shape[1]))
    return means[labels] + np.einsum("nij,nj->ni", factors[labels], z), labels


def elongated():
    """Four parallel cigars, twenty times as long as they are wide."""
    rng = np.random.default_rng(1)
    turned = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    factor = turned @ np.diag([10.0, 0.5])
    means = (turned @ np.array([[0, 0, 0, 0], [0, 3, 6, 9.0]])).T
    x, labels = _mixture(rng, means, np.stack([factor] * 4), [500] * 4)
    return Case("elongated", "parallel cigars, 20 : 1", x, 4, labels=labels)


def unequal():
    """Sizes 1 to 100."""
    rng = np.random.default_rng(2)
    means = np.array([[0, 0, 0], [6, 0, 0], [0, 6, 0], [3, 3, 6.0]])
    factors = np.stack([np.eye(3)] * 3 + [0.5 * np.eye(3)])
    x, labels = _mixture(rng, means, factors, [3000, 3000, 1000, 30])
    return Case("unequal", "sizes 100 : 100 : 33 : 1", x, 4, labels=labels)


def overlapping():
    """Five components of which neighbours share a third of their samples."""
    rng = np.random.default_rng(3)
    means = 1.5 * rng.normal(size=(5, 3))
    factors = np.eye(3) + 0.4 * rng.normal(size=(5, 3, 3))
    x, labels = _mixture(rng, means, factors, [1000] * 5)
    return Case("overlapping", "neighbours one and a half sigma apart", x, 5, labels=labels)


def units():
    """Features in units from a thousandth to a thousand; the largest two are noise."""
    rng = np.random.default_rng(4)
    means = np.zeros((5, 6))
    means[:, :4] = 3 * rng.normal(size=(5, 4))
    x, labels = _mixture(rng, means, np.stack([np.eye(6)] * 5), [400] * 5)
    return Case(
        "units", "features from 1e-3 to 1e3", x * 10.0 ** np.arange(-3, 3), 5, labels=labels
    )


def many_features():
    """Ten correlated components in 20 dimensions."""
    rng = np.random.default_rng(5)
    means = 1.5 * rng.normal(size=(10, 20))
    factors = np.eye(20) + 0.2 * rng.normal(size=(10, 20, 20))
    x, labels = _mixture(rng, means, factors, [500] * 10)
    return Case("20 features", "ten correlated components", x, 10, labels=labels)


def moons():
    """Two half circles, three Gaussians each."""
    x, _ = make_moons(2000, noise=0.07, random_state=6)
    return Case("moons", "two half circles", x, 6)


def rare():
    """Overlapping populations like a flow cytometer's, the smallest 0.5 % of all."""
    rng = np.random.default_rng(11)
    sizes = [7600, 4800, 3000, 2000, 1400, 800, 300, 100]
    means = rng.choice([0.0, 1.2, 2.4], (8, 6))
    spreads = 0.15 * rng.normal(size=(8, 6, 6))
    covariances = [s @ s.T + np.diag(rng.uniform(0.15, 0.5, 6)) for s in spreads]
    x, labels = _mixture(rng, means, np.linalg.cholesky(np.stack(covariances)), sizes)
    return Case("rare", "overlap, and populations down to 0.5 %", x, 8, labels=labels)


def nested():
    """A narrow component inside a wide one, and one beside."""
    rng = np.random.default_rng(7)
    means = np.array([[0, 0], [0.5, 0], [6, 1.0]])
    factors = np.stack([4 * np.eye(2), 0.4 * np.eye(2), np.eye(2)])
    x, labels = _mixture(rng, means, factors, [1000, 700, 300])
    return Case("nested", "narrow inside wide", x, 3, labels=labels)


def grid():
    """Twenty-five clusters on a grid."""
    rng = np.random.default_rng(8)
    means = 6.0 * np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2)
    x, labels = _mixture(rng, means, np.stack([np.eye(2)] * 25), [120] * 25)
    return Case("grid", "25 clusters", x, 25, labels=labels)


def tied():
    """Overlapping clusters that share a correlated covariance."""
    rng = np.random.default_rng(9)
    factor = np.linalg.cholesky(0.9 * np.ones((4, 4)) + 0.1 * np.eye(4))
    means = 1.0 * rng.normal(size=(6, 4))
    x, labels = _mixture(rng, means, np.stack([factor] * 6), [400] * 6)
    return Case("tied", "one correlated covariance", x, 6, "tied", labels)


def diag():
    """Clusters of unequal widths along the axes."""
    rng = np.random.default_rng(10)
    means = 3 * rng.normal(size=(8, 5))
    widths = np.exp(rng.normal(size=(8, 5)))
    factors = widths[:, :, None] * np.eye(5)
    x, labels = _mixture(rng, means, factors, [400] * 8)
    return Case("diag", "unequal widths along the axes", x, 8, "diag", labels)


def iris():
    x, species = load_iris(return_X_y=True)
    return Case("iris", "mclust's value", x, 3, labels=species, reference=-180.185477)


def faithful():
    x = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1, usecols=(-2, -1))
    return Case("faithful", "mclust's value", x, 3, "tied", reference=-1126.316)


CASES = {
    make.__name__: make
    for make in (
        elongated,
        unequal,
        overlapping,
        units,
        many_features,
        moons,
        rare,
        nested,
        grid,
        tied,
        diag,
        iris,
        faithful,
    )
}
