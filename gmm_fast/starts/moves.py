"""Local moves: where a solution is too rich a component is taken, and put where it is too poor.

EM does not move a component from where it is superfluous to where one is missing. A move takes one
away, or merges two, and puts one on a row, among rows that the solution has not expected, or where
a component should be two: random swap EM (Zhao, Hautamäki, Kärkkäinen & Fränti 2012, "Random swap
EM algorithm for Gaussian mixture models", Pattern Recognition Letters 33) and split-and-merge EM
(Ueda, Nakano, Ghahramani & Hinton 2000, "SMEM algorithm for mixture models", Neural Computation
12). Some are the ones that promise most; the others are drawn.
"""

import numpy as np
from scipy.linalg.lapack import dtrtri

from ..checks import cached
from ..kernels import moves as kernel
from ..mixture.params import Params
from .newcomers import newcomers
from .partition import part_stats

# Pairs of components whose merging is tried out on the sample.
PAIRS = 8
# Moves that promise most, of a solution, and the ways to free and to put a component that they are
# looked for among.
PROMISING, LIKELY = 12, 32
# Share of the drawn moves for which two components become one.
PAIRED = 0.125
# Steps of k-means in one dimension that place a cut, and of power iteration that find its axis.
STEPS, POWERS = 5, 8
# Variance beside a cut, as a share of that before it, below which nothing more is gained: a half
# that is one row repeated would gain without bound.
LEAST = 1e-6
# Logarithm of the most that a density is to another: its exponential is finite.
MOST_LOG = 700.0
TINY = np.finfo(np.float64).tiny


