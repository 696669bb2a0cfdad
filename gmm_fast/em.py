"""The EM loop: step, stop rules, trace, result."""

import time
from dataclasses import dataclass, field, fields

import numpy as np

from .families import get_family
from .params import Params
from .rescue import Rescue, thin_events
from .threads import serial_blas


@dataclass(frozen=True)
class Settings:
    """How a fit runs and when it stops.

    Attributes
    ----------
    tol : float
        Stop when the mean log-likelihood of a sample changes by less than this in two iterations
        in a row.
    max_iter : int
    reg_covar : float
        Added to the variances in every M-step.
    """

    tol: float = 1e-3
    max_iter: int = 100
    reg_covar: float = 1e-6


@dataclass(eq=False)
class FitResult:
    """What EM returns.

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
        Log-likelihood of the start and after each iteration.
    n_iter : int
    converged : bool
    stop_reason : str
        "tolerance" or "max_iter".
    events : list of str
        What happened that a user should know.
    seconds : dict of float
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

    @property
    def mean_log_likelihood(self):
        return self.log_likelihood / self.total_weight

    @classmethod
    def of(cls, params, stats, n_samples):
        """What `params` are worth on data, without a fit."""
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
        """The inverse of `facts`; what is not a field is left out."""
        names = {f.name for f in fields(cls)}
        return cls(params=params, **{k: v for k, v in facts.items() if k in names})


def m_step(stats, previous, reg_covar, dead):
    """The next parameters: mu' = mu + S1 / N, Sigma' = S2 / N - delta delta' (+ `reg_covar`).

    Dead components keep their mean and covariance and get weight 0.
    """
    family = get_family(previous.covariance_type)
    alive = ~dead
    n_k = np.where(alive, stats.n_k, 1.0)
    delta = np.where(alive[:, None], stats.s1 / n_k[:, None], 0.0)
    weights = np.where(alive, stats.n_k, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        covariances = family.covariances(stats, delta, reg_covar)
    if dead.any() and covariances.shape[:1] == dead.shape and family.name != "tied":
        covariances[dead] = previous.covariances[dead]
    means = np.where(alive[:, None], stats.means + delta, previous.means)
    return Params(weights / weights.sum(), means, covariances, previous.covariance_type)


def step(backend, stats, params, settings, rescue, iteration):
    """One iteration: M-step, rescue, E-step. Returns the new parameters and their stats."""
    dead = rescue.dead(stats)
    new = m_step(stats, params, settings.reg_covar, dead)
    new = rescue.raise_singular(new, iteration)
    if dead.any():
        new = rescue.revive(new, dead, iteration)
    return new, backend.stats(new)


@serial_blas()
def fit(backend, params, settings, *, events=None, callback=None):
    """Run EM from `params` until the mean log-likelihood settles or `max_iter` is reached.

    Parameters
    ----------
    backend : LocalBackend
    params : Params
        Start.
    settings : Settings
    events : list of str, optional
        Events of earlier stages, kept in front.
    callback : callable, optional
        Called as callback(iteration, mean_log_likelihood, change) after each iteration.

    Returns
    -------
    FitResult
    """
    started = time.perf_counter()
    events = [] if events is None else list(events)
    rescue = Rescue(backend, params.covariance_type, events)
    params = rescue.raise_singular(params, 0)
    stats = backend.stats(params)
    trace = [stats.log_likelihood]
    converged = False
    small_steps = 0
    iteration = 0
    while iteration < settings.max_iter and not converged:
        iteration += 1
        said = len(events)
        params, stats = step(backend, stats, params, settings, rescue, iteration)
        news = len(events) > said
        trace.append(stats.log_likelihood)
        change = (trace[-1] - trace[-2]) / stats.total_weight
        if not rescue.acted and change < -_rounding(backend.dtype, stats):
            _say_fall(events, iteration, change, settings)
        # one small step says little: EM leaves a poor start slowly. Two in a row are also when
        # scikit-learn stops, which compares what two iterations started from.
        small_steps = small_steps + 1 if abs(change) < settings.tol and not news else 0
        converged = small_steps == 2
        if callback is not None:
            callback(iteration, stats.mean_log_likelihood, change)
    events += thin_events(params, backend.survey(), settings.reg_covar)
    return FitResult(
        params=params,
        log_likelihood=stats.log_likelihood,
        log_max_resp=stats.log_max_resp,
        total_weight=stats.total_weight,
        n_samples=backend.n_samples,
        trace=trace,
        n_iter=iteration,
        converged=converged,
        stop_reason="tolerance" if converged else "max_iter",
        events=events,
        seconds={"em": time.perf_counter() - started},
    )


def _rounding(dtype, stats):
    """How far the mean log-likelihood may fall by rounding alone.

    Ill-conditioned covariances cost digits: a fall of 1e-10 (float64) is no news.
    """
    least = 64 * np.finfo(dtype).eps
    return max(least, 1e-10) * max(abs(stats.mean_log_likelihood), 1.0)


def _say_fall(events, iteration, change, settings):
    """Report the first fall of the likelihood, and count no more."""
    marker = "the log-likelihood fell"
    if any(marker in event for event in events):
        return
    if settings.reg_covar > 0:
        why = "reg_covar is not small beside a component's variances; lower it or rescale the data"
    else:
        why = "rounding; subtract the features' means, or compute in float64"
    events.append(f"iteration {iteration}: {marker} by {-change:.3g} a sample: {why}")
