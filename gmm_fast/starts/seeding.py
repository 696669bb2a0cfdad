"""Samples the data and finds starting partitions of the sample: k-means++, random rows."""

from dataclasses import dataclass

import numpy as np

from ..backends import count_positive, positive_rows
from ..backends.threads import share_out
from ..checks import cached
from ..kernels import kmeans
from .partition import partition

# Lloyd steps after k-means++: enough for most rows, EM does the rest.
LLOYD_STEPS = 5
# Most Lloyd steps in the units of the data, where k-means runs to its end as scikit-learn's does.
TO_REST = 100
# Rows that k-means++ draws from: at least this many, and this many for each component.
FEWEST, SEED_ROWS = 2**13, 64
# With more components than this k-means++ makes only two draws each time.
MANY = 64


@dataclass(frozen=True)
class Sample:
    """Rows of the data that starts are found on.

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

    @cached
    def standardised(self):
        """(d, m'): features of mean 0 and variance 1, in whole blocks of the seeding kernel.

        Columns from m on are zeros.
        """
        z = np.zeros((self.x.shape[1], -(-len(self.x) // kmeans.BLOCK) * kmeans.BLOCK))
        np.subtract(self.x.T, self.mean[:, None], out=z[:, : len(self.x)])
        z /= self.scale[:, None]
        return z

    @cached
    def raw(self):
        """As `standardised`, but with all features in one unit, as in the data."""
        variance = np.average((self.x - self.mean) ** 2, axis=0, weights=self.weights)
        unit = np.sqrt(variance.mean()) or 1.0
        return self.standardised * (np.where(variance > 0, self.scale, 0.0) / unit)[:, None]

    def part(self, rows):
        """An evenly spread part of the sample, of at least that many rows."""
        stride = max(1, len(self.x) // rows)
        return self if stride == 1 else _sample(self.x[::stride], self.weights[::stride])

    @cached
    def whitened(self):
        """As `standardised`, but without correlations."""
        z = self.standardised
        covariance = np.cov(z[:, : len(self.x)], aweights=self.weights, bias=True)
        values, vectors = np.linalg.eigh(covariance.reshape(len(z), len(z)))
        # directions without spread (a constant feature, fewer rows than features) stay as they are
        keep = values > 1e-10 * values[-1]
        return (vectors / np.sqrt(np.where(keep, values, 1.0))).T @ z


def draw_sample(backend, n_rows, seed):
    """A sample of at most `n_rows` rows of positive weight, one from each stretch of the data.

    Stretches are equally long, so every row is equally likely.
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
    Seeder(sample, threads, [])._nearest(sample.standardised, np.zeros((1, 1)), 1)


class Seeder:
    """Finds starting partitions of a sample."""

    def __init__(self, sample, threads, events):
        self.sample = sample
        self.threads = threads
        self.events = events

    def chain(self, method, space, length, rng):
        """Draw rows of the sample that seed components, one after another.

        Parameters
        ----------
        method : {'k-means++', 'rows'}
            Far from one another, or at random.
        space : {'standardised', 'whitened', 'raw'}
            Where distances are measured.
        length : int
        rng : numpy.random.Generator

        Returns
        -------
        rows : (length,) int
        distinct : int
            How many of them, from the first on, are known to be distinct.
        """
        if method == "rows":
            return rng.choice(len(self.sample.x), length, replace=False), length
        return self._plus_plus(getattr(self.sample, space), length, rng)

    def partition(self, method, space, rows):
        """Labels of the sample by the nearest seed, or by k-means from the seeds, (m,) int64."""
        z = getattr(self.sample, space)
        if method == "rows":
            return self.nearest(z, z[:, np.sort(rows)].T.copy())
        steps = TO_REST if space == "raw" else LLOYD_STEPS
        return self._lloyd(z, np.ascontiguousarray(z[:, rows].T), steps)

    def moments(self, labels, n_components, covariance_type):
        """Moments of each part of a partition of the sample, a list of K `Stats`."""
        x, weights = self.sample.x, self.sample.weights
        return partition([(0, x)], labels, weights, n_components, covariance_type)

    def nearest(self, z, centers):
        """Label of the nearest centre, (m,) int64."""
        return self._nearest(z, centers, len(self.sample.x))[0]

    def _plus_plus(self, z, length, rng):
        """Greedy k-means++ (Arthur & Vassilvitskii 2007): the best of several draws each time.

        With many components it uses fewer rows for each, and fewer draws.
        """
        m = len(self.sample.x)
        stride = max(1, m // max(FEWEST, SEED_ROWS * length))
        if stride > 1:
            width = kmeans.BLOCK
            some = np.zeros((len(z), -(-len(range(0, m, stride)) // width) * width))
            some[:, : len(range(0, m, stride))] = z[:, :m:stride]
            z = some
        weights = self.sample.weights[::stride]
        n_trials = 2 + int(np.log(length)) if length <= MANY else 2
        rows = np.empty(length, np.int64)
        rows[0] = _draw(weights, rng, 1)[0]
        nearest = self._nearest(z, np.ascontiguousarray(z[:, rows[:1]].T), len(weights))[1]
        for k in range(1, length):
            potential = nearest * weights
            if not potential.sum() > 0:
                rows[k:] = rng.choice(len(weights), length - k)
                return stride * rows, k
            trials = _draw(potential, rng, n_trials)
            candidates = np.ascontiguousarray(z[:, trials].T)
            found = self._nearest(z, candidates, len(weights), squared=True)[2]
            closer = np.minimum(found, nearest)
            best = int(np.argmin((closer * weights).sum(axis=1)))
            rows[k] = trials[best]
            nearest = closer[best]
        return stride * rows, length

    def _lloyd(self, z, centers, steps):
        """Lloyd steps until the centres rest, at most `steps`; returns the last labels."""
        k, weights = len(centers), self.sample.weights
        for _ in range(steps):
            labels, nearest, _ = self._nearest(z, centers, len(weights))
            count = np.bincount(labels, weights, minlength=k)
            sums = np.stack(
                [np.bincount(labels, weights * row[: len(weights)], minlength=k) for row in z],
                axis=1,
            )
            moved = np.where(count[:, None] > 0, sums / np.maximum(count, 1e-300)[:, None], centers)
            empty = np.flatnonzero(count == 0)
            if len(empty):  # restart empty clusters at the samples farthest from their centres
                moved[empty] = z[:, np.argsort(-nearest, kind="stable")[: len(empty)]].T
            shift = ((moved - centers) ** 2).sum(axis=1).max()
            centers = moved
            if shift < 1e-4 * len(z):
                break
        return labels

    def _nearest(self, z, centers, m, squared=False):
        """Label and squared distance of the nearest centre for the first `m` columns of `z`.

        With `squared` also the squared distances of all centres.
        """
        found = np.empty((len(centers) if squared else 0, z.shape[1]))
        nearest, labels = np.empty(z.shape[1]), np.empty(z.shape[1])

        def measure(start, stop):
            kmeans.distances(start, stop, z, centers, found, nearest, labels)

        share_out(measure, z.shape[1], kmeans.BLOCK, self.threads, 0.2 * centers.size * z.shape[1])
        return labels[:m].astype(np.int64), nearest[:m], found[:, :m]

    def say_few_rows(self, found, n_components):
        """Add an event that only `found` distinct rows were found, once."""
        say_few_rows(self.events, found, n_components)


class Seeds:
    """Starting partitions of one sample, cached: all families start from the same ones.

    Parameters
    ----------
    sample : Sample
    seed : int
    threads : int
    """

    def __init__(self, sample, seed, threads):
        self.sample = sample
        self.seed = seed
        self._seeder = Seeder(sample, threads, [])
        self._partitions = {}

    def labels(self, number, method, space, n_components):
        """The partition that try `number` leads to.

        Returns
        -------
        labels : (m,) int
        distinct : int
            See `Seeder.chain`.
        """
        key = number, n_components
        if key not in self._partitions:
            rng = np.random.default_rng([self.seed, number])
            rows, distinct = self._seeder.chain(method, space, n_components, rng)
            labels = self._seeder.partition(method, space, rows)
            self._partitions[key] = labels.astype(np.min_scalar_type(n_components)), distinct
        return self._partitions[key]

    def moments(self, labels, n_components, covariance_type):
        """As `Seeder.moments`."""
        return self._seeder.moments(labels, n_components, covariance_type)


def say_few_rows(events, found, n_components):
    """Add an event that only `found` distinct rows were found, once."""
    rows = "1 distinct row was" if found == 1 else f"{found} distinct rows were"
    text = f"only {rows} found for {n_components} components"
    if text not in events:
        events.append(text)


def _draw(potential, rng, size):
    """Indices drawn with probability proportional to `potential`."""
    total = np.cumsum(potential)
    drawn = np.searchsorted(total, rng.uniform(size=size) * total[-1], side="right")
    return np.minimum(drawn, len(potential) - 1)
