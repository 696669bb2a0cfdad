"""Finds where EM starts on wide data: few samples for each covariance, or many features.

With hardly more samples than features in a component a full covariance fits any partition, and EM
hardly leaves the one it was given. Likelihoods of the family do not tell which start is right: the
partition must be right before EM begins. So k-means finds partitions in several spaces. EM with one
covariance for all components refines them: there are enough samples for that, and neither units nor
a shared elongation of clusters mislead it. Their marginal likelihood judges them: it gives no
credit to a covariance that fits anything.
"""

import numpy as np

from ..backends.threads import side_by_side
from ..mixture.families import get_family
from .evidence import EVIDENCE
from .one_covariance import Tied, ridge
from .partition import params_of_parts, partition
from .seeding import say_few_rows
from .spaces import DIRECTIONS, FEW_DIRECTIONS, LEAST_RIDGE, Rows, Spaces, distinct, kmeans

# Below this many samples for each covariance and feature data is wide. Above, starts judged by
# likelihood do as well: at 10 samples for each component and feature they still missed two of four
# sets of separated clusters of unequal sizes (2400 x 40, K = 6).
ROWS_PER_MATRIX, ROWS_PER_SHARED = 20, 8
# Data of fewer features is not wide, however few its samples.
FEWEST_FEATURES = 10
# With more features other starts cost more than the fit.
MOST_FEATURES = 64

# Values to use if the family needs no matrices, and fewest samples for each component.
VALUES = 2**19
ROWS_PER_COMPONENT = 128
# Iterations of all candidates, and of the best of them.
FIRST_LEG, LAST_LEG = 3, 12
FINALISTS = 3
# Exchanges of parts to try, the most promising first, before the search for a better one ends.
TRIED_MOVES = 2
# Most partitions to judge, and floating-point operations to spend on it.
JUDGED, JUDGE_WORK = 8, 3e9
# Up to this many values times components there is a second try of each kind; beyond, exchanges of
# parts find what it would.
SECOND_TRIES = 4e6


def is_wide(n_samples, n_features, n_components, covariance_type):
    """Whether EM of that family starts from `wide_start`."""
    if n_components == 1 or n_features < FEWEST_FEATURES:
        return False
    if n_features > MOST_FEATURES:
        return True
    family = get_family(covariance_type)
    rows = ROWS_PER_SHARED if family.shared else ROWS_PER_MATRIX
    return n_samples < rows * family.n_matrices(n_components) * n_features


