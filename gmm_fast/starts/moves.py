"""Local moves: take a component from where there are too many, and put it where one is missing.

EM cannot do that by itself. A move removes one component or merges two, and puts the freed one on a
row, among rows the solution did not expect, or where one component should be two: random swap EM
(Zhao, Hautamäki, Kärkkäinen & Fränti 2012, "Random swap EM algorithm for Gaussian mixture models",
Pattern Recognition Letters 33) and split-and-merge EM (Ueda, Nakano, Ghahramani & Hinton 2000,
"SMEM algorithm for mixture models", Neural Computation 12). Some moves are the most promising ones;
the others are random.
"""

import numpy as np
from scipy.linalg.lapack import dtrtri

from ..checks import cached
from ..kernels import moves as kernel
from ..mixture.params import Params
from .newcomers import newcomers
from .partition import part_stats

# Pairs of components whose merge is evaluated on the sample.
PAIRS = 8
# How many promising moves a solution yields, and from how many removals and insertions of a
# component they are combined.
PROMISING, LIKELY = 12, 32
# Share of the random moves that merge two components.
PAIRED = 0.125
# Steps of one-dimensional k-means that place a cut, and of power iteration that find its axis.
STEPS, POWERS = 5, 8
# Least variance of a half, as a share of the variance before the cut: a half that is one repeated
# row would gain without bound.
LEAST = 1e-6
# Bound on the logarithm of a ratio of densities: its exponential stays finite.
MOST_LOG = 700.0
TINY = np.finfo(np.float64).tiny


