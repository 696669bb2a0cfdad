"""The fused pass: log densities, responsibilities and their statistics, block by block.

There is no array of size n x K: the responsibilities of one block live in scratch memory until its
statistics are added to the accumulators of the block's *lane*. Which blocks a lane owns depends
only on the numbers of rows and lanes, so results are bitwise the same for any number of threads.
"""

from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from ._options import helper, inlined, kernel, serial_kernel
from .block import load_block, normalise, normalise_alike, take_roots, write_labels, write_outputs
from .tiles import BLOCK, STRIP_BYTES

if numba.config.DISABLE_JIT:
    from . import plain as arithmetic
    from . import plain as products
else:
    from . import products
    from . import tiles as arithmetic

triangular_joint = arithmetic.triangular_joint
diagonal_joint = arithmetic.diagonal_joint
whiten = arithmetic.whiten
exponentials = arithmetic.exponentials
best_component = arithmetic.best_component
add_triangular = arithmetic.add_triangular
add_outer = arithmetic.add_outer
add_diagonal = arithmetic.add_diagonal
squared_norm = products.squared_norm
linear_joint = products.linear_joint
copy_rows = products.copy_rows
add_linear = products.add_linear


class TriangularForm(NamedTuple):
    """Components as inverse Cholesky factors; `d_pad` is d rounded up to a multiple of 2.

    (log p_k(x) + log weight_k) / 2 = log_const[k] - |chol_inv[k] (x - means[k])|^2: `log_const`
    and `chol_inv` include the usual factor 1/2 and the halving.
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


class LinearForm(NamedTuple):
    """Components as coefficients of z = x - center, or z = whiten (x - center), and its squares.

    (log p_k(x) + log weight_k) / 2 = log_const[k] + offset[k] + of_norm[k] |z|^2 + coef[k] z +
    quad[k] z^2. `d_pad` and `k_pad` are d and K rounded up to multiples of 4.
    """

    coef: np.ndarray  # (k_pad, d_pad), zeros in the padding
    quad: np.ndarray  # (k_pad, d_pad), or (0, 0) if |z|^2 is enough
    of_norm: np.ndarray  # (k_pad,)
    offset: np.ndarray  # (k_pad,)
    log_const: np.ndarray  # (k_pad,)
    center: np.ndarray  # (d_pad,)
    whiten: np.ndarray  # (d_pad, d_pad) lower triangular, or (0, 0) for z = x - center


class Lanes(NamedTuple):
    """One float64 accumulator per lane; moments are about the form's means.

    Those of a `LinearForm` are about its centre: s1 holds sum w resp z, padded to whole registers,
    and s2 sum w resp |z|^2, (L, K, 1). With a `quad`, s1 also holds sum w resp z^2, after the first
    d_pad, and s2 is empty, (L, K, 0).
    """

    totals: np.ndarray  # (L, 4): sum w, sum w log_prob, sum w ln max_k resp, NaN if x has any
    n_k: np.ndarray  # (L, K): sum w resp; (L, 0) turns the statistics off
    s1: np.ndarray  # (L, K, d_pad)
    s2: np.ndarray  # (L, K, d_pad, d_pad) triangular, lower half; (L, K, d_pad or 0) diagonal
    scatter: np.ndarray  # (L, 1, d_pad, d_pad): sum w z z', lower half, when the form whitens


class Outputs(NamedTuple):
    """Outputs for each row of the chunk; an array without rows is not written."""

    log_prob: np.ndarray  # (m,)
    labels: np.ndarray  # (m,) int32
    resp: np.ndarray  # (m, K)


@helper
def _responsibilities(h, weights, w, top, which, factor, log_prob, start, m, totals, adds, out):
    """From log densities of one block, compute exp(h - top) and the factor of responsibilities."""
    if out.labels.shape[0] > 0:
        best_component(h, top, which)
        write_labels(which, start, m, out)
    writes = out.log_prob.shape[0] > 0 or out.resp.shape[0] > 0
    if writes or adds:
        exponentials(h, top, factor)
        if writes or weights.shape[0] > 0 or m < BLOCK:
            normalise(top, w, factor, log_prob, which, totals)
        else:
            normalise_alike(top, factor, log_prob, totals)
    if writes:
        write_outputs(h, factor, log_prob, start, m, out)


@inlined
def _allocate(x, d_pad, n_rows, width):
    """Memory of a lane: samples, scratch of that size, a strip, densities, vectors, sample rows.

    The sample rows have `width` numbers each. All is zero, as paddings must be. It is one
    allocation with each part at a multiple of 64 bytes: an AVX-512 vector that crosses a cache line
    costs two loads, and without this it was chance whether all of them did.
    """
    dtype = x.dtype
    strip_width = STRIP_BYTES // x.itemsize
    numbers = np.zeros(
        (2 * d_pad + n_rows + 6 + width) * BLOCK + d_pad * strip_width + 64 // x.itemsize, dtype
    )
    first = -numbers.ctypes.data % 64 // x.itemsize
    strip = numbers[first : first + d_pad * strip_width].reshape((d_pad, strip_width))
    first += d_pad * strip_width
    xt = numbers[first : first + d_pad * BLOCK].reshape((d_pad, BLOCK))
    first += d_pad * BLOCK
    z = numbers[first : first + d_pad * BLOCK].reshape((d_pad, BLOCK))
    first += d_pad * BLOCK
    h = numbers[first : first + n_rows * BLOCK].reshape((n_rows, BLOCK))
    first += n_rows * BLOCK
    vectors = numbers[first : first + 6 * BLOCK].reshape((6, BLOCK))
    first += 6 * BLOCK
    rows = numbers[first : first + BLOCK * width].reshape((BLOCK, width))
    return xt, z, strip, h, vectors, rows


@helper
def triangular_lane(x, weights, form, lanes, out, lane, first, last):
    n_components, d_pad = form.means.shape
    xt, z, strip, h, vectors, _ = _allocate(x, d_pad, n_components, 0)
    w, top, which, factor, log_prob = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
    center = np.zeros(d_pad, x.dtype)
    adds = lanes.n_k.shape[1] > 0
    for block in range(first, last):
        start = block * BLOCK
        m, finite = load_block(x, weights, center, start, xt, w, top)
        lanes.totals[lane, 3] += finite
        triangular_joint(xt, form.means, form.chol_inv, form.log_const, strip, h)
        _responsibilities(
            h, weights, w, top, which, factor, log_prob, start, m, lanes.totals[lane], adds, out
        )
        take_roots(factor)
        add_triangular(xt, form.means, h, factor, z, lanes.n_k, lanes.s1, lanes.s2, lane)


@helper
def _diagonal_lane(x, weights, form, lanes, out, lane, first, last):
    n_components, d_pad = form.means.shape
    xt, z, strip, h, vectors, _ = _allocate(x, d_pad, n_components, 0)
    w, top, which, factor, log_prob = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
    whitens = form.whiten.shape[0] > 0
    if not whitens:
        z = xt
    adds = lanes.n_k.shape[1] > 0
    for block in range(first, last):
        start = block * BLOCK
        m, finite = load_block(x, weights, form.center, start, xt, w, top)
        lanes.totals[lane, 3] += finite
        if whitens:
            whiten(xt, form.whiten, strip, z)
        diagonal_joint(z, form.means, form.scale, form.log_const, h)
        _responsibilities(
            h, weights, w, top, which, factor, log_prob, start, m, lanes.totals[lane], adds, out
        )
        take_roots(factor)
        add_diagonal(z, form.means, h, factor, lanes.n_k, lanes.s1, lanes.s2, lane)
        if whitens and adds:
            _add_scatter(z, w, xt, lanes.scatter, lane)


@helper
def _add_scatter(z, w, weighted, scatter, lane):
    """scatter += sum w z z'; `weighted` is scratch, and w is replaced by its root."""
    take_roots(w)
    for j in range(z.shape[0]):
        for b in range(BLOCK):
            weighted[j, b] = w[b] * z[j, b]
    add_outer(weighted, scatter, lane, 0)


