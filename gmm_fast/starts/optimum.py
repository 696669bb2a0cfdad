"""The default start of one fit: a race, moves, and the best of what they found on more rows."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .. import em
from ..backends import backend_over, count_positive
from ..backends.threads import side_by_side
from ..checks import kept
from ..errors import DataError, FitError
from ..mixture.families import get_family
from ..mixture.params import Params
from .climbing import Climb, climbed
from .judge import LONGEST, Judge
from .moves import Outlook
from .named_starts import pseudo_weight
from .partition import params_of_parts
from .race import (
    LEG,
    SIDE_BY_SIDE,
    Runner,
    best_start,
    first_of,
    many,
)
from .seeding import (
    LLOYD_STEPS,
    Seeds,
    draw_sample,
    say_few_rows,
)
from .starting import overridden
from .wide import is_wide, wide_start

# What "auto" races. Which start is best differs from data to data: k-means++ finds compact
# clusters, random rows follow the density, and in whitened space neither units nor an elongation
# that clusters share count. Of 20 seeds of each alone, from 0 to 20 reached the best likelihood
# known of the cases in bench/starts_cases.py; k-means++ in whitened space 10 or more in all.
# Without that of raw units tied fits beside an outlier ended below scikit-learn's.
AUTO = (
    ("k-means++", "whitened"),
    ("k-means++", "standardised"),
    ("k-means++", "raw"),  # scikit-learn's own, always there
    ("rows", "whitened"),
)

# Rows of a sample of large data: these many, fewer if they are long. Seeding, the race and moves
# look at part of them, which grows with the components and parameters.
SAMPLE_ROWS = 2**15
SAMPLE_VALUES = 2**20
FEWEST_ROWS = 2**13
ROWS_PER_COMPONENT = 64
ROWS_PER_PARAMETER = 2
# What the default start may take, in nanoseconds of work on one thread as `forms` estimates them:
# of iterations on samples, so that it is the same course on any machine. This much, twice as much
# for data of which only a part is looked at, or so many iterations on all of the data.
WORK, ITERATIONS = 1.2e9, 4
# Samples for each component and feature from which on likelihoods tell which solution is right, and
# features up to which moves are tried.
ROWS_PER_FEATURE, MOST_FEATURES = 5, 64
# At least three, and with iterations that cost much not all of `AUTO` race, each for so many
# iterations first.
FEWEST_STARTS, SHORTEST_LEG = 3, 3
# Iterations of the winner on all of the sample, the share of the allowance that they may take, and
# that of the tolerance to which they go: they cost a fraction of those on all of large data, which
# then starts within a few steps of its optimum.
POLISH, POLISH_SHARE = 300, 0.25
# Nanoseconds of an iteration from which on it is worth all threads.
HEAVY = 10_000_000
SHARP, SHARPEST = 0.01, 1e-6
# Standard errors by which a solution may lie below the best on a sample and be the best of all.
NOISE = 2.0


class Found(NamedTuple):
    """Where EM is to start, and how it was found.

    Attributes
    ----------
    params : Params
    events : list of str
    effort : float
        How far it was searched for, in units of the default.
    moves : int
        Local moves that were tried.
    """

    params: Params
    events: list
    effort: float = 0.0
    moves: int = 0


def sample_rows(n_components, n_features):
    """Rows to draw for starts of that many components."""
    rows = min(SAMPLE_ROWS, max(SAMPLE_VALUES // n_features, FEWEST_ROWS))
    return max(rows, ROWS_PER_COMPONENT * n_components)


def seeding_rows(n_components, n_features, covariance_type):
    """Rows of the sample that seeding and the race look at."""
    free = get_family(covariance_type).n_parameters(n_components, n_features)
    return max(FEWEST_ROWS, ROWS_PER_COMPONENT * n_components, ROWS_PER_PARAMETER * free)


class Shared:
    """What the starts of several fits to the same data share: samples of it, and seeds.

    Parameters
    ----------
    backend : Backend
    start : Start

    Attributes
    ----------
    n_samples : int
        Of positive weight.
    """

    def __init__(self, backend, start):
        self.backend = backend
        self.start = start
        weights = backend.weights
        # rows of weight zero are not there: those of a fold are not
        self.n_samples = backend.n_samples if weights is None else count_positive(weights)
        self._samples, self._seeds = {}, {}

    def sample(self, n_components):
        """The `Sample` for that many components."""
        rows = min(sample_rows(n_components, self.backend.n_features), self.n_samples)
        if rows not in self._samples:
            self._samples[rows] = draw_sample(self.backend, rows, self.start.seed)
        return self._samples[rows]

    def part(self, n_components, covariance_type):
        """The part of it that seeding, the race and moves look at, and its `Seeds`."""
        sample = self.sample(n_components)
        rows = seeding_rows(n_components, self.backend.n_features, covariance_type)
        key = len(sample.x), max(1, len(sample.x) // rows)
        if key not in self._seeds:
            part = sample.part(rows)
            self._seeds[key] = Seeds(part, self.start.seed, self.backend.threads)
        return self._seeds[key].sample, self._seeds[key]

    def over(self, sample):
        """A new backend like that of the data, over a sample of it."""
        weights = None if self.backend.weights is None else sample.weights
        return backend_over(self.backend, sample.x, weights)


def with_given(events, winner, start):
    """What became of a user's own values is news, of others it is not."""
    return events + list(winner.events) if start.given else events


