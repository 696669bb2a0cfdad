"""The arithmetic of one block, on explicit vectors; `plain` does the same in NumPy.

Samples lie along the last dimension of every tile, so one vector is one feature of a few samples.
Sizes were chosen by measurement: evaluation takes two rows of a factor times four registers of
samples; sums are 2 x 4 of one register each with the 16 registers of AVX2, and 4 x 4 with the 32 of
AVX-512 (and of NEON, not measured). Log densities are halved, so that their exponentials are
*roots* of responsibilities: second moments are then z z' with z = root (x - mean), which takes one
array where responsibilities would need two.
"""

import numpy as np

from ._options import helper, inlined
from .elementary import exp
from .vector import (
    REGISTERS,
    add_totals,
    choose,
    columns,
    constant,
    fma,
    lanes,
    larger,
    load,
    multiply,
    smaller,
    splat,
    spread,
    store,
    subtract,
    total,
)

BLOCK = 256  # samples: long rows need fewer sums across registers; 128 cost float32 6 to 13 %
STRIP_BYTES = 256  # of scratch that evaluation needs for each feature: 4 registers


@helper
def triangular_joint(xt, means, lower, log_const, strip, h):
    """h[k] = log_const[k] - |lower[k] (x - means[k])|^2, for the samples of one block.

    Two rows of the factor at a time: 16 multiply-adds for 4 loads of samples and 4 of the factor.
    """
    d = xt.shape[0]
    most = splat(np.finfo(h.dtype).max / h.dtype.type(4), 4)
    for k in range(h.shape[0]):
        for b in range(0, BLOCK, lanes(xt, 4)):
            x = subtract(load(xt, (0, b), 4), spread(means, (k, 0), 4))
            store(strip, (0, 0), x)
            y0 = multiply(spread(lower, (k, 0, 0), 4), x)
            y1 = multiply(spread(lower, (k, 1, 0), 4), x)
            x = subtract(load(xt, (1, b), 4), spread(means, (k, 1), 4))
            store(strip, (1, 0), x)
            y1 = fma(spread(lower, (k, 1, 1), 4), x, y1)
            q = fma(y1, y1, multiply(y0, y0))
            for i in range(2, d, 2):
                x = load(strip, (0, 0), 4)
                y0 = multiply(spread(lower, (k, i, 0), 4), x)
                y1 = multiply(spread(lower, (k, i + 1, 0), 4), x)
                x = load(strip, (1, 0), 4)
                y0 = fma(spread(lower, (k, i, 1), 4), x, y0)
                y1 = fma(spread(lower, (k, i + 1, 1), 4), x, y1)
                for j in range(2, i, 2):
                    x = load(strip, (j, 0), 4)
                    y0 = fma(spread(lower, (k, i, j), 4), x, y0)
                    y1 = fma(spread(lower, (k, i + 1, j), 4), x, y1)
                    x = load(strip, (j + 1, 0), 4)
                    y0 = fma(spread(lower, (k, i, j + 1), 4), x, y0)
                    y1 = fma(spread(lower, (k, i + 1, j + 1), 4), x, y1)
                x = subtract(load(xt, (i, b), 4), spread(means, (k, i), 4))
                store(strip, (i, 0), x)
                y0 = fma(spread(lower, (k, i, i), 4), x, y0)
                y1 = fma(spread(lower, (k, i + 1, i), 4), x, y1)
                x = subtract(load(xt, (i + 1, b), 4), spread(means, (k, i + 1), 4))
                store(strip, (i + 1, 0), x)
                y1 = fma(spread(lower, (k, i + 1, i + 1), 4), x, y1)
                q = fma(y1, y1, fma(y0, y0, q))
            store(h, (k, b), subtract(spread(log_const, (k,), 4), smaller(most, q)))


