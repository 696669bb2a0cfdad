"""From a source to a `FitResult`: read, compile, start, EM, each timed."""

import time

import numpy as np

from . import em, init
from .backends import LocalBackend
from .checkpoint import Job, Keeper
from .errors import DataError
from .families import get_family


def check_settings(settings):
    """Raise DataError when a setting of `em.Settings` makes no sense."""
    if not (np.isfinite(settings.tol) and settings.tol >= 0):
        raise DataError(f"tol must be 0 or more, not {settings.tol}")
    if settings.max_iter < 1:
        raise DataError(f"max_iter must be at least 1, not {settings.max_iter}")
    if not (np.isfinite(settings.reg_covar) and settings.reg_covar >= 0):
        raise DataError(f"reg_covar must be 0 or more, not {settings.reg_covar}")


def open_backend(source, covariance_types, *, dtype=None, weights=None, threads=None):
    """A backend with its kernels compiled and its data looked at.

    Parameters
    ----------
    source : Source
    covariance_types : sequence of str
        Families that are going to be fitted.
    dtype, weights, threads
        As for `LocalBackend`.

    Returns
    -------
    backend : LocalBackend
    seconds : dict
        Of "read" and "compile".
    events : list of str
        Warnings about the data.

    Raises
    ------
    DataError
        The data holds NaN or infinity.
    """
    families = [get_family(name) for name in covariance_types]
    started = time.perf_counter()
    backend = LocalBackend(source, dtype=dtype, weights=weights, threads=threads)
    opened = time.perf_counter()
    for form in {family.form: family for family in families}.values():
        backend.warm_up(form)
    init.warm_up(backend.threads)
    compiled = time.perf_counter()
    backend.survey(families[0].name)
    looked = time.perf_counter()
    seconds = {"read": opened - started + looked - compiled, "compile": compiled - opened}
    return backend, seconds, _warnings(backend)


def _warnings(backend):
    constant = backend.survey().constant_features
    if len(constant) == 0:
        return []
    some = ", ".join(str(j) for j in constant[:10]) + (", ..." if len(constant) > 10 else "")
    return [f"feature(s) {some} (counting from 0) are constant: they tell nothing apart"]


def fit(
    backend,
    n_components,
    covariance_type,
    start,
    settings,
    *,
    sample=None,
    callback=None,
    keeper=None,
):
    """Start and run EM, or go on with it.

    Parameters
    ----------
    backend : LocalBackend
    n_components : int
    covariance_type : str
    start : init.Start or Params
        `Params` to go on from.
    settings : em.Settings
    sample : init.Sample, optional
    callback : callable, optional
        As for `em.fit`.
    keeper : checkpoint.Keeper, optional
        What it has of this fit is not done again; it is given every state and the result.

    Returns
    -------
    em.FitResult
    """
    check_settings(settings)
    if keeper is None:
        keeper = Keeper()
    job = Job(covariance_type, n_components)
    result = keeper.result(job)
    if result is not None:
        return result
    state, how = keeper.state(job), {}
    params = None
    if state is None:
        params, how = _start(backend, job, start, settings, sample)
    result = em.fit(
        backend,
        params,
        settings,
        callback=callback,
        state=state,
        on_state=keeper.listener(job),
        **how,
    )
    keeper.finish(job, result)
    return result


def _start(backend, job, start, settings, sample):
    """The parameters to start from, and what `em.fit` is to add to its result."""
    started = time.perf_counter()
    if isinstance(start, init.Start):
        params, events = init.initial_params(
            backend, job.n_components, job.covariance_type, start, settings, sample
        )
    else:
        init.check_counts(backend, job.n_components)
        params, events = start, []
    return params, {"events": events, "seconds": {"init": time.perf_counter() - started}}
