"""From parameters to what a kernel reads, and from a kernel's lanes to `Stats`."""

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
    """Squared distance of a mean from the centre, in units of the tied covariance, beyond which
    total scatter minus scatter of the means loses more than half of the digits of `dtype`."""
    return 1 / np.sqrt(np.finfo(dtype).eps)


# Squared distance of a mean from the centre, in units of its component's covariance, up to which
# densities and moments come from products (`LinearForm`): they cancel by about that factor, and
# what rounding a component's coefficients costs is the same for all samples. In float32 with 400
# the likelihood fell by more than `em` lets pass as rounding.
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
        Of chunk, weights, `arrays`, lanes and outputs.
    some_lanes : compiled function
        The same, to the same bits, for a range of lanes that comes first; without Numba's threads.
    arrays : TriangularForm, DiagonalForm or LinearForm
    shapes : LaneShapes
    work : float
        Nanoseconds that a sample takes on one thread, roughly.
    collect : callable
        Merged lanes (a `Lanes` of one lane) to `Stats`.
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
    # beyond, a mean would be infinite for the kernel, and 0 times infinity is not 0
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
    # means so far apart that squares overflow: another form is chosen, or samples have no density,
    # which whoever asked is told of
    with np.errstate(over="ignore", invalid="ignore"):
        form = build(front, log_weights, means, factor, np.dtype(dtype))
    if pooled:
        form = replace(form, collect=_pooled(form.collect, family))
    return form if origin is None else replace(form, collect=_moved(form.collect, origin))


def _pooled(collect, family):
    def collect_and_pool(lanes):
        stats = collect(lanes)
        return replace(stats, s2=family.collect(stats.s2))

    return collect_and_pool


def _moved(collect, origin):
    def collect_and_move(lanes):
        stats = collect(lanes)
        return replace(stats, means=stats.means + origin)

    return collect_and_move