@inlined
def diagonal_joint(z, means, scale, log_const, h):
    """h[k] = log_const[k] - |scale[k] (z - means[k])|^2; one scale for all features if (K, 1)."""
    d = z.shape[0]
    one_scale = scale.shape[1] == 1
    most = splat(np.finfo(h.dtype).max / h.dtype.type(4), 4)
    for k in range(h.shape[0]):
        for b in range(0, BLOCK, lanes(z, 4)):
            q = splat(h.dtype.type(0), 4)
            if one_scale:
                for j in range(d):
                    y = subtract(load(z, (j, b), 4), spread(means, (k, j), 4))
                    q = fma(y, y, q)
                s = spread(scale, (k, 0), 4)
                q = multiply(multiply(s, s), q)
            else:
                for j in range(d):
                    y = subtract(load(z, (j, b), 4), spread(means, (k, j), 4))
                    y = multiply(y, spread(scale, (k, j), 4))
                    q = fma(y, y, q)
            store(h, (k, b), subtract(spread(log_const, (k,), 4), smaller(most, q)))


@inlined
def whiten(xt, lower, strip, z):
    """z = lower x, for the samples of one block; z may be xt."""
    d = xt.shape[0]
    for b in range(0, BLOCK, lanes(xt, 4)):
        for i in range(0, d, 2):
            y0 = splat(z.dtype.type(0), 4)
            y1 = y0
            for j in range(i):
                x = load(strip, (j, 0), 4)
                y0 = fma(spread(lower, (i, j), 4), x, y0)
                y1 = fma(spread(lower, (i + 1, j), 4), x, y1)
            x = load(xt, (i, b), 4)
            store(strip, (i, 0), x)
            y0 = fma(spread(lower, (i, i), 4), x, y0)
            y1 = fma(spread(lower, (i + 1, i), 4), x, y1)
            x = load(xt, (i + 1, b), 4)
            store(strip, (i + 1, 0), x)
            y1 = fma(spread(lower, (i + 1, i + 1), 4), x, y1)
            store(z, (i, b), y0)
            store(z, (i + 1, b), y1)


@inlined
def best_component(h, top, which):
    """The largest h of each sample, and the first component that has it."""
    for b in range(0, BLOCK, lanes(h, 2)):
        best = load(h, (0, b), 2)
        index = splat(h.dtype.type(0), 2)
        for k in range(1, h.shape[0]):
            value = load(h, (k, b), 2)
            index = choose(value, best, splat(h.dtype.type(k), 2), index)
            best = larger(value, best)
        store(top, (b,), best)
        store(which, (b,), index)


@inlined
def exponentials(h, top, totals):
    """h becomes exp(h - top) with top the largest h of each sample; totals its sums of squares."""
    for b in range(0, BLOCK, lanes(h, 2)):
        best = load(h, (0, b), 2)
        for k in range(1, h.shape[0]):
            best = larger(load(h, (k, b), 2), best)
        store(top, (b,), best)
        added = splat(h.dtype.type(0), 2)
        for k in range(h.shape[0]):
            e = exp(subtract(load(h, (k, b), 2), best))
            store(h, (k, b), e)
            added = fma(e, e, added)
        store(totals, (b,), added)


@inlined
def weigh(h, k, factor):
    """h[k] *= factor: the roots of the responsibilities; returns the sum of their squares."""
    n_k = splat(h.dtype.type(0), 4)
    for b in range(0, BLOCK, lanes(h, 4)):
        root = multiply(load(h, (k, b), 4), load(factor, (b,), 4))
        store(h, (k, b), root)
        n_k = fma(root, root, n_k)
    return total(n_k)


@helper
def add_triangular(xt, means, h, factor, z, n_k, s1, s2, lane):
    """Weigh h, and add up n_k, first and second moments (lower triangle); z is scratch.

    A component whose responsibilities all vanish in this block is passed over.
    """
    d = xt.shape[0]
    for k in range(n_k.shape[1]):
        added = weigh(h, k, factor)
        if added == 0:  # False for NaN, which must not get lost
            continue
        n_k[lane, k] += added
        for i in range(0, d - 3, 4):
            if REGISTERS == 32:
                _four_rows(xt, means, h, i, z, s1, s2, lane, k)
            else:
                _two_rows(xt, means, h, i, z, s1, lane, k)
                _two_rows(xt, means, h, i + 2, z, s1, lane, k)
                _square_on_diagonal(z, i, s2, lane, k)
        if d % 4 > 0:
            _two_rows(xt, means, h, d - 2, z, s1, lane, k)
            _last_two(z, d - 2, s2, lane, k)
        if d > 4:
            _below_diagonal(z, s2, lane, k)


