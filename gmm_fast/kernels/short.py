"""Whole iterations of EM in one call, for data so few that Python costs more than the passes.

The E-step is the pass of `gaussian.triangular_pass`, whatever the family; the M-steps are those of
`families`, in plain loops.
"""

from typing import NamedTuple

import numpy as np

from ._options import helper, serial_kernel
from .cholesky import inverse_cholesky
from .gaussian import triangular_lane
from .tiles import BLOCK

FULL, TIED, DIAG, SPHERICAL = range(4)

PIVOT = 10 * np.finfo(np.float64).eps
LOG_2_PI = np.log(2 * np.pi)


class Mixture(NamedTuple):
    """Parameters, float64."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, d)
    covariances: np.ndarray  # (K, d, d), or (1, d, d) for all components, whatever the family


class Limits(NamedTuple):
    """What bounds variances, components and iterations."""

    reg_covar: np.ndarray  # (d,), added to the variances
    origin: np.ndarray  # (d,), what kernels see is x - origin
    eps: float  # rounding of a sample: variances as small as this makes them are none
    least: float  # a component that is responsible for less has died
    tol: float
    max_iter: int


@serial_kernel
def iterate(x, sample_weights, structure, mixture, limits, form, sums, lanes, out):
    """EM until the mean log-likelihood changes by less than `limits.tol` twice in a row.

    Parameters
    ----------
    x : (m, d) float32 or float64, C order
    sample_weights : (m,) of x's dtype, or (0,)
    structure : int
        FULL, TIED, DIAG or SPHERICAL.
    mixture : Mixture
        The start; written.
    limits : Limits
    form : TriangularForm of x's dtype
        Scratch, zeros in the paddings.
    sums : (n,) float64
        The memory of `lanes`.
    lanes : Lanes
        One; scratch.
    out : Outputs
        Of no rows.

    Returns
    -------
    iterations : int
        -1 where a component died or collapsed: `mixture` is of no use then.
    small_steps : int
        Iterations up to here, in a row, that changed less than the tolerance.
    log_likelihood : float
        Of `mixture`.
    """
    factor = np.zeros(mixture.covariances.shape)
    singular = np.empty(len(factor), np.bool_)
    lane = first = np.int64(0)  # not literal: everything would be compiled a second time
    n_blocks = (len(x) + BLOCK - 1) // BLOCK
    before = 0.0
    small_steps = iteration = 0
    while True:
        inverse_cholesky(mixture.covariances, PIVOT * factor.shape[1], factor, singular)
        if _unusable(mixture.means, factor, singular, limits):
            return -1, 0, 0.0
        _lay_out(mixture, factor, limits.origin, form)
        for i in range(len(sums)):
            sums[i] = 0.0
        triangular_lane(x, sample_weights, form, lanes, out, lane, first, n_blocks)
        total_weight, log_likelihood = lanes.totals[0, 0], lanes.totals[0, 1]
        # written so that NaN is trouble
        if not abs(log_likelihood) < np.inf or _count_dead(lanes.n_k, limits.least):
            return -1, 0, 0.0
        if iteration > 0:
            small = abs(log_likelihood - before) < limits.tol * total_weight
            small_steps = small_steps + 1 if small else 0
        if small_steps == 2 or iteration == limits.max_iter:
            return iteration, small_steps, log_likelihood
        before = log_likelihood
        _m_step(structure, lanes, form, limits, mixture)
        iteration += 1


@helper
def _unusable(means, factor, singular, limits):
    """Whether a covariance is singular, or so thin that `rescue` holds it up."""
    n_components, d = means.shape
    for m in range(len(factor)):
        if singular[m]:
            return True
        first, last = (m, m + 1) if len(factor) > 1 else (0, n_components)
        for j in range(d):
            precision = 0.0
            for i in range(j, d):
                precision += factor[m, i, j] * factor[m, i, j]
            noise = np.inf
            for k in range(first, last):
                rounding = limits.eps * (means[k, j] - limits.origin[j])
                noise = min(noise, rounding * rounding)
            if not noise * precision < 1.0:
                return True
    return False


@helper
def _count_dead(n_k, least):
    """Components that are responsible for nothing, or for NaN."""
    dead = 0
    for k in range(n_k.shape[1]):
        if not n_k[0, k] >= least:
            dead += 1
    return dead


@helper
def _lay_out(mixture, factor, origin, form):
    """Write the form that evaluates `mixture`."""
    n_components, d = mixture.means.shape
    for k in range(n_components):
        m = min(k, len(factor) - 1)
        log_det_half = 0.0
        for i in range(d):
            form.means[k, i] = mixture.means[k, i] - origin[i]
            log_det_half += np.log(factor[m, i, i])
            for j in range(i + 1):
                form.chol_inv[k, i, j] = 0.5 * factor[m, i, j]
        log_weight = np.log(mixture.weights[k])
        form.log_const[k] = 0.5 * (log_weight + log_det_half - 0.5 * d * LOG_2_PI)


@helper
def _m_step(structure, lanes, form, limits, mixture):
    """The next mixture, of the sums in the lane."""
    n_k, s1, s2 = lanes.n_k, lanes.s1, lanes.s2
    weights, means, covariances = mixture
    n_components, d = means.shape
    total = 0.0
    for k in range(n_components):
        total += n_k[0, k]
    for m in range(len(covariances)):
        for i in range(d):
            for j in range(d):
                covariances[m, i, j] = 0.0
    for k in range(n_components):
        m = min(k, len(covariances) - 1)
        share = lanes.totals[0, 0] if structure == TIED else n_k[0, k]
        weights[k] = n_k[0, k] / total
        for i in range(d):
            first = i if structure in (DIAG, SPHERICAL) else 0
            for j in range(first, i + 1):
                within = s2[0, k, i, j] - s1[0, k, i] * (s1[0, k, j] / n_k[0, k])
                covariances[m, i, j] += within / share
        for j in range(d):
            means[k, j] = form.means[k, j] + limits.origin[j] + s1[0, k, j] / n_k[0, k]
    for m in range(len(covariances)):
        if structure == SPHERICAL:
            variance = 0.0
            for i in range(d):
                variance += covariances[m, i, i] / d
            for i in range(d):
                covariances[m, i, i] = variance
        for i in range(d):
            covariances[m, i, i] += limits.reg_covar[i]
            for j in range(i):
                covariances[m, j, i] = covariances[m, i, j]
