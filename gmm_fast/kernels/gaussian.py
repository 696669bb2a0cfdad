"""The fused pass: log densities, responsibilities and their statistics, block by block.

A *block* of `BLOCK` samples is transposed once to (features, samples), so that every inner loop
runs over samples and vectorises whatever the number of features. No array of size n x K exists:
the responsibilities of one block live in scratch memory until its statistics are added to the
accumulators of the block's *lane*. Which blocks a lane owns depends on the number of rows and
lanes alone, never on threads, so results are the same bits at any thread count.

This file imports no other compiled code: Numba's disk cache would miss an edit there.
"""

from typing import NamedTuple

import numpy as np
from numba import prange
from numba.extending import overload

from ._options import ORDERED, elementwise, helper, kernel

BLOCK = 128  # samples; (d, BLOCK) tiles of float64 stay in the first-level cache up to d = 32
TILE = 4  # features are padded with zeros to a multiple of this


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


# ----------------------------------------------------------------------------------------------
# exp and log: polynomials, because the compiler cannot vectorise calls of the C library
# ----------------------------------------------------------------------------------------------


@elementwise
def _exp64(x):
    """e**x for x <= 0, to 1 ulp; 0 below -100, where a responsibility no longer counts."""
    t = max(x, -100.0)
    # Adding 1.5 * 2**52 rounds to an integer and leaves it in the low bits, ready to be
    # shifted into the exponent: AVX2 has no conversion from float64 to int64.
    shifted = t * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    r = (t - n * 0.6931471803691238) - n * 1.9082149292705877e-10  # n ln 2 in two parts
    # (e^r - 1 - r) / r^2 interpolated at the Chebyshev nodes of |r| <= ln(2)/2: 1.7e-17.
    # By pairs (Estrin's scheme), a third shorter in latency than Horner's.
    r2 = r * r
    r4 = r2 * r2
    p0 = 0.50000000000000010211 + r * 0.16666666666666667452
    p2 = 0.041666666666624161903 + r * 0.0083333333333300644495
    p4 = 0.0013888888917196719077 + r * 0.00019841269863040545271
    p6 = 0.000024801521322368693266 + r * 2.7557268480310025526e-6
    p8 = 2.7620075879983366586e-7 + r * 2.5100375832561233664e-8
    p = (p0 + r2 * p2) + r4 * ((p4 + r2 * p6) + r4 * p8)
    p = p * r2 + r + 1.0
    bits = np.float64(p).view(np.int64) + (np.float64(shifted).view(np.int64) << np.int64(52))
    return np.int64(bits).view(np.float64) if x >= -100.0 else 0.0


@elementwise
def _exp32(x):
    """As `_exp64`, in float32; 0 below -80."""
    t = max(x, np.float32(-80.0))
    shifted = t * np.float32(1.4426950408889634) + np.float32(12582912.0)
    n = shifted - np.float32(12582912.0)
    r = (t - n * np.float32(0.693115234375)) - n * np.float32(3.19461849453e-5)
    r2 = r * r
    p0 = np.float32(0.5) + r * np.float32(0.16666577025597988)
    p2 = np.float32(0.041666554662050534) + r * np.float32(0.008363173074513711)
    p = p0 + r2 * (p2 + r2 * np.float32(0.0013926176119935579))
    p = p * r2 + r + np.float32(1.0)
    bits = np.float32(p).view(np.int32) + (np.float32(shifted).view(np.int32) << np.int32(23))
    return np.int32(bits).view(np.float32) if x >= np.float32(-80.0) else np.float32(0.0)


@elementwise
def _log64(x):
    """ln x for x >= 1, to 1 ulp."""
    bits = np.float64(x).view(np.int64)
    m = np.int64((bits & np.int64(0xFFFFFFFFFFFFF)) | np.int64(0x3FF0000000000000)).view(np.float64)
    # the exponent's bits under those of 2**52 are the number 2**52 + exponent
    e = np.int64((bits >> np.int64(52)) | np.int64(0x4330000000000000)).view(np.float64)
    e = e - (4503599627370496.0 + 1023.0)
    e = e + 1.0 if m > 1.4142135623730951 else e
    m = 0.5 * m if m > 1.4142135623730951 else m
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    # (2 atanh(s) - 2s) / s^3 for s^2 <= 0.0295: 4.5e-18
    p = 0.1461644968504340586
    p = p * z + 0.15331721600556041269
    p = p * z + 0.1818288912526172208
    p = p * z + 0.22222211134795079855
    p = p * z + 0.28571428625975484921
    p = p * z + 0.3999999999989950449
    p = p * z + 0.66666666666666696862
    return e * 0.6931471803691238 + (e * 1.9082149292705877e-10 + (s * z * p + 2.0 * s))