@inlined
def _four_rows(xt, means, h, i, z, s1, s2, lane, k):
    """Rows i to i + 3 of z = h (x - mean), their first moments, and their square on the diagonal.

    All at once: 14 sums while the rows are in registers anyway, and stores beside arithmetic.
    """
    m0, m1 = spread(means, (k, i), 1), spread(means, (k, i + 1), 1)
    m2, m3 = spread(means, (k, i + 2), 1), spread(means, (k, i + 3), 1)
    f0 = splat(z.dtype.type(0), 1)
    f1, f2, f3, a0, a1, a2, a3 = f0, f0, f0, f0, f0, f0, f0
    c1, c2, c3, e2, e3, g3 = f0, f0, f0, f0, f0, f0
    for b in range(0, BLOCK, lanes(z, 1)):
        root = load(h, (k, b), 1)
        u0 = multiply(root, subtract(load(xt, (i, b), 1), m0))
        u1 = multiply(root, subtract(load(xt, (i + 1, b), 1), m1))
        u2 = multiply(root, subtract(load(xt, (i + 2, b), 1), m2))
        u3 = multiply(root, subtract(load(xt, (i + 3, b), 1), m3))
        store(z, (i, b), u0)
        store(z, (i + 1, b), u1)
        store(z, (i + 2, b), u2)
        store(z, (i + 3, b), u3)
        f0 = fma(root, u0, f0)
        f1 = fma(root, u1, f1)
        f2 = fma(root, u2, f2)
        f3 = fma(root, u3, f3)
        a0 = fma(u0, u0, a0)
        a1 = fma(u0, u1, a1)
        a2 = fma(u0, u2, a2)
        a3 = fma(u0, u3, a3)
        c1 = fma(u1, u1, c1)
        c2 = fma(u1, u2, c2)
        c3 = fma(u1, u3, c3)
        e2 = fma(u2, u2, e2)
        e3 = fma(u2, u3, e3)
        g3 = fma(u3, u3, g3)
    add_totals(s1, (lane, k, i), f0, f1, f2, f3)
    add_totals(s2, (lane, k, i, i), a0, a1, a2, a3)
    add_totals(s2, (lane, k, i + 1, i), a1, c1, c2, c3)
    add_totals(s2, (lane, k, i + 2, i), a2, c2, e2, e3)
    add_totals(s2, (lane, k, i + 3, i), a3, c3, e3, g3)


@inlined
def _two_rows(xt, means, h, i, z, s1, lane, k):
    """Rows i and i + 1 of z = h (x - mean), and their first moments."""
    a = splat(h.dtype.type(0), 2)
    c = a
    for b in range(0, BLOCK, lanes(h, 2)):
        root = load(h, (k, b), 2)
        u = multiply(root, subtract(load(xt, (i, b), 2), spread(means, (k, i), 2)))
        store(z, (i, b), u)
        a = fma(root, u, a)
        u = multiply(root, subtract(load(xt, (i + 1, b), 2), spread(means, (k, i + 1), 2)))
        store(z, (i + 1, b), u)
        c = fma(root, u, c)
    s1[lane, k, i] += total(a)
    s1[lane, k, i + 1] += total(c)


@inlined
def _four_by_four(z, i, j, s2, lane, k):
    """Rows i to i + 3 and columns j to j + 3 of z z'."""
    a0 = splat(z.dtype.type(0), 1)
    a1, a2, a3, c0, c1, c2, c3 = a0, a0, a0, a0, a0, a0, a0
    e0, e1, e2, e3, g0, g1, g2, g3 = a0, a0, a0, a0, a0, a0, a0, a0
    for b in range(0, BLOCK, lanes(z, 1)):
        u0 = load(z, (i, b), 1)
        u1 = load(z, (i + 1, b), 1)
        u2 = load(z, (i + 2, b), 1)
        u3 = load(z, (i + 3, b), 1)
        v = load(z, (j, b), 1)
        a0 = fma(u0, v, a0)
        c0 = fma(u1, v, c0)
        e0 = fma(u2, v, e0)
        g0 = fma(u3, v, g0)
        v = load(z, (j + 1, b), 1)
        a1 = fma(u0, v, a1)
        c1 = fma(u1, v, c1)
        e1 = fma(u2, v, e1)
        g1 = fma(u3, v, g1)
        v = load(z, (j + 2, b), 1)
        a2 = fma(u0, v, a2)
        c2 = fma(u1, v, c2)
        e2 = fma(u2, v, e2)
        g2 = fma(u3, v, g2)
        v = load(z, (j + 3, b), 1)
        a3 = fma(u0, v, a3)
        c3 = fma(u1, v, c3)
        e3 = fma(u2, v, e3)
        g3 = fma(u3, v, g3)
    add_totals(s2, (lane, k, i, j), a0, a1, a2, a3)
    add_totals(s2, (lane, k, i + 1, j), c0, c1, c2, c3)
    add_totals(s2, (lane, k, i + 2, j), e0, e1, e2, e3)
    add_totals(s2, (lane, k, i + 3, j), g0, g1, g2, g3)