class Outlook:
    """Shows where a solution has too many components on the sample, and where too few.

    Parameters
    ----------
    backend : LocalBackend
        Backend of the sample.
    sample : Sample
    params : Params
        The solution, of at least two components.

    Attributes
    ----------
    log_prob : (n,) float64
        ln p(x).
    labels : (n,) int
        The most responsible component.
    loss : (K,) float64
        Approximate log-likelihood lost without the component, before EM adapts the others.
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
            # -ln(1 - r) is about r where r is small, as for all but the most responsible one
            self.loss += weights @ resp
            lost = -np.log(np.maximum(1 - own, np.exp(-MOST_LOG))) - own
            self.loss += np.bincount(labels, weights * lost, minlength=k)
            resp[rows, labels] = -1.0
            other = resp.argmax(axis=1)
            shared = weights * np.maximum(resp[rows, other], 0)
            second += np.bincount(labels * k + other, shared, minlength=k * k)
        overlap = second.reshape(k, k)
        self._overlap = overlap + overlap.T

    # Promising moves ---------------------------------------------------------------------------

    def promising(self):
        """The most promising moves, the best first, as a list of Params."""
        removals = sorted(self._removals(), key=lambda removal: removal[0])[:LIKELY]
        insertions = sorted(self._insertions(), key=lambda insertion: -insertion[0])[:LIKELY]
        pairs = [
            (cost - gain, a, b)
            for a, (cost, _) in enumerate(removals)
            for b, (gain, _) in enumerate(insertions)
        ]
        pairs.sort()
        best = pairs[: 3 * PROMISING]
        moved = (self._apply_move(removals[a][1], insertions[b][1]) for _, a, b in best)
        return [params for params in moved if params is not None][:PROMISING]

    def _removals(self):
        """Ways to free a component, a list of (cost, components).

        Either remove one component, (j,), or merge two, (i, j).
        """
        removals = [(float(cost), (j,)) for j, cost in enumerate(self.loss)]
        pairs = self._overlapping()
        if not pairs:
            return removals
        pooled = [self.pool(*pair) for pair in pairs]
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
        return removals + list(zip(costs.tolist(), pairs, strict=True))

    def _overlapping(self):
        """Pairs (i, j) of a component and the one it overlaps most, at most `PAIRS`."""
        overlap = self._overlap
        pairs = {tuple(sorted(p)) for p in enumerate(overlap.argmax(axis=1).tolist())}
        pairs = [p for p in pairs if p[0] != p[1] and overlap[p] > 0]
        return sorted(pairs, key=lambda p: (-overlap[p], p))[:PAIRS]

    def _insertions(self):
        """Ways to place a component, a list of (gain, what to place).

        Either add one, (None, weight, mean, covariance), or split component c, (c, halves).
        """
        insertions = []
        for c in range(self.params.n_components):
            gain, halves = self._cut(c)
            if halves is not None:
                insertions.append((gain, (c, halves)))
        found = newcomers(
            self.sample, self.params, self.log_prob, self.labels, self.backend.threads
        )
        for gain, weight, mean, variance in found:
            insertions.append((gain, (None, weight, mean, variance * self._within)))
        return insertions

    def _cut(self, c):
        """The gain of cutting a component across its principal axis, and its halves or None.

        Two-means in one dimension splits its samples and gains

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
        """Mixtures with one more component where that gains most, the best first."""
        insertions = sorted(self._insertions(), key=lambda insertion: -insertion[0])[:PROMISING]
        params = self.params
        more = Params(
            np.append(params.weights, 0.0),
            np.vstack([params.means, params.means[:1]]),
            self.family.take(params.covariances, [*range(params.n_components), 0]),
            params.covariance_type,
        )
        free = (params.n_components,)
        return [self._apply_move(free, insertion, more) for _, insertion in insertions]

    # Random moves -------------------------------------------------------------------------------

    def draw(self, rng, count):
        """Random moves, a list of at most `count` Params: some draws yield no move.

        A move removes a component that costs little, or merges two that overlap. It puts the freed
        one among the neighbours of a row, on a row, or where the plane between two rows cuts
        another component.

        Parameters
        ----------
        rng : numpy.random.Generator
        count : int
        """
        params, (rows, solution) = self.params, self._kernel_inputs
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
    def _kernel_inputs(self):
        """The sample and the solution as the kernel takes them."""
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
            # overlap of each pair
            np.cumsum(np.triu(self._overlap, 1)),
            PAIRED,
            float(self._pseudo),
        )
        return rows, solution

    @cached
    def _chances(self):
        """Cumulative chances of components to be removed: high where little is lost."""
        middle = max(float(np.median(self.loss)), TINY)
        with np.errstate(over="ignore"):  # where the median loss is next to nothing
            return np.cumsum(np.exp(-self.loss / middle))

    @cached
    def _whitened(self):
        """Rows in the space where the within-component covariance is the unit matrix, (n, d)."""
        y = self.sample.x - self.sample.mean
        within = self._within
        if np.ndim(within) < 2:
            return y / np.sqrt(np.maximum(within, TINY))
        try:
            lower = np.linalg.cholesky(within)
        except np.linalg.LinAlgError:
            return y / self.sample.scale
        return y @ dtrtri(lower, lower=1)[0].T

    # Making a move ------------------------------------------------------------------------------

    @cached
    def _within(self):
        """The within-component covariance, in the family's layout."""
        return self.family.within(self.params.covariances, self.params.weights)

    @cached
    def _pseudo(self):
        """Weight of the pseudo-samples that keep a covariance of few rows from being singular."""
        return self.family.directions(self.params.n_features) * self.sample.weights.mean()

    def _halves(self, c, rows, side):
        """(weight, mean, covariance) of each half of a component; None if a half is empty.

        Few rows have a (nearly) singular covariance, so it is shrunk towards the component's.
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

    def pool(self, i, j):
        """Weight, mean and covariance of two components merged."""
        params = self.params
        weight = params.weights[i] + params.weights[j]
        share = params.weights[i] / weight if weight > 0 else 0.5
        delta = params.means[i] - params.means[j]
        mean = params.means[j] + share * delta
        return weight, mean, self.family.pool(params.covariances, i, j, share, delta)

    def _apply_move(self, removal, insertion, params=None):
        """The mixture after a move, or None if it removes the component that it would split."""
        c, *rest = insertion
        if c in removal:
            return None
        draft = Draft(self.params if params is None else params)
        if len(removal) == 2:
            draft.put(removal[0], *self.pool(*removal))
        free = removal[-1]
        if c is None:
            weight, mean, covariance = rest
            draft.drop(free)
            draft.put(free, weight / (1 - weight), mean, covariance)
        else:
            for slot, half in zip((c, free), rest[0], strict=True):
                draft.put(slot, *half)
        return draft.params()


class Draft:
    """A copy of a mixture whose components can be replaced."""

    def __init__(self, params):
        self._family = params.family
        self._weights, self._means = params.weights.copy(), params.means.copy()
        self._covariances = params.covariances.copy()

    def put(self, k, weight, mean, covariance):
        self._weights[k], self._means[k] = weight, mean
        self._family.put(self._covariances, k, covariance)

    def drop(self, k):
        """Give the weight of a component to the others."""
        self._weights[k] = 0.0
        total = self._weights.sum()
        if total > 0:
            self._weights /= total

    def params(self):
        weights = self._weights / self._weights.sum()
        return Params(weights, self._means, self._covariances, self._family.name)


def cut(z, weights):
    """Cut samples across their principal axis.

    Parameters
    ----------
    z : (n, d) float64
        Samples in units of the standard deviations of the data.
    weights : (n,) float64

    Returns
    -------
    gain : float
        In classification likelihood; minus infinity where there is nothing to cut.
    side : (n,) bool
        Side of the cut that each sample lies on.
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
    """Approximate direction of the largest variance of centred samples, (d,)."""
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
