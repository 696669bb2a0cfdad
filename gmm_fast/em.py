"""The EM loop: step, stop rules, trace, rescue of components, result."""

import math
import time
from dataclasses import dataclass, field, fields, replace

import numpy as np

from .errors import FitError
from .families import get_family
from .params import Params
from .threads import serial_blas

# A component responsible for less than this many average samples has died.
DEAD = 1e-6
# A singular covariance is given this share of the data's variance in each feature.
FLOOR = 1e-6
# It has recovered when its variances are this many times the floor.
RECOVERED = 100
# Rescues of dead components in one fit, for each component; then they are left as they are.
MAX_RESCUES = 3


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


class Rescue:
    """Keeps parameters valid when components die or collapse, and says so in `events`.

    A component that has collapsed keeps a floor under its variances until they are well above it
    on their own, or it would collapse again and again while the likelihood jumps.

    Parameters
    ----------
    backend : LocalBackend
    covariance_type : str
    events : list of str
        Added to.
    """

    def __init__(self, backend, covariance_type, events):
        survey = backend.survey(covariance_type)
        self.least = DEAD * survey.total_weight / backend.n_samples
        # what is left of a variance of zero when values are rounded to the kernel's dtype
        seen = survey.mean if backend.origin is None else survey.mean - backend.origin
        size = np.abs(seen) + np.sqrt(survey.variance)
        self.noise = (np.finfo(backend.dtype).eps * size) ** 2
        # for a constant feature: its rounding, or where it is zero something not zero
        rounding = np.maximum((1e-8 * survey.mean) ** 2, 1e-18 * max(survey.variance.max(), 1e-12))
        self.floor = np.maximum(FLOOR * survey.variance, rounding)
        self.events = events
        self.revivals = {}
        self.collapsed = np.zeros(1, bool)  # (K,), for tied (1,)
        self.acted = False

    def dead(self, stats):
        """Which components are responsible for nothing, (K,) bool."""
        return stats.n_k < self.least

    def raise_singular(self, params, iteration):
        """`params` with singular covariances made regular."""
        family = get_family(params.covariance_type)
        factor, singular = family.inverse_cholesky(params.covariances)
        variances = family.conditional_variances(factor)
        thin = (variances <= self.noise).any(axis=1)
        before, self.collapsed = self.collapsed, singular | thin
        if before.any():
            self.collapsed |= before & (variances < RECOVERED * self.floor).any(axis=1)
        self.acted = bool(self.collapsed.any())
        if not self.acted:
            return replace(params, factor=factor)
        if (self.collapsed & ~before).any():
            self._say_singular(params, self.collapsed & ~before, iteration)
        which, floor = self.collapsed, self.floor
        covariances = params.covariances
        for _ in range(100):
            covariances = family.raised(covariances, which, floor)
            factor, which = family.inverse_cholesky(covariances)
            if not which.any():
                break
            floor = 10 * floor
        else:
            raise FitError(f"iteration {iteration}: a covariance is not finite; rescale the data")
        return Params(params.weights, params.means, covariances, params.covariance_type, factor)

    def revive(self, params, dead, iteration):
        """`params` with each dead component given half of the heaviest one.

        The two halves part by one standard deviation along the feature in which the heaviest
        component is widest (relative to the data).
        """
        family = get_family(params.covariance_type)
        weights, means = params.weights.copy(), params.means.copy()
        covariances = params.covariances
        for k in np.flatnonzero(dead):
            used = self.revivals.get(k, 0)
            if used >= MAX_RESCUES:
                continue
            self.revivals[k] = used + 1
            heavy = int(np.argmax(weights))
            variances = family.component_variances(
                Params(weights, means, covariances, params.covariance_type)
            )[heavy]
            widest = int(np.argmax(variances / self.floor))
            offset = np.zeros_like(self.floor)
            self.acted = True
            offset[widest] = 0.5 * math.sqrt(variances[widest])
            means[k] = means[heavy] + offset
            means[heavy] = means[heavy] - offset
            weights[k] = weights[heavy] = 0.5 * weights[heavy]
            covariances = family.replaced(covariances, k, heavy)
            self.events.append(
                f"iteration {iteration}: component {k} died (no sample belonged to it); "
                f"it was given half of component {heavy}"
                + (", for the last time" if used + 1 == MAX_RESCUES else "")
            )
        return Params(weights, means, covariances, params.covariance_type)

    def _say_singular(self, params, singular, iteration):
        text = f"{_who(params, singular)} collapsed to a singular covariance; variances were raised"
        if not any(event.endswith(text) for event in self.events):
            self.events.append(f"iteration {iteration}: {text}")


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
    events += _thin(params, backend.survey(), settings)
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


def _thin(params, survey, settings):
    """Events for covariances that are reg_covar and little else, and for features it swamps."""
    varied = survey.variance > 1e3 * settings.reg_covar
    varied[survey.constant_features] = False
    family = get_family(params.covariance_type)
    # given the other features: a component may be flat in a direction along no axis
    variances = family.conditional_variances(family.inverse_cholesky(params.covariances)[0])
    thin = ((variances < 2 * settings.reg_covar) & varied).any(axis=1)
    events = []
    if thin.any():
        events.append(
            f"{_who(params, thin)} collapsed: in some direction the variance is hardly more than "
            "reg_covar (repeated rows, linearly dependent features, too many components, or "
            "fewer samples than features)"
        )
    small = (survey.variance > 0) & (survey.variance < 100 * settings.reg_covar)
    small[survey.constant_features] = False
    if small.any():
        some = _some(np.flatnonzero(small), "feature")
        events.append(
            f"reg_covar ({settings.reg_covar:g}) is not small beside the variance of {some} "
            "(counting from 0): rescale the data, or lower reg_covar"
        )
    return events


def _who(params, which):
    """What to call the covariances that `which` marks."""
    if params.covariance_type == "tied":
        return "the tied covariance"
    return _some(np.flatnonzero(which), "component")


def _some(numbers, noun):
    """At most ten numbers with their noun."""
    text = ", ".join(str(k) for k in numbers[:10]) + (", ..." if len(numbers) > 10 else "")
    return f"{noun}{'s' if len(numbers) > 1 else ''} {text}"
