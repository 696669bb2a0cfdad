"""Where EM starts on wide data: few samples for each covariance, or many features.

With hardly more samples than features in a component a full covariance fits any partition, and EM
hardly leaves the one that it was given: likelihoods of the family do not tell which start is right,
and the partition has to be right before EM begins. So k-means looks for partitions in several
spaces, EM with one covariance for all components refines them, which the samples can carry and
which neither units nor an elongation that clusters share mislead, and they are judged by their
marginal likelihood, in which a covariance that fits anything earns nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import gammaln

from .partition import params_of_parts, partition
from .seeding import say_few_rows
from .threads import side_by_side

# Starts of few samples for each covariance and feature come from here. Above these numbers starts
# that are judged by likelihood do as well: at 10 samples for each component and feature they still
# missed two of four sets of separated clusters of unequal sizes (2400 x 40, K = 6).
ROWS_PER_FEATURE = {"full": 20, "tied": 8}
# Data of fewer features is not wide, however few its samples are.
FEWEST_FEATURES = 10
# With more features other starts cost more than the fit.
MOST_FEATURES = 64

# Values that are looked at where the family needs no matrices, and the fewest samples.
VALUES = 2**19
ROWS_PER_COMPONENT = 128
# Leading directions, at least. Clusters lie in K - 1 of them, behind those of noise that is larger:
# of 12 starts on clusters that the noise hides k-means in 4, 8, 16, 32 and 64 whitened directions
# found 0, 2, 6, 11 and 9, and on clusters of unequal sizes in no noise to speak of 12, 10, 6, 5, 5.
DIRECTIONS, FEW_DIRECTIONS = 32, 16
OVERSAMPLING = 8
LLOYD_STEPS = 50
# Iterations of all candidates and of the best of them; they settle at this gain of the mean
# log-likelihood.
FIRST_LEG, LAST_LEG, SETTLED = 3, 12, 1e-4
FINALISTS = 3
# Exchanges of parts that are tried, the most promising, before there is no better partition.
TRIED_MOVES = 2
# Partitions that are judged, at most, and floating-point operations for it.
JUDGED, JUDGE_WORK = 8, 3e9
# Standard deviations beyond which a value says no more.
FAR = 10.0
# Share of the variance that is added where there are no more samples than features, and always.
RIDGE, LEAST_RIDGE = 0.1, 1e-6
# Steps towards the volumes of parts.
VOLUME_STEPS = 2
# Samples that what is thought of a component's mean beforehand counts as.
MEAN_WEIGHT = 0.01
# Log-likelihood of a sample and feature that a part of hardly any rows costs: its covariance is
# singular once EM runs, whatever it earns here. Parts of a quarter of d + 1 rows cost nothing:
# two outliers of breast cancer earned 0.008, true clusters of 19 to 50 rows in 100 features 0.009
# and more.
THIN, THICK = 0.015, 0.25
# Values times components up to which there are second tries of the same kind; exchanges of parts
# find what they would.
SECOND_TRIES = 4e6


def is_wide(n_samples, n_features, n_components, covariance_type):
    """Whether EM of that family starts as `wide_start` says."""
    if n_components == 1 or n_features < FEWEST_FEATURES:
        return False
    if n_features > MOST_FEATURES:
        return True
    covariances = n_components if covariance_type == "full" else 1
    return n_samples < ROWS_PER_FEATURE.get(covariance_type, 0) * covariances * n_features


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
        How often each kind of candidate is tried.
    events : list of str, optional
        Given an event where there are fewer distinct rows than components.
    brief : bool
        Whether other moves follow: then there is one try of each kind, and few are judged.

    Returns
    -------
    Params
    """
    d = sample.x.shape[1]
    if covariance_type not in ("full", "tied"):
        sample = sample.part(max(VALUES // d, ROWS_PER_COMPONENT * n_components))
    rows = Rows.of(sample, covariance_type)
    labels = best_partition(rows, n_components, covariance_type, seed, rounds, threads, brief)
    parts = partition([(0, sample.x)], labels, sample.weights, n_components, covariance_type)
    if events is not None and None in parts:
        say_few_rows(events, len(np.unique(sample.x, axis=0)), n_components)
    # a part of few samples has a covariance that is singular or nearly so
    pseudo = sample.weights.mean() * (d + 1 if covariance_type == "full" else 2)
    return params_of_parts(parts, covariance_type, reg_covar, pseudo)


@dataclass(frozen=True)
class Rows:
    """A sample in the units that partitions are looked for in.

    Attributes
    ----------
    z : (m, d) float64
        Features of mean 0 and variance 1; for spherical covariances, which depend on units, in
        one unit.
    near : (m, d) float64
        `z` without what is far: an outlier in a feature that is constant otherwise explains it all.
    added : (d,) float64
        Variance that `near` lacks, and a little; it counts as noise of the feature.
    squares : (d,) float64
        What a squared unit of `z` is in the units of the data, beside the largest one.
    weights : (m,) float64
        1 on average.
    """

    z: np.ndarray
    near: np.ndarray
    added: np.ndarray
    squares: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, sample, covariance_type):
        varied = (sample.x != sample.x[0]).any(axis=0)
        scale = np.where(varied, sample.scale, 0.0)
        largest = scale.max() or 1.0
        units = scale / largest
        if covariance_type == "spherical":
            scale = np.full(len(scale), largest * (np.sqrt(np.mean(units**2)) or 1.0))
        z = sample.x - sample.mean
        z /= np.where(scale > 0, scale, 1.0)
        z[:, ~varied] = 0.0
        weights = sample.weights / sample.weights.mean()
        near, added = z, np.full(len(scale), LEAST_RIDGE)
        if max(z.max(), -z.min()) > FAR:
            near = np.clip(z, -FAR, FAR)
            near -= np.average(near, axis=0, weights=weights)
            lost = np.average(z**2, axis=0, weights=weights)
            lost -= np.average(near**2, axis=0, weights=weights)
            added = added + np.maximum(lost, 0.0)
        added[~varied] += 1.0
        squares = np.ones(len(scale)) if covariance_type == "spherical" else units**2
        return cls(z, near, added, squares, weights)


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
    matrices = covariance_type in ("full", "tied")
    directions = max(DIRECTIONS if matrices else FEW_DIRECTIONS, 2 * n_components)
    spaces = Spaces.of(rows, directions, rng)
    first = spaces.first(n_components, rng, threads)
    if rounds == 1 and agree(first):
        return first[0]
    found = first
    again = rows.z.size * n_components <= SECOND_TRIES and not brief
    for number in range(rounds if again else rounds - 1):
        further = np.random.default_rng([seed, 0x1DE, number])
        found += spaces.further(n_components, further, threads)
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
    return _exchanged(tied, spaces, labels, n_components, judge, affordable, rng)


def _judge(rows, tied, k, covariance_type):
    """What tells how good labels are."""
    if covariance_type == "tied":
        return lambda labels: tied.run(labels, k, 1)[1]
    evidence = {"full": _full, "diag": _diagonal, "spherical": _spherical}[covariance_type]
    return lambda labels: evidence(rows, labels, k)


def _best(tied, found, k, judge, affordable, threads):
    """Labels of the best of distinct partitions and of what EM of one covariance makes of them."""
    runs = side_by_side(lambda labels: tied.run(labels, k, FIRST_LEG), found, threads)
    order = sorted(range(len(runs)), key=lambda i: -runs[i][1])
    # the plain start is always judged, and what becomes of it
    going_on = dict.fromkeys([0, *order[:affordable]])
    ends = side_by_side(lambda i: tied.run(runs[i][0], k, LAST_LEG)[0], going_on, threads)
    ends = [resp.argmax(axis=1) for resp in ends]
    plain, *others = distinct([found[0], *ends, *found])
    others.sort(key=lambda labels: -tied.explained(labels, k))
    judged = [plain, *others][:affordable]
    return judged[int(np.argmax(side_by_side(judge, judged, threads)))]


def _exchanged(tied, spaces, labels, k, judge, moves, rng):
    """`labels`, after moves that cut a part in two and put two parts together.

    k-means cuts a large cluster while two small ones share a centre, and does not get out of it.
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
                cuts.append(tied.recombined(labels, members[halves == 1], k))
        proposed = [cut for cut in cuts if cut is not None]
        proposed.sort(key=lambda cut: -tied.explained(cut, k))
        for cut in proposed[:TRIED_MOVES]:
            moved = tied.run(cut, k, FIRST_LEG)[0].argmax(axis=1)
            if (value := judge(moved)) > best:
                labels, best = moved, value
                break
        else:
            break
    return labels


def _affordable(rows, k, covariance_type):
    """How many partitions to judge."""
    m, d = rows.z.shape
    work = m * d**2 + k * d**3 / 3 if covariance_type == "full" else LAST_LEG * m * d * k
    return int(np.clip(JUDGE_WORK / work, FINALISTS, JUDGED))


@dataclass(frozen=True)
class Spaces:
    """Where k-means looks for partitions.

    Attributes
    ----------
    rows : Rows
    leading : (m, q) float64
        Scores in the leading principal directions, the largest first.
    white : (m, q') float64
        The same with variances of 1, without directions that have none.
    """

    rows: Rows
    leading: np.ndarray
    white: np.ndarray

    @classmethod
    def of(cls, rows, n_directions, rng):
        leading = scores(rows.near, rows.weights, n_directions, rng)
        deviations = np.sqrt(np.average(leading**2, axis=0, weights=rows.weights))
        kept = deviations > 1e-6 * deviations[0]
        return cls(rows, leading, leading[:, kept] / np.where(kept, deviations, 1.0)[kept])

    def first(self, k, rng, threads):
        """Five partitions, at first scikit-learn's: that of k-means in the units of the data."""
        some = max(FEW_DIRECTIONS, k)
        return self._found(
            [None, self.leading, self.white[:, :some], self.white, self.white[:, :k]],
            *(k, rng, threads),
        )

    def further(self, k, rng, threads):
        """More of them."""
        some = max(FEW_DIRECTIONS, k)
        leading, white = self.leading[:, :some], self.white[:, :some]
        places = [None, None, self.rows.near, leading, white, self.white]
        return self._found(places, k, rng, threads)

    def _found(self, places, k, rng, threads):
        """The partition that k-means finds in each place; None is in the units of the data."""
        rows = self.rows

        def find(one):
            z, own = one
            if z is None:
                return kmeans(rows.z, rows.weights, k, own, rows.squares)
            return kmeans(z, rows.weights, k, own)

        return side_by_side(find, zip(places, rng.spawn(len(places)), strict=True), threads)


def agree(first):
    """Whether those of the `first` partitions that units and elongations sway are the same, and one
    that they do not sway: then there is no doubt."""
    plain, leading, *white = first
    pairs = [distinct([plain, other]) for other in (leading, *white)]
    return len(pairs[0]) == 1 and any(len(pair) == 1 for pair in pairs[1:])


def distinct(partitions):
    """Those that are not another one under other names, in order."""
    found = {}
    for labels in partitions:
        _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
        renamed = np.argsort(np.argsort(first))[inverse]
        found.setdefault(renamed.astype(np.int32).tobytes(), labels)
    return list(found.values())


def indicators(labels, n_clusters):
    """(m, K) float64, 1 where a row belongs to a cluster."""
    resp = np.zeros((len(labels), n_clusters))
    resp[np.arange(len(labels)), labels] = 1.0
    return resp


# -- candidates ------------------------------------------------------------------------------------


def kmeans(z, weights, n_clusters, rng, squares=None):
    """k-means from greedy k-means++ until the labels rest.

    Parameters
    ----------
    z : (m, p) float64
    weights : (m,) float64
    n_clusters : int
    rng : numpy.random.Generator
    squares : (p,) float64, optional
        Weights of the features.

    Returns
    -------
    (m,) int64
    """
    measure = Distances(z, squares)
    centers, labels = _seeds(measure, weights, n_clusters, rng), None
    for _ in range(LLOYD_STEPS):
        squared = measure(centers)
        before, labels = labels, squared.argmin(axis=1)
        if before is not None and np.array_equal(before, labels):
            break
        resp = indicators(labels, len(centers)) * weights[:, None]
        count = resp.sum(axis=0)
        centers = resp.T @ z / np.maximum(count, 1e-300)[:, None]
        empty = np.flatnonzero(count == 0)
        if len(empty):  # an empty cluster starts again at the worst served samples
            centers[empty] = z[np.argsort(-squared.min(axis=1), kind="stable")[: len(empty)]]
    return labels


class Distances:
    """Squared distances of rows to centres, of which a matrix product does the most."""

    def __init__(self, z, squares=None):
        self.z = z
        self.squares = np.ones(z.shape[1]) if squares is None else squares
        self.norms = np.square(z) @ self.squares

    def __call__(self, centers):
        """(m, K)."""
        scaled = centers * self.squares
        squared = self.z @ (-2.0 * scaled).T
        squared += self.norms[:, None]
        squared += (centers * scaled).sum(axis=1)
        return np.maximum(squared, 0.0, out=squared)


def _seeds(measure, weights, n_clusters, rng):
    """Greedy k-means++ (Arthur & Vassilvitskii 2007), the best of 2 + ln K draws each time."""
    n_trials = 2 + int(np.log(n_clusters))
    rows = [_draw(weights, rng, 1)[0]]
    nearest = measure(measure.z[rows])[:, 0]
    nearest[rows] = 0.0
    for _ in range(1, n_clusters):
        potential = nearest * weights
        if not potential.sum() > 0:  # fewer distinct rows
            rows.append(int(rng.integers(len(weights))))
            continue
        trials = _draw(potential, rng, n_trials)
        closer = np.minimum(measure(measure.z[trials]), nearest[:, None])
        best = int(np.argmin(weights @ closer))
        rows.append(trials[best])
        nearest = closer[:, best]
        nearest[rows] = 0.0
    return measure.z[rows]


def _draw(potential, rng, size):
    """Indices drawn with probability proportional to `potential`."""
    total = np.cumsum(potential)
    drawn = np.searchsorted(total, rng.uniform(size=size) * total[-1], side="right")
    return np.minimum(drawn, len(potential) - 1)


def scores(z, weights, n_directions, rng):
    """Rows in their leading principal directions, (m, q), by a randomised range finder.

    One power iteration (Halko, Martinsson & Tropp 2011, algorithm 4.4): singular values need not
    be right, the directions that clusters span stand out.
    """
    roots = np.sqrt(weights)[:, None]
    rooted = z if (weights == 1).all() else z * roots
    m, d = z.shape
    width = min(n_directions + OVERSAMPLING, m, d)
    basis = np.linalg.qr(rooted @ rng.normal(size=(d, width)))[0]
    basis = np.linalg.qr(rooted @ (rooted.T @ basis))[0]
    directions = np.linalg.svd(basis.T @ rooted, full_matrices=False)[2]
    return z @ directions[:n_directions].T


def ridge(z):
    """Variance that features of variance 1 get in addition where samples hardly carry a matrix."""
    m, d = z.shape
    return RIDGE * max(0.0, 1 - m / (4 * d))


# -- one covariance for all ------------------------------------------------------------------------


class Tied:
    """EM of mixtures with one covariance for all components, without passes of O(m d^2).

    The covariance of the data is T, that of the components W = T - M M', where the columns of M
    are means times the roots of the components' weights. So inv(W) = inv(T) + V inv(C) V' with
    V = inv(T) M and C = I - M' V (Woodbury), and |W| = |T| |C|: T is factorised once.

    Parameters
    ----------
    z : (m, d) float64
        Of mean 0.
    added : float or (d,) float64
        To the variances.
    weights : (m,) float64
        1 on average.
    """

    def __init__(self, z, added, weights):
        m, d = z.shape
        rooted = z if (weights == 1).all() else z * np.sqrt(weights)[:, None]
        total = rooted.T @ rooted / m
        total.flat[:: d + 1] += added
        self.z = z
        self.weights = weights
        self.factor = cho_factor(total, lower=True)

    def _m_step(self, resp):
        """Shares (K,), M (d, K), V (d, K), C (K, K)."""
        weighted = resp * self.weights[:, None]
        share = np.maximum(weighted.sum(axis=0) / len(self.z), 1e-200)
        moved = (self.z.T @ weighted) / (len(self.z) * np.sqrt(share))
        solved = cho_solve(self.factor, moved)
        return share, moved, solved, (1 + 1e-9) * np.eye(len(share)) - moved.T @ solved

    def run(self, start, n_components, iterations):
        """Iterations from labels (m,) or responsibilities (m, K).

        Returns
        -------
        resp : (m, K) float64
        log_likelihood : float
            Of a sample, without what all mixtures have in common.
        """
        resp = indicators(start, n_components) if start.ndim == 1 else start
        before = -np.inf
        for _ in range(iterations):
            share, moved, solved, rest = self._m_step(resp)
            inverse = np.linalg.inv(rest)
            root = np.sqrt(share)
            slopes = solved @ inverse / root
            levels = np.log(share) - 0.5 * (moved * slopes).sum(axis=0) / root
            logits = self.z @ slopes + levels
            top = logits.max(axis=1, keepdims=True)
            resp = np.exp(logits - top)
            norm = resp.sum(axis=1, keepdims=True)
            resp /= norm
            gained = self.weights @ (top + np.log(norm))[:, 0] / len(self.z)
            now = gained - 0.5 * (np.trace(inverse) + np.linalg.slogdet(rest)[1])
            if now - before < SETTLED:
                break
            before = now
        return resp, float(now)

    def recombined(self, labels, cut, n_components):
        """`labels` where the rows `cut` are a part, and the two parts next to each other are one.

        Next in the metric of W, by Ward's criterion. None where that is the same partition.
        """
        k = n_components
        labels = labels.copy()
        part = labels[cut[0]] if len(cut) else 0
        labels[cut] = k
        share, moved, solved, rest = self._m_step(indicators(labels, k + 1))
        root = np.sqrt(share)
        products = moved.T @ solved @ np.linalg.inv(rest) / root / root[:, None]
        squares = np.diagonal(products)
        apart = squares + squares[:, None] - products - products.T
        cost = apart * share * share[:, None] / (share + share[:, None])
        cost[np.tril_indices(k + 1)] = np.inf
        one, other = np.unravel_index(np.argmin(cost), cost.shape)
        if {one, other} == {part, k}:
            return None
        labels[labels == other] = one
        labels[labels == k] = other
        return labels

    def explained(self, labels, n_components):
        """Log-likelihood of a sample of a partition, without what all partitions have in common:
        -ln(|W| / |T|) / 2 less the entropy of the shares."""
        share, _, _, rest = self._m_step(indicators(labels, n_components))
        return share @ np.log(share) - 0.5 * np.linalg.slogdet(rest)[1]


# -- the judge -------------------------------------------------------------------------------------
#
# The marginal likelihood of each part under a normal-inverse-Wishart prior (Murphy 2007, "Conjugate
# Bayesian analysis of the Gaussian distribution", equations 250 and 266). Its covariance is the
# pooled one of the partition, in the volume of the part, and counts as 2 d + 1 samples (nu_0 = 3 d
# + 2); for diag each feature is a matter of its own with d = 1, for spherical all values of a part
# have one variance. With fewer samples, or without volumes, partitions won that put small clusters
# together or cut them up.


def _evidence(counts, prior_logdets, logdets, d, values):
    """Sum over parts.

    Parameters
    ----------
    counts : (K,) float64
    prior_logdets, logdets : (K,) float64
        ln|nu_0 S_0| and ln|nu_0 S_0 + W_k| of each, sums over features where these have their own.
    d : int
        Order of the matrices.
    values : int
        How many variables of that order a sample is; those with a variance in common are one.
    """
    prior = 3 * d + 2
    half = 0.5 * np.arange(d)
    after = prior + counts * values
    gammas = gammaln(0.5 * after[:, None] - half).sum(axis=1) - gammaln(0.5 * prior - half).sum()
    return gammas + 0.5 * (prior * prior_logdets - after * logdets)


def _means_and_shares(counts, n_features):
    """What the means of parts and their shares contribute to the log marginal likelihood."""
    return 0.5 * n_features * np.log(MEAN_WEIGHT / (MEAN_WEIGHT + counts)) + gammaln(counts + 1)


def _full(rows, labels, k):
    d = rows.z.shape[1]
    counts, scatters = _scatters(rows, labels, k)
    pooled, volumes = _volumes(scatters, counts, rows.added + ridge(rows.near))
    if len(labels) < k * d:  # covariances of their own say nothing
        shares = counts @ np.log(counts / counts.sum())
        return shares - 0.5 * (d * counts @ np.log(volumes) + counts.sum() * _logdet(pooled))
    prior = (2 * d + 1) * pooled
    prior_logdets = _logdet(prior) + d * np.log(volumes)
    pairs = zip(scatters, volumes, strict=True)
    logdets = np.array([_logdet(volume * prior + scatter) for scatter, volume in pairs])
    evidence = _evidence(counts, prior_logdets, logdets, d, 1)
    thin = THIN * d * len(labels) * np.maximum(0.0, 1 - counts / (THICK * (d + 1))).sum()
    return float((evidence + _means_and_shares(counts, d)).sum() - thin)


def _scatters(rows, labels, k):
    """Counts (K',) and scatter matrices of the parts that are not empty."""
    counts, scatters = [], []
    for one in range(k):
        members = labels == one
        if members.any():
            z, w = rows.near[members], rows.weights[members]
            counts.append(w.sum())
            z = (z - w @ z / counts[-1]) * np.sqrt(w)[:, None]
            scatters.append(z.T @ z)
    return np.array(counts), scatters


def _volumes(scatters, counts, added):
    """Covariance S (d, d) and volumes v (K,), of which the product is 1, of parts with v_k S.

    Celeux & Govaert 1995, "Gaussian parsimonious clustering models", model [lambda_k C]: two steps
    of their iteration, each part with one more sample of volume 1.
    """
    d = len(added)
    volumes = np.ones(len(counts))

    def pool():
        pooled = sum(w / v for w, v in zip(scatters, volumes, strict=True)) / counts.sum()
        pooled.flat[:: d + 1] += added
        return pooled

    for _ in range(VOLUME_STEPS):
        precision = cho_solve(cho_factor(pool(), lower=True), np.eye(d))
        traces = np.array([np.vdot(precision, w) for w in scatters])
        volumes = (traces / d + 1) / (counts + 1)
        volumes /= np.exp(counts @ np.log(volumes) / counts.sum())
    return pool(), volumes


def _logdet(matrix):
    return 2 * np.log(np.diagonal(np.linalg.cholesky(matrix))).sum()


def _variances(rows, labels, k):
    """Counts (K',), scatters (K', d) and pooled variances (d,) of parts that are not empty."""
    resp = indicators(labels, k) * rows.weights[:, None]
    resp = resp[:, resp.sum(axis=0) > 0]
    counts = resp.sum(axis=0)
    sums = resp.T @ rows.near
    scatters = np.maximum(resp.T @ rows.near**2 - sums**2 / counts[:, None], 0.0)
    return counts, scatters, scatters.sum(axis=0) / len(labels) + rows.added


def _diagonal(rows, labels, k):
    counts, scatters, pooled = _variances(rows, labels, k)
    d = len(pooled)
    prior = 3 * pooled
    logdets = np.log(prior + scatters)
    alone = _evidence(counts, np.zeros(len(counts)), np.zeros(len(counts)), 1, 1)
    evidence = d * alone + 0.5 * (5 * np.log(prior).sum() - (5 + counts) * logdets.sum(axis=1))
    return float((evidence + _means_and_shares(counts, d)).sum())


def _spherical(rows, labels, k):
    counts, scatters, pooled = _variances(rows, labels, k)
    d = len(pooled)
    prior = 3 * pooled.mean()
    logdets = np.log(prior + scatters.sum(axis=1))
    evidence = _evidence(counts, np.full(len(counts), np.log(prior)), logdets, 1, d)
    return float((evidence + _means_and_shares(counts, d)).sum())
