"""Where EM starts: k-means++, k-means, random, given parameters, labels; several starts."""

from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from . import em
from .backends import LocalBackend, count_positive
from .errors import DataError, FitError
from .exchange import exchanged
from .families import get_family
from .named_starts import named_start, pseudo_weight
from .params import Params, check_params
from .partition import check_labels, params_of_parts, partition
from .race import best_start
from .seeding import Seeder, Seeds, draw_sample, say_few_rows
from .sources import ArraySource
from .threads import serial_blas
from .wide import is_wide, wide_start

METHODS = ("auto", "k-means++", "kmeans", "random", "random_from_data")

# What "auto" races. Which start is best differs from data to data: k-means++ finds compact
# clusters, random rows follow the density, and in whitened space neither units nor an elongation
# that clusters share count. Of 20 seeds of each alone, from 0 to 20 reached the best likelihood
# known of the cases in bench/starts_cases.py; k-means++ in whitened space 10 or more in all.
AUTO = (
    ("k-means++", "whitened"),
    ("k-means++", "whitened"),
    ("k-means++", "whitened"),
    ("k-means++", "standardised"),
    ("k-means++", "standardised"),
    ("rows", "whitened"),
    ("rows", "standardised"),
)

# Rows of a sample of large data: these many, fewer if they are long. Seeding and the race look at
# part of them, which grows with the components and parameters.
SAMPLE_ROWS = 2**15
SAMPLE_VALUES = 2**20
FEWEST_ROWS = 2**13
ROWS_PER_COMPONENT = 128
ROWS_PER_PARAMETER = 2
# Samples from which on the winner exchanges components: of fewer, the race hardly misses what that
# would find, and takes no longer than it.
EXCHANGE_ROWS = 2**14
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
    def given(self):
        """Those of weights, means and precisions that are given, by name."""
        values = {n: getattr(self, n) for n in ("weights", "means", "precisions")}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def complete(self):
        """Whether weights, means and precisions are all given: EM starts exactly there."""
        return len(self.given) == 3

    def __post_init__(self):
        if self.method not in METHODS:
            raise DataError(f"unknown init {self.method!r}; choose from {', '.join(METHODS)}")
        if self.n_init < 1:
            raise DataError(f"n_init must be at least 1, not {self.n_init}")


