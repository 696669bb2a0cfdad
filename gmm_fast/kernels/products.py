"""The arithmetic of one block as matrix products.

For components without correlations (or with shared ones, removed before) the log density is linear
in z and its squares, or in z and |z|^2. So one pass is two dense products with a multiply-add per
number, instead of three or four operations if each component subtracts its mean first. `forms`
says what that costs in digits, and when it may be used.

Evaluation runs along samples, so z is held as (features, samples); moments add up along features,
without a sum across a register, so it is also held as (samples, features).
"""

import numpy as np

from ._options import helper, inlined
from .tiles import BLOCK
from .vector import (
    WIDE,
    add,
    add_to,
    columns,
    fma,
    lanes,
    larger,
    load,
    multiply,
    splat,
    spread,
    store,
    total,
)


@inlined
def squared_norm(z, norm):
    """norm[b] = |z[:, b]|^2."""
    for b in range(0, BLOCK, lanes(z, 1)):
        q = splat(z.dtype.type(0), 1)
        for j in range(z.shape[0]):
            x = load(z, (j, b), 1)
            q = fma(x, x, q)
        store(norm, (b,), q)


@helper
def linear_joint(z, norm, form, h):
    """h[k] = log_const[k] + offset[k] + of_norm[k] norm + (coef[k] + quad[k] z) z.

    Four components at a time. Values that are not finite or too small become a least number from
    which others can still be subtracted.
    """
    least = splat(np.finfo(h.dtype).min / h.dtype.type(4), WIDE)
    quadratic = form.quad.shape[0] > 0
    for b in range(0, BLOCK, lanes(z, WIDE)):
        q = load(norm, (b,), WIDE)
        for k in range(0, form.coef.shape[0], 4):
            a0 = fma(spread(form.of_norm, (k,), WIDE), q, spread(form.offset, (k,), WIDE))
            a1 = fma(spread(form.of_norm, (k + 1,), WIDE), q, spread(form.offset, (k + 1,), WIDE))
            a2 = fma(spread(form.of_norm, (k + 2,), WIDE), q, spread(form.offset, (k + 2,), WIDE))
            a3 = fma(spread(form.of_norm, (k + 3,), WIDE), q, spread(form.offset, (k + 3,), WIDE))
            for j in range(z.shape[0]):
                x = load(z, (j, b), WIDE)
                c0 = spread(form.coef, (k, j), WIDE)
                c1 = spread(form.coef, (k + 1, j), WIDE)
                c2 = spread(form.coef, (k + 2, j), WIDE)
                c3 = spread(form.coef, (k + 3, j), WIDE)
                if quadratic:
                    c0 = fma(spread(form.quad, (k, j), WIDE), x, c0)
                    c1 = fma(spread(form.quad, (k + 1, j), WIDE), x, c1)
                    c2 = fma(spread(form.quad, (k + 2, j), WIDE), x, c2)
                    c3 = fma(spread(form.quad, (k + 3, j), WIDE), x, c3)
                a0 = fma(c0, x, a0)
                a1 = fma(c1, x, a1)
                a2 = fma(c2, x, a2)
                a3 = fma(c3, x, a3)
            store(h, (k, b), add(spread(form.log_const, (k,), WIDE), larger(a0, least)))
            store(h, (k + 1, b), add(spread(form.log_const, (k + 1,), WIDE), larger(a1, least)))
            store(h, (k + 2, b), add(spread(form.log_const, (k + 2,), WIDE), larger(a2, least)))
            store(h, (k + 3, b), add(spread(form.log_const, (k + 3,), WIDE), larger(a3, least)))


@inlined
def copy_rows(z, squares, rows):
    """rows[b] = z[:, b], followed by its squares if `squares`."""
    eights = z.shape[0] // 8 * 8
    for b in range(0, BLOCK, 4):
        for j in range(0, eights, 8):
            _write_rows(columns(z, (j, b), 2), b, j, squares, z.shape[0], rows)
        if eights < z.shape[0]:
            _write_rows(columns(z, (eights, b), 1), b, eights, squares, z.shape[0], rows)


