"""From a source to a `FitResult`: read, compile, start, EM, each timed."""

import time
from dataclasses import replace

import numpy as np

from . import em, init
from .backends import LocalBackend
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


def fit(backend, n_components, covariance_type, start, settings, *, sample=None, callback=None):
    """Start and run EM.

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

    Returns
    -------
    em.FitResult
    """
    check_settings(settings)
    started = time.perf_counter()
    if isinstance(start, init.Start):
        params, events = init.initial_params(
            backend, n_components, covariance_type, start, settings, sample
        )
    else:
        init.check_counts(backend, n_components)
        params, events = start, []
    seeded = time.perf_counter()
    result = em.fit(backend, params, settings, events=events, callback=callback)
    return replace(result, seconds={"init": seeded - started} | result.seconds)