class Search:
    """The default start of one fit: a race, moves, and the best of what they found on more rows.

    Parameters
    ----------
    shared : Shared
    n_components : int
    covariance_type : str
    settings : em.Settings
        With the `reg_covar` of the data.
    """

    def __init__(self, shared, n_components, covariance_type, settings):
        self.shared, self.start = shared, shared.start
        self.k, self.family, self.settings = n_components, covariance_type, settings
        self.threads = shared.backend.threads
        self.part, self.seeds = shared.part(n_components, covariance_type)

    @kept
    def judge(self):
        return Judge(self.shared.over(self.part), self.family, self.settings)

    @kept
    def iteration(self):
        """Nanoseconds of an iteration on the part, on one thread."""
        return self.judge.runs.work(self.k)

    @kept
    def allowance(self):
        """Nanoseconds of work that the start may take."""
        rows = self.shared.n_samples / self.judge.runs.n_samples
        return max(WORK * min(rows, 2), ITERATIONS * self.iteration * rows)

    def found(self):
        """The start, a `Found`.

        Where the likelihood leads to components that are narrower than the data's rounding, it is
        looked for once more, under the likelihood that takes the rounding into account.
        """
        found = self._found()
        searched = self.settings.max_iter and self._likelihood_decides()
        # the judge last: of wide data, where no likelihood decides, it is not needed at all
        if searched and not self.start.complete and not self.judge.resolves(found.params):
            return self._aware().found()
        return found

    def _aware(self):
        return Search(self.shared, self.k, self.family, self.settings.aware())

    def _found(self):
        events = []
        if self._is_wide() and not self.start.given:
            return self._wide(events)
        if self.start.complete or self.k == 1:  # nothing to choose from, and nothing to move
            return Found(self._candidates(0, 1, events)[0], events)
        rounds = [self._raced(number, events) for number in range(self.start.n_init)]
        winner = first_of([runner for runner, _ in rounds], 1, self.judge.level)[0]
        spent = max(spent for _, spent in rounds)
        told = with_given(events, winner, self.start)
        if not self.settings.max_iter:  # asked for to see the start: nothing moves it then
            return Found(winner.run.params, told)
        if self.start.given:
            return Found(self._best_on_more_rows([winner.run.params]), told)
        return self._searched(winner, told, spent)

    def _searched(self, runner, events, spent=0):
        """The best that moves lead to from there, a `Found`."""
        if not self.judge.resolves(runner.run.params):
            return Found(runner.run.params, events)
        climb = self.climb(runner, self.start.effort, spent)
        params = self._best_on_more_rows([end.run.params for end in [climb.best, *climb.others]])
        return Found(params, events, self.start.effort, climb.moves)

    def _is_wide(self):
        n, d = self.shared.n_samples, self.shared.backend.n_features
        return is_wide(n, d, self.k, self.family)

    def _likelihood_decides(self):
        """Whether there are samples enough for likelihoods to tell which solution is right."""
        n, d = self.shared.n_samples, self.shared.backend.n_features
        matrices = get_family(self.family).n_matrices(self.k)
        return d <= MOST_FEATURES and n >= ROWS_PER_FEATURE * matrices * d

    def _wide(self, events):
        """From the partition that is the best by more than its likelihood."""
        sample, start = self.shared.sample(self.k), self.start
        how = self.family, self.settings.added, start.seed, self.threads, start.n_init, events
        brief = self._likelihood_decides()
        params = wide_start(sample, self.k, *how, brief=brief)
        if not (brief and self.settings.max_iter):
            return Found(params, events)
        run = self.judge.run(params)
        return self._searched(Runner(0, run, self.judge.score(run)), events, run.n_iter)

    def searched_on(self, result, effort):
        """From a fit's end that much farther, a `Found`; its own `params` where nothing is better.

        `effort` and `moves` are those of this search alone.

        Parameters
        ----------
        result : FitResult
        effort : float
        """
        run = self.judge.run(result.params, 0)
        runner = Runner(0, run, self.judge.score(run))
        # other moves than those that found it
        climb = self.climb(runner, effort, seed=self.start.seed + 1)
        if climb.best is runner and not climb.others:
            return Found(result.params, [], effort, climb.moves)
        ends = [climb.best, *climb.others]
        params = self._best_on_more_rows([end.run.params for end in ends])
        return Found(params, [], effort, climb.moves)

    def grown(self, params):
        """A start from a solution of fewer components, which gets more where it is poorest."""
        if not self._likelihood_decides():
            raise DataError("too few samples for likelihoods to tell more")
        run = None
        while params.n_components < self.k:
            larger = Outlook(self.judge.backend, self.part, params).larger()
            if not larger:
                raise DataError("there is no place for one more component")
            runs = many(self.judge, larger, LONGEST, self.threads)
            run = max(runs, key=self.judge.score)
            params = run.params
        found = self._searched(Runner(0, run, self.judge.score(run)), [])
        return found._replace(effort=0.0)  # it makes up for a poor start, and is no more of it

    def climb(self, runner, effort, spent=0, seed=None, over=None):
        """A `Climb` from there, within the budget of that effort less what was spent of it.

        `over`: a judge, its sample and the iterations allowed, for a close look at other rows than
        those of the part.
        """
        allowed = self.allowance / self.iteration
        judge, sample, allowed = over or (self.judge, self.part, allowed)
        budget = effort * self.start.n_init * allowed - spent
        if self.k == 1 or self.start.given or budget <= 0 or not self._likelihood_decides():
            return Climb(runner, [], 0, 0)
        seed = self.start.seed if seed is None else seed
        larger = self.shared.n_samples / len(sample.x)
        how = budget, seed, self.threads, larger, over is not None
        try:
            return climbed(judge, sample, runner, *how)
        except (DataError, FitError, np.linalg.LinAlgError):
            return Climb(runner, [], 0, 0)  # the start is good without, whatever the data is

    def _raced(self, number, events):
        """The winner of one round of starts, and the iterations that it took."""
        allowed = 0.5 * self.allowance / self.iteration
        several = min(len(AUTO), max(FEWEST_STARTS, int(allowed / LEG)))
        leg = min(LEG, max(SHORTEST_LEG, int(allowed / several))) if self.settings.max_iter else 0
        candidates = self._candidates(number, several, events)
        longest = None if allowed > several * LEG * 8 else leg
        return best_start(self.judge, candidates, self.threads, leg, longest)

    def _candidates(self, number, several, events):
        """The first of `AUTO`, in a round of that number."""
        tries = [(number * len(AUTO) + i, *AUTO[i]) for i in range(several)]
        work = LLOYD_STEPS * self.part.x.size * self.k  # a fifth of a nanosecond each
        threads = self.threads if 0.2 * work >= SIDE_BY_SIDE else 1
        partitions = side_by_side(lambda how: self.seeds.labels(*how, self.k), tries, threads)
        candidates = []
        for labels, distinct in partitions:
            if distinct < self.k:
                say_few_rows(events, distinct, self.k)
            # a part of few samples has a covariance that is singular or nearly so
            pseudo = pseudo_weight(self.part, self.family)
            parts = self.seeds.moments(labels, self.k, self.family)
            params = params_of_parts(parts, self.family, self.settings.added, pseudo)
            candidates.append(overridden(params, self.start))
        return candidates

    def _best_on_more_rows(self, candidates):
        """The best of several solutions for the part, on all of the sample, and on all data.

        Which of two that are nearly level is the higher one, few rows do not tell.
        """
        backend, sample = self.shared.backend, self.shared.sample(self.k)
        tol = max(SHARP * self.settings.tol, SHARPEST)
        if len(sample.x) == len(self.part.x):
            over, iterations = self.judge.backend, self._polish(1.0)
            if self.iteration > HEAVY:  # with all threads
                settings = replace(self.settings, max_iter=iterations, tol=tol)
                first = em.fit(over, candidates[0], settings).params
            else:
                first = self.judge.runs(candidates[0], iterations, tol).params
            candidates = [first, *candidates[1:]]
        else:
            candidates = self._apart(candidates, self.judge.backend)
            over = self.shared.over(sample)
            iterations = self._polish(len(sample.x) / len(self.part.x))
            first = min(LEG, iterations)
            legs = [iterations] if len(candidates) == 1 else [first, iterations - first]
            for leg in legs:
                settings = replace(self.settings, max_iter=leg, tol=tol)
                candidates = [em.fit(over, p, settings).params for p in candidates]
                candidates = self._apart(candidates, over)
            candidates[0] = self._looked_closely(candidates[0], sample, over, settings)
        if len(sample.x) == self.shared.n_samples:
            return candidates[0]
        candidates = self._apart(candidates, over)
        if len(candidates) == 1:
            return candidates[0]
        return max(candidates, key=lambda params: backend.stats(params).log_likelihood)

    def _looked_closely(self, params, sample, over, settings):
        """A solution, or where the moves lead that promise most on all of the sample.

        It has populations of which the part holds hardly any rows.
        """
        judge = Judge(over, self.family, self.settings)
        run = judge.run(params, 0)
        runner = Runner(0, run, judge.score(run))
        share = POLISH_SHARE * self.allowance / judge.runs.work(self.k)
        climb = self.climb(runner, self.start.effort, over=(judge, sample, share))
        if climb.best is runner:
            return params
        settings = replace(settings, max_iter=LEG)
        return em.fit(over, climb.best.run.params, settings).params

    def _polish(self, rows):
        """Iterations over so many times the rows of the part that polish a solution.

        On few of all rows they save iterations on all of them, which cost more.
        """
        allowed = POLISH_SHARE * self.allowance / (self.iteration * rows)
        few = len(self.part.x) * rows <= self.shared.n_samples / 2
        return int(min(POLISH, max(4 * LEG if few else LEG, allowed)))

    def _apart(self, candidates, over):
        """Those that other rows may show to be the best, the best first: of more than the noise.

        Of all rows there is no noise: the best alone.
        """
        if len(candidates) == 1:
            return candidates
        scores = [
            np.concatenate([o.log_prob.astype(np.float64) for _, o in over.score(p, log_prob=True)])
            for p in candidates
        ]
        weights = np.ones(over.n_samples) if over.weights is None else over.weights
        means = [weights @ s / weights.sum() for s in scores]
        best = int(np.argmax(means))
        kept = [candidates[best]]
        if over.n_samples == self.shared.n_samples:
            return kept
        for number, params in enumerate(candidates):
            if number == best:
                continue
            difference = scores[best] - scores[number]
            error = np.sqrt(weights @ (difference - weights @ difference / weights.sum()) ** 2)
            if means[best] - means[number] <= NOISE * error / weights.sum():
                kept.append(params)
        return kept
