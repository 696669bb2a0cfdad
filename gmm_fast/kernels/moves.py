"""Moves of components that are drawn: many of them in one call, for Python needs as long for one.

Covariances come in one row each: (d d,) of a matrix, (d,) of variances, (1,) of one for all
features; none where components share theirs, which EM adapts by itself.
"""

from typing import NamedTuple

import numpy as np

from ._options import helper, serial_kernel

# Uniform numbers that a move is made of.
DRAWS = 8
# Of what is put: among the neighbours of a row, on a row, and the rest is cuts.
AMONG, ON = 0.5, 0.75
# The share of the rows that are neighbours is 1 / K, or a half of it, ... so many sizes.
SIZES = 4


class Rows(NamedTuple):
    """A sample, float64."""

    x: np.ndarray  # (n, d)
    weights: np.ndarray  # (n,)
    chances: np.ndarray  # (n,), sums of the chances that a row is drawn
    whitened: np.ndarray  # (n, d), where the covariance within components is the unit matrix
    scale: np.ndarray  # (d,), standard deviations
    labels: np.ndarray  # (n,) int64, the component that is most responsible


class Solution(NamedTuple):
    """The mixture that is moved, float64."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, d)
    covariances: np.ndarray  # (K, s), or (0, s)
    within: np.ndarray  # (s,), their mean
    chances: np.ndarray  # (K,), sums of the chances that a component goes
    pairs: np.ndarray  # (K K,), that two become one
    paired: float  # share of the moves for which two do
    pseudo: float  # weight of the samples that draw the covariance of a half to the whole


@serial_kernel
def draw_moves(rows, solution, uniforms, weights, means, covariances, made):
    """Each move takes a component away, or merges two, and puts one elsewhere.

    It is put among the neighbours of a row, on a row, or where the plane between two rows cuts
    another component.

    Parameters
    ----------
    rows : Rows
    solution : Solution
    uniforms : (B, DRAWS) float64 in [0, 1)
    weights, means, covariances : (B, K), (B, K, d), (B, K, s) or (B, 0, s) float64
        Copies of the solution's; written.
    made : (B,) bool, written
        False where the draw makes no move.
    """
    n_components = weights.shape[1]
    distances, side = np.empty(len(rows.x)), np.empty(len(rows.x), np.int8)
    for b in range(len(uniforms)):
        made[b] = False
        for_take, how = uniforms[b, 0], uniforms[b, 3]
        merged = -1
        if uniforms[b, 1] < solution.paired and solution.pairs[-1] > 0:
            both = _place(solution.pairs, for_take)
            merged, free = both // n_components, both % n_components
        else:
            free = _place(solution.chances, for_take)
        if how < ON:
            row, size = _place(rows.chances, uniforms[b, 2]), 1.0 / n_components
            if how < AMONG:
                size /= 1 << int(SIZES * uniforms[b, 4])
            if merged >= 0:
                _merge(b, merged, free, weights, means, covariances)
            _put(b, free, size / (1.0 - size), solution.within, weights, covariances)
            count = max(2, int(size * len(distances))) if how < AMONG else 1
            _mean_of_nearest(rows, row, count, distances, means, b, free)
            made[b] = True
            continue
        part = _drawn_part(solution.weights, free, merged, uniforms[b, 5])
        if part < 0 or not _parted(rows, part, uniforms[b, 6], uniforms[b, 7], side):
            continue
        if merged >= 0:
            _merge(b, merged, free, weights, means, covariances)
        _cut(b, rows, solution, side, part, free, weights, means, covariances)
        made[b] = True


@helper
def _place(chances, uniform):
    """Where a number of 0..1 falls among sums of chances."""
    sought = uniform * chances[-1]
    low, high = 0, len(chances) - 1
    while low < high:
        middle = (low + high) // 2
        if chances[middle] > sought:
            high = middle
        else:
            low = middle + 1
    return low


@helper
def _drawn_part(weights, free, merged, uniform):
    """Another component than those that move, or -1."""
    total = 0.0
    for k in range(len(weights)):
        if k != free and k != merged:
            total += weights[k]
    sought, found = uniform * total, -1
    for k in range(len(weights)):
        if k != free and k != merged and weights[k] > 0 and sought >= 0:
            found = k
            sought -= weights[k]
    return found


@helper
def _merge(b, i, j, weights, means, covariances):
    """Component i becomes what i and j are together."""
    weight = weights[b, i] + weights[b, j]
    share = weights[b, i] / weight if weight > 0 else 0.5
    d = means.shape[2]
    delta = np.empty(d)
    for f in range(d):
        delta[f] = means[b, i, f] - means[b, j, f]
        means[b, i, f] = means[b, j, f] + share * delta[f]
    weights[b, i] = weight
    if covariances.shape[1] > 0:
        for s in range(covariances.shape[2]):
            other = covariances[b, j, s]
            covariances[b, i, s] = other + share * (covariances[b, i, s] - other)
        _add_square(delta, share * (1.0 - share), covariances, b, i)


@helper
def _add_square(delta, weight, covariances, b, k):
    """Add what the covariance of one sample is, as the family keeps it."""
    d, size = len(delta), covariances.shape[2]
    for i in range(d):
        if size == d * d:
            for j in range(d):
                covariances[b, k, i * d + j] += weight * delta[i] * delta[j]
        elif size == d:
            covariances[b, k, i] += weight * delta[i] * delta[i]
        else:
            covariances[b, k, 0] += weight * delta[i] * delta[i] / d


@helper
def _put(b, free, weight, within, weights, covariances):
    """Give a component that weight, beside 1 of all others, and the covariance within components.

    What it had goes to the others.
    """
    rest = 0.0
    for k in range(weights.shape[1]):
        if k != free:
            rest += weights[b, k]
    for k in range(weights.shape[1]):
        own = weight if k == free else (weights[b, k] / rest if rest > 0 else 0.0)
        weights[b, k] = own / (1.0 + weight) if rest > 0 else own / weight
    if covariances.shape[1] > 0:
        for s in range(len(within)):
            covariances[b, free, s] = within[s]


@helper
def _mean_of_nearest(rows, row, count, distances, means, b, free):
    """Mean of so many rows that are nearest to a row, itself among them."""
    n, d = rows.x.shape
    for f in range(d):
        means[b, free, f] = rows.x[row, f]
    if count < 2:
        return
    for i in range(n):
        squared = 0.0
        for f in range(d):
            apart = rows.whitened[i, f] - rows.whitened[row, f]
            squared += apart * apart
        distances[i] = squared
    farthest = _nth(distances.copy(), min(count, n) - 1)
    total, first = 0.0, True
    for i in range(n):
        if distances[i] <= farthest and rows.weights[i] > 0:
            total += rows.weights[i]
            for f in range(d):
                # a running mean: no sum is larger than the rows
                step = rows.x[i, f] - means[b, free, f]
                means[b, free, f] += step if first else step * (rows.weights[i] / total)
            first = False


@helper
def _nth(values, n):
    """The value that is at place n in order, from 0; `values` are written (Hoare's selection)."""
    low, high = 0, len(values) - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while pivot < values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if n <= j:
            high = j
        elif n >= i:
            low = i
        else:
            break
    return values[n]


@helper
def _parted(rows, part, for_a, for_b, side):
    """Part the rows of a component by which of two of them is nearer: 0 or 1, and -1 of others.

    False where a half is empty.
    """
    n, d = rows.x.shape
    count = 0
    for i in range(n):
        side[i] = 0 if rows.labels[i] == part else -1
        count += side[i] == 0
    if count < 2:
        return False
    first, second = int(for_a * count), int(for_b * (count - 1))
    second += second >= first
    a = b = seen = 0
    for i in range(n):
        if side[i] == 0:
            a = i if seen == first else a
            b = i if seen == second else b
            seen += 1
    here = there = 0.0
    for i in range(n):
        if side[i] < 0:
            continue
        along = 0.0
        for f in range(d):
            middle = 0.5 * (rows.x[a, f] + rows.x[b, f])
            normal = (rows.x[b, f] - rows.x[a, f]) / (rows.scale[f] * rows.scale[f])
            along += (rows.x[i, f] - middle) * normal
        if along > 0:
            side[i] = 1
            there += rows.weights[i]
        else:
            here += rows.weights[i]
    return here > 0 and there > 0


@helper
def _cut(b, rows, solution, side, part, free, weights, means, covariances):
    """Put a component's halves into its place and into that of `free`.

    Few rows have a covariance that is singular or nearly so: it is drawn to the component's.
    """
    n, d = rows.x.shape
    shared, delta = covariances.shape[1] == 0, np.empty(d)
    for half in range(2):
        k, total = (part, free)[half], 0.0
        for i in range(n):
            if side[i] == half:
                total += rows.weights[i]
        pull = solution.pseudo / (total + solution.pseudo)
        weights[b, k] = total
        for f in range(d):
            means[b, k, f] = 0.0
        for i in range(n):
            if side[i] == half:
                for f in range(d):
                    means[b, k, f] += rows.weights[i] / total * rows.x[i, f]
        if shared:
            continue
        for s in range(covariances.shape[2]):
            covariances[b, k, s] = pull * solution.covariances[part, s]
        for i in range(n):
            if side[i] == half:
                for f in range(d):
                    delta[f] = rows.x[i, f] - means[b, k, f]
                weight = rows.weights[i] / (total + solution.pseudo)
                _add_square(delta, weight, covariances, b, k)
    share = solution.weights[part] / (weights[b, part] + weights[b, free])
    weights[b, part] *= share
    weights[b, free] *= share
    total = 0.0
    for k in range(weights.shape[1]):
        total += weights[b, k]
    for k in range(weights.shape[1]):
        weights[b, k] /= total