def sample_rows(n_components, n_features):
    """Rows to draw for starts of that many components."""
    rows = min(SAMPLE_ROWS, max(SAMPLE_VALUES // n_features, FEWEST_ROWS))
    return max(rows, ROWS_PER_COMPONENT * n_components)


def seeding_rows(n_components, n_features, covariance_type):
    """Rows of the sample that seeding and the race look at."""
    free = get_family(covariance_type).n_parameters(n_components, n_features)
    return max(FEWEST_ROWS, ROWS_PER_COMPONENT * n_components, ROWS_PER_PARAMETER * free)


class Shared:
    """What the starts of several fits to the same data share: a sample of it, and seeds.

    Parameters
    ----------
    backend : Backend
    longest : int
        The largest number of components.
    covariance_types : sequence of str
    start : Start

    Attributes
    ----------
    sample : Sample
    part : Sample
        What seeding and the race look at.
    seeds : Seeds
        Of the part.
    """

    def __init__(self, backend, longest, covariance_types, start):
        d = backend.n_features
        self.backend = backend
        self.sample = draw_sample(backend, sample_rows(longest, d), start.seed)
        self.part = self.sample.part(max(seeding_rows(longest, d, f) for f in covariance_types))
        self.seeds = Seeds(self.part, longest, start.seed, backend.threads)

    def over_part(self):
        """A new backend over the part."""
        return _over(self.backend, self.part)

    def over_sample(self):
        """A new backend over the sample."""
        return _over(self.backend, self.sample)

    def polished(self, found, settings):
        """`found.params`, after some iterations on all of the sample where they are worth it."""
        rows = len(self.part.x), len(self.sample.x)
        if not (found.raced and settings.max_iter):
            return found.params
        if not rows[0] < rows[1] <= self.backend.n_samples // 4:
            return found.params
        polish = replace(settings, max_iter=POLISH, tol=0.1 * settings.tol)
        return em.fit(_over(self.backend, self.sample), found.params, polish).params


@dataclass(frozen=True)
class Found:
    """A start that was found on a sample.

    Attributes
    ----------
    params : Params
    events : list of str
    raced : bool
        Whether it is the best of several, after a short EM.
    """

    params: Params
    events: list
    raced: bool


@serial_blas()
def initial_params(backend, n_components, covariance_type, start, settings, shared=None):
    """The parameters that EM starts from.

    Parameters
    ----------
    backend : Backend
    n_components : int
    covariance_type : str
    start : Start
    settings : em.Settings
    shared : Shared, optional
        Made here when not given.

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
    settings = settings.for_data(backend, covariance_type)
    if start.labels is not None:
        params = _from_labels(backend, start.labels, n_components, covariance_type, settings)
        return _override(params, start), []
    if shared is None:
        shared = Shared(backend, n_components, [covariance_type], start)
    found = find_start(shared, n_components, covariance_type, start, settings)
    params = shared.polished(found, settings)
    more = backend.n_samples >= EXCHANGE_ROWS or start.n_init > 1
    if found.raced and more and start.method == "auto" and not start.given:
        with suppress(DataError, FitError):  # the start is good without, whatever the data is
            params = exchanged(shared.over_sample(), shared.sample, params, settings)
    return params, found.events


def find_start(shared, n_components, covariance_type, start, settings):
    """The best start on the sample.

    Parameters
    ----------
    shared : Shared
    n_components : int
    covariance_type : str
    start : Start
        Without labels.
    settings : em.Settings
        With the `reg_covar` of the data.

    Returns
    -------
    Found
    """
    events = []
    if start.method == "auto" and not start.given:
        n, d = shared.backend.n_samples, shared.backend.n_features
        if is_wide(n, d, n_components, covariance_type):
            how = (covariance_type, settings.reg_covar, start.seed, start.n_init, events)
            return Found(wide_start(shared.sample, n_components, *how), events, False)
    if start.method == "auto":
        candidates = _auto(shared.seeds, n_components, covariance_type, settings, start, events)
    else:
        seeder = Seeder(shared.sample, shared.backend.threads, events)
        candidates = _named(seeder, n_components, covariance_type, settings.reg_covar, start)
    candidates = [_override(params, start) for params in candidates]
    if len(candidates) == 1:
        return Found(candidates[0], events, False)
    winner, told = _best_of_rounds(shared.over_part(), candidates, settings)
    if start.given:  # what became of a user's own values is news, of others it is not
        events += told
    return Found(winner, events, True)


def _best_of_rounds(backend, candidates, settings):
    """As `best_start`, round by round, so that no start is dropped for those of further rounds."""
    firsts = range(0, len(candidates), len(AUTO))
    rounds = [best_start(backend, candidates[f : f + len(AUTO)], settings) for f in firsts]
    if len(rounds) == 1:
        return rounds[0]
    winners, told = zip(*rounds, strict=True)
    return best_start(backend, winners, settings, told)


def tries(start, n_components):
    """(number, method, space) of all rounds of `AUTO`; of one where there is no choice."""
    several = AUTO[:1] if start.complete or n_components == 1 else AUTO * start.n_init
    return [(number, *how) for number, how in enumerate(several)]


def _auto(seeds, n_components, covariance_type, settings, start, events):
    """Yield the starts of all `tries`."""
    # a part of few samples has a covariance that is singular or nearly so
    pseudo = pseudo_weight(seeds.sample, covariance_type)
    for how in tries(start, n_components):
        labels = seeds.labels(*how, n_components)
        distinct = seeds.chain(*how)[1]
        if distinct < n_components:
            say_few_rows(events, distinct, n_components)
        parts = seeds.moments(labels, n_components, covariance_type)
        yield params_of_parts(parts, covariance_type, settings.reg_covar, pseudo)


def _named(seeder, n_components, covariance_type, reg_covar, start):
    """Yield `n_init` of scikit-learn's starts of that name."""
    rng = np.random.RandomState(start.seed % 2**32)
    for _ in range(1 if start.complete else start.n_init):
        yield named_start(start.method, seeder, n_components, covariance_type, reg_covar, rng)


def check_counts(backend, n_components):
    """Raise DataError unless 1 <= n_components <= samples of positive weight."""
    if n_components < 1:
        raise DataError(f"the number of components must be at least 1, not {n_components}")
    if backend.n_samples < n_components:
        raise DataError(
            f"{backend.name}: {backend.n_samples} samples are fewer than "
            f"{n_components} components; ask for at most {backend.n_samples}"
        )
    if backend.weights is not None and (used := count_positive(backend.weights)) < n_components:
        raise DataError(
            f"{backend.name}: {used} samples of positive weight are fewer than "
            f"{n_components} components; ask for at most {used}"
        )


def _from_labels(backend, labels, n_components, covariance_type, settings):
    labels = check_labels(labels, backend.n_samples, n_components)
    weights = np.ones(backend.n_samples) if backend.weights is None else backend.weights
    chunks = backend.data_chunks()
    parts = partition(chunks, labels, weights, n_components, covariance_type)
    return params_of_parts(parts, covariance_type, settings.reg_covar)


def _override(params, start):
    """`params` with the given weights, means and precisions of `start`."""
    if not start.given:
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


def _over(backend, sample):
    """A backend like that one, over a sample of its data."""
    # values that kernels see as they are stay so; an origin would cost them digits
    x = sample.x if backend.origin is not None else sample.x.astype(backend.dtype, copy=False)
    return LocalBackend(
        ArraySource(x),
        origin=backend.origin,
        dtype=backend.dtype,
        weights=None if backend.weights is None else sample.weights,
        threads=backend.threads,
    )
