"""One fit over a backend: start and EM, each timed."""

import time

import numpy as np

from .. import em
from ..backends import (
    check_means,
)
from ..em.regularisation import check_reg_covar
from ..errors import DataError
from ..mixture.resolution import (
    check_resolution,
    excess,
    resolves,
    rounded_event,
    widened,
)
from ..starts import (
    initial,
    optimum,
    starting,
)
from .checkpoint import Job, Keeper


def check_settings(settings):
    """Raise DataError when a setting of `em.Settings` makes no sense."""
    if not (np.isfinite(settings.tol) and settings.tol >= 0):
        raise DataError(f"tol must be 0 or more, not {settings.tol}")
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
    """Start and run EM, or go on with it.

    Parameters
    ----------
    backend : Backend
    n_components : int
    covariance_type : str
    start : starting.Start, optimum.Found or Params
        What was found, or `Params`, to go on from.
    settings : em.Settings
    callback : callable, optional
        As for `em.fit`.
    keeper : checkpoint.Keeper, optional
        What it has of this fit is not done again; it is given every state and the result.
    previous : em.FitResult, optional
        The fit whose parameters `start` are.
    seconds : float
        What it took to find `start`.
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
    told = _both(keeper.listener(job), on_state)

    def run(params, settings, **more):
        return em.fit(
            backend,
            params,
            settings,
            callback=callback,
            on_state=told,
            previous=previous,
            **more,
        )

    def begin():
        params, how = _start(backend, job, start, settings)
        how["seconds"]["init"] += seconds
        return params, how

    result = _resolved(run, begin, settings, keeper.state(job))
    if result.resolution is not None:
        result.excess = excess(backend, result.params, np.asarray(result.resolution))
    check_means(result.params, backend.dtype)  # or nothing could be done with the model
    keeper.finish(job, result)
    return result


def _resolved(run, start, settings, state):
    """Plain EM where it ends in components that the data resolves, else EM aware of the rounding.

    Both begin at the start: what has shrunk onto a value that repeats does not find back. Where the
    second one ends in components that are wide enough, plain EM goes on from there.

    Parameters
    ----------
    run : callable
        run(params, settings, state=..., **more) is `em.fit` of the data.
    start : callable
        Returns the parameters of the start, and more arguments of `run`.
    settings : em.Settings
    state : em.State or None
        Of the run that had not ended.
    """
    hidden, aware = settings.hidden(), settings.aware()
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
        result = run(widened(params, hidden), aware, **how)
    if resolves(result.params, hidden) and settings.max_iter:
        how = {"effort": result.effort, "moves": result.moves, "events": result.events}
        plain = run(result.params, settings, seconds=result.seconds, **how)
        if resolves(plain.params, hidden):
            return plain
        result.seconds = plain.seconds
    result.events.append(rounded_event(result.params, settings.resolution))
    return result


def _both(*listeners):
    """What calls each of the listeners that there are, or None."""
    listeners = [listener for listener in listeners if listener is not None]
    if len(listeners) < 2:
        return listeners[0] if listeners else None

    def tell(state):
        for listener in listeners:
            listener(state)

    return tell


def _start(backend, job, start, settings):
    """The parameters to start from, and what `em.fit` is to add to its result."""
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
