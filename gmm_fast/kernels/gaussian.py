"""The fused pass: log densities, responsibilities and their statistics, block by block.

No array of size n x K exists: the responsibilities of one block live in scratch memory until its
statistics are added to the accumulators of the block's *lane*. Which blocks a lane owns depends on
the number of rows and lanes alone, never on threads, so results are the same bits at any thread
count.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from ._options import helper, kernel
from .block import (
    BLOCK,
    add_diagonal,
    add_outer,
    diagonal_square,
    first_largest,
    load_block,
    log_joint,
    lower_product,
    lower_square,
    normalise,
    scratch,
    subtract,
    sum_block,
    weigh,
    write_outputs,
)


class TriangularForm(NamedTuple):
    """Components as inverse Cholesky factors; `d_pad` is d rounded up to a multiple of `TILE`.

    log p_k(x) + log weight_k = log_const[k] - |chol_inv[k] (x - means[k])|^2; the usual factor
    1/2 is folded into `chol_inv`.
    """

    means: np.ndarray  # (K, d_pad)
    chol_inv: np.ndarray  # (K, d_pad, d_pad), lower triangular
    log_const: np.ndarray  # (K,)


class DiagonalForm(NamedTuple):
    """Components as one scale per feature, of z = x, or of z = whiten (x - center).

    log p_k(x) + log weight_k = log_const[k] - |scale[k] * (z - means[k])|^2.
    """

    means: np.ndarray  # (K, d_pad)
    scale: np.ndarray  # (K, d_pad); zeros in the padding
    log_const: np.ndarray  # (K,)
    center: np.ndarray  # (d_pad,)
    whiten: np.ndarray  # (d_pad, d_pad) lower triangular, or (0, 0) for z = x


class Lanes(NamedTuple):
    """One float64 accumulator per lane; moments are about the form's means."""

    totals: np.ndarray  # (L, 3): sum w, sum w log_prob, sum w ln max_k resp
    n_k: np.ndarray  # (L, K): sum w resp; (L, 0) turns the statistics off
    s1: np.ndarray  # (L, K, d_pad)
    s2: np.ndarray  # (L, K, d_pad, d_pad) triangular, lower half; (L, K, d_pad) diagonal
    scatter: np.ndarray  # (L, d_pad, d_pad): sum w z z', lower half, when the form whitens


class Outputs(NamedTuple):
    """What is written for each row of the chunk; an array without rows is not written."""

    log_prob: np.ndarray  # (m,)
    labels: np.ndarray  # (m,) int32
    resp: np.ndarray  # (m, K)


@helper
def _triangular_lane(x, weights, form, lanes, out, lane, first, last):
    n_components, d_pad = form.means.shape
    dtype = x.dtype
    xt = np.zeros((d_pad, BLOCK), dtype)
    xc = np.empty((d_pad, BLOCK), dtype)
    y = np.empty((d_pad, BLOCK), dtype)
    lp = np.empty((n_components, BLOCK), dtype)
    w, q, top, spare, total, log_prob = scratch(dtype)
    for block in range(first, last):
        start = block * BLOCK
        m = load_block(x, weights, start, xt, w)
        top[:] = -np.inf
        for k in range(n_components):
            subtract(xt, form.means[k], xc)
            lower_square(form.chol_inv[k], xc, y, q)
            log_joint(form.log_const[k], q, lp[k], top, spare)
            top, spare = spare, top
        if out.labels.shape[0] > 0:
            first_largest(lp, m, out.labels[start : start + m])
        normalise(lp, top, w, total, log_prob, lanes.totals[lane])
        write_outputs(lp, log_prob, start, m, out)
        for k in range(lanes.n_k.shape[1]):
            n_k = sum_block(lp[k])
            if n_k != 0:  # so that NaN comes through
                lanes.n_k[lane, k] += n_k
                subtract(xt, form.means[k], xc)
                weigh(xc, lp[k], y, lanes.s1[lane, k])
                add_outer(y, xc, lanes.s2[lane, k])


@helper
def _diagonal_lane(x, weights, form, lanes, out, lane, first, last):
    n_components, d_pad = form.means.shape
    whitens = form.whiten.shape[0] > 0
    dtype = x.dtype
    xt = np.zeros((d_pad, BLOCK), dtype)
    xc = np.empty((d_pad, BLOCK), dtype)
    z = np.empty((d_pad, BLOCK), dtype) if whitens else xt
    lp = np.empty((n_components, BLOCK), dtype)
    w, q, top, spare, total, log_prob = scratch(dtype)
    for block in range(first, last):
        start = block * BLOCK
        m = load_block(x, weights, start, xt, w)
        if whitens:
            subtract(xt, form.center, xc)
            lower_product(form.whiten, xc, z)
        top[:] = -np.inf
        for k in range(n_components):
            diagonal_square(z, form.means[k], form.scale[k], q)
            log_joint(form.log_const[k], q, lp[k], top, spare)
            top, spare = spare, top
        if out.labels.shape[0] > 0:
            first_largest(lp, m, out.labels[start : start + m])
        normalise(lp, top, w, total, log_prob, lanes.totals[lane])
        write_outputs(lp, log_prob, start, m, out)
        for k in range(lanes.n_k.shape[1]):
            n_k = sum_block(lp[k])
            if n_k != 0:  # so that NaN comes through
                lanes.n_k[lane, k] += n_k
                add_diagonal(z, form.means[k], lp[k], lanes.s1[lane, k], lanes.s2[lane, k])
        if whitens and lanes.n_k.shape[1] > 0:
            for j in range(d_pad):
                for b in range(BLOCK):
                    xc[j, b] = w[b] * z[j, b]
            add_outer(xc, z, lanes.scatter[lane])


@kernel
def triangular_pass(x, weights, form, lanes, out):
    """Add one chunk to `lanes` and write what `out` asks for.

    Parameters
    ----------
    x : (m, d) float32 or float64, C order
    weights : (m,) of x's dtype, or (0,) for weights of 1
    form : TriangularForm of x's dtype
    lanes : Lanes
    out : Outputs; responsibilities come out multiplied by the weights
    """
    n_lanes = lanes.totals.shape[0]
    n_blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for lane in prange(n_lanes):
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        _triangular_lane(x, weights, form, lanes, out, lane, first, last)


@kernel
def diagonal_pass(x, weights, form, lanes, out):
    """As `triangular_pass`, for a `DiagonalForm`."""
    n_lanes = lanes.totals.shape[0]
    n_blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for lane in prange(n_lanes):
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        _diagonal_lane(x, weights, form, lanes, out, lane, first, last)
