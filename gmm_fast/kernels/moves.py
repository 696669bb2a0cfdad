"""Draw random moves of components, many in one call: Python would take as long for one.

Each covariance is one row: (d d,) for a matrix, (d,) for variances, (1,) for one variance. There
are none if components share a covariance, which EM adapts by itself.
"""

from typing import NamedTuple

import numpy as np

from ._options import helper, serial_kernel

# Uniform numbers that one move takes.
DRAWS = 8
# Cumulative shares of the ways to insert: among the neighbours of a row, on a row; the rest cuts.
AMONG, ON = 0.5, 0.75
# Neighbourhoods hold a share of 1 / K of the rows, or 1 / 2 of that, 1 / 4, ...: so many sizes.
SIZES = 4


class Rows(NamedTuple):
    """A sample, float64."""

    x: np.ndarray  # (n, d)
    weights: np.ndarray  # (n,)
    chances: np.ndarray  # (n,), cumulative chances of a row to be drawn
    whitened: np.ndarray  # (n, d), scaled so that the mean covariance within is the identity
    scale: np.ndarray  # (d,), standard deviations
    labels: np.ndarray  # (n,) int64, the most responsible component


class Solution(NamedTuple):
    """The mixture from which moves start, float64."""

    weights: np.ndarray  # (K,)
    means: np.ndarray  # (K, d)
    covariances: np.ndarray  # (K, s), or (0, s)
    within: np.ndarray  # (s,), mean covariance
    chances: np.ndarray  # (K,), cumulative chances of a component to be removed
    pairs: np.ndarray  # (K K,), cumulative chances of two components to be merged
    paired: float  # share of the moves that merge two components
    pseudo: float  # weight of pseudo-samples that pull the covariance of a half to the whole


@serial_kernel
def draw_moves(rows, solution, uniforms, weights, means, covariances, made):
    """Each move removes a component, or merges two, and inserts one elsewhere.

    The new one lies among the neighbours of a row, on a row, or is one half of another component,
    cut by the plane between two of its rows.

    Parameters
    ----------
    rows : Rows
    solution : Solution
    uniforms : (B, DRAWS) float64 in [0, 1)
    weights, means, covariances : (B, K), (B, K, d), (B, K, s) or (B, 0, s) float64
        Copies of the solution's arrays; written.
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
            both = _draw_index(solution.pairs, for_take)
            merged, free = both // n_components, both % n_components
        else:
            free = _draw_index(solution.chances, for_take)
        if how < ON:
            row, size = _draw_index(rows.chances, uniforms[b, 2]), 1.0 / n_components
            if how < AMONG:
                size /= 1 << int(SIZES * uniforms[b, 4])
            if merged >= 0:
                _merge(b, merged, free, weights, means, covariances)
            _insert(b, free, size / (1.0 - size), solution.within, weights, covariances)
            count = max(2, int(size * len(distances))) if how < AMONG else 1
            _mean_of_nearest(rows, row, count, distances, means, b, free)
            made[b] = True
            continue
        part = _draw_component(solution.weights, free, merged, uniforms[b, 5])
        if part < 0 or not _split_rows(rows, part, uniforms[b, 6], uniforms[b, 7], side):
            continue
        if merged >= 0:
            _merge(b, merged, free, weights, means, covariances)
        _insert_halves(b, rows, solution, side, part, free, weights, means, covariances)
        made[b] = True


@helper
def _draw_index(chances, uniform):
    """The index that a uniform number draws from cumulative chances."""
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
def _draw_component(weights, free, merged, uniform):
    """Draw a component, by weight, other than those that move; or -1."""
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
    """Merge component j into i."""
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
    """Add weight times delta delta' to a covariance, in the layout of the family."""
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
def _insert(b, free, weight, within, weights, covariances):
    """Give a component that weight, relative to 1 for all others, and the covariance `within`.

    Its old weight goes to the others.
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
    """Set the mean to that of the `count` rows nearest to a row, including itself."""
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
    """The n-th smallest value, counted from 0; reorders `values` (Hoare's selection)."""
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
def _split_rows(rows, part, for_a, for_b, side):
    """Split the rows of a component by the nearer of two of them: 0 or 1; -1 for other rows.

    Returns False if a half is empty.
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
def _insert_halves(b, rows, solution, side, part, free, weights, means, covariances):
    """Replace a component and `free` by the two halves of the component.

    The covariance of few rows may be singular or nearly so: it is pulled to the component's.
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