@elementwise
def _log32(x):
    """As `_log64`, in float32."""
    bits = np.float32(x).view(np.int32)
    m = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32)
    e = np.int32((bits >> np.int32(23)) | np.int32(0x4B000000)).view(np.float32)
    e = e - np.float32(8388608.0 + 127.0)
    e = e + np.float32(1.0) if m > np.float32(1.4142135) else e
    m = np.float32(0.5) * m if m > np.float32(1.4142135) else m
    s = (m - np.float32(1.0)) / (m + np.float32(1.0))
    z = s * s
    p = np.float32(0.29579949392971785)
    p = p * z + np.float32(0.399887805670219820)
    p = p * z + np.float32(0.66666685039575855)
    return e * np.float32(0.693115234375) + (
        e * np.float32(3.19461849453e-5) + (s * z * p + np.float32(2.0) * s)
    )


def _exp(x):
    return _exp64(x) if isinstance(x, float) else _exp32(x)


def _log(x):
    return _log64(x) if isinstance(x, float) else _log32(x)


def _by_width(double, single):
    def choose(x):
        chosen = double if x.bitwidth == 64 else single
        return lambda x: chosen(x)

    return choose


overload(_exp, jit_options={"fastmath": ORDERED})(_by_width(_exp64, _exp32))
overload(_log, jit_options={"fastmath": ORDERED})(_by_width(_log64, _log32))


# ----------------------------------------------------------------------------------------------
# One block
# ----------------------------------------------------------------------------------------------


@helper
def _scratch(dtype):
    """Six arrays of one block.

    Not the rows of one array: unpacking gives rows whose stride the compiler does not know, and
    no loop that touches them is vectorised (three times slower as a whole).
    """
    return (
        np.empty(BLOCK, dtype),
        np.empty(BLOCK, dtype),
        np.empty(BLOCK, dtype),
        np.empty(BLOCK, dtype),
        np.empty(BLOCK, dtype),
        np.empty(BLOCK, dtype),
    )


@helper
def _load_block(x, weights, start, xt, w):
    """Transpose rows start.. into xt (d_pad, BLOCK); rows past the end repeat with weight 0."""
    d = x.shape[1]
    m = min(BLOCK, x.shape[0] - start)
    for j in range(d):
        row = xt[j]
        for b in range(m):
            row[b] = x[start + b, j]
    w[:m] = x.dtype.type(1)
    if weights.shape[0] > 0:
        for b in range(m):
            w[b] = weights[start + b]
    for b in range(m, BLOCK):
        for j in range(d):
            xt[j, b] = x[start, j]
        w[b] = x.dtype.type(0)
    return m


@helper
def _subtract(xt, mean, xc):
    for j in range(xt.shape[0]):
        m = mean[j]
        for b in range(BLOCK):
            xc[j, b] = xt[j, b] - m


@helper
def _lower_product(lower, xc, y, q):
    """y = lower @ xc and q = the squared norm of each column, for one block.

    Four rows by four columns of the factor meet in one inner loop: 16 multiply-adds for 8 loads.
    """
    q[:] = q.dtype.type(0)
    for i in range(0, xc.shape[0], TILE):
        y0 = y[i]
        y1 = y[i + 1]
        y2 = y[i + 2]
        y3 = y[i + 3]
        for j in range(0, i + TILE, TILE):
            a00, a01, a02, a03 = lower[i, j], lower[i, j + 1], lower[i, j + 2], lower[i, j + 3]
            a10, a11, a12, a13 = (
                lower[i + 1, j],
                lower[i + 1, j + 1],
                lower[i + 1, j + 2],
                lower[i + 1, j + 3],
            )
            a20, a21, a22, a23 = (
                lower[i + 2, j],
                lower[i + 2, j + 1],
                lower[i + 2, j + 2],
                lower[i + 2, j + 3],
            )
            a30, a31, a32, a33 = (
                lower[i + 3, j],
                lower[i + 3, j + 1],
                lower[i + 3, j + 2],
                lower[i + 3, j + 3],
            )
            if j == 0:
                for b in range(BLOCK):
                    x0, x1, x2, x3 = xc[0, b], xc[1, b], xc[2, b], xc[3, b]
                    y0[b] = a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
                    y1[b] = a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
                    y2[b] = a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
                    y3[b] = a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
            else:
                for b in range(BLOCK):
                    x0, x1, x2, x3 = xc[j, b], xc[j + 1, b], xc[j + 2, b], xc[j + 3, b]
                    y0[b] += a00 * x0 + a01 * x1 + a02 * x2 + a03 * x3
                    y1[b] += a10 * x0 + a11 * x1 + a12 * x2 + a13 * x3
                    y2[b] += a20 * x0 + a21 * x1 + a22 * x2 + a23 * x3
                    y3[b] += a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
        for b in range(BLOCK):
            q[b] += y0[b] * y0[b] + y1[b] * y1[b] + y2[b] * y2[b] + y3[b] * y3[b]


