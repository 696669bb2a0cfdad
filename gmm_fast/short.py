"""Short runs of EM, of which only the end counts: on few samples, in one compiled call.

On a few hundred samples a pass takes 10 microseconds, and what Python does around it 150. In a
compiled call nobody can look between two iterations, and nothing is rescued: where a component dies
or collapses the run is left to `em.fit`.
"""

import math

import numpy as np

from . import em
from .backends.local import no_outputs
from .families import get_family
from .forms import padded, triangular_shapes, triangular_work
from .kernels import cholesky, gaussian, short
from .params import Params
from .rescue import DEAD

# Nanoseconds of a pass on one thread, roughly, up to which this is faster than `em.fit`, which has
# more threads for longer ones. With AVX-512 a pass takes a third to a fifth of that; the five cases
# of bench/starts_cases.py from 200 000 on took 25 to 65 % less than with two threads.
WORK = 1_000_000
# What the kernel calls each family, and its covariances of matrices (K, d, d), or tied (1, d, d).
FAMILIES = {
    "full": (short.FULL, lambda matrices: matrices),
    "tied": (short.TIED, lambda matrices: matrices[0]),
    "diag": (short.DIAG, lambda matrices: np.diagonal(matrices, axis1=1, axis2=2).copy()),
    "spherical": (short.SPHERICAL, lambda matrices: matrices[:, 0, 0].copy()),
}


def short_run(backend, params, settings):
    """What `em.fit` returns, to rounding; the trace holds the last log-likelihood alone.

    On data so large in its units that float64 has no digits for the floor of collapsed covariances,
    and in float32 beside thin ones, it may stop elsewhere.

    Parameters
    ----------
    backend : LocalBackend
    params : Params
    settings : em.Settings
        With the `reg_covar` of the data.

    Returns
    -------
    FitResult
    """
    return _whole_iterations(backend, params, settings) or em.fit(backend, params, settings)


def _whole_iterations(backend, params, settings):
    """The result, or None where there is too much data or where `em.fit` has something to tell."""
    n, (k, d) = backend.n_samples, params.means.shape
    if d > cholesky.MOST_FEATURES or n * triangular_work(k, d) > WORK:
        return None
    x = np.concatenate([chunk for _, chunk in backend.chunks()])
    dtype, family = backend.dtype, params.covariance_type
    structure, covariances_of = FAMILIES[family]
    weights = np.empty(0, dtype) if backend.weights is None else backend.weights.astype(dtype)
    mixture = short.Mixture(
        params.weights.copy(),
        params.means.copy(),
        np.array(params.covariances[None] if family == "tied" else get_family(family).full(params)),
    )
    reg_covar = np.broadcast_to(settings.reg_covar, d).astype(np.float64)
    limits = short.Limits(
        np.full(d, reg_covar.mean()) if family == "spherical" else reg_covar,
        np.zeros(d) if backend.origin is None else backend.origin,
        float(np.finfo(dtype).eps),
        DEAD * backend.survey(family).total_weight / n,
        float(settings.tol),
        settings.max_iter,
    )
    dp = padded(d, 2)
    form = gaussian.TriangularForm(
        np.zeros((k, dp), dtype), np.zeros((k, dp, dp), dtype), np.zeros(k, dtype)
    )
    sums, lanes = _lane(k, d)
    iterations, small_steps, log_likelihood = short.iterate(
        x,
        weights,
        structure,
        mixture,
        limits,
        form,
        sums,
        lanes,
        no_outputs(k, dtype),
    )
    if iterations < 0:
        return None
    converged = small_steps == 2
    return em.FitResult(
        params=Params(mixture.weights, mixture.means, covariances_of(mixture.covariances), family),
        log_likelihood=log_likelihood,
        log_max_resp=float(lanes.totals[0, 2]),
        total_weight=float(lanes.totals[0, 0]),
        n_samples=n,
        trace=[log_likelihood],
        n_iter=iterations,
        converged=converged,
        stop_reason="tolerance" if converged else "max_iter",
    )


def _lane(k, d):
    """Memory for the sums of one lane, and the lane."""
    shapes = [(1, 4), (1, k), *((1, *shape) for shape in triangular_shapes(k, d))]
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    sums = np.empty(ends[-1])
    parts = np.split(sums, ends[:-1])
    return sums, gaussian.Lanes(*(p.reshape(s) for p, s in zip(parts, shapes, strict=True)))
