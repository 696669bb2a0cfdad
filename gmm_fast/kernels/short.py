"""Whole EM iterations in one call, for samples so few that Python would cost more than the passes.

The E-steps are those of `gaussian.triangular_pass`, for any family, and of `gaussian.linear_pass`,
for families of variances; the M-steps are those of `families`, in plain loops.
"""

from typing import NamedTuple

import numpy as np

from ._options import helper, serial_kernel
from .cholesky import inverse_cholesky
from .gaussian import linear_lane, triangular_lane
from .structures import DIAG, SPHERICAL, TIED
from .tiles import BLOCK

# Returned instead of a number of iterations; `FAR` if products would cancel.
TROUBLE, FAR = -1, -2
PIVOT = 10 * np.finfo(np.float64).eps
LOG_2_PI = np.log(2 * np.pi)


class Mixture(NamedTuple):
    """Parameters, float64."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, d)
    covariances: np.ndarray  # (K, d, d) for any family, or (1, d, d) if shared


class Limits(NamedTuple):
    """Limits of variances, components and iterations."""

    added: np.ndarray  # (d,), added to the variances
    rounding: np.ndarray  # (d,), the part of it that stands for the rounding of the data
    origin: np.ndarray  # (d,), kernels see x - origin
    eps: float  # relative rounding of a sample; variances of that size do not count
    least: float  # a component with smaller total responsibility has died
    tol: float
    max_iter: int
    to_beat: float  # log-likelihood; a run that will not reach it ends early
    look: float  # iterations before the first check of that; the interval then doubles
    enough: float  # share of the missing log-likelihood to gain in the last half before a check


@helper
def _is_hopeless(iteration, log_likelihood, looked, limits):
    """Whether a run falls behind; `looked` holds (next check, log-likelihood half-way to it)."""
    if iteration == looked[0] // 2:
        looked[1] = log_likelihood
    if iteration < looked[0]:
        return False
    gained, missing = log_likelihood - looked[1], limits.to_beat - log_likelihood
    looked[0], looked[1] = 2 * looked[0], log_likelihood
    return gained < limits.enough * missing


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
        One lane; scratch.
    out : Outputs
        Without rows.

    Returns
    -------
    iterations : int
        `TROUBLE` if a component died or collapsed: then `mixture` cannot be used.
    small_steps : int
        How many of the last iterations in a row changed less than the tolerance.
    log_likelihood : float
        Of `mixture`.
    """
    looked = np.array([limits.look, -np.inf])
    factor = np.zeros(mixture.covariances.shape)
    singular = np.empty(len(factor), np.bool_)
    lane = first = np.int64(0)  # not literals, for which all would be compiled a second time
    n_blocks = (len(x) + BLOCK - 1) // BLOCK
    before = 0.0
    small_steps = iteration = 0
    while True:
        inverse_cholesky(mixture.covariances, PIVOT * factor.shape[1], factor, singular)
        if _is_unusable(mixture.means, factor, singular, limits):
            return TROUBLE, 0, 0.0
        _fill_form(mixture, factor, limits, form)
        for i in range(len(sums)):
            sums[i] = 0.0
        triangular_lane(x, sample_weights, form, lanes, out, lane, first, n_blocks)
        total_weight, log_likelihood = lanes.totals[0, 0], lanes.totals[0, 1]
        # NaN is trouble, too
        if not abs(log_likelihood) < np.inf or _count_dead(lanes.n_k, limits.least):
            return TROUBLE, 0, 0.0
        if iteration > 0:
            small = abs(log_likelihood - before) < limits.tol * total_weight
            small_steps = small_steps + 1 if small else 0
        if small_steps == 2 or iteration == limits.max_iter:
            return iteration, small_steps, log_likelihood
        if _is_hopeless(iteration, log_likelihood, looked, limits):
            return iteration, small_steps, log_likelihood
        before = log_likelihood
        _m_step(structure, lanes, form, limits, mixture)
        iteration += 1


@helper
def _is_unusable(means, factor, singular, limits):
    """Whether a covariance is singular, or so thin that `rescue` would widen it."""
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
    """Number of components whose total responsibility is too small, or NaN."""
    dead = 0
    for k in range(n_k.shape[1]):
        if not n_k[0, k] >= least:
            dead += 1
    return dead


@helper
def _fill_form(mixture, factor, limits, form):
    """Fill the form with `mixture`."""
    n_components, d = mixture.means.shape
    for k in range(n_components):
        m = min(k, len(factor) - 1)
        log_det_half = hidden = 0.0
        for i in range(d):
            form.means[k, i] = mixture.means[k, i] - limits.origin[i]
            log_det_half += np.log(factor[m, i, i])
            for j in range(i + 1):
                form.chol_inv[k, i, j] = 0.5 * factor[m, i, j]
                hidden += 0.5 * factor[m, i, j] * factor[m, i, j] * limits.rounding[j]
        front = np.log(mixture.weights[k]) - hidden
        form.log_const[k] = 0.5 * (front + log_det_half - 0.5 * d * LOG_2_PI)


@helper
def _m_step(structure, lanes, form, limits, mixture):
    """Compute the next mixture from the sums in the lane."""
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
            covariances[m, i, i] += limits.added[i]
            for j in range(i):
                covariances[m, j, i] = covariances[m, i, j]


