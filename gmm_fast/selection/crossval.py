"""V-fold cross-validation of a search: what the rows that were held out say of each candidate."""

from dataclasses import dataclass

import numpy as np

from .. import checks
from ..backends import count_positive
from ..em.loop import FitResult
from ..errors import DataError, FitError
from .searching import Failure, Work

# Folds when nothing is said.
FOLDS = 5
# Rows whose folds are drawn at a time.
_PIECE = 2**20


@dataclass(frozen=True)
class HeldOut:
    """Log-likelihood of the rows that a candidate was not fitted to (Smyth 2000).

    Attributes
    ----------
    mean : float
        Of a sample, weighted, over all folds.
    folds : tuple of float
        Mean of each fold.
    """

    mean: float
    folds: tuple

    @property
    def standard_error(self):
        """Of the mean, from the spread of the folds."""
        return standard_error(self.folds)


def standard_error(values):
    """Standard error of the mean of values, one a fold."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def check_folds(folds, largest, n_samples=None):
    """`folds` as an int, or None for none.

    Parameters
    ----------
    folds : int or None
    largest : int
        The largest number of components.
    n_samples : int, optional
        Of positive weight, if it is known.

    Raises
    ------
    DataError
        Fewer than two, more than samples, or no room for so many components.
    """
    if folds is None:
        return None
    folds = checks.integer("folds", folds, 2)
    if n_samples is None:
        return folds
    if folds > n_samples:
        raise DataError(
            f"{folds} folds are more than {n_samples} samples; ask for at most {n_samples}"
        )
    left = n_samples - -(-n_samples // folds)
    if left < largest:
        raise DataError(
            f"with {folds} folds of {n_samples} samples {left} are left to fit, fewer than "
            f"{largest} components; lower the highest K, or ask for more folds"
        )
    return folds


def draw_folds(weights, n_samples, folds, seed):
    """The fold of each row, (n,) uint8 or uint16.

    Of every `folds` rows that follow one another, each is in another fold, in random order: sizes
    differ by one at most, and data that is sorted does no harm. Rows of weight zero do not count.
    """
    dtype = np.uint8 if folds <= 256 else np.uint16 if folds <= 2**16 else np.uint32
    rng = np.random.default_rng([seed, 0xC5])
    size = n_samples if weights is None else count_positive(weights)
    drawn = np.empty(size, dtype)
    step = folds * max(1, _PIECE // folds)
    for first in range(0, size, step):
        part = drawn[first : first + step]
        turns = np.tile(np.arange(folds, dtype=dtype), (-(-len(part) // folds), 1))
        part[:] = rng.permuted(turns, axis=1).reshape(-1)[: len(part)]
    if weights is None:
        return drawn
    found, done = np.zeros(n_samples, dtype), 0
    for first in range(0, n_samples, _PIECE):
        rows = first + np.flatnonzero(weights[first : first + _PIECE] > 0)
        found[rows] = drawn[done : done + len(rows)]
        done += len(rows)
    return found


class FoldWeights:
    """Sample weights that are zero in one fold, or in all others; made where they are asked for.

    Parameters
    ----------
    folds : (n,) int
        As `draw_folds` returns them.
    fold : int
    weights : (n,) float64 or None
        Of the data.
    held_out : bool
        Whether the fold has the weight, or all others.
    """

    def __init__(self, folds, fold, weights, held_out):
        self.folds = folds
        self.fold = fold
        self.weights = weights
        self.held_out = held_out

    def __len__(self):
        return len(self.folds)

    def __getitem__(self, rows):
        counts = ((self.folds[rows] == self.fold) == self.held_out).astype(np.float64)
        return counts if self.weights is None else counts * self.weights[rows]


class CrossValidation:
    """A search for each fold, on the rows outside of it.

    Data is held once: the rows of a fold have weight zero. All that a fit depends on, its sample,
    its seeds, its splits and its `reg_covar`, is found without them. (The origin that float32
    kernels subtract is that of all data; no result but the rounding depends on it.)

    Parameters
    ----------
    backend : LocalBackend
    folds : int
    numbers, covariance_types, start, settings, watch
        As for `searching.Work`.
    """

    def __init__(self, backend, folds, numbers, covariance_types, start, settings, *, watch):
        drawn = draw_folds(backend.weights, backend.n_samples, folds, start.seed)
        self.works, self._held_out = [], []
        for fold in range(folds):
            inside, outside = (
                backend.with_weights(FoldWeights(drawn, fold, backend.weights, held_out))
                for held_out in (True, False)
            )
            stage = f"fold {fold + 1}/{folds}"
            self._held_out.append(inside)
            self.works.append(
                Work(outside, numbers, covariance_types, start, settings, watch=watch, stage=stage)
            )

    def pieces(self, numbers):
        """As `Work.pieces`."""
        return len(self.works) * self.works[0].pieces(numbers)

    def measure(self, numbers):
        """Fit those numbers of components, above all before, in every family and fold.

        Returns
        -------
        dict of Job -> HeldOut or Failure
        """
        scores, failures = {}, {}
        for fold, (work, inside) in enumerate(zip(self.works, self._held_out, strict=True)):
            for job, result in work.fit(numbers).items():
                try:
                    score = _score(inside, result)
                except (DataError, FitError) as error:
                    reason = f"fold {fold + 1} of {len(self.works)}: {error}"
                    failures.setdefault(job, Failure(reason))
                else:
                    scores.setdefault(job, []).append(score)
        return {job: failures.get(job) or _together(scores[job]) for job in scores | failures}


def _score(inside, result):
    """(Sum of log-likelihoods, of weights) of the rows that were held out."""
    if not isinstance(result, FitResult):
        raise FitError(result.reason)
    stats = inside.stats(result.params)
    return stats.log_likelihood, stats.total_weight


def _together(scores):
    sums = np.array(scores)
    return HeldOut(float(sums[:, 0].sum() / sums[:, 1].sum()), tuple(sums[:, 0] / sums[:, 1]))
