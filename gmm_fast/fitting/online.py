"""Stepwise EM: fits a stream of batches, each seen once.

The statistics of each batch are averaged into running statistics, and the M-step uses the average
(Cappé & Moulines 2009, On-line expectation-maximization algorithm for latent data models, Journal
of the Royal Statistical Society B 71(3), 593-613; with batches of several samples Liang & Klein
2009, Online EM for unsupervised models, NAACL, 611-619).

The parameters hold the running statistics: about its own mean a component's first moment is zero
and its second one is its covariance, or its `scatter` in families whose covariances do not
determine it. So a stream continues from any parameters and the number of samples they stand for,
including those of a model file.
"""

import time
from dataclasses import replace

import numpy as np

from .. import em
from ..backends import Survey
from ..backends.threads import serial_blas
from ..em.regularisation import reg_covar_for
from ..em.rescue import DEAD, Rescue, thin_events
from ..errors import DataError
from ..mixture.params import Params
from ..mixture.stats import Stats, merge
from ..starts import initial
from .stream import Gathered, State

# Samples for each free parameter that are averaged before any is forgotten: an average of m
# samples costs p / 2m of the mean log-likelihood (Wilks 1938), here at most 1/20.
WINDOW_PER_PARAMETER = 10
# Rows to find a start on, if the stream has them: with fewer, EM ends in poor optima that no later
# row makes good. Fewer are kept if rows are long.
START_PER_COMPONENT = 128
START_PER_PARAMETER = 2
START_VALUES = 2**20
# Most iterations of EM on these rows.
START_ITERATIONS = 10


@serial_blas()
def begin(backend, n_components, covariance_type, start, settings, events=()):
    """The state after the first batch.

    Parameters
    ----------
    backend : Backend
        Backend over the batch.
    n_components : int
    covariance_type : str
    start : starting.Start or Params
        `Params` get one iteration of EM on the batch. Otherwise a start is found on the batch, and
        EM runs for at most `START_ITERATIONS`.
    settings : em.Settings
    events : sequence of str
        Events of earlier stages.

    Returns
    -------
    State

    Raises
    ------
    DataError
        Fewer samples than components.
    """
    began = time.perf_counter()
    _check_first(backend, n_components)
    if isinstance(start, Params):
        rescue = Rescue.over(backend, covariance_type)
        state = State(rescue.raise_singular(start, 0), 0.0, events=(*events, *rescue.events))
        return _add_time(_step(state, backend, settings, None), began)
    state = _find_start(State(None, 0.0), backend, n_components, covariance_type, start, settings)
    if backend.n_samples < _start_rows(state.params):
        state = replace(state, gathered=Gathered.of(start, backend))
    return _add_time(replace(state, events=(*events, *state.events)), began)


@serial_blas()
def advance(state, backend, settings, decay):
    """The state after another batch.

    As long as there are few rows they are kept, and a start is found on all of them each time
    their number has doubled.

    Parameters
    ----------
    state : State
    backend : Backend
        Backend over the batch.
    settings : em.Settings
    decay : float
        See `past_weight`.

    Returns
    -------
    State
    """
    began = time.perf_counter()
    if state.gathered is None:
        state = _step(state, backend, settings, decay)
    else:
        backend.survey(state.params.covariance_type)  # refuses bad values
        enough = backend.n_samples >= _start_rows(state.params)
        advance_early = _start_on_batch if enough else _gather
        state = advance_early(state, backend, settings, decay)
    return _add_time(state, began)


def _start_on_batch(state, backend, settings, decay):
    """Find a start on the batch, which is large; the few earlier rows follow as a batch."""
    kept = state.gathered
    fresh = replace(state, seen=0.0, n_samples=0, events=(), gathered=None)
    fresh = _restart(fresh, backend, kept.start, settings)
    both = _step(fresh, kept.backend(backend), settings, decay)
    start_facts = {name: getattr(fresh, name) for name in ("batches", "bounds", "log_max_resp")}
    return replace(both, **start_facts)


