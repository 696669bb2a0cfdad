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
def subtract(xt, mean, xc):
    for j in range(xt.shape[0]):
        m = mean[j]
        for b in range(BLOCK):
            xc[j, b] = xt[j, b] - m


@helper
def lower_product(lower, xc, y, q):
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
def add_outer(rx, xc, s2):
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
