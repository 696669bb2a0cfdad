"""The fused pass: log densities, responsibilities and their statistics, block by block.

No array of size n x K exists: the responsibilities of one block live in scratch memory until its
statistics are added to the accumulators of the block's *lane*. Which blocks a lane owns depends on
the number of rows and lanes alone, never on threads, so results are the same bits at any thread
count.
"""

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ._options import helper, inlined, kernel
from .block import load_block, normalise, normalise_alike, write_labels, write_outputs
from .tiles import BLOCK, STRIP_BYTES

if numba.config.DISABLE_JIT:
    from . import plain as arithmetic
else:
    from . import tiles as arithmetic

triangular_joint = arithmetic.triangular_joint
diagonal_joint = arithmetic.diagonal_joint
whiten = arithmetic.whiten
exponentials = arithmetic.exponentials
best_component = arithmetic.best_component
add_triangular = arithmetic.add_triangular
add_outer = arithmetic.add_outer
add_diagonal = arithmetic.add_diagonal


class TriangularForm(NamedTuple):
    """Components as inverse Cholesky factors; `d_pad` is d rounded up to a multiple of 2.

    (log p_k(x) + log weight_k) / 2 = log_const[k] - |chol_inv[k] (x - means[k])|^2: the usual
    factor 1/2 and the halving are folded into `log_const` and `chol_inv`.
    """

    means: np.ndarray  # (K, d_pad)
    chol_inv: np.ndarray  # (K, d_pad, d_pad), lower triangular
    log_const: np.ndarray  # (K,)


class DiagonalForm(NamedTuple):
    """Components as scales of z = x, or of z = whiten (x - center).

    (log p_k(x) + log weight_k) / 2 = log_const[k] - |scale[k] * (z - means[k])|^2; `d_pad` is d
    rounded up to a multiple of 4.
    """

    means: np.ndarray  # (K, d_pad)
    scale: np.ndarray  # (K, d_pad), zeros in the padding; or (K, 1): the same for all features
    log_const: np.ndarray  # (K,)
    center: np.ndarray  # (d_pad,)
    whiten: np.ndarray  # (d_pad, d_pad) lower triangular, or (0, 0) for z = x


class Lanes(NamedTuple):
    """One float64 accumulator per lane; moments are about the form's means."""

    totals: np.ndarray  # (L, 4): sum w, sum w log_prob, sum w ln max_k resp, NaN if x has any
    n_k: np.ndarray  # (L, K): sum w resp; (L, 0) turns the statistics off
    s1: np.ndarray  # (L, K, d_pad)
    s2: np.ndarray  # (L, K, d_pad, d_pad) triangular, lower half; (L, K, d_pad or 0) diagonal
    scatter: np.ndarray  # (L, 1, d_pad, d_pad): sum w z z', lower half, when the form whitens


class Outputs(NamedTuple):
    """What is written for each row of the chunk; an array without rows is not written."""

    log_prob: np.ndarray  # (m,)
    labels: np.ndarray  # (m,) int32
    resp: np.ndarray  # (m, K)


@helper
def _responsibilities(h, weights, w, top, which, factor, log_prob, start, m, totals, adds, out):
    """From log densities of one block to exp(h - top) and what makes them responsibilities."""
    if out.labels.shape[0] > 0:
        best_component(h, top, which)
        write_labels(which, start, m, out)
    writes = out.log_prob.shape[0] > 0 or out.resp.shape[0] > 0
    if writes or adds:
        exponentials(h, top, factor)
        if writes or weights.shape[0] > 0 or m < BLOCK:
            normalise(top, w, factor, log_prob, totals)
        else:
            normalise_alike(top, factor, log_prob, totals)
    if writes:
        write_outputs(h, factor, log_prob, start, m, out)


@inlined
def _allocate(x, d_pad, n_components):
    """What a lane works on: samples (zeros in the padding), scratch, densities, four vectors.

    All of one type, so that one allocation is compiled.
    """
    dtype = x.dtype
    xt = np.empty((d_pad, BLOCK), dtype)
    for j in range(x.shape[1], d_pad):
        for b in range(BLOCK):
            xt[j, b] = dtype.type(0)
    z = np.empty((d_pad, BLOCK), dtype)
    strip = np.empty((d_pad, STRIP_BYTES // x.itemsize), dtype)
    h = np.empty((n_components, BLOCK), dtype)
    rows = np.empty((5, BLOCK), dtype)
    return xt, z, strip, h, rows


@helper
def _triangular_lane(x, weights, form, lanes, out, lane, first, last):
    n_components, d_pad = form.means.shape
    xt, z, strip, h, rows = _allocate(x, d_pad, n_components)
    w, top, which, factor, log_prob = rows[0], rows[1], rows[2], rows[3], rows[4]
    adds = lanes.n_k.shape[1] > 0
    for block in range(first, last):
        start = block * BLOCK
        m, finite = load_block(x, weights, start, xt, w)
        lanes.totals[lane, 3] += finite
        triangular_joint(xt, form.means, form.chol_inv, form.log_const, strip, h)
        _responsibilities(
            h, weights, w, top, which, factor, log_prob, start, m, lanes.totals[lane], adds, out
        )
        add_triangular(xt, form.means, h, factor, z, lanes.n_k, lanes.s1, lanes.s2, lane)


@helper
def _diagonal_lane(x, weights, form, lanes, out, lane, first, last):
    n_components, d_pad = form.means.shape
    xt, z, strip, h, rows = _allocate(x, d_pad, n_components)
    w, top, which, factor, log_prob = rows[0], rows[1], rows[2], rows[3], rows[4]
    whitens = form.whiten.shape[0] > 0
    if not whitens:
        z = xt
    adds = lanes.n_k.shape[1] > 0
    for block in range(first, last):
        start = block * BLOCK
        m, finite = load_block(x, weights, start, xt, w)
        lanes.totals[lane, 3] += finite
        if whitens:
            whiten(xt, form.center, form.whiten, strip, z)
        diagonal_joint(z, form.means, form.scale, form.log_const, h)
        _responsibilities(
            h, weights, w, top, which, factor, log_prob, start, m, lanes.totals[lane], adds, out
        )
        add_diagonal(z, form.means, h, factor, lanes.n_k, lanes.s1, lanes.s2, lane)
        if whitens and adds:
            for j in range(d_pad):
                for b in range(BLOCK):
                    xt[j, b] = np.sqrt(w[b]) * z[j, b]
            add_outer(xt, lanes.scatter, lane, 0)


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
    for i in prange(n_lanes):
        lane = np.int64(i)  # unsigned here only: everything would be compiled a second time
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        _triangular_lane(x, weights, form, lanes, out, lane, first, last)


@kernel
def diagonal_pass(x, weights, form, lanes, out):
    """As `triangular_pass`, for a `DiagonalForm`."""
    n_lanes = lanes.totals.shape[0]
    n_blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for i in prange(n_lanes):
        lane = np.int64(i)  # unsigned here only: everything would be compiled a second time
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        _diagonal_lane(x, weights, form, lanes, out, lane, first, last)
