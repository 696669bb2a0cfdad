"""From parameters to what a kernel reads, and from a kernel's lanes to `Stats`."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from .errors import FitError
from .families import get_family
from .kernels import gaussian
from .stats import Stats


def _far(dtype):
    """Squared distance of a mean from the centre, in units of the tied covariance, beyond which
    total scatter minus scatter of the means loses more than half of the digits of `dtype`."""
    return 1 / np.sqrt(np.finfo(dtype).eps)


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
    arrays : TriangularForm or DiagonalForm
    shapes : LaneShapes
    collect : callable
        Merged lanes (a `Lanes` of one lane) to `Stats`.
    """

    kernel: object
    arrays: NamedTuple
    shapes: LaneShapes
    collect: object


def make_form(params, dtype=np.float64, origin=None):
    """The form of `params` for a kernel of `dtype`, in coordinates x - `origin`.

    Raises
    ------
    FitError
        A covariance is not positive definite.
    """
    family = get_family(params.covariance_type)
    factor = params.factor
    if factor is None:
        factor, singular = family.inverse_cholesky(params.covariances)
        if singular.any():
            bad = ", ".join(str(k) for k in np.flatnonzero(singular))
            raise FitError(
                f"the {family.name} covariance of component(s) {bad} is not positive definite; "
                "raise reg_covar"
            )
    means = params.means if origin is None else params.means - origin
    with np.errstate(divide="ignore"):  # a weight of 0 is ln 0 = -inf: never responsible
        log_weights = np.log(params.weights)
    build = {"triangular": _triangular, "diagonal": _diagonal, "whitened": _whitened}[family.form]
    form = build(log_weights, means, factor, np.dtype(dtype))
    return form if origin is None else replace(form, collect=_moved(form.collect, origin))


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


def _log_const(log_weights, log_det_half, d):
    """Half of ln weight + ln of the density's normalising constant, as kernels want it."""
    return 0.5 * (log_weights + log_det_half - 0.5 * d * np.log(2 * np.pi))


def _triangular(log_weights, means, factor, dtype):
    k, d = means.shape
    dp = padded(d, 2)
    log_det_half = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1)
    arrays = gaussian.TriangularForm(
        _pad(means, (k, dp), dtype),
        _pad(0.5 * factor, (k, dp, dp), dtype),
        _log_const(log_weights, log_det_half, d).astype(dtype),
    )

    def collect(lanes):
        return _stats(
            lanes, _used(arrays.means, d), lanes.s1[0][:, :d], _symmetric(lanes.s2[0][:, :d, :d])
        )

    shapes = LaneShapes((k, dp), (k, dp, dp), (0, 0, 0))
    return Form(gaussian.triangular_pass, arrays, shapes, collect)


def _diagonal(log_weights, means, factor, dtype):
    k, d = means.shape
    dp = padded(d, 4)
    scale = factor if factor.ndim == 2 else factor[:, None]
    log_det_half = np.log(np.broadcast_to(scale, (k, d))).sum(axis=1)
    arrays = gaussian.DiagonalForm(
        _pad(means, (k, dp), dtype),
        _pad(0.5 * scale, (k, dp if scale.shape[1] == d > 1 else 1), dtype),
        _log_const(log_weights, log_det_half, d).astype(dtype),
        np.zeros(dp, dtype),
        np.zeros((0, 0), dtype),
    )

    def collect(lanes):
        return _stats(lanes, _used(arrays.means, d), lanes.s1[0][:, :d], lanes.s2[0][:, :d])

    shapes = LaneShapes((k, dp), (k, dp), (0, 0, 0))
    return Form(gaussian.diagonal_pass, arrays, shapes, collect)


def _whitened(log_weights, means, factor, dtype):
    """Tied covariance: z = factor (x - centre) / 2, then the diagonal form.

    sum_k w r (z - m_k)(z - m_k)' = T - sum_k (N_k m_k m_k' + m_k s1_k' + s1_k m_k') with
    T = sum w z z', so the pass needs first moments and one scatter matrix. That cancels when means
    lie very far apart beside their spread; then every component is evaluated with the triangular
    form.
    """
    k, d = means.shape
    centre = np.exp(log_weights) @ means
    white_means = 0.5 * (means - centre) @ factor.T
    if 4 * (white_means**2).sum(axis=1).max() > _far(dtype):
        return _tied_triangular(log_weights, means, factor, dtype)
    dp = padded(d, 4)
    log_det_half = np.log(np.diagonal(factor)).sum()
    arrays = gaussian.DiagonalForm(
        _pad(white_means, (k, dp), dtype),
        np.ones((k, 1), dtype),
        _log_const(log_weights, log_det_half, d).astype(dtype),
        _pad(centre, (dp,), dtype),
        _pad(0.5 * factor, (dp, dp), dtype),
    )
    # the transformation as the kernel applies it, rounded to its dtype
    used_means = _used(arrays.means, d)
    unwhiten = np.linalg.inv(arrays.whiten[:d, :d].astype(np.float64))  # x - centre = unwhiten z

    def collect(lanes):
        n_k, s1 = lanes.n_k[0], lanes.s1[0][:, :d]
        total = _symmetric(lanes.scatter[0, :, :d, :d])[0]
        cross = used_means.T @ s1
        within = total - (n_k[:, None] * used_means).T @ used_means - cross - cross.T
        means = arrays.center[:d] + used_means @ unwhiten.T
        return _stats(lanes, means, s1 @ unwhiten.T, unwhiten @ within @ unwhiten.T)

    shapes = LaneShapes((k, dp), (k, 0), (1, dp, dp))
    return Form(gaussian.diagonal_pass, arrays, shapes, collect)


def _tied_triangular(log_weights, means, factor, dtype):
    form = _triangular(
        log_weights, means, np.broadcast_to(factor, (len(means), *factor.shape)), dtype
    )

    def collect(lanes):
        stats = form.collect(lanes)
        return replace(stats, s2=stats.s2.sum(axis=0))

    return Form(form.kernel, form.arrays, form.shapes, collect)


def _symmetric(matrices):
    """(K, d, d) with the lower triangles' values above the diagonals, too."""
    row = np.arange(matrices.shape[1])
    return np.where(row[:, None] >= row, matrices, np.swapaxes(matrices, 1, 2))


def _used(means, d):
    return means[:, :d].astype(np.float64)


def _stats(lanes, means, s1, s2):
    total_weight, log_likelihood, log_max_resp, _ = (float(t) for t in lanes.totals[0])
    return Stats(total_weight, log_likelihood, log_max_resp, means, lanes.n_k[0], s1, s2)