@helper
def _diagonal_square(xt, mean, scale, q):
    """q = sum over features of (scale * (x - mean))^2, for one block."""
    q[:] = q.dtype.type(0)
    for j in range(0, xt.shape[0], TILE):
        m0, m1, m2, m3 = mean[j], mean[j + 1], mean[j + 2], mean[j + 3]
        s0, s1, s2, s3 = scale[j], scale[j + 1], scale[j + 2], scale[j + 3]
        for b in range(BLOCK):
            y0 = (xt[j, b] - m0) * s0
            y1 = (xt[j + 1, b] - m1) * s1
            y2 = (xt[j + 2, b] - m2) * s2
            y3 = (xt[j + 3, b] - m3) * s3
            q[b] += y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3


@helper
def _log_joint(log_const, q, lp, top, new_top):
    """lp = log_const - q and the running maximum over components; q is kept finite.

    The maximum goes to an array of its own: updated in place it becomes masked stores, which
    take tens of cycles on AMD processors.
    """
    most = np.finfo(lp.dtype).max / lp.dtype.type(4)
    for b in range(BLOCK):
        v = log_const - min(q[b], most)
        lp[b] = v
        new_top[b] = max(top[b], v)


@helper
def _first_largest(lp, m, labels):
    for b in range(m):
        best = 0
        for k in range(1, lp.shape[0]):
            if lp[k, b] > lp[best, b]:
                best = k
        labels[b] = best


@helper
def _normalise(lp, top, w, total, log_prob, totals):
    """Log-sum-exp over components; lp becomes w * resp. Adds to (sum w, LL, ln max resp)."""
    total[:] = total.dtype.type(0)
    for k in range(lp.shape[0]):
        row = lp[k]
        for b in range(BLOCK):
            e = _exp(row[b] - top[b])
            row[b] = e
            total[b] += e
    sum_w = 0.0
    sum_log_prob = 0.0
    sum_log_max = 0.0
    for b in range(BLOCK):
        log_total = _log(total[b])
        log_prob[b] = top[b] + log_total
        sum_w += w[b]
        sum_log_prob += np.float64(w[b]) * np.float64(log_prob[b])
        sum_log_max -= np.float64(w[b]) * np.float64(log_total)
        total[b] = w[b] / total[b]
    for k in range(lp.shape[0]):
        row = lp[k]
        for b in range(BLOCK):
            row[b] *= total[b]
    totals[0] += sum_w
    totals[1] += sum_log_prob
    totals[2] += sum_log_max


@helper
def _write_outputs(lp, log_prob, start, m, out):
    if out.log_prob.shape[0] > 0:
        for b in range(m):
            out.log_prob[start + b] = log_prob[b]
    if out.resp.shape[0] > 0:
        for b in range(m):
            for k in range(lp.shape[0]):
                out.resp[start + b, k] = lp[k, b]


@helper
def _sum_block(r):
    s = r.dtype.type(0)
    for b in range(BLOCK):
        s += r[b]
    return s


@helper
def _weigh(xc, r, rx, s1):
    """rx = r * xc, and its row sums added to s1."""
    for j in range(xc.shape[0]):
        s = xc.dtype.type(0)
        for b in range(BLOCK):
            t = r[b] * xc[j, b]
            rx[j, b] = t
            s += t
        s1[j] += s


@helper
def _add_outer(rx, xc, s2):
    """s2 += rx @ xc', lower triangle by tiles of 4 x 2: eight sums fit AVX2's registers."""
    zero = xc.dtype.type(0)
    for i in range(0, xc.shape[0], TILE):
        for j in range(0, i + TILE, 2):
            a0, a1, a2, a3 = zero, zero, zero, zero
            c0, c1, c2, c3 = zero, zero, zero, zero
            for b in range(BLOCK):
                v0 = xc[j, b]
                v1 = xc[j + 1, b]
                u0, u1, u2, u3 = rx[i, b], rx[i + 1, b], rx[i + 2, b], rx[i + 3, b]
                a0 += u0 * v0
                a1 += u1 * v0
                a2 += u2 * v0
                a3 += u3 * v0
                c0 += u0 * v1
                c1 += u1 * v1
                c2 += u2 * v1
                c3 += u3 * v1
            s2[i, j] += a0
            s2[i + 1, j] += a1
            s2[i + 2, j] += a2
            s2[i + 3, j] += a3
            s2[i, j + 1] += c0
            s2[i + 1, j + 1] += c1
            s2[i + 2, j + 1] += c2
            s2[i + 3, j + 1] += c3


