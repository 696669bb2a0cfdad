"""A start for K + 1 components from a fit of K: its worst component is cut in two."""

from dataclasses import replace

import numpy as np

from .insertion import insertion
from .named_starts import pseudo_weight
from .params import Params
from .partition import params_of_parts, partition
from .race import FINER, FINEST, LEG, LONGEST, score_of, spread_of
from .short import short_run

# So many components, the worst ones, are cut in turn, and the best of these starts goes on.
TRIED = 3
# Steps of k-means in one dimension that place a cut.
STEPS = 5
# Variance beside a cut, as a share of that before it, below which nothing more is gained: a half
# that is one row repeated would gain without bound.
LEAST = 1e-6


def best_of_splits(backend, sample, own, smaller, settings):
    """`own`, or where EM from a split of `smaller` leads, whichever is the better one.

    Parameters
    ----------
    backend : Backend
        Of the sample.
    sample : Sample
    own : Params
        A solution of K + 1 components, as far as the race of its starts brought it.
    smaller : Params
        One of K components, of the same family.
    settings : em.Settings

    Returns
    -------
    Params
        `own` itself unless a split scores higher (`race.score_of`), by more than the tolerance.
    """
    if not settings.max_iter:  # a fit of no iterations is asked for to see the start
        return own
    spread = spread_of(backend)
    tol = max(FINER * settings.tol, FINEST)
    leg = replace(settings, max_iter=LEG, tol=tol)

    def run(params, iterations):
        result = short_run(backend, params, replace(leg, max_iter=iterations))
        return score_of(result, spread), result

    larger = splits(backend, sample, smaller, settings.reg_covar)
    larger += [p for p in [insertion(backend, sample, smaller)] if p is not None]
    legs = [run(params, LEG) for params in larger]
    if not legs:
        return own
    result = max(legs, key=lambda scored: scored[0])[1]
    score, result = run(result.params, LONGEST)
    to_beat = run(own, LEG)[0] + tol * result.total_weight
    return result.params if score > to_beat else own


def splits(backend, sample, params, reg_covar):
    """Mixtures with one component more: each of the worst `TRIED` components cut in two.

    Returns
    -------
    list of Params
        The worst first.
    """
    return [with_halves(params, *cut) for cut in cuts(backend, sample, params, reg_covar)]


def cuts(backend, sample, params, reg_covar):
    """The worst `TRIED` components, and two halves of each.

    A component is cut across its principal axis, in units of the standard deviations of the data,
    where two means in one dimension part its samples. The worst is the one whose cut gains most
    classification likelihood (Celeux & Govaert 1992) on that axis,

        n (ln s^2) / 2 - sum over the halves of n_h ((ln s_h^2) / 2 - ln (n_h / n)),

    negative for samples of one Gaussian: what SMEM (Ueda, Nakano, Ghahramani & Hinton 2000) looks
    for, a density that is locally not that of the component, without estimating densities.

    Returns
    -------
    list of (int, Params)
        The worst first; no component of fewer than two samples is cut.
    """
    found = []
    x, family = sample.x, params.covariance_type
    z = (x - sample.mean) / sample.scale
    resp = np.concatenate([o.resp.copy() for _, o in backend.score(params, resp=True)])
    for k, share in enumerate(resp.T):
        weights = share.astype(np.float64) * sample.weights
        if weights.sum() > 2 * sample.weights.min():
            gain, side = _cut(z, weights)
            found.append((gain, k, weights, side))
    found.sort(key=lambda each: -each[0])
    pseudo = pseudo_weight(sample, family)
    halved = []
    for gain, k, weights, side in found[:TRIED]:
        parts = partition([(0, x)], side.astype(np.int64), weights, 2, family)
        if gain > -np.inf and None not in parts:
            halved.append((k, params_of_parts(parts, family, reg_covar, pseudo)))
    return halved


def _cut(z, weights):
    """What a cut across the principal axis gains, and on which side of it each sample is."""
    total = weights.sum()
    centred = z - weights @ z / total
    covariance = (weights[:, None] * centred).T @ centred / total
    along = centred @ np.linalg.eigh(covariance)[1][:, -1]
    moments = np.stack([weights, weights * along, weights * along**2])
    both, place = moments.sum(axis=1), 0.0
    for _ in range(STEPS):
        side = along > place
        right = moments @ side
        left = both - right
        if not (left[0] > 0 and right[0] > 0):
            return -np.inf, side
        place = 0.5 * (left[1] / left[0] + right[1] / right[0])
    variance = both[2] / total
    if not variance > 0:
        return -np.inf, side
    gain = 0.5 * total * np.log(variance)
    for weight, first, second in (left, right):
        least = LEAST * variance
        rest = max(second / weight - (first / weight) ** 2, least)
        gain -= weight * (0.5 * np.log(rest) - np.log(weight / total))
    return float(gain), side


def with_halves(params, k, halves):
    """`params` with component k replaced by one of two halves, and the other behind the last."""
    weights = np.append(params.weights, params.weights[k] * halves.weights[1])
    weights[k] = params.weights[k] * halves.weights[0]
    means = np.vstack([params.means, halves.means[1:]])
    means[k] = halves.means[0]
    covariances = params.covariances
    if params.covariance_type != "tied":  # which EM narrows by itself
        covariances = np.concatenate([covariances, halves.covariances[1:]])
        covariances[k] = halves.covariances[0]
    return Params(weights / weights.sum(), means, covariances, params.covariance_type)
