"""Components exchanged: some more where a solution is worst, then as many merged where it matters
least.

EM does not move a component from where it is superfluous to where one is missing. In split-and-
merge EM (Ueda, Nakano, Ghahramani & Hinton 2000, "SMEM algorithm for mixture models", Neural
Computation 12) one split and one merge are tried together, triple by triple. Here the mixture grows
by several components at once, EM moves them, and what is superfluous then is seen by what its
merging costs. Where nothing was missing the new components are merged with what they came from.
"""

from dataclasses import replace

import numpy as np

from .families import get_family
from .insertion import MOST_LOG, newcomer, with_component
from .params import Params
from .race import FINER, FINEST, LEG, LONGEST, score_of, spread_of
from .short import short_run
from .splitting import TRIED, cuts, with_halves

# Of more components the responsibilities of the sample are not held.
MOST_COMPONENTS = 64
# Exchanges, each better than the one before.
ROUNDS = 4
# Iterations, at most, in which a merged mixture has to become better than one that
# has had as many.
RECOVERY = 60
# Pairs of components whose merging is tried out, each time.
PAIRS = 8
TINY = np.finfo(np.float64).tiny


def exchanged(backend, sample, params, settings):
    """`params`, or a solution of as many components that is better.

    Parameters
    ----------
    backend : LocalBackend
        Of the sample.
    sample : Sample
    params : Params
        A solution, nearly.
    settings : em.Settings
        With the `reg_covar` of the data.

    Returns
    -------
    Params
        `params` itself unless another scores higher (`race.score_of`) by more than the tolerance
        of the fit.
    """
    k = params.n_components
    if not settings.max_iter or not 1 < k <= MOST_COMPONENTS:
        return params
    spread = spread_of(backend)
    tol = max(FINER * settings.tol, FINEST)

    def run(params, iterations):
        result = short_run(backend, params, replace(settings, max_iter=iterations, tol=tol))
        return score_of(result, spread), result

    best = params
    score, own = run(params, RECOVERY)
    for _ in range(ROUNDS):
        larger = _enlarged(backend, sample, own.params, settings.reg_covar)
        if larger.n_components == k:
            break
        larger = run(larger, LEG)[1].params
        to_beat = score + max(settings.tol, FINEST) * own.total_weight
        found, result = run(_reduced(backend, sample, larger, k), RECOVERY)
        if not found > to_beat:
            break
        score, own = run(result.params, LONGEST)
        best = own.params
    return best


def held_columns(n_components):
    """Numbers that an exchange holds for each row of the sample, at most."""
    if n_components > MOST_COMPONENTS:
        return 0
    return n_components + TRIED + 1 + 3 * PAIRS


def _enlarged(backend, sample, params, reg_covar):
    """`params` with its worst components cut in two, and one where it is worst."""
    larger = params
    for cut in cuts(backend, sample, params, reg_covar):
        larger = with_halves(larger, *cut)
    found = newcomer(backend, sample, params)
    return larger if found is None else with_component(larger, *found)


def _reduced(backend, sample, params, k):
    """`params` with two components merged, those whose merging costs least, until `k` are left."""
    while params.n_components > k:
        params = _merged(params, *_cheapest_pair(backend, sample, params))
    return params


def _cheapest_pair(backend, sample, params):
    """Two components without which, but for one that is both, the likelihood is highest.

    Of pairs of each component with the one that it overlaps most, the `PAIRS` that overlap most.
    """
    log_prob, resp = _scored(backend, params)
    overlap = resp @ resp.T
    size = np.sqrt(np.maximum(np.diagonal(overlap), TINY))
    overlap /= size * size[:, None]
    np.fill_diagonal(overlap, -1.0)
    pairs = {tuple(sorted(pair)) for pair in enumerate(overlap.argmax(axis=1).tolist())}
    pairs = sorted(pairs, key=lambda pair: -overlap[pair])[:PAIRS]
    log_both, both = _scored(backend, _pooled(params, pairs))
    first, second = np.array(pairs).T
    # densities of the pairs, and of all components, in units of p(x)
    of_pairs = params.weights[first].sum() + params.weights[second].sum()
    both *= of_pairs * np.exp(np.minimum(log_both - log_prob, MOST_LOG))
    both += np.maximum(1 - resp[first] - resp[second], 0)
    gain = np.log(np.maximum(both, TINY)) @ sample.weights
    return pairs[int(np.argmax(gain))]


def _pooled(params, pairs):
    """A mixture of one component for each pair, of its mean and covariance."""
    weights, means, covariances = zip(*(pooled(params, i, j) for i, j in pairs), strict=True)
    covariances = covariances[0] if params.covariance_type == "tied" else np.stack(covariances)
    weights = np.array(weights)
    return Params(weights / weights.sum(), np.stack(means), covariances, params.covariance_type)


def pooled(params, i, j):
    """Weight, mean and covariance of two components together."""
    family = get_family(params.covariance_type)
    weight = params.weights[i] + params.weights[j]
    share = params.weights[i] / weight if weight > 0 else 0.5
    delta = params.means[i] - params.means[j]
    mean = params.means[j] + share * delta
    if family.name == "tied":  # which EM widens by itself
        return weight, mean, params.covariances
    between = family.square(delta) / (len(delta) if family.name == "spherical" else 1)
    within = share * params.covariances[i] + (1 - share) * params.covariances[j]
    return weight, mean, within + share * (1 - share) * between


def _merged(params, i, j):
    """`params` with component i the two together, and without component j."""
    weights, means, covariances = params.weights.copy(), params.means.copy(), params.covariances
    weights[i], means[i], covariance = pooled(params, i, j)
    if params.covariance_type != "tied":
        covariances = covariances.copy()
        covariances[i] = covariance
        covariances = np.delete(covariances, j, axis=0)
    return Params(
        np.delete(weights, j), np.delete(means, j, axis=0), covariances, params.covariance_type
    )


def _scored(backend, params):
    """ln p(x), (n,), and responsibilities, (K, n), float64."""
    log_prob = np.empty(backend.n_samples)
    resp = np.empty((params.n_components, backend.n_samples))
    for start, out in backend.score(params, log_prob=True, resp=True):
        stop = start + len(out.log_prob)
        log_prob[start:stop] = out.log_prob
        resp[:, start:stop] = out.resp.T
    return log_prob, resp
