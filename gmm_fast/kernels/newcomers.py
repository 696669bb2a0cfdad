"""An EM step of single components, each beside a fixed mixture."""

import numba
import numpy as np

from ._options import serial_kernel
from .elementary import exp
from .vector import (
    add,
    choose,
    divide,
    fma,
    lanes,
    load,
    multiply,
    smaller,
    splat,
    spread,
    store,
    subtract,
    total,
)

BLOCK = 256  # samples come in whole blocks: callers pad, with weights of 0
FAR = 1e300  # squared distances are cut off here


@serial_kernel
def moments(start, stop, zt, log_prob, weights, centers, precision, front, rest, sums):
    """Moments of the responsibilities of candidates, each of which alone joins the mixture.

    A candidate has the density exp(front - precision |z - center|^2), including its weight; the
    mixture has the density exp(log_prob) and the weight `rest`.

    Parameters
    ----------
    start, stop : int
        Range of samples, whole blocks.
    zt : (d, n) float64, C order, n a multiple of `BLOCK`
    log_prob, weights : (n,) float64
    centers : (P, d) float64
    precision, front, rest : (P,) float64
    sums : (n / BLOCK, P, 2 + d) float64, written
        Sums of w r, w r |z - center|^2 and w r (z - center) over each block.
    """
    resp = np.empty(BLOCK)
    zero, one, far = splat(0.0, 4), splat(1.0, 4), splat(FAR, 4)
    for block in range(start // BLOCK, stop // BLOCK):
        first = block * BLOCK
        for p in range(centers.shape[0]):
            weight, second = zero, zero
            for b in range(0, BLOCK, lanes(zt, 4)):
                q = zero
                for j in range(zt.shape[0]):
                    y = subtract(load(zt, (j, first + b), 4), spread(centers, (p, j), 4))
                    q = fma(y, y, q)
                q = smaller(q, far)  # infinity times a responsibility of 0 would be NaN
                ratio = multiply(spread(precision, (p,), 4), q)
                ratio = subtract(spread(front, (p,), 4), ratio)
                ratio = subtract(ratio, load(log_prob, (first + b,), 4))
                # ratio of the smaller density to the larger one, which is finite
                e = exp(smaller(ratio, subtract(zero, ratio)))
                c = spread(rest, (p,), 4)
                r = choose(ratio, zero, divide(one, fma(c, e, one)), divide(e, add(e, c)))
                r = multiply(r, load(weights, (first + b,), 4))
                store(resp, (b,), r)
                weight = add(weight, r)
                second = fma(r, q, second)
            sums[block, p, 0] = total(weight)
            sums[block, p, 1] = total(second)
            for j in range(zt.shape[0]):
                moment = zero
                for b in range(0, BLOCK, lanes(zt, 4)):
                    y = subtract(load(zt, (j, first + b), 4), spread(centers, (p, j), 4))
                    moment = fma(load(resp, (b,), 4), y, moment)
                sums[block, p, 2 + j] = total(moment)


def _plain_moments(start, stop, zt, log_prob, weights, centers, precision, front, rest, sums):
    for block in range(start // BLOCK, stop // BLOCK):
        some = slice(block * BLOCK, (block + 1) * BLOCK)
        for p, center in enumerate(centers):
            y = zt[:, some] - center[:, None]
            q = np.minimum((y * y).sum(axis=0), FAR)
            ratio = front[p] - precision[p] * q - log_prob[some]
            e = np.exp(-np.abs(ratio))
            c = rest[p]
            r = np.where(ratio > 0, 1 / (1 + c * e), e / (e + c)) * weights[some]
            sums[block, p] = np.r_[r.sum(), r @ q, y @ r]


if numba.config.DISABLE_JIT:
    moments = _plain_moments