@inlined
def _rows_by_columns(z, i, j, s2, lane, k):
    """Rows i, i + 1 and columns j to j + 3 of z z'."""
    a0 = splat(z.dtype.type(0), 1)
    a1, a2, a3, c0, c1, c2, c3 = a0, a0, a0, a0, a0, a0, a0
    for b in range(0, BLOCK, lanes(z, 1)):
        u0 = load(z, (i, b), 1)
        u1 = load(z, (i + 1, b), 1)
        v = load(z, (j, b), 1)
        a0 = fma(u0, v, a0)
        c0 = fma(u1, v, c0)
        v = load(z, (j + 1, b), 1)
        a1 = fma(u0, v, a1)
        c1 = fma(u1, v, c1)
        v = load(z, (j + 2, b), 1)
        a2 = fma(u0, v, a2)
        c2 = fma(u1, v, c2)
        v = load(z, (j + 3, b), 1)
        a3 = fma(u0, v, a3)
        c3 = fma(u1, v, c3)
    add_totals(s2, (lane, k, i, j), a0, a1, a2, a3)
    add_totals(s2, (lane, k, i + 1, j), c0, c1, c2, c3)


@inlined
def _square_on_diagonal(z, i, s2, lane, k):
    """Rows and columns i to i + 3 of z z': ten sums."""
    a0 = splat(z.dtype.type(0), 1)
    a1, a2, a3, c1, c2, c3, e2, e3, f3 = a0, a0, a0, a0, a0, a0, a0, a0, a0
    for b in range(0, BLOCK, lanes(z, 1)):
        u0 = load(z, (i, b), 1)
        u1 = load(z, (i + 1, b), 1)
        u2 = load(z, (i + 2, b), 1)
        u3 = load(z, (i + 3, b), 1)
        a0 = fma(u0, u0, a0)
        a1 = fma(u0, u1, a1)
        a2 = fma(u0, u2, a2)
        a3 = fma(u0, u3, a3)
        c1 = fma(u1, u1, c1)
        c2 = fma(u1, u2, c2)
        c3 = fma(u1, u3, c3)
        e2 = fma(u2, u2, e2)
        e3 = fma(u2, u3, e3)
        f3 = fma(u3, u3, f3)
    add_totals(s2, (lane, k, i, i), a0, a1, a2, a3)
    add_totals(s2, (lane, k, i + 1, i), a1, c1, c2, c3)
    add_totals(s2, (lane, k, i + 2, i), a2, c2, e2, e3)
    add_totals(s2, (lane, k, i + 3, i), a3, c3, e3, f3)


@inlined
def _last_two(z, i, s2, lane, k):
    """Rows and columns i and i + 1 of z z'."""
    e0 = splat(z.dtype.type(0), 2)
    e1, e2 = e0, e0
    for b in range(0, BLOCK, lanes(z, 2)):
        u0 = load(z, (i, b), 2)
        u1 = load(z, (i + 1, b), 2)
        e0 = fma(u0, u0, e0)
        e1 = fma(u0, u1, e1)
        e2 = fma(u1, u1, e2)
    s2[lane, k, i, i] += total(e0)
    s2[lane, k, i + 1, i] += total(e1)
    s2[lane, k, i + 1, i + 1] += total(e2)