@helper
def linear_lane(x, weights, form, lanes, out, lane, first, last):
    n_rows, d_pad = form.coef.shape
    xt, z, strip, h, vectors, rows = _allocate(x, d_pad, n_rows + 1, lanes.s1.shape[2])
    w, top, which, factor, log_prob = vectors[0], vectors[1], vectors[2], vectors[3], vectors[4]
    norm = vectors[5]
    active = np.empty(n_rows, np.int64)
    joint = h[: out.resp.shape[1]]
    whitens = form.whiten.shape[0] > 0
    squares = form.quad.shape[0] > 0
    adds = lanes.n_k.shape[1] > 0
    for block in range(first, last):
        start = block * BLOCK
        m, finite = load_block(x, weights, form.center, start, xt, w, top)
        lanes.totals[lane, 3] += finite
        if whitens:
            whiten(xt, form.whiten, strip, xt)
        if not squares:
            squared_norm(xt, norm)
        linear_joint(xt, norm, form, h)
        _responsibilities(
            joint, weights, w, top, which, factor, log_prob, start, m, lanes.totals[lane], adds, out
        )
        if adds:
            copy_rows(xt, squares, rows)
            add_linear(rows, norm, h, factor, active, lanes.n_k, lanes.s1, lanes.s2, lane)
        if whitens and adds:
            _add_scatter(xt, w, z, lanes.scatter, lane)


