"""A sample of the data, and starting partitions of it: k-means++, random rows."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .backends import count_positive, positive_rows
from .kernels import kmeans
from .partition import partition
from .threads import share_out

# Lloyd's steps after k-means++: enough to settle the bulk, EM does the rest.
LLOYD_STEPS = 5


@dataclass(frozen=True)
class Sample:
    """Rows that seeding looks at.

    Attributes
    ----------
    x : (m, d) float64
    weights : (m,) float64
    mean, scale : (d,) float64
        Weighted mean and standard deviation of `x`; 1 for constant features.
    """

    x: np.ndarray
    weights: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @cached_property
    def standardised(self):
        """(d, m'): features of mean 0 and variance 1, in whole blocks of the seeding kernel.

        Columns from m on are zeros.
        """
        z = np.zeros((self.x.shape[1], -(-len(self.x) // kmeans.BLOCK) * kmeans.BLOCK))
        np.subtract(self.x.T, self.mean[:, None], out=z[:, : len(self.x)])
        z /= self.scale[:, None]
        return z

    def part(self, rows):
        """At least that many rows of it, evenly spread."""
        stride = max(1, len(self.x) // rows)
        return self if stride == 1 else _sample(self.x[::stride], self.weights[::stride])

    @cached_property
    def whitened(self):
        """As `standardised`, and without correlations."""
        z = self.standardised
        covariance = np.cov(z[:, : len(self.x)], aweights=self.weights, bias=True)
        values, vectors = np.linalg.eigh(covariance.reshape(len(z), len(z)))
        # directions without spread (a constant feature, fewer rows than features) stay as they are
        keep = values > 1e-10 * values[-1]
        return (vectors / np.sqrt(np.where(keep, values, 1.0))).T @ z


def draw_sample(backend, n_rows, seed):
    """A sample of at most `n_rows` rows with positive weight, one from each stretch of the data.

    Stretches are equally long, so that every row is as likely as any other.
    """
    weights = backend.weights
    size = backend.n_samples if weights is None else count_positive(weights)
    rows = np.arange(min(size, n_rows))
    if size > n_rows:
        rng = np.random.default_rng([seed, 0x5A3])
        ends = np.arange(n_rows + 1) * size // n_rows
        rows = rng.integers(ends[:-1], ends[1:])
    if weights is not None:
        rows = positive_rows(weights, rows)
    x = backend.take(rows)
    return _sample(x, np.ones(len(rows)) if weights is None else weights[rows])


def _sample(x, weights):
    mean = np.average(x, axis=0, weights=weights)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
    return Sample(x, weights, mean, np.where(scale > 1e-12 * np.abs(mean), scale, 1.0))


def warm_up(threads):
    """Compile the seeding kernel, or load it from Numba's cache."""
    sample = Sample(np.zeros((1, 1)), np.ones(1), np.zeros(1), np.ones(1))
    Seeder(sample, threads, [])._nearest(sample.standardised, np.zeros((1, 1)))


class Seeder:
    """Finds starting partitions of a sample."""

    def __init__(self, sample, threads, events):
        self.sample = sample
        self.threads = threads
        self.events = events

    def parts(self, method, space, n_components, covariance_type, rng):
        """Moments of each part of a partition, a list of K `Stats`.

        Parameters
        ----------
        method : {'k-means++', 'rows'}
            Some steps of k-means from there, or what is nearest to random rows.
        space : {'standardised', 'whitened'}
            Where distances are measured.
        n_components : int
        covariance_type : str
        rng : numpy.random.Generator
        """
        z = getattr(self.sample, space)
        if method == "rows":
            rows = np.sort(rng.choice(len(self.sample.x), n_components, replace=False))
            labels = self.nearest(z, z[:, rows].T.copy())
        else:
            labels = self._lloyd(z, self._plus_plus(z, n_components, rng), LLOYD_STEPS)
        return self.moments(labels, n_components, covariance_type)

    def moments(self, labels, n_components, covariance_type):
        """Those of each part of a partition of the sample, a list of K `Stats`."""
        x, weights = self.sample.x, self.sample.weights
        return partition([(0, x)], labels, weights, n_components, covariance_type)

    def nearest(self, z, centers):
        """Label of the nearest centre, (m,) int64."""
        return self._nearest(z, centers)[0]

    def _plus_plus(self, z, n_components, rng):
        """Greedy k-means++ (Arthur & Vassilvitskii 2007): the best of 2 + ln K draws each time."""
        weights = self.sample.weights
        n_trials = 2 + int(np.log(n_components))
        centers = np.empty((n_components, len(z)))
        centers[0] = z[:, _draw(weights, rng, 1)[0]]
        nearest = self._nearest(z, centers[:1])[1]
        for k in range(1, n_components):
            potential = nearest * weights
            if not potential.sum() > 0:
                self.say_few_rows(k, n_components)
                centers[k:] = z[:, rng.choice(len(weights), n_components - k)].T
                break
            trials = _draw(potential, rng, n_trials)
            candidates = np.ascontiguousarray(z[:, trials].T)
            closer = np.minimum(self._nearest(z, candidates, squared=True)[2], nearest)
            best = int(np.argmin((closer * weights).sum(axis=1)))
            centers[k] = z[:, trials[best]]
            nearest = closer[best]
        return centers

    def _lloyd(self, z, centers, steps):
        """Lloyd's steps until the centres rest, at most `steps`; returns the last labels."""
        k, weights = len(centers), self.sample.weights
        for _ in range(steps):
            labels, nearest, _ = self._nearest(z, centers)
            count = np.bincount(labels, weights, minlength=k)
            sums = np.stack(
                [np.bincount(labels, weights * row[: len(weights)], minlength=k) for row in z],
                axis=1,
            )
            moved = np.where(count[:, None] > 0, sums / np.maximum(count, 1e-300)[:, None], centers)
            empty = np.flatnonzero(count == 0)
            if len(empty):  # an empty cluster starts again at the worst served samples
                moved[empty] = z[:, np.argsort(-nearest, kind="stable")[: len(empty)]].T
            shift = ((moved - centers) ** 2).sum(axis=1).max()
            centers = moved
            if shift < 1e-4 * len(z):
                break
        return labels

    def _nearest(self, z, centers, squared=False):
        """Label and squared distance of the nearest centre, and on demand all distances."""
        m = len(self.sample.x)
        found = np.empty((len(centers) if squared else 0, z.shape[1]))
        nearest, labels = np.empty(z.shape[1]), np.empty(z.shape[1])

        def measure(start, stop):
            kmeans.distances(start, stop, z, centers, found, nearest, labels)

        share_out(measure, z.shape[1], kmeans.BLOCK, self.threads, 0.2 * centers.size * z.shape[1])
        return labels[:m].astype(np.int64), nearest[:m], found[:, :m]

    def say_few_rows(self, found, n_components):
        """Add an event, once."""
        rows = "1 distinct row was" if found == 1 else f"{found} distinct rows were"
        text = f"only {rows} found for {n_components} components"
        if text not in self.events:
            self.events.append(text)


def _draw(potential, rng, size):
    """Indices drawn with probability proportional to `potential`."""
    total = np.cumsum(potential)
    drawn = np.searchsorted(total, rng.uniform(size=size) * total[-1], side="right")
    return np.minimum(drawn, len(potential) - 1)
