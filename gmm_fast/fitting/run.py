"""Runs one fit over a backend: start and EM, with their times."""

import time

import numpy as np

from .. import em
from ..backends import check_means
from ..em.regularisation import check_reg_covar
from ..errors import DataError
from ..mixture.resolution import check_resolution, excess, resolves, rounded_event, widen
from ..starts import initial, optimum, starting
from .checkpoint import Job, Keeper


def check_settings(settings):
    """Raise DataError if a value of `em.Settings` is invalid."""
    if not (np.isfinite(settings.tol) and settings.tol >= 0):
        raise DataError(f"tol must be finite and at least 0, not {settings.tol}")
    if settings.max_iter < 0:
        raise DataError(f"max_iter must be at least 0, not {settings.max_iter}")
    check_reg_covar(settings.reg_covar)
    check_resolution(settings.resolution)


def fit(
    backend,
    n_components,
    covariance_type,
    start,
    settings,
    *,
    callback=None,
    keeper=None,
    previous=None,
    seconds=0.0,
    on_state=None,
):
    """Find a start and run EM, or resume a fit.

    Parameters
    ----------
    backend : Backend
    n_components : int
    covariance_type : str
    start : starting.Start, optimum.Found or Params
        How to find a start, a start that was found, or parameters to continue from.
    settings : em.Settings
    callback : callable, optional
        As for `em.fit`.
    keeper : checkpoint.Keeper, optional
        What it has of this fit is not done again; it gets every state and the result.
    previous : em.FitResult, optional
        The fit that `start` comes from.
    seconds : float
        Time that it took to find `start`.
    on_state : callable, optional
        Called with every `em.State`, as `em.fit` does.

    Returns
    -------
    em.FitResult
    """
    check_settings(settings)
    settings = settings.for_data(backend, covariance_type)
    if keeper is None:
        keeper = Keeper()
    job = Job(covariance_type, n_components)
    result = keeper.result(job)
    if result is not None:
        return result
    listener = _combine(keeper.listener(job), on_state)

    def run(params, settings, **more):
        return em.fit(
            backend,
            params,
            settings,
            callback=callback,
            on_state=listener,
            previous=previous,
            **more,
        )

    def begin():
        params, how = _start(backend, job, start, settings)
        how["seconds"]["init"] += seconds
        return params, how

    result = _fit_at_resolution(run, begin, settings, keeper.state(job))
    if result.resolution is not None:
        result.excess = excess(backend, result.params, np.asarray(result.resolution))
    check_means(result.params, backend.dtype)  # otherwise the model could not be used
    keeper.finish(job, result)
    return result


def _fit_at_resolution(run, start, settings, state):
    """Run plain EM; if it ends in components too narrow for the data, run rounding-aware EM.

    Both begin at the start: a component shrunk onto a repeated value does not recover. If the
    rounding-aware fit ends in components that are wide enough, plain EM continues from there.

    Parameters
    ----------
    run : callable
        run(params, settings, state=..., **more) is `em.fit` of the data.
    start : callable
        Returns the parameters of the start, and further arguments of `run`.
    settings : em.Settings
    state : em.State or None
        State of an unfinished run.
    """
    hidden, aware = settings.hidden_variance(), settings.aware()
    if state is not None and not state.rounded:
        plain = run(None, settings, state=state)
        if hidden is None or resolves(plain.params, hidden):
            return plain
        state = None
    if state is not None:
        result = run(None, aware, state=state)
    else:
        params, how = start()
        if hidden is None:
            return run(params, settings, **how)
        if resolves(params, hidden):
            plain = run(params, settings, **how)
            if resolves(plain.params, hidden):
                return plain
            how["seconds"] = plain.seconds
        result = run(widen(params, hidden), aware, **how)
    if resolves(result.params, hidden) and settings.max_iter:
        how = {"effort": result.effort, "moves": result.moves, "events": result.events}
        plain = run(result.params, settings, seconds=result.seconds, **how)
        if resolves(plain.params, hidden):
            return plain
        result.seconds = plain.seconds
    result.events.append(rounded_event(result.params, settings.resolution))
    return result


def _combine(*listeners):
    """A function that calls each listener that is not None; None if there is none."""
    listeners = [listener for listener in listeners if listener is not None]
    if len(listeners) < 2:
        return listeners[0] if listeners else None

    def tell(state):
        for listener in listeners:
            listener(state)

    return tell


def _start(backend, job, start, settings):
    """The parameters to start from, and what `em.fit` adds to its result."""
    started = time.perf_counter()
    found = start
    if isinstance(start, starting.Start):
        found = initial.initial_params(
            backend, job.n_components, job.covariance_type, start, settings
        )
    elif not isinstance(start, optimum.Found):
        initial.check_counts(backend, job.n_components)
        found = optimum.Found(start, [])
    how = found._asdict()
    params = how.pop("params")
    return params, how | {"seconds": {"init": time.perf_counter() - started}}
