"""Partitions rows by k-means, in the units of the data and in leading directions."""

from dataclasses import dataclass

import numpy as np

from ..backends.threads import side_by_side
from ..mixture.families import get_family

# Fewest leading directions. Clusters span K - 1 of them, behind those of larger noise: of 12 starts
# on clusters hidden by noise, k-means in 4, 8, 16, 32 and 64 whitened directions found 0, 2, 6, 11
# and 9; on clusters of unequal sizes with hardly any noise 12, 10, 6, 5 and 5.
DIRECTIONS, FEW_DIRECTIONS = 32, 16
OVERSAMPLING = 8
LLOYD_STEPS = 50
# Values are clipped at this many standard deviations.
FAR = 10.0
# Always added to a variance of 1, so that no matrix is singular.
LEAST_RIDGE = 1e-6


@dataclass(frozen=True)
class Rows:
    """A sample, scaled for finding partitions.

    Attributes
    ----------
    z : (m, d) float64
        Features of mean 0 and variance 1; for spherical covariances, which depend on units, all
        in one unit.
    near : (m, d) float64
        `z` clipped: an outlier in an otherwise constant feature would explain all its variance.
    added : (d,) float64
        Variance lost by clipping, and a little more; it counts as noise of the feature.
    squares : (d,) float64
        Squared unit of `z` in the units of the data, relative to the largest one.
    weights : (m,) float64
        1 on average.
    """

    z: np.ndarray
    near: np.ndarray
    added: np.ndarray
    squares: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, sample, covariance_type):
        varied = (sample.x != sample.x[0]).any(axis=0)
        scale = np.where(varied, sample.scale, 0.0)
        largest = scale.max() or 1.0
        units = scale / largest
        one_unit = get_family(covariance_type).layout == "variance"
        if one_unit:
            scale = np.full(len(scale), largest * (np.sqrt(np.mean(units**2)) or 1.0))
        z = sample.x - sample.mean
        z /= np.where(scale > 0, scale, 1.0)
        z[:, ~varied] = 0.0
        weights = sample.weights / sample.weights.mean()
        near, added = z, np.full(len(scale), LEAST_RIDGE)
        if max(z.max(), -z.min()) > FAR:
            near = np.clip(z, -FAR, FAR)
            near -= np.average(near, axis=0, weights=weights)
            lost = np.average(z**2, axis=0, weights=weights)
            lost -= np.average(near**2, axis=0, weights=weights)
            added = added + np.maximum(lost, 0.0)
        added[~varied] += 1.0
        squares = np.ones(len(scale)) if one_unit else units**2
        return cls(z, near, added, squares, weights)


@dataclass(frozen=True)
class Spaces:
    """The spaces in which k-means looks for partitions.

    Attributes
    ----------
    rows : Rows
    leading : (m, q) float64
        Scores in the leading principal directions, the largest first.
    white : (m, q') float64
        The same scaled to variances of 1, without directions of variance 0.
    """

    rows: Rows
    leading: np.ndarray
    white: np.ndarray

    @classmethod
    def of(cls, rows, n_directions, rng):
        leading = scores(rows.near, rows.weights, n_directions, rng)
        deviations = np.sqrt(np.average(leading**2, axis=0, weights=rows.weights))
        kept = deviations > 1e-6 * deviations[0]
        return cls(rows, leading, leading[:, kept] / np.where(kept, deviations, 1.0)[kept])

    def first(self, k, rng, threads):
        """Five partitions; the first is scikit-learn's, by k-means in the units of the data."""
        some = max(FEW_DIRECTIONS, k)
        return self._find(
            [None, self.leading, self.white[:, :some], self.white, self.white[:, :k]],
            *(k, rng, threads),
        )

    def more(self, k, rng, threads):
        """Six more partitions."""
        some = max(FEW_DIRECTIONS, k)
        leading, white = self.leading[:, :some], self.white[:, :some]
        places = [None, None, self.rows.near, leading, white, self.white]
        return self._find(places, k, rng, threads)

    def _find(self, places, k, rng, threads):
        """The partition that k-means finds in each space; None stands for the units of the data."""
        rows = self.rows

        def find(one):
            z, own = one
            if z is None:
                return kmeans(rows.z, rows.weights, k, own, rows.squares)
            return kmeans(z, rows.weights, k, own)

        return side_by_side(find, zip(places, rng.spawn(len(places)), strict=True), threads)


