"""What is done to one block of samples: load, evaluate, normalise, add up.

A block is transposed to (features, samples), so that every inner loop runs over samples and
vectorises whatever the number of features.
"""

import numpy as np

from ._options import helper
from .elementary import exp, log

BLOCK = 128  # samples; (d, BLOCK) tiles of float64 stay in the first-level cache up to d = 32
TILE = 4  # features are padded with zeros to a multiple of this


@helper
def scratch(dtype):
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
def load_block(x, weights, start, xt, w):
    """Transpose rows start.. into xt (d_pad, BLOCK); rows past the end repeat with weight 0."""
    d = x.shape[1]
    m = min(BLOCK, x.shape[0] - start)
    whole = d // TILE * TILE
    for j in range(0, whole, TILE):  # four features a time: twice as fast as one
        row0, row1, row2, row3 = xt[j], xt[j + 1], xt[j + 2], xt[j + 3]
        for b in range(m):
            row0[b] = x[start + b, j]
            row1[b] = x[start + b, j + 1]
            row2[b] = x[start + b, j + 2]
            row3[b] = x[start + b, j + 3]
    for j in range(whole, d):
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
def subtract(xt, mean, xc):
    for j in range(xt.shape[0]):
        m = mean[j]
        for b in range(BLOCK):
            xc[j, b] = xt[j, b] - m


@helper
def _full_tile(lower, xc, y, i, j):
    """y (+)= a tile of 4 x 4 of the factor, at row i and column j, times xc; j = 0 begins.

    Sixteen multiply-adds for eight loads.
    """
    a00, a01, a02, a03 = lower[i, j], lower[i, j + 1], lower[i, j + 2], lower[i, j + 3]
    i1, i2, i3 = i + 1, i + 2, i + 3
    a10, a11, a12, a13 = lower[i1, j], lower[i1, j + 1], lower[i1, j + 2], lower[i1, j + 3]
    a20, a21, a22, a23 = lower[i2, j], lower[i2, j + 1], lower[i2, j + 2], lower[i2, j + 3]
    a30, a31, a32, a33 = lower[i3, j], lower[i3, j + 1], lower[i3, j + 2], lower[i3, j + 3]
    y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
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


@helper
def _first_tile(lower, xc, q):
    """q = squared norm of the first four rows' products, which need no earlier columns."""
    a00 = lower[0, 0]
    a10, a11 = lower[1, 0], lower[1, 1]
    a20, a21, a22 = lower[2, 0], lower[2, 1], lower[2, 2]
    a30, a31, a32, a33 = lower[3, 0], lower[3, 1], lower[3, 2], lower[3, 3]
    for b in range(BLOCK):
        x0, x1, x2, x3 = xc[0, b], xc[1, b], xc[2, b], xc[3, b]
        y0 = a00 * x0
        y1 = a10 * x0 + a11 * x1
        y2 = a20 * x0 + a21 * x1 + a22 * x2
        y3 = a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
        q[b] = y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3


@helper
def _last_tile(lower, xc, y, i, q):
    """Complete four rows with their tile on the diagonal, and add their squared norm to q."""
    i1, i2, i3 = i + 1, i + 2, i + 3
    a00 = lower[i, i]
    a10, a11 = lower[i1, i], lower[i1, i1]
    a20, a21, a22 = lower[i2, i], lower[i2, i1], lower[i2, i2]
    a30, a31, a32, a33 = lower[i3, i], lower[i3, i1], lower[i3, i2], lower[i3, i3]
    p0, p1, p2, p3 = y[0], y[1], y[2], y[3]
    for b in range(BLOCK):
        x0, x1, x2, x3 = xc[i, b], xc[i1, b], xc[i2, b], xc[i3, b]
        y0 = p0[b] + a00 * x0
        y1 = p1[b] + a10 * x0 + a11 * x1
        y2 = p2[b] + a20 * x0 + a21 * x1 + a22 * x2
        y3 = p3[b] + a30 * x0 + a31 * x1 + a32 * x2 + a33 * x3
        q[b] += y0 * y0 + y1 * y1 + y2 * y2 + y3 * y3


