"""Holds the state of a stream between two batches."""

from dataclasses import dataclass, field, replace

import numpy as np

from .. import em
from ..backends import LocalBackend
from ..em.rescue import is_of_few_rows, is_of_needed_rows
from ..mixture.params import Params
from ..sources import ArraySource
from ..starts import starting

STOP_REASON = "partial_fit"

# How many of the latest bounds and events are kept: streams may have no end.
KEPT_BOUNDS, KEPT_EVENTS = 1000, 100


@dataclass(frozen=True, eq=False)
class Gathered:
    """The first rows of a stream, kept while they are too few for a good start.

    Attributes
    ----------
    start : starting.Start
        How to find a start each time the rows have doubled.
    x : (m, d) float64
    weights : (m,) float64 or None
    used : int
        Rows that the last start used.
    """

    start: starting.Start
    x: np.ndarray
    weights: np.ndarray | None
    used: int

    @classmethod
    def of(cls, start, backend):
        rows = backend.take(np.arange(backend.n_samples))
        return cls(start, rows, backend.weights, len(rows))

    def extend(self, backend):
        """These rows plus those of a batch."""
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
        """A backend over these rows, with the settings of `like`."""
        return LocalBackend(
            ArraySource(self.x), dtype=like.dtype, weights=self.weights, threads=like.threads
        )


@dataclass(frozen=True, eq=False)
class State:
    """The state of a stream between two batches.

    Attributes
    ----------
    params : Params
    seen : float
        Total weight of all samples.
    n_samples : int
        Number of samples.
    batches : int
    bounds : tuple of float
        Mean log-likelihood of each of the latest batches, under the parameters from before the
        batch, or under those of a start that it led to.
    log_max_resp : float
        The mean of ln max_k r in the last batch.
    reg_covar : float, list of float or None
        What "auto" adds to the variances, as determined by the start or the fit.
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
        """The state after a fit, or after batches, that ended with `result`."""
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
        """A `FitResult` in which the last batch stands for all samples."""
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
        """The state after a batch."""
        # there are more rows now: drop the events that rows are few
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
