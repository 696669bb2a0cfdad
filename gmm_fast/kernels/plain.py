"""`tiles` and `products` in plain NumPy, for tests and for runs without the compiler."""

import numpy as np


def triangular_joint(xt, means, lower, log_const, strip, h):
    for k in range(len(h)):
        h[k] = _joint(log_const[k], np.tril(lower[k]) @ (xt - means[k][:, None]))


def diagonal_joint(z, means, scale, log_const, h):
    for k in range(len(h)):
        h[k] = _joint(log_const[k], scale[k][:, None] * (z - means[k][:, None]))


def _joint(log_const, y):
    with np.errstate(over="ignore"):
        return log_const - np.minimum((y * y).sum(axis=0), np.finfo(y.dtype).max / 4)


def whiten(xt, lower, strip, z):
    z[:] = np.tril(lower) @ xt


def best_component(h, top, which):
    top[:] = h.max(axis=0)
    which[:] = h.argmax(axis=0)


def exponentials(h, top, totals):
    top[:] = h.max(axis=0)
    h[:] = np.exp(h - top)
    totals[:] = (h * h).sum(axis=0)


def add_triangular(xt, means, h, factor, z, n_k, s1, s2, lane):
    for k in range(n_k.shape[1]):
        h[k] *= factor
        n_k[lane, k] += (h[k] * h[k]).sum()
        z[:] = h[k] * (xt - means[k][:, None])
        s1[lane, k] += z @ h[k]
        add_outer(z, s2, lane, k)


def add_outer(z, s2, lane, k):
    s2[lane, k] += np.tril(z @ z.T)


def add_diagonal(z, means, h, factor, n_k, s1, s2, lane):
    for k in range(n_k.shape[1]):
        h[k] *= factor
        n_k[lane, k] += (h[k] * h[k]).sum()
        u = h[k] * (z - means[k][:, None])
        s1[lane, k] += u @ h[k]
        if s2.shape[2] > 0:
            s2[lane, k] += (u * u).sum(axis=1)


def squared_norm(z, norm):
    norm[:] = (z * z).sum(axis=0)


def linear_joint(z, norm, form, h):
    least = np.finfo(h.dtype).min / 4
    with np.errstate(over="ignore", invalid="ignore"):
        joint = form.of_norm[:, None] * norm + form.offset[:, None] + form.coef @ z
        if len(form.quad):
            joint += form.quad @ z**2
    joint = np.where(joint > least, joint, least)
    h[: len(joint)] = form.log_const[:, None] + joint


def copy_rows(z, squares, rows):
    d = len(z)
    rows[:, :d] = z.T
    if squares:
        rows[:, d : 2 * d] = z.T**2


def add_linear(rows, norm, h, factor, active, n_k, s1, s2, lane):
    k = n_k.shape[1]
    h[:k] = h[:k] ** 2 * factor
    n_k[lane] += h[:k].sum(axis=1)
    s2[lane] += (h[:k] @ norm)[:, None]
    s1[lane] += h[:k] @ rows


def transpose(x, start, rows, center, xt):
    whole = x.shape[1] // 4 * 4
    xt[:whole, :rows] = (x[start : start + rows, :whole] - center[:whole]).T