def _gather(state, backend, settings, decay):
    """Take a step, or find a start on all rows so far if they have doubled since the last one."""
    kept, enough = state.gathered.extend(backend), _start_rows(state.params)
    if len(kept.x) < min(2 * kept.used, enough):
        return replace(_step(state, backend, settings, decay), gathered=kept)
    together = kept.backend(backend)
    together.survey(state.params.covariance_type)  # values may be too large only together
    fresh = replace(state, seen=0.0, n_samples=0, events=())
    state = _restart(fresh, together, kept.start, settings)
    more = len(kept.x) < enough
    return replace(state, gathered=replace(kept, used=len(kept.x)) if more else None)


def _check_first(backend, n_components):
    weights = backend.weights
    rows = backend.n_samples if weights is None else int(np.count_nonzero(weights))
    if rows < n_components:
        what = "samples" if weights is None else "samples of positive weight"
        raise DataError(
            f"{backend.name}: {rows} {what} are fewer than {n_components} components; give at "
            f"least {n_components} in the first call of partial_fit (later ones may be of any size)"
        )


def _add_time(state, began):
    seconds = state.seconds.get("em", 0.0) + time.perf_counter() - began
    return replace(state, seconds=state.seconds | {"em": seconds})


def _start_rows(params):
    """Rows to find a start on."""
    k, d = params.n_components, params.n_features
    free = params.family.n_parameters(k, d)
    rows = max(START_PER_COMPONENT * k, START_PER_PARAMETER * free)
    return min(rows, max(START_VALUES // d, k))


def _restart(state, backend, start, settings):
    params = state.params
    return _find_start(state, backend, params.n_components, params.covariance_type, start, settings)


def _find_start(state, backend, n_components, covariance_type, start, settings):
    """`state` with a start found on all of `backend`, after a short EM."""
    found = initial.initial_params(backend, n_components, covariance_type, start, settings)
    short = replace(settings, max_iter=min(settings.max_iter, START_ITERATIONS))
    result = em.fit(backend, found.params, short, events=found.events)
    # a fit's result has all that `after` needs of statistics
    return state.after(result.params, backend, result, result.events, reg_covar=result.reg_covar)


def _step(state, backend, settings, decay):
    """`state` after one step of stepwise EM; without `decay` no earlier batch counts."""
    params = state.params
    with np.errstate(over="ignore", invalid="ignore"):  # refused below, by name
        stats = backend.stats(params)
        total = stats.mean_log_likelihood * (state.seen + stats.total_weight)
    if not (np.isfinite(stats.s2).all() and np.isfinite(total)):
        backend.refuse_bad_values()
    past = 0.0
    if decay is not None:
        # a model counts for at least the rows that make its covariances regular, or a single row
        # after a few would take it over
        least = params.n_components * (params.n_features + 1)
        past = past_weight(max(state.seen, least), stats.total_weight, _window(params), decay)
    reg_covar = _reg_covar(state, backend, settings)
    new, events = update(backend, params, stats, past, reg_covar, state.batches + 1)
    return state.after(new, backend, stats, events, reg_covar=np.asarray(reg_covar).tolist())


def _reg_covar(state, backend, settings):
    """What to add to the variances; "auto" stays the same throughout the stream."""
    if not isinstance(settings.reg_covar, str):
        return settings.reg_covar
    if isinstance(state.reg_covar, list):  # a number would be the user's own choice
        return np.asarray(state.reg_covar)
    if state.seen == 0:  # given parameters, and the first batch
        return settings.for_data(backend, state.params.covariance_type).reg_covar
    survey = _survey_through(state.params, 1.0, 0.0)
    return reg_covar_for(settings.reg_covar, survey, backend.dtype)


def _window(params):
    """Samples that are averaged before any is forgotten."""
    family = params.family
    return WINDOW_PER_PARAMETER * family.n_parameters(params.n_components, params.n_features)


def past_weight(seen, batch, window, decay):
    """Weight of the samples seen so far, compared with a batch, in samples.

    Sample number t has a step size of 1 / t until t reaches `window`, and of
    (t / window)^-decay / window from then on: first an average of all samples, later one that
    forgets. The latter is the step size k^-decay of Liang & Klein (2009) for the k-th batch of
    `window` samples, spread over its samples, so that the batch size does not matter. A batch
    leaves exp(-s) of the past, s the sum (the integral) of its step sizes.

    Parameters
    ----------
    seen, batch : float
        Total weight of the samples before the batch and in it.
    window : float
    decay : float
        In 0..1. With 1 nothing is forgotten: the past counts `seen`. Above 1/2 and up to 1
        stepwise EM converges on a stationary stream (Cappé & Moulines 2009).

    Returns
    -------
    float
        The step size of the whole batch is batch / (batch + past).
    """
    if seen == 0:
        return 0.0
    averaged = min(batch, max(0.0, window - seen)) if decay < 1 else batch
    sizes = np.log1p(averaged / seen)
    if averaged < batch:
        begin, rest = seen + averaged, batch - averaged
        growth = np.expm1((1 - decay) * np.log1p(rest / begin)) / (1 - decay)
        sizes += (begin / window) ** (1 - decay) * growth
    # a batch that is large enough leaves nothing of the past
    return float(batch / np.expm1(sizes)) if sizes < 700 else 0.0


def past_stats(params, weight, about, reg_covar):
    """`Stats` whose M-step is `params`, with total weight `weight` and moments about `about`.

    First moments are computed as N (mu - about), never as N mu: nothing cancels, however far from
    zero the data lies. The likelihood is unknown, and set to 0.

    Parameters
    ----------
    params : Params
    weight : float
        Positive.
    about : (K, d) float64
        Near the means.
    reg_covar : float
        What the M-step will add.

    Returns
    -------
    Stats
    """
    family = params.family
    n_k, delta = weight * params.weights, params.means - about
    # a component of weight 0 has no moments; any number keeps the divisions valid
    counts = np.where(n_k > 0, n_k, 1.0)
    scatter, added = params.scatter, 0.0
    if scatter is None:  # an approximation if covariances do not determine the scatter
        scatter, added = params.covariances, reg_covar
        if not family.determined:
            scatter = np.array(family.each(scatter, params.n_components))
    made = family.covariances if family.determined else family.scatter_with
    # each entry of the result is linear in the same entry of S2
    none = Stats.zeros(about, scatter.shape)
    none = replace(none, total_weight=weight, n_k=counts)
    constant = made(none, delta, added)
    slope = made(replace(none, s2=np.ones(scatter.shape)), np.zeros_like(delta), 0.0)
    with np.errstate(over="ignore"):  # values that are not finite are refused after the M-step
        s2 = (scatter - constant) / slope
    return replace(none, n_k=n_k, s1=n_k[:, None] * delta, s2=s2)


def update(backend, params, stats, past, reg_covar, iteration):
    """The M-step of a batch and the past.

    Parameters
    ----------
    backend : Backend
        Backend over the batch.
    params : Params
    stats : Stats
        Statistics of the batch under `params`.
    past : float
        Weight of `params` in samples; with 0 this is an iteration of EM.
    reg_covar : float
    iteration : int
        For events.

    Returns
    -------
    params : Params
    events : list of str
    """
    running = stats
    if past > 0:
        running = merge(past_stats(params, past, stats.means, reg_covar), stats)
    dead = running.n_k < DEAD * stats.total_weight / backend.n_samples
    new = em.m_step(running, params, reg_covar, dead)
    # of all samples so far: a batch alone may be a single row
    survey = _survey_through(new, stats.total_weight, reg_covar)
    rescue = Rescue(survey, backend.n_samples, backend.dtype, backend.origin)
    new = rescue.raise_singular(new, iteration)
    if dead.any():
        new = rescue.revive(new, dead, iteration)
    return new, rescue.events + thin_events(new, survey, reg_covar)


def _survey_through(params, total_weight, reg_covar):
    """The `Survey` of data as estimated from a mixture that was fitted with `reg_covar`."""
    mean = params.weights @ params.means
    apart = params.weights @ (params.means - mean) ** 2
    within = params.weights @ params.family.component_variances(params)
    variance = within - reg_covar + apart
    variance[~(variance > 1e-9 * within)] = 0.0  # a constant feature, and rounding
    return Survey(mean, variance, total_weight)