@helper
def _below_diagonal(z, s2, lane, k):
    """s2[lane, k] += z z' without the squares on the diagonal, a panel of columns at a time.

    Sixteen rows of a block stay in the first-level cache while all rows below pass by them.
    """
    d = z.shape[0]
    for panel in range(0, d, 16):
        for i in range(panel + 4, d - 3, 4):
            for j in range(panel, min(i, panel + 16), 4):
                if REGISTERS == 32:
                    _four_by_four(z, i, j, s2, lane, k)
                else:
                    _rows_by_columns(z, i, j, s2, lane, k)
                    _rows_by_columns(z, i + 2, j, s2, lane, k)
        if d % 4 > 0:
            for j in range(panel, min(d - 2, panel + 16), 4):
                _rows_by_columns(z, d - 2, j, s2, lane, k)


@helper
def add_outer(z, s2, lane, k):
    """s2[lane, k] += z z', lower triangle (and some entries above the diagonal)."""
    d = z.shape[0]
    for i in range(0, d - 3, 4):
        _square_on_diagonal(z, i, s2, lane, k)
    if d % 4 > 0:
        _last_two(z, d - 2, s2, lane, k)
    _below_diagonal(z, s2, lane, k)


@helper
def add_diagonal(z, means, h, factor, n_k, s1, s2, lane):
    """As `add_triangular`, feature by feature; no second moments if s2 is empty.

    d is a multiple of 4 here.
    """
    zero = h.dtype.type(0)
    for k in range(n_k.shape[1]):
        added = weigh(h, k, factor)
        if added == 0:
            continue
        n_k[lane, k] += added
        if s2.shape[2] == 0:
            for j in range(0, z.shape[0], 4):
                f0 = splat(zero, 2)
                f1, f2, f3 = f0, f0, f0
                for b in range(0, BLOCK, lanes(h, 2)):
                    r = load(h, (k, b), 2)
                    r = multiply(r, r)
                    f0 = fma(r, subtract(load(z, (j, b), 2), spread(means, (k, j), 2)), f0)
                    f1 = fma(r, subtract(load(z, (j + 1, b), 2), spread(means, (k, j + 1), 2)), f1)
                    f2 = fma(r, subtract(load(z, (j + 2, b), 2), spread(means, (k, j + 2), 2)), f2)
                    f3 = fma(r, subtract(load(z, (j + 3, b), 2), spread(means, (k, j + 3), 2)), f3)
                add_totals(s1, (lane, k, j), f0, f1, f2, f3)
        else:
            for j in range(0, z.shape[0], 4):
                a0 = splat(zero, 1)
                a1, a2, a3, c0, c1, c2, c3 = a0, a0, a0, a0, a0, a0, a0
                for b in range(0, BLOCK, lanes(h, 1)):
                    root = load(h, (k, b), 1)
                    u = multiply(root, subtract(load(z, (j, b), 1), spread(means, (k, j), 1)))
                    a0 = fma(root, u, a0)
                    c0 = fma(u, u, c0)
                    u = multiply(
                        root, subtract(load(z, (j + 1, b), 1), spread(means, (k, j + 1), 1))
                    )
                    a1 = fma(root, u, a1)
                    c1 = fma(u, u, c1)
                    u = multiply(
                        root, subtract(load(z, (j + 2, b), 1), spread(means, (k, j + 2), 1))
                    )
                    a2 = fma(root, u, a2)
                    c2 = fma(u, u, c2)
                    u = multiply(
                        root, subtract(load(z, (j + 3, b), 1), spread(means, (k, j + 3), 1))
                    )
                    a3 = fma(root, u, a3)
                    c3 = fma(u, u, c3)
                add_totals(s1, (lane, k, j), a0, a1, a2, a3)
                add_totals(s2, (lane, k, j), c0, c1, c2, c3)


@inlined
def transpose(x, start, rows, center, xt):
    """xt[j, b] = x[start + b, j] - center[j], for whole tiles of 8 rows and 4 features."""
    for b in range(0, rows, 8):
        for j in range(0, x.shape[1] - 3, 4):
            c0, c1, c2, c3 = columns(x, (start + b, j), 2)
            store(xt, (j, b), subtract(c0, constant(c0, center[j])))
            store(xt, (j + 1, b), subtract(c1, constant(c1, center[j + 1])))
            store(xt, (j + 2, b), subtract(c2, constant(c2, center[j + 2])))
            store(xt, (j + 3, b), subtract(c3, constant(c3, center[j + 3])))