def padded(d, tile):
    """`d` rounded up to whole tiles."""
    return -(-d // tile) * tile


def _pad(array, shape, dtype):
    if array.shape == shape:
        return np.ascontiguousarray(array, dtype)
    out = np.zeros(shape, dtype)
    out[tuple(slice(n) for n in array.shape)] = array
    return out


def _log_const(front, log_det_half, d):
    """Half of `front` + ln of the density's normalising constant, as kernels want it.

    `front` is ln weight, less what the data's rounding takes off.
    """
    return 0.5 * (front + log_det_half - 0.5 * d * np.log(2 * np.pi))


def _triangular(front, log_weights, means, factor, dtype):
    k, d = means.shape
    dp = padded(d, 2)
    log_det_half = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    arrays = gaussian.TriangularForm(
        _pad(means, (k, dp), dtype),
        _pad(0.5 * factor, (k, dp, dp), dtype),
        _log_const(front, log_det_half, d).astype(dtype),
    )

    def collect(lanes):
        return _stats(
            lanes, _used(arrays.means, d), lanes.s1[0][:, :d], _symmetric(lanes.s2[0][:, :d, :d])
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
    dp = padded(d, 2)
    return LaneShapes((k, dp), (k, dp, dp), (0, 0, 0))


def triangular_work(k, d):
    """Nanoseconds that a sample takes in the triangular form, roughly."""
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
        return _uncorrelated(arrays, means - center, center, each_feature=factor.ndim == 2)
    dp = padded(d, 4)
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
        return _stats(lanes, _used(arrays.means, d), lanes.s1[0][:, :d], s2)

    shapes = LaneShapes((k, dp), (k, dp), (0, 0, 0))
    return Form(
        gaussian.diagonal_pass, gaussian.diagonal_lanes, arrays, shapes, k * (8 + d), collect
    )


def _center(log_weights, means, dtype):
    """The mixture's mean as a kernel of `dtype` knows it, float64."""
    return (np.exp(log_weights) @ means).astype(dtype).astype(np.float64)


def _linear(z_means, scale, log_const, dtype, center, whiten=None):
    """The `LinearForm` of log_const - |scale (z - z_means)|^2, or None if that would cancel.

    |s (z - m)|^2 = s^2 z^2 - 2 s^2 m z + s^2 m^2, feature by feature where `scale` is (K, d); with
    one scale for all of them, (K, 1), the first term needs |z|^2 alone.
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
    kp, dp = padded(k, 4), padded(d, 4)
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
    """Least precision, of half a density, and inverse of the largest, in a `LinearForm`.

    Samples a thousandth or a thousand sigma away have squares still.
    """
    return 1e6 * float(np.finfo(dtype).tiny)


def linear_shapes(k, d_pad, squares, dtype, scatter=(0, 0, 0)):
    """`LaneShapes` of the linear form; `squares`: each feature's, or |z|^2 alone."""
    features = d_pad * (2 if squares else 1)
    in_registers = padded(features, REGISTER_BYTES // np.dtype(dtype).itemsize)
    return LaneShapes((k, in_registers), (k, 0 if squares else 1), scatter)


def linear_work(k, d_pad, squares):
    """Nanoseconds that a sample takes in the linear form, roughly."""
    return k * (4 + d_pad * (2 if squares else 1) / 4)


def _linear_form(arrays, k, scatter, collect):
    squares, dp = len(arrays.quad) > 0, len(arrays.center)
    shapes = linear_shapes(k, dp, squares, arrays.coef.dtype, scatter)
    work = linear_work(k, dp, squares)
    return Form(gaussian.linear_pass, gaussian.linear_lanes, arrays, shapes, work, collect)


def _uncorrelated(arrays, z_means, center, each_feature):
    """diag, or spherical: moments about the centre become moments about the means."""
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
    """Tied covariance: z = factor (x - centre) / 2, and components of variance 1/4.

    sum_k w r (z - m_k)(z - m_k)' = T - sum_k (N_k m_k m_k' + m_k s1_k' + s1_k m_k') with
    T = sum w z z', so the pass needs first moments and one scatter matrix. Where means lie far from
    the centre beside their spread the linear form cancels, then the diagonal one does without; that
    sum cancels when they lie very far, then every component is evaluated with the triangular form.
    """
    k, d = means.shape
    center = _center(log_weights, means, dtype)
    white_means = 0.5 * (means - center) @ factor.T
    if 4 * (white_means**2).sum(axis=1).max() > _far(dtype):
        return _tied_triangular(front, log_weights, means, factor, dtype)
    dp = padded(d, 4)
    log_const = _log_const(front, np.log(np.diagonal(factor)).sum(), d)
    whiten = _used(0.5 * factor, d, dtype)  # the transformation as the kernel applies it
    if not np.diagonal(whiten).all():  # variances so large that it underflows, and has no inverse
        return _tied_triangular(front, log_weights, means, factor, dtype)
    unwhiten = dtrtri(whiten, lower=1)[0]
    linear = _linear(white_means, np.ones((k, 1)), log_const, dtype, center, whiten)
    used_means = white_means if linear is not None else _used(white_means, d, dtype)

    def collect(lanes):
        n_k, s1 = lanes.n_k[0], lanes.s1[0][:, :d]
        if linear is not None:
            s1 = s1 - n_k[:, None] * used_means
        total = _symmetric(lanes.scatter[0, :, :d, :d])[0]
        cross = used_means.T @ s1
        means = center + used_means @ unwhiten.T
        with np.errstate(invalid="ignore"):  # squares that overflow, of rows that are only scored
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
        with np.errstate(invalid="ignore"):  # squares that overflow, of means far from all rows
            return replace(stats, s2=stats.s2.sum(axis=0))

    return replace(form, collect=collect)


def _symmetric(matrices):
    """(K, d, d) with the lower triangles' values above the diagonals, too."""
    return np.where(_lower(matrices.shape[1]), matrices, np.swapaxes(matrices, 1, 2))


@cache
def _lower(d):
    """Which entries of a (d, d) matrix lie on the diagonal or below."""
    row = np.arange(d)
    return row[:, None] >= row


def _used(array, d, dtype=None):
    """The first `d` columns as a kernel knows them, float64."""
    return array[:, :d].astype(dtype or array.dtype).astype(np.float64)


def _stats(lanes, means, s1, s2):
    total_weight, log_likelihood, log_max_resp, _ = (float(t) for t in lanes.totals[0])
    return Stats(total_weight, log_likelihood, log_max_resp, means, lanes.n_k[0], s1, s2)
