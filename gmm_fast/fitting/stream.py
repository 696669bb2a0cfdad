"""What is known of a stream between two batches."""

from dataclasses import dataclass, field, replace

import numpy as np

from .. import em
from ..backends import LocalBackend
from ..em.rescue import (
    is_of_few_rows,
    is_of_needed_rows,
)
from ..mixture.params import Params
from ..sources import ArraySource
from ..starts import starting

STOP_REASON = "partial_fit"

# Of a stream without end, the latest of what is told are kept.
KEPT_BOUNDS = 1000

KEPT_EVENTS = 100


@dataclass(frozen=True, eq=False)
class Gathered:
    """The first rows of a stream, kept while they are too few for a good start.

    Attributes
    ----------
    start : starting.Start
        How one is found, each time that the rows have doubled.
    x : (m, d) float64
    weights : (m,) float64 or None
    used : int
        Rows that the last start was found on.
    """

    start: starting.Start
    x: np.ndarray
    weights: np.ndarray | None
    used: int

    @classmethod
    def of(cls, start, backend):
        rows = backend.take(np.arange(backend.n_samples))
        return cls(start, rows, backend.weights, len(rows))

    def grown(self, backend):
        """These rows and those of a batch."""
        rows = backend.take(np.arange(backend.n_samples))
        weights = None
        if not (self.weights is None and backend.weights is None):
            weights = np.concatenate(
                [
                    np.ones(len(x)) if w is None else w
                    for x, w in ((self.x, self.weights), (rows, backend.weights))
                ]
            )
        return replace(self, x=np.concatenate([self.x, rows]), weights=weights)

    def backend(self, like):
        """A backend like that one, over these rows."""
        return LocalBackend(
            ArraySource(self.x), dtype=like.dtype, weights=self.weights, threads=like.threads
        )


@dataclass(frozen=True, eq=False)
class State:
    """What is known between two batches.

    Attributes
    ----------
    params : Params
    seen : float
        Sum of the weights of all samples.
    n_samples : int
        Their number.
    batches : int
    bounds : tuple of float
        Mean log-likelihood of a sample in the latest batches, each under the parameters from
        before the batch; where a start was found, under what was found.
    log_max_resp : float
        The mean of ln max_k r in the last batch.
    reg_covar : float, list of float or None
        What "auto" adds to the variances, as the start or the fit found it.
    events : tuple of str
    seconds : dict of float
    gathered : Gathered, optional
    """

    params: Params
    seen: float
    n_samples: int = 0
    batches: int = 0
    bounds: tuple = ()
    log_max_resp: float = np.nan
    reg_covar: object = None
    events: tuple = ()
    seconds: dict = field(default_factory=dict)
    gathered: Gathered | None = None

    @classmethod
    def of(cls, params, seen, result=None, gathered=None):
        """Where a stream goes on after a fit, or after batches, that ended with `result`."""
        if result is None:
            return cls(params, seen)
        state = cls(
            params,
            seen,
            n_samples=result.n_samples,
            reg_covar=result.reg_covar,
            events=tuple(result.events),
            seconds=result.seconds,
            gathered=gathered,
        )
        if result.stop_reason != STOP_REASON:
            return state
        bounds = tuple(t / result.total_weight for t in result.trace)
        return replace(state, batches=result.n_iter, bounds=bounds)

    def result(self):
        """As a `FitResult`: what is known of the last batch stands for all samples."""
        return em.FitResult(
            params=self.params,
            log_likelihood=self.bounds[-1] * self.seen,
            log_max_resp=self.log_max_resp * self.seen,
            total_weight=self.seen,
            n_samples=self.n_samples,
            trace=[bound * self.seen for bound in self.bounds],
            n_iter=self.batches,
            converged=False,
            stop_reason=STOP_REASON,
            events=list(self.events),
            seconds=self.seconds,
            reg_covar=self.reg_covar,
        )

    def after(self, params, backend, stats, events, **changes):
        """The state that a batch led to."""
        # that rows were few is over: now there are more
        before = [e for e in self.events if not (is_of_few_rows(e) or is_of_needed_rows(e))]
        events = [*before, *(e for e in events if e not in before)]
        return replace(
            self,
            params=params,
            seen=self.seen + stats.total_weight,
            n_samples=self.n_samples + backend.n_samples,
            batches=self.batches + 1,
            bounds=(*self.bounds, float(stats.mean_log_likelihood))[-KEPT_BOUNDS:],
            log_max_resp=float(stats.log_max_resp / stats.total_weight),
            events=tuple(events[-KEPT_EVENTS:]),
            **changes,
        )