@helper
def lower_square(lower, xc, y, q):
    """q = |lower @ x|^2 for each column x of xc; y (at least 4 rows) is scratch.

    Tiles on the diagonal are triangles and go straight into q: half the time of full tiles and a
    stored product up to d = 8.
    """
    _first_tile(lower, xc, q)
    for i in range(TILE, xc.shape[0], TILE):
        for j in range(0, i, TILE):
            _full_tile(lower, xc, y, i, j)
        _last_tile(lower, xc, y, i, q)


@helper
def lower_product(lower, xc, y):
    """y = lower @ xc, for one block."""
    for i in range(0, xc.shape[0], TILE):
        for j in range(0, i + TILE, TILE):
            _full_tile(lower, xc, y[i : i + TILE], i, j)


@helper
def diagonal_square(xt, mean, scale, q):
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
def log_joint(log_const, q, lp, top, new_top):
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
def first_largest(lp, m, labels):
    for b in range(m):
        best = 0
        for k in range(1, lp.shape[0]):
            if lp[k, b] > lp[best, b]:
                best = k
        labels[b] = best


@helper
def normalise(lp, top, w, total, log_prob, totals):
    """Log-sum-exp over components; lp becomes w * resp. Adds to (sum w, LL, ln max resp)."""
    total[:] = total.dtype.type(0)
    for k in range(lp.shape[0]):
        row = lp[k]
        for b in range(BLOCK):
            e = exp(row[b] - top[b])
            row[b] = e
            total[b] += e
    sum_w = 0.0
    sum_log_prob = 0.0
    sum_log_max = 0.0
    for b in range(BLOCK):
        log_total = log(total[b])
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
def write_outputs(lp, log_prob, start, m, out):
    if out.log_prob.shape[0] > 0:
        for b in range(m):
            out.log_prob[start + b] = log_prob[b]
    if out.resp.shape[0] > 0:
        for b in range(m):
            for k in range(lp.shape[0]):
                out.resp[start + b, k] = lp[k, b]


@helper
def sum_block(r):
    s = r.dtype.type(0)
    for b in range(BLOCK):
        s += r[b]
    return s


@helper
def weigh(xc, r, rx, s1):
    """rx = r * xc, and its row sums added to s1."""
    for j in range(xc.shape[0]):
        s = xc.dtype.type(0)
        for b in range(BLOCK):
            t = r[b] * xc[j, b]
            rx[j, b] = t
            s += t
        s1[j] += s


@helper
def _add_diagonal_tile(rx, xc, i, s2):
    """The lower triangle of the 4 x 4 tile at (i, i) of rx @ xc', added to s2."""
    zero = xc.dtype.type(0)
    a00, a10, a11, a20, a21 = zero, zero, zero, zero, zero
    a22, a30, a31, a32, a33 = zero, zero, zero, zero, zero
    for b in range(BLOCK):
        v0, v1, v2, v3 = xc[i, b], xc[i + 1, b], xc[i + 2, b], xc[i + 3, b]
        u0, u1, u2, u3 = rx[i, b], rx[i + 1, b], rx[i + 2, b], rx[i + 3, b]
        a00 += u0 * v0
        a10 += u1 * v0
        a11 += u1 * v1
        a20 += u2 * v0
        a21 += u2 * v1
        a22 += u2 * v2
        a30 += u3 * v0
        a31 += u3 * v1
        a32 += u3 * v2
        a33 += u3 * v3
    s2[i, i] += a00
    s2[i + 1, i] += a10
    s2[i + 1, i + 1] += a11
    s2[i + 2, i] += a20
    s2[i + 2, i + 1] += a21
    s2[i + 2, i + 2] += a22
    s2[i + 3, i] += a30
    s2[i + 3, i + 1] += a31
    s2[i + 3, i + 2] += a32
    s2[i + 3, i + 3] += a33


@helper
def add_outer(rx, xc, s2):
    """s2 += rx @ xc', lower triangle; tiles of 4 x 2, whose eight sums fit AVX2's registers."""
    zero = xc.dtype.type(0)
    for i in range(0, xc.shape[0], TILE):
        for j in range(0, i, 2):
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
        _add_diagonal_tile(rx, xc, i, s2)


@helper
def add_diagonal(xt, mean, r, s1, s2):
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