def wide_start(
    sample,
    n_components,
    covariance_type,
    reg_covar,
    seed,
    threads,
    rounds=1,
    events=None,
    brief=False,
):
    """The M-step of the best partition found.

    Parameters
    ----------
    sample : Sample
    n_components : int
    covariance_type : str
    reg_covar : float or (d,) array
    seed, threads : int
    rounds : int
        Tries of each kind of candidate.
    events : list of str, optional
        Gets an event if there are fewer distinct rows than components.
    brief : bool
        Whether other moves follow: then each kind is tried once, and few candidates are judged.

    Returns
    -------
    Params
    """
    d, family = sample.x.shape[1], get_family(covariance_type)
    if not family.matrices:
        sample = sample.part(max(VALUES // d, ROWS_PER_COMPONENT * n_components))
    rows = Rows.of(sample, covariance_type)
    labels = best_partition(rows, n_components, covariance_type, seed, rounds, threads, brief)
    parts = partition([(0, sample.x)], labels, sample.weights, n_components, covariance_type)
    if events is not None and None in parts:
        say_few_rows(events, len(np.unique(sample.x, axis=0)), n_components)
    # a part of few samples has a (nearly) singular covariance
    pseudo = sample.weights.mean() * max(2, family.directions(d))
    return params_of_parts(parts, covariance_type, reg_covar, pseudo)


def best_partition(rows, n_components, covariance_type, seed, rounds, threads, brief=False):
    """Labels of the best of all candidates, (m,) int64.

    Parameters
    ----------
    rows : Rows
    n_components : int
    covariance_type : str
    seed, rounds, threads : int
    """
    rng = np.random.default_rng([seed, 0x1DE])
    matrices = get_family(covariance_type).matrices
    directions = max(DIRECTIONS if matrices else FEW_DIRECTIONS, 2 * n_components)
    spaces = Spaces.of(rows, directions, rng)
    first = spaces.first(n_components, rng, threads)
    if rounds == 1 and agree(first):
        return first[0]
    found = first
    again = rows.z.size * n_components <= SECOND_TRIES and not brief
    for number in range(rounds if again else rounds - 1):
        further = np.random.default_rng([seed, 0x1DE, number])
        found += spaces.more(n_components, further, threads)
    if matrices:
        tied = Tied(rows.near, rows.added + ridge(rows.near), rows.weights)
    else:
        tied = Tied(spaces.leading, LEAST_RIDGE, rows.weights)
    judge = _judge(rows, tied, n_components, covariance_type)
    affordable = rounds * _affordable(rows, n_components, covariance_type)
    affordable = FINALISTS if brief else affordable
    labels = _best(tied, distinct(found), n_components, judge, affordable, threads)
    if brief:
        return labels
    return _exchange_parts(tied, spaces, labels, n_components, judge, affordable, rng)


def _judge(rows, tied, k, covariance_type):
    """A function that scores labels."""
    family = get_family(covariance_type)
    if family.shared:
        return lambda labels: tied.run(labels, k, 1)[1]
    return lambda labels: EVIDENCE[family.layout](rows, labels, k)


def _best(tied, found, k, judge, affordable, threads):
    """Labels of the best of the partitions and of what EM with one covariance makes of them."""
    runs = side_by_side(lambda labels: tied.run(labels, k, FIRST_LEG), found, threads)
    order = sorted(range(len(runs)), key=lambda i: -runs[i][1])
    # the plain start, and what EM makes of it, are always judged
    going_on = dict.fromkeys([0, *order[:affordable]])
    ends = side_by_side(lambda i: tied.run(runs[i][0], k, LAST_LEG)[0], going_on, threads)
    ends = [resp.argmax(axis=1) for resp in ends]
    plain, *others = distinct([found[0], *ends, *found])
    others.sort(key=lambda labels: -tied.partition_likelihood(labels, k))
    judged = [plain, *others][:affordable]
    return judged[int(np.argmax(side_by_side(judge, judged, threads)))]


def _exchange_parts(tied, spaces, labels, k, judge, moves, rng):
    """`labels` after moves that split one part and merge two others.

    k-means gets stuck where a large cluster is split and two small ones share a centre.
    """
    if k < 3:
        return labels
    best = judge(labels)
    for _ in range(moves):
        cuts = []
        for part in range(k):
            members = np.flatnonzero(labels == part)
            if len(members) > 1:
                z = (spaces.leading if rng.integers(2) else spaces.white)[members]
                halves = kmeans(z, spaces.rows.weights[members], 2, rng)
                cuts.append(tied.recombine(labels, members[halves == 1], k))
        proposed = [cut for cut in cuts if cut is not None]
        proposed.sort(key=lambda cut: -tied.partition_likelihood(cut, k))
        for cut in proposed[:TRIED_MOVES]:
            moved = tied.run(cut, k, FIRST_LEG)[0].argmax(axis=1)
            if (value := judge(moved)) > best:
                labels, best = moved, value
                break
        else:
            break
    return labels


def _affordable(rows, k, covariance_type):
    """How many partitions there is time to judge."""
    m, d = rows.z.shape
    separate = get_family(covariance_type).n_matrices(2) == 2
    work = m * d**2 + k * d**3 / 3 if separate else LAST_LEG * m * d * k
    return int(np.clip(JUDGE_WORK / work, FINALISTS, JUDGED))


def agree(first):
    """Whether the `first` partitions leave no doubt.

    Those that units and elongations affect must be the same as each other and as one that they do
    not affect.
    """
    plain, leading, *white = first
    pairs = [distinct([plain, other]) for other in (leading, *white)]
    return len(pairs[0]) == 1 and any(len(pair) == 1 for pair in pairs[1:])