class Outlook:
    """What a solution looks like on the sample: where it is too rich, and where too poor.

    Parameters
    ----------
    backend : LocalBackend
        Of the sample.
    sample : Sample
    params : Params
        The solution, of at least two components.

    Attributes
    ----------
    log_prob : (n,) float64
        ln p(x).
    labels : (n,) int
        The component that is most responsible.
    loss : (K,) float64
        Likelihood lost without the component, nearly: before EM makes the others take its samples.
    """

    def __init__(self, backend, sample, params):
        self.backend = backend
        self.sample = sample
        self.params = params
        self.family = params.family
        self._look()

    def _look(self):
        n, k = self.backend.n_samples, self.params.n_components
        self.log_prob, self.labels = np.empty(n), np.empty(n, np.int64)
        self.loss, second = np.zeros(k), np.zeros(k * k)
        for start, out in self.backend.score(self.params, log_prob=True, labels=True, resp=True):
            some = slice(start, start + len(out.log_prob))
            labels, resp = out.labels.astype(np.int64), out.resp
            self.log_prob[some], self.labels[some] = out.log_prob, labels
            weights, rows = self.sample.weights[some], np.arange(len(labels))
            own = resp[rows, labels].astype(np.float64)
            # -ln(1 - r) is r where r is small: of others than the most responsible one
            self.loss += weights @ resp
            lost = -np.log(np.maximum(1 - own, np.exp(-MOST_LOG))) - own
            self.loss += np.bincount(labels, weights * lost, minlength=k)
            resp[rows, labels] = -1.0
            other = resp.argmax(axis=1)
            shared = weights * np.maximum(resp[rows, other], 0)
            second += np.bincount(labels * k + other, shared, minlength=k * k)
        overlap = second.reshape(k, k)
        self._overlap = overlap + overlap.T

    # What promises most ------------------------------------------------------------------------

    def promising(self):
        """The moves that promise most, the best first, a list of Params."""
        takes = sorted(self._takes(), key=lambda take: take[0])[:LIKELY]
        puts = sorted(self._puts(), key=lambda put: -put[0])[:LIKELY]
        pairs = [
            (cost - gain, a, b)
            for a, (cost, _) in enumerate(takes)
            for b, (gain, _) in enumerate(puts)
        ]
        pairs.sort()
        moved = (self._moved(takes[a][1], puts[b][1]) for _, a, b in pairs[: 3 * PROMISING])
        return [params for params in moved if params is not None][:PROMISING]

    def _takes(self):
        """(cost, what is taken) of ways to free a component, a list.

        A component that goes, (j,), or two that become one, (i, j).
        """
        takes = [(float(cost), (j,)) for j, cost in enumerate(self.loss)]
        pairs = self._overlapping()
        if not pairs:
            return takes
        pooled = [self.pooled(*pair) for pair in pairs]
        weights, means, covariances = zip(*pooled, strict=True)
        both = Params(
            np.array(weights) / sum(weights),
            np.stack(means),
            covariances[0] if self.family.shared else np.stack(covariances),
            self.family.name,
            rounding=self.params.rounding,
        )
        costs = np.zeros(len(pairs))
        first, second = np.array(pairs).T
        for (start, of_both), (_, own) in zip(
            self.backend.score(both, log_prob=True, resp=True),
            self.backend.score(self.params, resp=True),
            strict=True,
        ):
            some = slice(start, start + len(of_both.log_prob))
            log_ratio = np.minimum(of_both.log_prob - self.log_prob[some], MOST_LOG)
            density = of_both.resp * (sum(weights) * np.exp(log_ratio))[:, None]
            rest = np.maximum(1 - own.resp[:, first] - own.resp[:, second], 0)
            costs -= self.sample.weights[some] @ np.log(np.maximum(density + rest, TINY))
        return takes + list(zip(costs.tolist(), pairs, strict=True))

    def _overlapping(self):
        """Pairs (i, j) of each component with the one that it overlaps most, at most `PAIRS`."""
        overlap = self._overlap
        pairs = {tuple(sorted(p)) for p in enumerate(overlap.argmax(axis=1).tolist())}
        pairs = [p for p in pairs if p[0] != p[1] and overlap[p] > 0]
        return sorted(pairs, key=lambda p: (-overlap[p], p))[:PAIRS]

    def _puts(self):
        """(gain, what is put) of places for a component, a list.

        One beside the others, (None, weight, mean, covariance), or a component in two halves,
        (c, halves).
        """
        puts = []
        for c in range(self.params.n_components):
            gain, halves = self._cut(c)
            if halves is not None:
                puts.append((gain, (c, halves)))
        found = newcomers(
            self.sample, self.params, self.log_prob, self.labels, self.backend.threads
        )
        for gain, weight, mean, variance in found:
            puts.append((gain, (None, weight, mean, variance * self._within)))
        return puts

    def _cut(self, c):
        """What a cut of a component across its principal axis gains, and its halves or None.

        Two means in one dimension part its samples; it gains

            n (ln s^2) / 2 - sum over the halves of n_h ((ln s_h^2) / 2 - ln (n_h / n))

        of classification likelihood (Celeux & Govaert 1992) on that axis, which is negative for
        samples of one Gaussian.
        """
        rows = np.flatnonzero(self.labels == c)
        weights = self.sample.weights[rows]
        if len(rows) < 2:
            return -np.inf, None
        z = (self.sample.x[rows] - self.sample.mean) / self.sample.scale
        gain, side = cut(z, weights)
        if not gain > -np.inf:
            return gain, None
        return gain, self._halves(c, rows, side)

    def larger(self):
        """Mixtures of one component more, where that gains most, the best first."""
        puts = sorted(self._puts(), key=lambda put: -put[0])[:PROMISING]
        params = self.params
        more = Params(
            np.append(params.weights, 0.0),
            np.vstack([params.means, params.means[:1]]),
            self.family.take(params.covariances, [*range(params.n_components), 0]),
            params.covariance_type,
        )
        free = (params.n_components,)
        return [self._moved(free, put, more) for _, put in puts]

    # What is drawn ------------------------------------------------------------------------------

    def drawn(self, rng, count):
        """Moves that are drawn, a list of at most `count` Params: some draws make none.

        A component of which little depends goes, or two that overlap become one; it is put among
        the neighbours of a row, on a row, or where the plane between two rows cuts another.

        Parameters
        ----------
        rng : numpy.random.Generator
        count : int
        """
        params, (rows, solution) = self.params, self._drawn_from
        uniforms = rng.random((count, kernel.DRAWS))
        weights, means, covariances = (
            np.repeat(array[None], count, axis=0)
            for array in (params.weights, params.means, solution.covariances)
        )
        made = np.empty(count, bool)
        kernel.draw_moves(rows, solution, uniforms, weights, means, covariances, made)
        shape = params.covariances.shape
        return [
            Params(
                weights[b],
                means[b],
                covariances[b].reshape(shape) if len(covariances[b]) else params.covariances,
                params.covariance_type,
            )
            for b in np.flatnonzero(made)
        ]

    @cached
    def _drawn_from(self):
        """What the kernel knows of the sample and of the solution."""
        params, sample = self.params, self.sample
        within = np.ravel(self._within)
        own = params.covariances.reshape(-1, len(within))
        rows = kernel.Rows(
            np.ascontiguousarray(sample.x),
            sample.weights,
            np.cumsum(sample.weights),
            self._whitened,
            sample.scale,
            self.labels,
        )
        solution = kernel.Solution(
            params.weights,
            params.means,
            own[:0] if self.family.shared else own,
            within,
            self._chances,
            # how much they overlap
            np.cumsum(np.triu(self._overlap, 1)),
            PAIRED,
            float(self._pseudo),
        )
        return rows, solution

    @cached
    def _chances(self):
        """Sums of the chances that components go: high where little is lost."""
        middle = max(float(np.median(self.loss)), TINY)
        with np.errstate(over="ignore"):  # of what is lost beside nothing
            return np.cumsum(np.exp(-self.loss / middle))

    @cached
    def _whitened(self):
        """Rows where the covariance within components is the unit matrix, (n, d)."""
        y = self.sample.x - self.sample.mean
        within = self._within
        if np.ndim(within) < 2:
            return y / np.sqrt(np.maximum(within, TINY))
        try:
            lower = np.linalg.cholesky(within)
        except np.linalg.LinAlgError:
            return y / self.sample.scale
        return y @ dtrtri(lower, lower=1)[0].T

    # How it is done -----------------------------------------------------------------------------

    @cached
    def _within(self):
        """The covariance within components, as the family keeps it."""
        return self.family.within(self.params.covariances, self.params.weights)

    @cached
    def _pseudo(self):
        """Weight of the samples that draw a covariance of few rows to one that is not singular."""
        return self.family.directions(self.params.n_features) * self.sample.weights.mean()

    def _halves(self, c, rows, side):
        """((weight, mean, covariance), the same) of a component's two parts; None of an empty one.

        Few rows have a covariance that is singular or nearly so: it is drawn to the component's.
        """
        x, weights = self.sample.x[rows], self.sample.weights[rows]
        family, pseudo = self.family, self._pseudo
        own = family.each(self.params.covariances, self.params.n_components)[c]
        halves = []
        for part in (~side, side):
            total = weights[part].sum()
            if not total > 0:
                return None
            mean = weights[part] @ x[part] / total
            covariance = own
            if not family.shared:
                stats = part_stats(x[part], weights[part], mean, family.name)
                second = family.of_moment(family.second_moment(stats), x.shape[1])
                covariance = (second + pseudo * own) / (total + pseudo)
            halves.append((total, mean, covariance))
        share = self.params.weights[c] / sum(h[0] for h in halves)
        return tuple((share * weight, *rest) for weight, *rest in halves)

    def pooled(self, i, j):
        """Weight, mean and covariance of two components together."""
        params = self.params
        weight = params.weights[i] + params.weights[j]
        share = params.weights[i] / weight if weight > 0 else 0.5
        delta = params.means[i] - params.means[j]
        mean = params.means[j] + share * delta
        return weight, mean, self.family.pool(params.covariances, i, j, share, delta)

    def _moved(self, take, put, params=None):
        """The mixture after a move, or None where both ends are the same component."""
        c, *rest = put
        if c in take:
            return None
        changed = Changed(self.params if params is None else params)
        if len(take) == 2:
            changed.put(take[0], *self.pooled(*take))
        free = take[-1]
        if c is None:
            weight, mean, covariance = rest
            changed.drop(free)
            changed.put(free, weight / (1 - weight), mean, covariance)
        else:
            for slot, half in zip((c, free), rest[0], strict=True):
                changed.put(slot, *half)
        return changed.params()