@kernel
def triangular_pass(x, weights, form, lanes, out):
    """Add one chunk to `lanes` and write the arrays of `out` that have rows.

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
        lane = np.int64(i)  # i is unsigned, and everything would be compiled a second time
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        triangular_lane(x, weights, form, lanes, out, lane, first, last)


@kernel
def diagonal_pass(x, weights, form, lanes, out):
    """As `triangular_pass`, for a `DiagonalForm`."""
    n_lanes = lanes.totals.shape[0]
    n_blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for i in prange(n_lanes):
        lane = np.int64(i)  # i is unsigned, and everything would be compiled a second time
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        _diagonal_lane(x, weights, form, lanes, out, lane, first, last)


@kernel
def linear_pass(x, weights, form, lanes, out):
    """As `triangular_pass`, for a `LinearForm`."""
    n_lanes = lanes.totals.shape[0]
    n_blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for i in prange(n_lanes):
        lane = np.int64(i)  # i is unsigned, and everything would be compiled a second time
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        linear_lane(x, weights, form, lanes, out, lane, first, last)


@serial_kernel
def triangular_lanes(first_lane, last_lane, x, weights, form, lanes, out):
    """As `triangular_pass`, for some of the lanes on the calling thread."""
    n_lanes = lanes.totals.shape[0]
    n_blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for lane in range(first_lane, last_lane):
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        triangular_lane(x, weights, form, lanes, out, lane, first, last)


@serial_kernel
def diagonal_lanes(first_lane, last_lane, x, weights, form, lanes, out):
    """As `triangular_lanes`, for a `DiagonalForm`."""
    n_lanes = lanes.totals.shape[0]
    n_blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for lane in range(first_lane, last_lane):
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        _diagonal_lane(x, weights, form, lanes, out, lane, first, last)


@serial_kernel
def linear_lanes(first_lane, last_lane, x, weights, form, lanes, out):
    """As `triangular_lanes`, for a `LinearForm`."""
    n_lanes = lanes.totals.shape[0]
    n_blocks = (x.shape[0] + BLOCK - 1) // BLOCK
    for lane in range(first_lane, last_lane):
        first = lane * n_blocks // n_lanes
        last = (lane + 1) * n_blocks // n_lanes
        linear_lane(x, weights, form, lanes, out, lane, first, last)