def distinct(partitions):
    """Partitions that differ by more than the names of their parts, in order."""
    found = {}
    for labels in partitions:
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        renamed = np.argsort(np.argsort(first))[inverse]
        found.setdefault(renamed.astype(np.int32).tobytes(), labels)
    return list(found.values())


def indicators(labels, n_clusters):
    """(m, K) float64: 1 where a row belongs to a cluster, else 0."""
    resp = np.zeros((len(labels), n_clusters))
    resp[np.arange(len(labels)), labels] = 1.0
    return resp


def kmeans(z, weights, n_clusters, rng, squares=None):
    """k-means from greedy k-means++, until the labels no longer change.

    Parameters
    ----------
    z : (m, p) float64
    weights : (m,) float64
    n_clusters : int
    rng : numpy.random.Generator
    squares : (p,) float64, optional
        Weights of the features.

    Returns
    -------
    (m,) int64
    """
    measure = Distances(z, squares)
    centers, labels = _seeds(measure, weights, n_clusters, rng), None
    for _ in range(LLOYD_STEPS):
        squared = measure(centers)
        before, labels = labels, squared.argmin(axis=1)
        if before is not None and np.array_equal(before, labels):
            break
        resp = indicators(labels, len(centers)) * weights[:, None]
        count = resp.sum(axis=0)
        centers = resp.T @ z / np.maximum(count, 1e-300)[:, None]
        empty = np.flatnonzero(count == 0)
        if len(empty):  # restart empty clusters at the samples farthest from their centres
            centers[empty] = z[np.argsort(-squared.min(axis=1), kind="stable")[: len(empty)]]
    return labels


class Distances:
    """Squared distances of rows to centres, mostly by a matrix product."""

    def __init__(self, z, squares=None):
        self.z = z
        self.squares = np.ones(z.shape[1]) if squares is None else squares
        self.norms = np.square(z) @ self.squares

    def __call__(self, centers):
        """Squared distances, (m, K)."""
        scaled = centers * self.squares
        squared = self.z @ (-2.0 * scaled).T
        squared += self.norms[:, None]
        squared += (centers * scaled).sum(axis=1)
        return np.maximum(squared, 0.0, out=squared)


def _seeds(measure, weights, n_clusters, rng):
    """Greedy k-means++ (Arthur & Vassilvitskii 2007), the best of 2 + ln K draws each time."""
    n_trials = 2 + int(np.log(n_clusters))
    rows = [_draw(weights, rng, 1)[0]]
    nearest = measure(measure.z[rows])[:, 0]
    nearest[rows] = 0.0
    for _ in range(1, n_clusters):
        potential = nearest * weights
        if not potential.sum() > 0:  # fewer distinct rows
            rows.append(int(rng.integers(len(weights))))
            continue
        trials = _draw(potential, rng, n_trials)
        closer = np.minimum(measure(measure.z[trials]), nearest[:, None])
        best = int(np.argmin(weights @ closer))
        rows.append(trials[best])
        nearest = closer[:, best]
        nearest[rows] = 0.0
    return measure.z[rows]


def _draw(potential, rng, size):
    """Indices drawn with probability proportional to `potential`."""
    total = np.cumsum(potential)
    drawn = np.searchsorted(total, rng.uniform(size=size) * total[-1], side="right")
    return np.minimum(drawn, len(potential) - 1)


def scores(z, weights, n_directions, rng):
    """Rows in their leading principal directions, (m, q), by a randomised range finder.

    One power iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4): singular values need not
    be accurate, since the directions that clusters span stand out.
    """
    roots = np.sqrt(weights)[:, None]
    rooted = z if (weights == 1).all() else z * roots
    m, d = z.shape
    width = min(n_directions + OVERSAMPLING, m, d)
    basis = np.linalg.qr(rooted @ rng.normal(size=(d, width)))[0]
    basis = np.linalg.qr(rooted @ (rooted.T @ basis))[0]
    directions = np.linalg.svd(basis.T @ rooted, full_matrices=False)[2]
    return z @ directions[:n_directions].T
