"""Runs the EM loop: step, stop rules, trace, result."""

import time
from dataclasses import dataclass, field, fields, replace

import numpy as np

from ..backends.threads import serial_blas
from ..errors import DataError
from ..mixture.params import Params
from ..mixture.resolution import rounding_of
from .rescue import Rescue, few_rows_events, thin_events

# After this many iterations in float32 that only go up and down, a fit will not converge any more.
STALLED = 6


@dataclass(frozen=True, eq=False)
class State:
    """All that the loop knows between two iterations: a fit resumes from it to the same bits.

    It leaves out the statistics of the data; one pass finds them again.

    Attributes
    ----------
    params : Params
    trace : tuple of float
        As in `FitResult`.
    small_steps : int
        Latest iterations in a row that changed less than the tolerance.
    events : tuple of str
    collapsed : ndarray of bool
        Covariances that `Rescue` keeps from collapsing.
    revivals : dict of int -> int
        How often `Rescue` revived each component.
    seconds : dict of float
    effort : float
    moves : int
    rounded : bool
        As in `FitResult`.
    """

    params: Params
    trace: tuple
    small_steps: int
    events: tuple
    collapsed: np.ndarray
    revivals: dict
    seconds: dict
    effort: float = 0.0
    moves: int = 0
    rounded: bool = False

    @property
    def iteration(self):
        return len(self.trace) - 1


