"""Work on one block of samples besides the arithmetic of `tiles`: load, normalise, write.

A block is transposed to (features, samples), so that every inner loop runs over samples and
vectorises for any number of features.
"""

import numba
import numpy as np

from ._options import helper, inlined
from .elementary import log
from .tiles import BLOCK

if numba.config.DISABLE_JIT:
    from .plain import transpose
else:
    from .tiles import transpose

LOGS = BLOCK // 8  # logarithms per block if samples do not need one each


@inlined
def fold(values, half):
    """The sum of the first 2 half numbers, a power of 2, by adding halves; overwrites them."""
    while half > 0:
        for b in range(half):
            values[b] += values[half + b]
        half //= 2
    return values[0]


@inlined
def ordered_sum(values):
    """The sum of BLOCK numbers in float64: eight partial sums, combined at the end."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for b in range(0, BLOCK, 8):
        s0 += values[b]
        s1 += values[b + 1]
        s2 += values[b + 2]
        s3 += values[b + 3]
        s4 += values[b + 4]
        s5 += values[b + 5]
        s6 += values[b + 6]
        s7 += values[b + 7]
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))


@inlined
def ordered_dot(weights, values):
    """As `ordered_sum`, for weights times values."""
    s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
    for b in range(0, BLOCK, 8):
        s0 += np.float64(weights[b]) * np.float64(values[b])
        s1 += np.float64(weights[b + 1]) * np.float64(values[b + 1])
        s2 += np.float64(weights[b + 2]) * np.float64(values[b + 2])
        s3 += np.float64(weights[b + 3]) * np.float64(values[b + 3])
        s4 += np.float64(weights[b + 4]) * np.float64(values[b + 4])
        s5 += np.float64(weights[b + 5]) * np.float64(values[b + 5])
        s6 += np.float64(weights[b + 6]) * np.float64(values[b + 6])
        s7 += np.float64(weights[b + 7]) * np.float64(values[b + 7])
    return ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))


@helper
def load_block(x, weights, center, start, xt, w, zeros):
    """Transpose rows start.. less `center` into xt (d_pad, BLOCK).

    Rows past the end repeat with weight 0. `zeros` is scratch.

    Returns the number of rows, and 0 if all values are finite, else NaN.
    """
    d = x.shape[1]
    m = min(BLOCK, x.shape[0] - start)
    rows, whole = m // 8 * 8, d // 4 * 4
    transpose(x, start, rows, center, xt)
    for j in range(d):
        for b in range(rows if j < whole else 0, m):
            xt[j, b] = x[start + b, j] - center[j]
    w[:m] = x.dtype.type(1)
    if weights.shape[0] > 0:
        for b in range(m):
            w[b] = weights[start + b]
    for b in range(m, BLOCK):
        for j in range(d):
            xt[j, b] = xt[j, 0]
        w[b] = x.dtype.type(0)
    for b in range(BLOCK):
        zeros[b] = xt[0, b] * x.dtype.type(0)
    for j in range(1, d):
        for b in range(BLOCK):
            zeros[b] += xt[j, b] * x.dtype.type(0)
    return m, fold(zeros, BLOCK // 2)


@inlined
def normalise(top, w, factor, log_prob, log_total, totals):
    """From sums of squares in `factor`, compute log densities and the factor of responsibilities.

    The new `factor` times a squared exponential is a responsibility; `take_roots` makes it a factor
    of exponentials. Adds to (sum w, LL, ln max resp). `log_total` is scratch.
    """
    for b in range(BLOCK):
        log_total[b] = log(factor[b])
        log_prob[b] = top[b] + top[b] + log_total[b]
        factor[b] = w[b] / factor[b]
    totals[0] += ordered_sum(w)
    totals[1] += ordered_dot(w, log_prob)
    totals[2] -= ordered_dot(w, log_total)


@inlined
def normalise_alike(top, factor, products, totals):
    """`normalise` for weights of 1, if the log density of each sample is not needed.

    One logarithm for eight samples: each sum lies between 1 and K, so their product is finite.
    `products` is scratch.
    """
    for b in range(LOGS):
        products[b] = factor[b]
    for start in range(LOGS, BLOCK, LOGS):
        for b in range(LOGS):
            products[b] *= factor[start + b]
    logs = products[BLOCK // 2 :].view(np.float64)  # LOGS of them, or more
    for b in range(LOGS):
        logs[b] = log(np.float64(products[b]))
    sum_log = fold(logs, LOGS // 2)
    for b in range(BLOCK):
        factor[b] = factor.dtype.type(1) / factor[b]
    sum_top = ordered_sum(top)
    totals[0] += BLOCK
    totals[1] += sum_top + sum_top + sum_log
    totals[2] -= sum_log


@inlined
def take_roots(factor):
    """Replace every number by its square root."""
    for b in range(BLOCK):
        factor[b] = np.sqrt(factor[b])


@inlined
def write_labels(which, start, m, out):
    for b in range(m):
        out.labels[start + b] = np.int32(which[b])


@inlined
def write_outputs(h, factor, log_prob, start, m, out):
    if out.log_prob.shape[0] > 0:
        for b in range(m):
            out.log_prob[start + b] = log_prob[b]
    if out.resp.shape[0] > 0:
        for b in range(m):
            for k in range(h.shape[0]):
                out.resp[start + b, k] = h[k, b] * h[k, b] * factor[b]
