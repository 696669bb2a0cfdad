"""Cross-validate a search: measure each candidate on rows that were held out of its fits."""

from dataclasses import dataclass

import numpy as np

from .. import checks
from ..backends import count_positive
from ..em.loop import FitResult
from ..errors import DataError, FitError
from .searching import Failure, Work

# The default number of folds.
FOLDS = 5
# Rows that get their folds at a time.
_PIECE = 2**20


@dataclass(frozen=True)
class HeldOut:
    """Log-likelihood of held-out rows (Smyth 2000).

    Attributes
    ----------
    mean : float
        Weighted mean over the samples of all folds.
    folds : tuple of float
        Mean of each fold.
    """

    mean: float
    folds: tuple

    @property
    def standard_error(self):
        """Standard error of the mean, from the spread of the folds."""
        return standard_error(self.folds)


def standard_error(values):
    """Standard error of the mean of values, one per fold."""
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def check_folds(folds, largest, n_samples=None):
    """Check the number of folds and return it as an int, or None.

    Parameters
    ----------
    folds : int or None
    largest : int
        The largest number of components.
    n_samples : int, optional
        Number of samples with positive weight, if known.

    Raises
    ------
    DataError
        There are fewer than two folds, more folds than samples, or too few samples outside a fold.
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
            f"{folds} folds of {n_samples} samples leave {left} to fit, fewer than {largest} "
            "components; lower the highest K, or ask for more folds"
        )
    return folds


def draw_folds(weights, n_samples, folds, seed):
    """Draw the fold of each row, (n,) uint8, uint16 or uint32.

    Every `folds` consecutive rows go to all folds in random order. So sizes differ by at most one,
    and sorted data does no harm. Rows of weight zero do not count.
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
    """Sample weights that are zero inside, or outside, one fold; computed when indexed.

    Parameters
    ----------
    folds : (n,) int
        As `draw_folds` returns them.
    fold : int
    weights : (n,) float64 or None
        Weights of the data.
    held_out : bool
        Whether the fold keeps its weights, rather than all other rows.
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
    """Run the fits of a search for each fold, on the rows outside it.

    The data is held once: the rows of a fold get weight zero. Everything that a fit depends on, its
    sample, seeds, splits and `reg_covar`, is computed without them. (Only the origin that float32
    kernels subtract is that of all data; it affects nothing but rounding.)

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
        """See `Work.pieces`."""
        return len(self.works) * self.works[0].pieces(numbers)

    def measure(self, numbers):
        """Fit more numbers of components, in ascending order, in every family and fold.

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
        return {job: failures.get(job) or _pool(scores[job]) for job in scores | failures}


def _score(inside, result):
    """(Sum of log-likelihoods, sum of weights) of the held-out rows."""
    if not isinstance(result, FitResult):
        raise FitError(result.reason)
    stats = inside.stats(result.params)
    return stats.log_likelihood, stats.total_weight


def _pool(scores):
    """The `HeldOut` of the scores of all folds."""
    sums = np.array(scores)
    return HeldOut(float(sums[:, 0].sum() / sums[:, 1].sum()), tuple(sums[:, 0] / sums[:, 1]))