@dataclass(eq=False)
class FitResult:
    """The result of a fit.

    Attributes
    ----------
    params : Params
    log_likelihood : float
        Sum of w ln p(x) under `params`.
    log_max_resp : float
        Sum of w ln max_k r under `params`.
    total_weight : float
    n_samples : int
    trace : list of float
        Log-likelihood at the start and after each iteration.
    n_iter : int
    converged : bool
    stop_reason : str
        "tolerance" or "max_iter".
    events : list of str
        Events that a user should know about.
    seconds : dict of float
    reg_covar : float, list of float or None
        What was added to the variances, or to that of each feature.
    effort : float
        Effort of the search for the optimum before EM, in units of the default.
    moves : int
        Local moves that this search tried.
    resolution : list of float or None
        The step to which each feature was rounded, 0 for one that was not.
    rounded : bool
        Whether log-likelihoods take this rounding into account.
    excess : float or None
        Share of samples whose density claims more than one sample in a cell of these steps; None
        without steps.
    """

    params: Params
    log_likelihood: float
    log_max_resp: float
    total_weight: float
    n_samples: int
    trace: list
    n_iter: int
    converged: bool
    stop_reason: str
    events: list = field(default_factory=list)
    seconds: dict = field(default_factory=dict)
    reg_covar: object = None
    effort: float = 0.0
    moves: int = 0
    resolution: object = None
    rounded: bool = False
    excess: float | None = None

    def __post_init__(self):
        if self.rounded and self.params.rounding is None:  # read from a file, which lacks it
            steps = np.asarray(self.resolution, np.float64)
            self.params = replace(self.params, rounding=rounding_of(steps))

    @property
    def mean_log_likelihood(self):
        return self.log_likelihood / self.total_weight

    @classmethod
    def of(cls, params, stats, n_samples):
        """The result of evaluating `params` on data, without a fit."""
        return cls(
            params=params,
            log_likelihood=stats.log_likelihood,
            log_max_resp=stats.log_max_resp,
            total_weight=stats.total_weight,
            n_samples=n_samples,
            trace=[stats.log_likelihood],
            n_iter=0,
            converged=False,
            stop_reason="no fit",
        )

    def facts(self):
        """Everything but the parameters, as JSON values."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "params"}

    @classmethod
    def from_facts(cls, params, facts):
        """The inverse of `facts`; ignores what is not a field."""
        names = {f.name for f in fields(cls)}
        return cls(params=params, **{k: v for k, v in facts.items() if k in names})


def m_step(stats, previous, reg_covar, dead):
    """The M-step: mu' = mu + S1 / N, Sigma' = S2 / N - delta delta' (+ `reg_covar`).

    Dead components keep their mean and covariance, and get weight 0.
    """
    family = previous.family
    any_dead = bool(dead.any())
    n_k = weights = stats.n_k
    if any_dead:
        n_k, weights = np.where(dead, 1.0, stats.n_k), np.where(dead, 0.0, stats.n_k)
    delta = stats.s1 / n_k[:, None]
    if any_dead:
        delta[dead] = 0.0
    with np.errstate(all="ignore"):  # `Rescue` reports what is not finite
        scatter = family.scatter(stats, delta)
        kept = None if family.determined else scatter.copy()
        covariances = family.estimate(scatter, stats.n_k, previous.covariances)
        covariances = family.add_to_variances(covariances, reg_covar)
    means = stats.means + delta
    if any_dead:
        means[dead] = previous.means[dead]
        family.keep(covariances, previous.covariances, dead)
    weights = weights / weights.sum()
    return Params(weights, means, covariances, previous.covariance_type, scatter=kept)


def step(backend, stats, params, settings, rescue, iteration):
    """One iteration: M-step, rescue, E-step. Returns the new parameters and their stats."""
    dead = rescue.dead(stats)
    new = m_step(stats, params, settings.added_variance, dead)
    new = rescue.raise_singular(new, iteration)
    if dead.any():
        new = rescue.revive(new, dead, iteration)
    new = new.under(settings.rounding)
    return new, backend.stats(new)


@serial_blas()
def fit(
    backend,
    params,
    settings,
    *,
    events=(),
    seconds=None,
    effort=0.0,
    moves=0,
    callback=None,
    state=None,
    on_state=None,
    previous=None,
):
    """Run EM from `params` until the mean log-likelihood settles or `max_iter` is reached.

    Parameters
    ----------
    backend : Backend
    params : Params
        Start; ignored if there is a `state`.
    settings : Settings
    events : sequence of str
        Events of earlier stages; they come first in the result.
    seconds : dict of float, optional
        Times of earlier stages, for the result.
    effort : float
    moves : int
        Effort and moves of the search for the start, for the result.
    callback : callable, optional
        Called as callback(iteration, mean_log_likelihood, change) after each iteration.
    state : State, optional
        State of a fit to the same data with the same settings, to resume from; it has its own
        events, seconds, effort and moves.
    on_state : callable, optional
        Called with a `State` at the start and after each iteration.
    previous : FitResult, optional
        The fit that `params` come from. If it was to the same data, its last iteration counts for
        convergence, so that many short fits stop where one long fit does.

    Returns
    -------
    FitResult

    Raises
    ------
    DataError
        The data differs from that of `state`.
    """
    family = (params if state is None else state.params).covariance_type
    settings = settings.for_data(backend, family)
    if state is None:
        run = _Run.begin(backend, params, settings, events, seconds, (effort, moves))
        if previous is not None:
            run.follow(previous, settings)
    else:
        run = _Run.resume(backend, state, settings)
    if on_state is not None and state is None:
        on_state(run.state())
    while run.iteration < settings.max_iter and run.small_steps < 2:
        change = run.advance(settings)
        if on_state is not None:
            on_state(run.state())
        if callback is not None:
            callback(run.iteration, run.stats.mean_log_likelihood, change)
    return run.result(settings)


class _Run:
    """A running fit: its last parameters, their statistics and its history."""

    def __init__(self, backend, params, rescue, seconds, searched):
        self.backend = backend
        self.params = params
        self.rescue = rescue
        self.seconds = {"em": 0.0, **seconds}
        self.effort, self.moves = searched
        self._began = time.perf_counter()

    @classmethod
    def begin(cls, backend, params, settings, events, seconds, searched):
        rescue = Rescue.over(backend, params.covariance_type, events)
        run = cls(backend, params, rescue, seconds or {}, searched)
        run.params = rescue.raise_singular(params, 0).under(settings.rounding)
        run.stats = backend.stats(run.params)
        run.trace, run.small_steps = [run.stats.log_likelihood], 0
        return run

    @classmethod
    def resume(cls, backend, state, settings):
        rescue = Rescue.over(
            backend,
            state.params.covariance_type,
            state.events,
            collapsed=state.collapsed,
            revivals=state.revivals,
        )
        params = state.params.under(settings.rounding)
        run = cls(backend, params, rescue, state.seconds, (state.effort, state.moves))
        run.stats = backend.stats(params)  # the same bits as before
        run.trace, run.small_steps = list(state.trace), state.small_steps
        _check_same_data(backend, run.stats, run.trace[-1])
        return run

    @property
    def iteration(self):
        return len(self.trace) - 1

    def follow(self, previous, settings):
        """Count the last iteration of the fit that this one continues."""
        trace = previous.trace
        if len(trace) > 1 and trace[-1] == self.trace[0]:  # the same bits: the same data
            change = (trace[-1] - trace[-2]) / previous.total_weight
            self.small_steps = int(abs(change) < settings.tol)

    def advance(self, settings):
        """Run one iteration. Returns the change of the mean log-likelihood."""
        events, rescue, iteration = self.rescue.events, self.rescue, len(self.trace)
        said = len(events)
        self.params, self.stats = step(
            self.backend, self.stats, self.params, settings, rescue, iteration
        )
        news = len(events) > said
        self.trace.append(self.stats.log_likelihood)
        change = (self.trace[-1] - self.trace[-2]) / self.stats.total_weight
        if not rescue.acted and change < -_rounding(self.backend.dtype, self.stats):
            _say_fall(events, iteration, change, settings, self.backend.dtype)
        # One small step says little: EM leaves a poor start slowly. After two in a row
        # scikit-learn stops, too: it compares the likelihoods that two iterations started from.
        small = abs(change) < settings.tol and not news
        self.small_steps = self.small_steps + 1 if small else 0
        if self._only_rounding(settings):
            self.small_steps = 2
        return change

    def _only_rounding(self, settings):
        """Whether only rounding changes the likelihood: float32 beside thin covariances."""
        if self.backend.dtype != np.float32 or settings.tol == 0 or self.iteration < STALLED:
            return False
        changes = np.diff(self.trace[-STALLED - 1 :])
        gained = changes.sum() / self.stats.total_weight
        return (changes < 0).sum() >= 2 and (changes > 0).any() and gained < settings.tol

    def state(self):
        return State(
            params=self.params,
            trace=tuple(self.trace),
            small_steps=self.small_steps,
            events=tuple(self.rescue.events),
            collapsed=self.rescue.collapsed.copy(),
            revivals=dict(self.rescue.revivals),
            seconds=self._seconds(),
            effort=self.effort,
            moves=self.moves,
            rounded=self.params.rounding is not None,
        )

    def result(self, settings):
        stats, converged = self.stats, self.small_steps == 2
        doubtful = thin_events(self.params, self.backend.survey(), settings.reg_covar)
        doubtful += few_rows_events(self.params, stats, self.backend.n_samples)
        return FitResult(
            params=self.params,
            log_likelihood=stats.log_likelihood,
            log_max_resp=stats.log_max_resp,
            total_weight=stats.total_weight,
            n_samples=self.backend.n_samples,
            trace=self.trace,
            n_iter=self.iteration,
            converged=converged,
            stop_reason="tolerance" if converged else "max_iter",
            events=self.rescue.events + doubtful,
            seconds=self._seconds(),
            reg_covar=np.asarray(settings.reg_covar).tolist(),
            effort=self.effort,
            moves=self.moves,
            resolution=None if settings.resolution is None else settings.resolution.tolist(),
            rounded=settings.rounding is not None,
        )

    def _seconds(self):
        now = time.perf_counter() - self._began
        return self.seconds | {"em": self.seconds["em"] + now}


def _check_same_data(backend, stats, before):
    """Raise DataError if the log-likelihood of a state is not what it was."""
    apart = abs(stats.log_likelihood - before) / stats.total_weight
    if not apart <= _rounding(backend.dtype, stats):
        raise DataError(
            f"{backend.name}: the log-likelihood where the fit stopped was {before:.10g}, now it "
            f"is {stats.log_likelihood:.10g}: the data or the weights have changed since; give "
            "the original ones, or start a new fit"
        )


def _rounding(dtype, stats):
    """How far the mean log-likelihood may fall by rounding alone.

    Ill-conditioned covariances cost digits: a fall of 1e-10 (float64) is normal.
    """
    least = 64 * np.finfo(dtype).eps
    return max(least, 1e-10) * max(abs(stats.mean_log_likelihood), 1.0)


def _say_fall(events, iteration, change, settings, dtype):
    """Report a fall of the likelihood, only the first one."""
    marker = "the log-likelihood fell"
    if any(marker in event for event in events):
        return
    if np.ndim(settings.reg_covar) == 0 and settings.reg_covar > 0:
        why = "reg_covar is not small beside a component's variances; lower it or rescale the data"
    elif dtype == np.float32:
        why = "rounding, with covariances this thin; compute in float64"
    else:
        why = "rounding; subtract the features' means"
    events.append(f"iteration {iteration}: {marker} by {-change:.3g} per sample: {why}")
