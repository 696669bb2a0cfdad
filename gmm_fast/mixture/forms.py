"""Converts parameters to the arrays a kernel reads, and a kernel's lanes to `Stats`."""

from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.linalg.lapack import dtrtri

from ..errors import FitError
from ..kernels import gaussian
from ..kernels.vector import REGISTER_BYTES
from .resolution import penalties
from .stats import Stats


def _far(dtype):
    """Squared distance of a mean from the centre, in units of the tied covariance.

    Beyond it total scatter minus scatter of the means loses more than half the digits of `dtype`.
    """
    return 1 / np.sqrt(np.finfo(dtype).eps)


# Up to this squared distance of a mean from the centre, in units of its component's covariance,
# densities and moments come from products (`LinearForm`). These cancel by about that factor, and
# rounding a component's coefficients costs the same for all samples. With 400 in float32 the
# likelihood fell by more than `em` accepts as rounding.
NEAR = {np.dtype(np.float64): 2000.0, np.dtype(np.float32): 64.0}


class LaneShapes(NamedTuple):
    """Shapes of one lane's accumulators."""

    s1: tuple
    s2: tuple
    scatter: tuple


@dataclass(frozen=True)
class Form:
    """Parameters laid out for one kernel.

    Attributes
    ----------
    kernel : compiled function
        Takes chunk, weights, `arrays`, lanes and outputs.
    some_lanes : compiled function
        The same, to the same bits, for a range of lanes, its first argument; without Numba's
        threads.
    arrays : TriangularForm, DiagonalForm or LinearForm
    shapes : LaneShapes
    work : float
        Approximate nanoseconds of a sample on one thread.
    collect : callable
        Turns merged lanes (a `Lanes` of one lane) into `Stats`.
    """

    kernel: object
    some_lanes: object
    arrays: NamedTuple
    shapes: LaneShapes
    work: float
    collect: object


def make_form(params, dtype=np.float64, origin=None):
    """The form of `params` for a kernel of `dtype`, in coordinates x - `origin`.

    Raises
    ------
    FitError
        A covariance is not positive definite.
    """
    family = params.family
    factor, singular = params.factored
    if singular.any():
        bad = ", ".join(str(k) for k in np.flatnonzero(singular))
        raise FitError(
            f"the {family.name} covariance of component(s) {bad} is not positive definite; "
            "raise reg_covar"
        )
    means = params.means if origin is None else params.means - origin
    # beyond this a mean would be infinite in the kernel, and 0 times infinity is not 0
    most = 0.1 * np.finfo(dtype).max
    if np.abs(means).max() > most:
        means = np.clip(means, -most, most)
    with np.errstate(divide="ignore"):  # a weight of 0 is ln 0 = -inf: never responsible
        log_weights = np.log(params.weights)
    front = log_weights
    if params.rounding is not None:
        front = log_weights - penalties(factor, params.rounding, family)
    build = {
        "triangular": _triangular,
        "diagonal": _diagonal,
        "whitened": _whitened,
    }[family.form]
    pooled = family.shared and family.form != "whitened"
    if pooled:
        factor = family.each(factor, params.n_components)
    # squares overflow if means are too far apart: another form is chosen, or samples have no
    # density, and the caller reports that
    with np.errstate(over="ignore", invalid="ignore"):
        form = build(front, log_weights, means, factor, np.dtype(dtype))
    if pooled:
        form = replace(form, collect=_pool_covariances(form.collect, family))
    return form if origin is None else replace(form, collect=_shift_means(form.collect, origin))


def _pool_covariances(collect, family):
    def collect_and_pool(lanes):
        stats = collect(lanes)
        return replace(stats, s2=family.collect(stats.s2))

    return collect_and_pool


def _shift_means(collect, origin):
    def collect_and_move(lanes):
        stats = collect(lanes)
        return replace(stats, means=stats.means + origin)

    return collect_and_move


