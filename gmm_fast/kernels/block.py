"""What is done to one block of samples besides the arithmetic of `tiles`: load, normalise, write.

A block is transposed to (features, samples), so that every inner loop runs over samples and
vectorises whatever the number of features.
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

LOGS = BLOCK // 8  # logarithms for a block whose samples need none of their own


@helper
def load_block(x, weights, center, start, xt, w):
    """Transpose rows start.. less `center` into xt (d_pad, BLOCK).

    Rows past the end repeat with weight 0.

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
    finite = x.dtype.type(0)
    for j in range(d):
        for b in range(BLOCK):
            finite += xt[j, b] * x.dtype.type(0)
    return m, finite


@inlined
def normalise(top, w, factor, log_prob, totals):
    """From sums of squares in `factor` to log densities and what gives responsibilities.

    That is the factor of the squares of exponentials; `roots` makes it one of exponentials. Adds to
    (sum w, LL, ln max resp).
    """
    sum_w = 0.0
    sum_log_prob = 0.0
    sum_log_max = 0.0
    for b in range(BLOCK):
        log_total = log(factor[b])
        log_prob[b] = top[b] + top[b] + log_total
        sum_w += w[b]
        sum_log_prob += np.float64(w[b]) * np.float64(log_prob[b])
        sum_log_max -= np.float64(w[b]) * np.float64(log_total)
        factor[b] = w[b] / factor[b]
    totals[0] += sum_w
    totals[1] += sum_log_prob
    totals[2] += sum_log_max


@inlined
def normalise_alike(top, factor, products, totals):
    """`normalise` where all weights are 1 and nobody wants the log density of each sample.

    One logarithm for eight samples: each sum lies between 1 and K, so that their product is
    finite. `products` is scratch.
    """
    for b in range(LOGS):
        products[b] = factor[b]
    for start in range(LOGS, BLOCK, LOGS):
        for b in range(LOGS):
            products[b] *= factor[start + b]
    sum_log = 0.0
    for b in range(LOGS):
        sum_log += log(np.float64(products[b]))
    sum_top = 0.0
    for b in range(BLOCK):
        sum_top += top[b]
        factor[b] = factor.dtype.type(1) / factor[b]
    totals[0] += BLOCK
    totals[1] += sum_top + sum_top + sum_log
    totals[2] -= sum_log


@inlined
def roots(factor):
    """Every number's square root."""
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
