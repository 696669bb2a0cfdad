"""Where EM starts: k-means++, k-means, random, given parameters, labels; several starts."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np

from . import em
from .backends import LocalBackend
from .errors import DataError
from .families import get_family
from .kernels import kmeans
from .params import Params, check_params
from .sources import ArraySource
from .stats import Stats, merge
from .threads import serial_blas, share_out

METHODS = ("auto", "k-means++", "kmeans", "random", "random_from_data")

# What "auto" races. Which start is best differs from data to data: k-means++ finds compact
# clusters, random rows follow the density. Over six seeds on photos and on blobs of 2 to 16
# features this mix was never far from the best of those tried; k-means++ alone often was. Two
# k-means++ instead of one: of 16 seeds on blobs of 16 features and 12 components all ended at the
# best likelihood known, where about half had.
AUTO = (
    ("k-means++", "standardised"),
    ("k-means++", "standardised"),
    ("k-means++", "whitened"),
    ("random_from_data", "standardised"),
    ("random_from_data", "standardised"),
    ("random_from_data", "standardised"),
)

# Rows of a sample of large data: these many, fewer if they are long. Seeding and the race look at
# part of them, which grows with the components and parameters.
SAMPLE_ROWS = 2**15
SAMPLE_VALUES = 2**20
FEWEST_ROWS = 2**13
ROWS_PER_COMPONENT = 128
ROWS_PER_PARAMETER = 2
# Lloyd's steps after k-means++: enough to settle the bulk, EM does the rest.
LLOYD_STEPS = 5
KMEANS_STEPS = 300
# With several starts: iterations of each round of the race, and the share of starts it leaves.
RACE = ((5, 0.5), (10, 0.5), (10, 0.0))
# Iterations of the winner on all of the sample, to a tenth of the tolerance: they cost a fraction
# of those on all of large data, which then starts within a few steps of its optimum.
POLISH = 40


@dataclass(frozen=True)
class Start:
    """How to start.

    Attributes
    ----------
    method : str
        One of `METHODS`; "auto" tries all of `AUTO` in each of its `n_init` rounds.
    n_init : int
        Starts to try; when there are several, each runs a short EM on a sample and the best
        goes on.
    seed : int
    weights, means, precisions : ndarray, optional
        Given values, which replace what the method finds (scikit-learn's layout).
    labels : (n,) int, optional
        Start from the M-step of this partition instead.
    """

    method: str = "auto"
    n_init: int = 1
    seed: int = 0
    weights: np.ndarray | None = None
    means: np.ndarray | None = None
    precisions: np.ndarray | None = None
    labels: np.ndarray | None = None

    @property
    def complete(self):
        """Whether weights, means and precisions are all given: EM starts exactly there."""
        return not (self.weights is None or self.means is None or self.precisions is None)

    def __post_init__(self):
        if self.method not in METHODS:
            raise DataError(f"unknown init {self.method!r}; choose from {', '.join(METHODS)}")
        if self.n_init < 1:
            raise DataError(f"n_init must be at least 1, not {self.n_init}")


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

    @property
    def whitened(self):
        """As `standardised`, and without correlations; made anew each time."""
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
    size = backend.n_samples if weights is None else _count_positive(weights)
    rows = np.arange(min(size, n_rows))
    if size > n_rows:
        rng = np.random.default_rng([seed, 0x5A3])
        ends = np.arange(n_rows + 1) * size // n_rows
        rows = rng.integers(ends[:-1], ends[1:])
    if weights is not None:
        rows = _positive_rows(weights, rows)
    x = backend.take(rows)
    return _sample(x, np.ones(len(rows)) if weights is None else weights[rows])


def _pieces(weights):
    """(first row, piece): weights may be a memory map as long as the data."""
    for start in range(0, len(weights), 2**20):
        yield start, weights[start : start + 2**20]


def _count_positive(weights):
    return sum(np.count_nonzero(piece > 0) for _, piece in _pieces(weights))


def _positive_rows(weights, ordinals):
    """Row numbers of the samples at those places, sorted, among the ones of positive weight."""
    rows = np.empty(len(ordinals), np.int64)
    seen = done = 0
    for start, piece in _pieces(weights):
        positive = np.flatnonzero(piece > 0)
        end = int(np.searchsorted(ordinals, seen + len(positive)))
        rows[done:end] = start + positive[ordinals[done:end] - seen]
        seen, done = seen + len(positive), end
    return rows


def _sample(x, weights):
    mean = np.average(x, axis=0, weights=weights)
    scale = np.sqrt(np.average((x - mean) ** 2, axis=0, weights=weights))
    return Sample(x, weights, mean, np.where(scale > 1e-12 * np.abs(mean), scale, 1.0))


def sample_rows(n_components, n_features):
    """Rows to draw for starts of that many components."""
    rows = min(SAMPLE_ROWS, max(SAMPLE_VALUES // n_features, FEWEST_ROWS))
    return max(rows, ROWS_PER_COMPONENT * n_components)


def seeding_rows(n_components, n_features, covariance_type):
    """Rows of the sample that seeding and the race look at."""
    free = get_family(covariance_type).n_parameters(n_components, n_features)
    return max(FEWEST_ROWS, ROWS_PER_COMPONENT * n_components, ROWS_PER_PARAMETER * free)


@serial_blas()
def initial_params(backend, n_components, covariance_type, start, settings, sample=None):
    """The parameters that EM starts from.

    Parameters
    ----------
    backend : Backend
    n_components : int
    covariance_type : str
    start : Start
    settings : em.Settings
    sample : Sample, optional
        Drawn here when not given; a search draws one for all its candidates.

    Returns
    -------
    params : Params
    events : list of str

    Raises
    ------
    DataError
        Fewer samples than components, given values of the wrong shape.
    """
    check_counts(backend, n_components)
    if start.labels is not None:
        params = _from_labels(backend, start.labels, n_components, covariance_type, settings)
        return _override(params, start), []
    if sample is None:
        sample = draw_sample(backend, sample_rows(n_components, backend.n_features), start.seed)
    events = []
    part = sample.part(seeding_rows(n_components, backend.n_features, covariance_type))
    seeder = Seeder(part, backend.threads, events)
    candidates = []
    tries = (AUTO if start.method == "auto" else [(start.method, "standardised")]) * start.n_init
    if start.complete:  # nothing to find, so nothing to race
        tries = tries[:1]
    for i, (method, space) in enumerate(tries):
        rng = np.random.default_rng([start.seed, i])
        parts = seeder.parts(method, space, n_components, covariance_type, rng)
        # as many pseudo-samples as make a covariance of the family regular
        pseudo = part.x.shape[1] + 1 if covariance_type == "full" else 2
        pseudo *= part.weights.mean()
        params = params_of_parts(parts, covariance_type, settings.reg_covar, pseudo)
        candidates.append(_override(params, start))
    if len(candidates) == 1:
        return candidates[0], events
    winner = _best_after_short_em(_over(backend, part), candidates, settings)
    if len(part.x) < len(sample.x) <= backend.n_samples // 4:
        polish = replace(settings, max_iter=POLISH, tol=0.1 * settings.tol)
        winner = em.fit(_over(backend, sample), winner, polish).params
    return winner, events


def check_counts(backend, n_components):
    """Raise DataError unless 1 <= n_components <= samples of positive weight."""
    if n_components < 1:
        raise DataError(f"the number of components must be at least 1, not {n_components}")
    if backend.n_samples < n_components:
        raise DataError(
            f"{backend.name}: {backend.n_samples} samples are fewer than "
            f"{n_components} components; ask for at most {backend.n_samples}"
        )
    if backend.weights is not None and (used := np.count_nonzero(backend.weights)) < n_components:
        raise DataError(
            f"{backend.name}: {used} samples of positive weight are fewer than "
            f"{n_components} components; ask for at most {used}"
        )


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
        """Moments of each part of a partition found by `method`, a list of K `Stats`.

        `space`, "standardised" or "whitened", is where distances are measured.
        """
        if method == "random":
            return self._random(n_components, covariance_type, rng)
        z = getattr(self.sample, space)
        if method == "random_from_data":
            rows = np.sort(rng.choice(len(self.sample.x), n_components, replace=False))
            labels = self._lloyd(z, z[:, rows].T.copy(), 1)
        else:
            steps = LLOYD_STEPS if method == "k-means++" else KMEANS_STEPS
            labels = self._lloyd(z, self._plus_plus(z, n_components, rng), steps)
        x, weights = self.sample.x, self.sample.weights
        return partition([(0, x)], labels, weights, n_components, covariance_type)

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
                self._say_few_rows(k, n_components)
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

    def _random(self, n_components, covariance_type, rng):
        """Responsibilities drawn uniformly, as scikit-learn's ``init_params="random"``."""
        m = max(4096, 2**22 // n_components)
        x, weights = self.sample.x[:m], self.sample.weights[:m]
        resp = rng.uniform(size=(n_components, len(x)))
        resp *= weights / resp.sum(axis=0)
        return [part_stats(x, r, self.sample.mean, covariance_type) for r in resp]

    def _nearest(self, z, centers, squared=False):
        """Label and squared distance of the nearest centre, and on demand all distances."""
        m = len(self.sample.x)
        found = np.empty((len(centers) if squared else 0, z.shape[1]))
        nearest, labels = np.empty(z.shape[1]), np.empty(z.shape[1])

        def measure(start, stop):
            kmeans.distances(start, stop, z, centers, found, nearest, labels)

        share_out(measure, z.shape[1], kmeans.BLOCK, self.threads, 0.2 * centers.size * z.shape[1])
        return labels[:m].astype(np.int64), nearest[:m], found[:, :m]

    def _say_few_rows(self, found, n_components):
        rows = "1 distinct row was" if found == 1 else f"{found} distinct rows were"
        text = f"only {rows} found for {n_components} components"
        if text not in self.events:
            self.events.append(text)


def _draw(potential, rng, size):
    """Indices drawn with probability proportional to `potential`."""
    total = np.cumsum(potential)
    drawn = np.searchsorted(total, rng.uniform(size=size) * total[-1], side="right")
    return np.minimum(drawn, len(potential) - 1)


def part_stats(x, weights, centre, covariance_type):
    """`Stats` of rows as one component, moments about `centre`, without a likelihood."""
    centred = x - centre
    total = weights.sum()
    s2 = get_family(covariance_type).moments(centred, weights)
    first = weights @ centred
    return Stats(total, np.nan, np.nan, centre[None], np.array([total]), first[None], s2)


def partition(chunks, labels, weights, n_components, covariance_type):
    """Moments of the parts of a partition, each about its own mean.

    Parameters
    ----------
    chunks : iterable of (first row, (m, d) float64)
    labels : (n,) int in 0..K-1
    weights : (n,) float64
    n_components : int
    covariance_type : str

    Returns
    -------
    list of K Stats, None for an empty part
    """
    parts = [None] * n_components
    for start, x in chunks:
        stop = start + len(x)
        chunk_labels, chunk_weights = labels[start:stop], weights[start:stop]
        order = np.argsort(chunk_labels.astype(np.min_scalar_type(n_components)), kind="stable")
        ends = np.cumsum(np.bincount(chunk_labels, minlength=n_components))
        for k, rows in enumerate(np.split(order, ends[:-1])):
            if not chunk_weights[rows].sum() > 0:
                continue
            part = x[rows]
            centre = part.mean(axis=0) if parts[k] is None else parts[k].means[0]
            stats = part_stats(part, chunk_weights[rows], centre, covariance_type)
            parts[k] = stats if parts[k] is None else merge(parts[k], stats)
    return parts


def params_of_parts(parts, covariance_type, reg_covar, pseudo_weight=0.0):
    """The M-step of a partition.

    Parameters
    ----------
    parts : list of Stats or None
        Each of one component; None is an empty part and gets weight 0.
    covariance_type : str
    reg_covar : float
    pseudo_weight : float
        Weight of pseudo-samples that draw each covariance towards the pooled one. A part of few
        samples has a covariance that is singular or nearly so, a start that EM rarely leaves; a
        large part does not notice.
    """
    family = get_family(covariance_type)
    filled = [p for p in parts if p is not None]
    total = sum(p.total_weight for p in filled)
    overall = sum(p.means[0] * p.total_weight + p.s1[0] for p in filled) / total
    n_k = np.array([0.0 if p is None else p.total_weight for p in parts])
    means = np.tile(overall, (len(parts), 1))
    s2 = np.zeros((len(parts), *np.shape(family.second_moment(filled[0]))))
    for k, p in enumerate(parts):
        if p is not None:
            delta = p.s1[0] / p.total_weight
            means[k] = p.means[0] + delta
            s2[k] = family.second_moment(p) - p.total_weight * family.square(delta)
    if family.name == "tied":
        s2, divisor = s2.sum(axis=0), n_k
    else:
        s2 = s2 + pseudo_weight * s2.sum(axis=0) / total
        divisor = np.where(n_k + pseudo_weight > 0, n_k + pseudo_weight, 1.0)
    stats = Stats(total, np.nan, np.nan, means, divisor, np.zeros(means.shape), s2)
    covariances = family.covariances(stats, stats.s1, reg_covar)
    return Params(n_k / total, means, covariances, covariance_type)


def _from_labels(backend, labels, n_components, covariance_type, settings):
    labels = check_labels(labels, backend.n_samples, n_components)
    weights = np.ones(backend.n_samples) if backend.weights is None else backend.weights
    chunks = backend.data_chunks()
    parts = partition(chunks, labels, weights, n_components, covariance_type)
    return params_of_parts(parts, covariance_type, settings.reg_covar)


def check_labels(labels, n_samples, n_components):
    """Starting labels as (n,) int64.

    Raises
    ------
    DataError
        Wrong length, not integers, outside 0..K-1, or a component without samples.
    """
    labels = np.asarray(labels)
    if labels.shape != (n_samples,):
        raise DataError(f"labels have shape {labels.shape}; ({n_samples},) is needed")
    if labels.dtype.kind not in "iub":
        raise DataError(f"labels must be integers, not {labels.dtype}")
    if labels.min() < 0 or labels.max() >= n_components:
        raise DataError(
            f"labels run from {labels.min()} to {labels.max()}; for {n_components} components "
            f"they must lie in 0..{n_components - 1}"
        )
    labels = labels.astype(np.int64)
    empty = np.flatnonzero(np.bincount(labels, minlength=n_components) == 0)
    if len(empty):
        raise DataError(f"labels leave component {empty[0]} without samples")
    return labels


def _override(params, start):
    """`params` with the given weights, means and precisions of `start`."""
    if start.weights is None and start.means is None and start.precisions is None:
        return params
    family = get_family(params.covariance_type)
    given = {
        "weights": start.weights,
        "means": start.means,
        "covariances": None
        if start.precisions is None
        else _covariances_of(family, start.precisions),
    }
    given = {name: np.asarray(v, np.float64) for name, v in given.items() if v is not None}
    for name, value in given.items():
        expected = getattr(params, name).shape
        if value.shape != expected:
            what = "precisions" if name == "covariances" else name
            raise DataError(f"given {what} have shape {value.shape}; {expected} is needed")
    return check_params(replace(params, **given), "given parameters")


def _covariances_of(family, precisions):
    try:
        with np.errstate(divide="ignore"):  # 1 / 0 is refused later, as not finite
            return family.invert(np.asarray(precisions, np.float64))
    except np.linalg.LinAlgError:
        raise DataError("given precisions are singular or not square matrices") from None


def _best_after_short_em(small, candidates, settings):
    """The candidate that wins a race of short EM runs on a sample, as far as it got."""
    for iterations, share in RACE:
        heat = replace(settings, max_iter=iterations)
        results = [em.fit(small, params, heat) for params in candidates]
        results.sort(key=lambda r: -r.log_likelihood)
        candidates = [r.params for r in results[: max(1, ceil(share * len(results)))]]
    return candidates[0]


def _over(backend, sample):
    """A backend like that one, over a sample of its data."""
    return LocalBackend(
        ArraySource(sample.x),
        dtype=backend.dtype,
        weights=None if backend.weights is None else sample.weights,
        threads=backend.threads,
    )