class Variances(NamedTuple):
    """Parameters of a mixture without correlations, float64."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, d)
    variances: np.ndarray  # (K, d), or (K, 1) for one per component


@serial_kernel
def iterate_variances(x, sample_weights, mixture, limits, near, least, form, sums, lanes, out):
    """As `iterate`, for families of variances.

    Parameters
    ----------
    x, sample_weights, limits, sums, lanes, out
        As for `iterate`.
    mixture : Variances
        The start; written.
    near, least : float
        `forms.NEAR` for x's dtype, and the least precision that its squares have room for;
        beyond these, `FAR` is returned.
    form : LinearForm of x's dtype
        Scratch, zeros in the paddings; without a `quad` if each component has one variance.

    Returns
    -------
    As `iterate`.
    """
    looked = np.array([limits.look, -np.inf])
    center = np.zeros(mixture.means.shape[1])
    lane = first = np.int64(0)  # not literals, for which all would be compiled a second time
    n_blocks = (len(x) + BLOCK - 1) // BLOCK
    before = 0.0
    small_steps = iteration = 0
    while True:
        if _lacks_variance(mixture, limits):
            return TROUBLE, 0, 0.0
        if not _fill_linear_form(mixture, limits, near, least, center, form):
            return FAR, 0, 0.0
        for i in range(len(sums)):
            sums[i] = 0.0
        linear_lane(x, sample_weights, form, lanes, out, lane, first, n_blocks)
        total_weight, log_likelihood = lanes.totals[0, 0], lanes.totals[0, 1]
        if not abs(log_likelihood) < np.inf or _count_dead(lanes.n_k, limits.least):
            return TROUBLE, 0, 0.0
        if iteration > 0:
            small = abs(log_likelihood - before) < limits.tol * total_weight
            small_steps = small_steps + 1 if small else 0
        if small_steps == 2 or iteration == limits.max_iter:
            return iteration, small_steps, log_likelihood
        if _is_hopeless(iteration, log_likelihood, looked, limits):
            return iteration, small_steps, log_likelihood
        before = log_likelihood
        _m_step_variances(lanes, center, form, limits, mixture)
        iteration += 1


@helper
def _lacks_variance(mixture, limits):
    """Whether a variance is no larger than rounding, so that `rescue` would widen it."""
    _, means, variances = mixture
    for k in range(means.shape[0]):
        for j in range(means.shape[1]):
            variance = variances[k, min(j, variances.shape[1] - 1)]
            rounding = limits.eps * (means[k, j] - limits.origin[j])
            # True for NaN, too
            if not (variance > rounding * rounding and 0.0 < variance < np.inf):
                return True
    return False


@helper
def _fill_linear_form(mixture, limits, near, least, center, form):
    """Fill the form with `mixture`, as `forms` does; False if products would cancel."""
    weights, means, variances = mixture
    origin = limits.origin
    n_components, d = means.shape
    each = form.quad.shape[0] > 0
    for j in range(d):
        middle = 0.0
        for k in range(n_components):
            middle += weights[k] * (means[k, j] - origin[j])
        form.center[j] = middle
        center[j] = form.center[j]  # rounded to the kernel's dtype
    for k in range(n_components):
        offset = log_det_half = hidden = 0.0
        for j in range(d):
            variance = variances[k, j] if each else variances[k, 0]
            precision = 0.25 / variance
            z = means[k, j] - origin[j] - center[j]
            form.coef[k, j] = 2.0 * precision * z
            offset += precision * z * z
            log_det_half -= 0.5 * np.log(variance)
            hidden += 0.5 * limits.rounding[j] / variance
            if each:
                form.quad[k, j] = -precision
        if not each:
            form.of_norm[k] = -0.25 / variances[k, 0]
        form.offset[k] = -offset
        front = np.log(weights[k]) - hidden
        form.log_const[k] = 0.5 * (front + log_det_half - 0.5 * d * LOG_2_PI)
        if not 4.0 * offset <= near:
            return False
        for j in range(variances.shape[1]):
            if not least <= 0.25 / variances[k, j] <= 1.0 / least:
                return False
    return True


@helper
def _m_step_variances(lanes, center, form, limits, mixture):
    """Compute the next mixture from the sums in the lane, which are about the form's centre."""
    n_k, s1, s2 = lanes.n_k, lanes.s1, lanes.s2
    weights, means, variances = mixture
    n_components, d = means.shape
    dp = form.center.shape[0]
    each = form.quad.shape[0] > 0
    total = 0.0
    for k in range(n_components):
        total += n_k[0, k]
    for k in range(n_components):
        weights[k] = n_k[0, k] / total
        between = 0.0
        for j in range(d):
            # about the present mean, as in `forms`: squares about the centre would cancel
            z = means[k, j] - limits.origin[j] - center[j]
            delta = s1[0, k, j] / n_k[0, k] - z
            means[k, j] += delta
            if each:
                second = s1[0, k, dp + j] + (n_k[0, k] * z - 2.0 * s1[0, k, j]) * z
                variances[k, j] = second / n_k[0, k] - delta * delta + limits.added[j]
            else:
                between += (n_k[0, k] * z - 2.0 * s1[0, k, j]) * z - n_k[0, k] * delta * delta
        if not each:
            variances[k, 0] = (s2[0, k, 0] + between) / (n_k[0, k] * d) + limits.added[0]