def round_up(d, tile):
    """`d` rounded up to whole tiles."""
    return -(-d // tile) * tile


def _pad(array, shape, dtype):
    if array.shape == shape:
        return np.ascontiguousarray(array, dtype)
    out = np.zeros(shape, dtype)
    out[tuple(slice(n) for n in array.shape)] = array
    return out


def _log_const(front, log_det_half, d):
    """Half of `front` plus ln of the density's normalising constant, as kernels expect it.

    `front` is ln weight, less the penalty of the data's rounding.
    """
    return 0.5 * (front + log_det_half - 0.5 * d * np.log(2 * np.pi))


def _triangular(front, log_weights, means, factor, dtype):
    k, d = means.shape
    dp = round_up(d, 2)
    log_det_half = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    arrays = gaussian.TriangularForm(
        _pad(means, (k, dp), dtype),
        _pad(0.5 * factor, (k, dp, dp), dtype),
        _log_const(front, log_det_half, d).astype(dtype),
    )

    def collect(lanes):
        return _stats(
            lanes,
            _as_kernel(arrays.means, d),
            lanes.s1[0][:, :d],
            _symmetric(lanes.s2[0][:, :d, :d]),
        )

    return Form(
        gaussian.triangular_pass,
        gaussian.triangular_lanes,
        arrays,
        triangular_shapes(k, d),
        triangular_work(k, d),
        collect,
    )


def triangular_shapes(k, d):
    """`LaneShapes` of the triangular form."""
    dp = round_up(d, 2)
    return LaneShapes((k, dp), (k, dp, dp), (0, 0, 0))


def triangular_work(k, d):
    """Approximate nanoseconds of a sample in the triangular form."""
    return k * (8 + d + d * d / 8)


def _diagonal(front, log_weights, means, factor, dtype):
    """diag, `factor` (K, d), and spherical, (K,)."""
    k, d = means.shape
    scale = factor if factor.ndim == 2 else factor[:, None]
    log_det_half = np.log(np.broadcast_to(scale, (k, d))).sum(axis=1)
    log_const = _log_const(front, log_det_half, d)
    center = _center(log_weights, means, dtype)
    arrays = _linear(means - center, 0.5 * scale, log_const, dtype, center)
    if arrays is not None:
        return _linear_diagonal(arrays, means - center, center, each_feature=factor.ndim == 2)
    dp = round_up(d, 4)
    arrays = gaussian.DiagonalForm(
        _pad(means, (k, dp), dtype),
        _pad(0.5 * scale, (k, dp if scale.shape[1] == d > 1 else 1), dtype),
        log_const.astype(dtype),
        np.zeros(dp, dtype),
        np.zeros((0, 0), dtype),
    )

    def collect(lanes):
        s2 = lanes.s2[0][:, :d]
        s2 = s2 if factor.ndim == 2 else s2.sum(axis=1)
        return _stats(lanes, _as_kernel(arrays.means, d), lanes.s1[0][:, :d], s2)

    shapes = LaneShapes((k, dp), (k, dp), (0, 0, 0))
    return Form(
        gaussian.diagonal_pass, gaussian.diagonal_lanes, arrays, shapes, k * (8 + d), collect
    )


def _center(log_weights, means, dtype):
    """The mixture's mean, rounded to `dtype` as in the kernel, float64."""
    return (np.exp(log_weights) @ means).astype(dtype).astype(np.float64)


def _linear(z_means, scale, log_const, dtype, center, whiten=None):
    """The `LinearForm` of log_const - |scale (z - z_means)|^2, or None if that would cancel.

    |s (z - m)|^2 = s^2 z^2 - 2 s^2 m z + s^2 m^2, for each feature if `scale` is (K, d). With one
    scale for all features, (K, 1), the first term needs only |z|^2.
    """
    k, d = z_means.shape
    precision = scale**2
    terms = precision * z_means
    offset = (terms * z_means).sum(axis=1)
    if not 4 * offset.max() <= NEAR[dtype]:  # 4: log densities are halved
        return None
    least = least_precision(dtype)
    if not least <= precision.min() <= precision.max() <= 1 / least:
        return None
    kp, dp = round_up(k, 4), round_up(d, 4)
    each_feature = precision.shape[1] == d > 1
    return gaussian.LinearForm(
        _pad(2 * terms, (kp, dp), dtype),
        _pad(-precision, (kp, dp), dtype) if each_feature else np.zeros((0, 0), dtype),
        _pad(np.zeros(k) if each_feature else -precision[:, 0], (kp,), dtype),
        _pad(-offset, (kp,), dtype),
        _pad(log_const, (kp,), dtype),
        _pad(center, (dp,), dtype),
        np.zeros((0, 0), dtype) if whiten is None else _pad(whiten, (dp, dp), dtype),
    )


def least_precision(dtype):
    """Least precision in a `LinearForm`, and the inverse of the largest, of halved densities.

    Squares still neither underflow nor overflow a thousandth or a thousand sigma away.
    """
    return 1e6 * float(np.finfo(dtype).tiny)


def linear_shapes(k, d_pad, squares, dtype, scatter=(0, 0, 0)):
    """`LaneShapes` of the linear form; `squares` says whether features have their own squares."""
    features = d_pad * (2 if squares else 1)
    in_registers = round_up(features, REGISTER_BYTES // np.dtype(dtype).itemsize)
    return LaneShapes((k, in_registers), (k, 0 if squares else 1), scatter)


def linear_work(k, d_pad, squares):
    """Approximate nanoseconds of a sample in the linear form."""
    return k * (4 + d_pad * (2 if squares else 1) / 4)


def _linear_form(arrays, k, scatter, collect):
    squares, dp = len(arrays.quad) > 0, len(arrays.center)
    shapes = linear_shapes(k, dp, squares, arrays.coef.dtype, scatter)
    work = linear_work(k, dp, squares)
    return Form(gaussian.linear_pass, gaussian.linear_lanes, arrays, shapes, work, collect)


def _linear_diagonal(arrays, z_means, center, each_feature):
    """The linear form of diag or spherical; `collect` moves moments from centre to means."""
    k, d = z_means.shape
    dp = len(arrays.center)

    def collect(lanes):
        n_k, first = lanes.n_k[0][:, None], lanes.s1[0][:, :d]
        second = lanes.s1[0][:, dp : dp + d] if len(arrays.quad) else lanes.s2[0]
        cross = (n_k * z_means - 2 * first) * z_means
        if not each_feature:
            second, cross = second.sum(axis=1), cross.sum(axis=1)
        return _stats(lanes, center + z_means, first - n_k * z_means, second + cross)

    return _linear_form(arrays, k, (0, 0, 0), collect)


def _whitened(front, log_weights, means, factor, dtype):
    """The form of a tied covariance: z = factor (x - centre) / 2, components of variance 1/4.

    sum_k w r (z - m_k)(z - m_k)' = T - sum_k (N_k m_k m_k' + m_k s1_k' + s1_k m_k') with
    T = sum w z z', so the pass needs first moments and one scatter matrix. If means lie far from
    the centre compared with their spread, the linear form cancels, and the diagonal one is used. If
    they lie very far, that sum cancels, too, and the triangular form evaluates each component.
    """
    k, d = means.shape
    center = _center(log_weights, means, dtype)
    white_means = 0.5 * (means - center) @ factor.T
    if 4 * (white_means**2).sum(axis=1).max() > _far(dtype):
        return _tied_triangular(front, log_weights, means, factor, dtype)
    dp = round_up(d, 4)
    log_const = _log_const(front, np.log(np.diagonal(factor)).sum(), d)
    whiten = _as_kernel(0.5 * factor, d, dtype)  # the transformation as the kernel applies it
    if not np.diagonal(whiten).all():  # huge variances: it underflows and has no inverse
        return _tied_triangular(front, log_weights, means, factor, dtype)
    unwhiten = dtrtri(whiten, lower=1)[0]
    linear = _linear(white_means, np.ones((k, 1)), log_const, dtype, center, whiten)
    used_means = white_means if linear is not None else _as_kernel(white_means, d, dtype)

    def collect(lanes):
        n_k, s1 = lanes.n_k[0], lanes.s1[0][:, :d]
        if linear is not None:
            s1 = s1 - n_k[:, None] * used_means
        total = _symmetric(lanes.scatter[0, :, :d, :d])[0]
        cross = used_means.T @ s1
        means = center + used_means @ unwhiten.T
        with np.errstate(invalid="ignore"):  # squares of rows that are only scored may overflow
            within = total - (n_k[:, None] * used_means).T @ used_means - cross - cross.T
            s2 = unwhiten @ within @ unwhiten.T
        return _stats(lanes, means, s1 @ unwhiten.T, s2)

    if linear is not None:
        return _linear_form(linear, k, (1, dp, dp), collect)
    arrays = gaussian.DiagonalForm(
        _pad(white_means, (k, dp), dtype),
        np.ones((k, 1), dtype),
        log_const.astype(dtype),
        _pad(center, (dp,), dtype),
        _pad(whiten, (dp, dp), dtype),
    )
    shapes = LaneShapes((k, dp), (k, 0), (1, dp, dp))
    return Form(
        gaussian.diagonal_pass, gaussian.diagonal_lanes, arrays, shapes, k * (8 + d), collect
    )


def _tied_triangular(front, log_weights, means, factor, dtype):
    factors = np.broadcast_to(factor, (len(means), *factor.shape))
    form = _triangular(front, log_weights, means, factors, dtype)

    def collect(lanes):
        stats = form.collect(lanes)
        with np.errstate(invalid="ignore"):  # squares of means far from all rows may overflow
            return replace(stats, s2=stats.s2.sum(axis=0))

    return replace(form, collect=collect)


def _symmetric(matrices):
    """(K, d, d) with the lower triangles mirrored above the diagonals."""
    return np.where(_lower(matrices.shape[1]), matrices, np.swapaxes(matrices, 1, 2))


@cache
def _lower(d):
    """Which entries of a (d, d) matrix lie on the diagonal or below."""
    row = np.arange(d)
    return row[:, None] >= row


def _as_kernel(array, d, dtype=None):
    """The first `d` columns, rounded as in the kernel, float64."""
    return array[:, :d].astype(dtype or array.dtype).astype(np.float64)


def _stats(lanes, means, s1, s2):
    total_weight, log_likelihood, log_max_resp, _ = (float(t) for t in lanes.totals[0])
    return Stats(total_weight, log_likelihood, log_max_resp, means, lanes.n_k[0], s1, s2)