@helper
def _add_diagonal(xt, mean, r, s1, s2):
    """First and second moments about `mean`, feature by feature."""
    zero = xt.dtype.type(0)
    for j in range(0, xt.shape[0], 2):
        m0, m1 = mean[j], mean[j + 1]
        a0, a1, c0, c1 = zero, zero, zero, zero
        for b in range(BLOCK):
            v0 = xt[j, b] - m0
            v1 = xt[j + 1, b] - m1
            t0 = r[b] * v0
            t1 = r[b] * v1
            a0 += t0
            a1 += t1
            c0 += t0 * v0
            c1 += t1 * v1
        s1[j] += a0
        s1[j + 1] += a1
        s2[j] += c0
        s2[j + 1] += c1


# ----------------------------------------------------------------------------------------------
# One lane, and the pass
# ----------------------------------------------------------------------------------------------


@helper
def _triangular_lane(x, weights, form, lanes, out, lane, first, last):
    n_components, d_pad = form.means.shape
    dtype = x.dtype
    xt = np.zeros((d_pad, BLOCK), dtype)
    xc = np.empty((d_pad, BLOCK), dtype)
    y = np.empty((d_pad, BLOCK), dtype)
    lp = np.empty((n_components, BLOCK), dtype)
    w, q, top, spare, total, log_prob = _scratch(dtype)
    for block in range(first, last):
        start = block * BLOCK
        m = _load_block(x, weights, start, xt, w)
        top[:] = -np.inf
        for k in range(n_components):
            _subtract(xt, form.means[k], xc)
            _lower_product(form.chol_inv[k], xc, y, q)
            _log_joint(form.log_const[k], q, lp[k], top, spare)
            top, spare = spare, top
        if out.labels.shape[0] > 0:
            _first_largest(lp, m, out.labels[start : start + m])
        _normalise(lp, top, w, total, log_prob, lanes.totals[lane])
        _write_outputs(lp, log_prob, start, m, out)
        for k in range(lanes.n_k.shape[1]):
            n_k = _sum_block(lp[k])
            if n_k != 0:  # so that NaN comes through
                lanes.n_k[lane, k] += n_k
                _subtract(xt, form.means[k], xc)
                _weigh(xc, lp[k], y, lanes.s1[lane, k])
                _add_outer(y, xc, lanes.s2[lane, k])


@helper
def _diagonal_lane(x, weights, form, lanes, out, lane, first, last):
    n_components, d_pad = form.means.shape
    whitens = form.whiten.shape[0] > 0
    dtype = x.dtype
    xt = np.zeros((d_pad, BLOCK), dtype)
    xc = np.empty((d_pad, BLOCK), dtype)
    z = np.empty((d_pad, BLOCK), dtype) if whitens else xt
    lp = np.empty((n_components, BLOCK), dtype)
    w, q, top, spare, total, log_prob = _scratch(dtype)
    for block in range(first, last):
        start = block * BLOCK
        m = _load_block(x, weights, start, xt, w)
        if whitens:
            _subtract(xt, form.center, xc)
            _lower_product(form.whiten, xc, z, q)
        top[:] = -np.inf
        for k in range(n_components):
            _diagonal_square(z, form.means[k], form.scale[k], q)
            _log_joint(form.log_const[k], q, lp[k], top, spare)
            top, spare = spare, top
        if out.labels.shape[0] > 0:
            _first_largest(lp, m, out.labels[start : start + m])
        _normalise(lp, top, w, total, log_prob, lanes.totals[lane])
        _write_outputs(lp, log_prob, start, m, out)
        for k in range(lanes.n_k.shape[1]):
            n_k = _sum_block(lp[k])
            if n_k != 0:  # so that NaN comes through
                lanes.n_k[lane, k] += n_k
                _add_diagonal(z, form.means[k], lp[k], lanes.s1[lane, k], lanes.s2[lane, k])
        if whitens and lanes.n_k.shape[1] > 0:
            for j in range(d_pad):
                for b in range(BLOCK):
                    xc[j, b] = w[b] * z[j, b]
            _add_outer(xc, z, lanes.scatter[lane])


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