class Changed:
    """A copy of a mixture of which components are replaced."""

    def __init__(self, params):
        self._family = params.family
        self._weights, self._means = params.weights.copy(), params.means.copy()
        self._covariances = params.covariances.copy()

    def put(self, k, weight, mean, covariance):
        self._weights[k], self._means[k] = weight, mean
        self._family.put(self._covariances, k, covariance)

    def drop(self, k):
        """Take the weight of a component, and give it to the others."""
        self._weights[k] = 0.0
        total = self._weights.sum()
        if total > 0:
            self._weights /= total

    def params(self):
        weights = self._weights / self._weights.sum()
        return Params(weights, self._means, self._covariances, self._family.name)


def cut(z, weights):
    """What a cut across the principal axis gains, and on which side of it each sample is.

    Parameters
    ----------
    z : (n, d) float64
        In units of the standard deviations of the data.
    weights : (n,) float64

    Returns
    -------
    gain : float
        Minus infinity where there is nothing to cut.
    side : (n,) bool
    """
    total = weights.sum()
    centred = z - weights @ z / total
    along = centred @ principal_axis(centred, weights)
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
        rest = max(second / weight - (first / weight) ** 2, LEAST * variance)
        gain -= weight * (0.5 * np.log(rest) - np.log(weight / total))
    return float(gain), side


def principal_axis(centred, weights):
    """Direction of the largest variance of samples about their mean, nearly, (d,)."""
    variance = weights @ centred**2
    axis = np.zeros(centred.shape[1])
    axis[np.argmax(variance)] = 1.0
    for _ in range(POWERS):
        turned = (weights * (centred @ axis)) @ centred
        length = np.sqrt(turned @ turned)
        if not length > 0:
            break
        axis = turned / length
    return axis