@inlined
def _write_rows(of_samples, b, j, squares, d, rows):
    """Write the features from j on of four samples."""
    c0, c1, c2, c3 = of_samples
    store(rows, (b, j), c0)
    store(rows, (b + 1, j), c1)
    store(rows, (b + 2, j), c2)
    store(rows, (b + 3, j), c3)
    if squares:
        store(rows, (b, d + j), multiply(c0, c0))
        store(rows, (b + 1, d + j), multiply(c1, c1))
        store(rows, (b + 2, d + j), multiply(c2, c2))
        store(rows, (b + 3, d + j), multiply(c3, c3))


@helper
def add_linear(rows, norm, h, factor, active, n_k, s1, s2, lane):
    """Turn h into responsibilities and add up them (n_k), resp norm (s2) and resp (z, z^2) (s1).

    Components without responsibilities in this block are skipped. The last row of h is zeros, to
    fill the last group of four; `active` is scratch for the numbers of the other components.
    """
    with_norm = s2.shape[2] > 0
    count = 0
    for k in range(n_k.shape[1]):
        n = splat(h.dtype.type(0), 2)
        of_norm = n
        for b in range(0, BLOCK, lanes(h, 2)):
            e = load(h, (k, b), 2)
            resp = multiply(multiply(e, e), load(factor, (b,), 2))
            store(h, (k, b), resp)
            n = add(resp, n)
            if with_norm:
                of_norm = fma(resp, load(norm, (b,), 2), of_norm)
        added = total(n)
        if added == 0:  # False for NaN, which must not get lost
            continue
        n_k[lane, k] += added
        if with_norm:
            s2[lane, k, 0] += total(of_norm)
        active[count] = k
        count += 1
    spare = h.shape[0] - 1
    for i in range(count, (count + 3) // 4 * 4):
        active[i] = spare
    width = lanes(rows, 1)
    paired = rows.shape[1] // (2 * width) * (2 * width)
    for f in range(0, paired, 2 * width):
        for i in range(0, count, 4):
            _four_by_two(rows, f, h, active, i, s1, lane)
    if paired < rows.shape[1]:
        for i in range(0, count, 4):
            _four_by_one(rows, paired, h, active, i, s1, lane)


@inlined
def _four_by_two(rows, f, h, active, i, s1, lane):
    """Add moments of four components and two registers of features."""
    k0, k1, k2, k3 = active[i], active[i + 1], active[i + 2], active[i + 3]
    a0 = splat(rows.dtype.type(0), 2)
    a1, a2, a3 = a0, a0, a0
    for b in range(BLOCK):
        v = load(rows, (b, f), 2)
        a0 = fma(spread(h, (k0, b), 2), v, a0)
        a1 = fma(spread(h, (k1, b), 2), v, a1)
        a2 = fma(spread(h, (k2, b), 2), v, a2)
        a3 = fma(spread(h, (k3, b), 2), v, a3)
    last = s1.shape[1] - 1  # gets the zeros that fill the four
    add_to(s1, (lane, min(k0, last), f), a0)
    add_to(s1, (lane, min(k1, last), f), a1)
    add_to(s1, (lane, min(k2, last), f), a2)
    add_to(s1, (lane, min(k3, last), f), a3)


@inlined
def _four_by_one(rows, f, h, active, i, s1, lane):
    """As `_four_by_two`, with one register of features."""
    k0, k1, k2, k3 = active[i], active[i + 1], active[i + 2], active[i + 3]
    a0 = splat(rows.dtype.type(0), 1)
    a1, a2, a3 = a0, a0, a0
    for b in range(BLOCK):
        v = load(rows, (b, f), 1)
        a0 = fma(spread(h, (k0, b), 1), v, a0)
        a1 = fma(spread(h, (k1, b), 1), v, a1)
        a2 = fma(spread(h, (k2, b), 1), v, a2)
        a3 = fma(spread(h, (k3, b), 1), v, a3)
    last = s1.shape[1] - 1
    add_to(s1, (lane, min(k0, last), f), a0)
    add_to(s1, (lane, min(k1, last), f), a1)
    add_to(s1, (lane, min(k2, last), f), a2)
    add_to(s1, (lane, min(k3, last), f), a3)
