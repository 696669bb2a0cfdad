"""Finds the default start of one fit: a race, local moves, and a comparison on more rows."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .. import em
from ..backends import backend_over, count_positive
from ..backends.threads import side_by_side
from ..checks import cached
from ..errors import DataError, FitError
from ..mixture.families import get_family
from ..mixture.params import Params
from .climbing import Climb, climb_from
from .judge import LONGEST, Judge
from .moves import Outlook
from .named_starts import pseudo_weight
from .partition import params_of_parts
from .race import LEG, SIDE_BY_SIDE, Runner, best_of, best_start, run_many
from .seeding import LLOYD_STEPS, Seeds, draw_sample, say_few_rows
from .starting import apply_given
from .wide import is_wide, wide_start

# The starts that "auto" races. Which is best differs from data to data: k-means++ finds compact
# clusters, random rows follow the density, and in whitened space neither units nor a shared
# elongation of clusters count. Of 20 seeds of each start alone, 0 to 20 reached the best known
# likelihood of the cases in bench/starts_cases.py; k-means++ in whitened space 10 or more in all.
# Without the one in raw units, tied fits beside an outlier ended below scikit-learn's.
AUTO = (
    ("k-means++", "whitened"),
    ("k-means++", "standardised"),
    ("k-means++", "raw"),  # scikit-learn's own, always there
    ("rows", "whitened"),
)

# Rows in a sample of large data: this many, or fewer if rows are long. Seeding, the race and moves
# use a part of them, which grows with the number of components and parameters.
SAMPLE_ROWS = 2**15
SAMPLE_VALUES = 2**20
FEWEST_ROWS = 2**13
ROWS_PER_COMPONENT = 64
ROWS_PER_PARAMETER = 2
# Budget of the default start, in nanoseconds of work on one thread as `forms` estimates them, so
# that it takes the same course on any machine: this much (twice as much for data of which only a
# part is used), or that many iterations on all of the data, whichever is more.
WORK, ITERATIONS = 1.2e9, 4
# From this many samples for each component and feature on likelihoods tell which solution is right.
# Up to this many features moves are tried.
ROWS_PER_FEATURE, MOST_FEATURES = 5, 64
# Where iterations are expensive not all of `AUTO` race: at least this many starts, and the first
# leg has at least this many iterations.
FEWEST_STARTS, SHORTEST_LEG = 3, 3
# Iterations that polish the winner on all of the sample, and the share of the budget they may
# take. They cost a fraction of those on all of large data, which then starts within a few steps of
# its optimum.
POLISH, POLISH_SHARE = 300, 0.25
# An iteration of more nanoseconds than this is worth all threads.
HEAVY = 10_000_000
# Polishing stops at this share of the fit's tolerance, but no finer than `SHARPEST`.
SHARP, SHARPEST = 0.01, 1e-6
# A solution this many standard errors below the best on a sample may still be the best overall.
NOISE = 2.0


class Found(NamedTuple):
    """The parameters EM starts from, and how they were found.

    Attributes
    ----------
    params : Params
    events : list of str
    effort : float
        Effort of the search, in units of the default.
    moves : int
        Local moves that it tried.
    """

    params: Params
    events: list
    effort: float = 0.0
    moves: int = 0


def sample_rows(n_components, n_features):
    """Rows to sample for starts of that many components."""
    rows = min(SAMPLE_ROWS, max(SAMPLE_VALUES // n_features, FEWEST_ROWS))
    return max(rows, ROWS_PER_COMPONENT * n_components)


def seeding_rows(n_components, n_features, covariance_type):
    """Rows of the sample that seeding and the race use."""
    free = get_family(covariance_type).n_parameters(n_components, n_features)
    return max(FEWEST_ROWS, ROWS_PER_COMPONENT * n_components, ROWS_PER_PARAMETER * free)


class Shared:
    """Samples and seeds that the starts of several fits to the same data share.

    Parameters
    ----------
    backend : Backend
    start : Start

    Attributes
    ----------
    n_samples : int
        Samples of positive weight.
    """

    def __init__(self, backend, start):
        self.backend = backend
        self.start = start
        weights = backend.weights
        # rows of weight zero do not count; cross-validation holds out a fold that way
        self.n_samples = backend.n_samples if weights is None else count_positive(weights)
        self._samples, self._seeds = {}, {}

    def sample(self, n_components):
        """The `Sample` for that many components."""
        rows = min(sample_rows(n_components, self.backend.n_features), self.n_samples)
        if rows not in self._samples:
            self._samples[rows] = draw_sample(self.backend, rows, self.start.seed)
        return self._samples[rows]

    def part(self, n_components, covariance_type):
        """The part of the sample that seeding, the race and moves use, and its `Seeds`."""
        sample = self.sample(n_components)
        rows = seeding_rows(n_components, self.backend.n_features, covariance_type)
        key = len(sample.x), max(1, len(sample.x) // rows)
        if key not in self._seeds:
            part = sample.part(rows)
            self._seeds[key] = Seeds(part, self.start.seed, self.backend.threads)
        return self._seeds[key].sample, self._seeds[key]

    def over(self, sample):
        """A new backend like that of the data, over a sample."""
        weights = None if self.backend.weights is None else sample.weights
        return backend_over(self.backend, sample.x, weights)


def winner_events(events, winner, start):
    """`events`, followed by those of the winner if the user gave starting values."""
    return events + list(winner.events) if start.given else events


class Search:
    """Finds the default start of one fit.

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

    @cached
    def judge(self):
        return Judge(self.shared.over(self.part), self.family, self.settings)

    @cached
    def iteration(self):
        """Nanoseconds that an iteration on the part takes on one thread."""
        return self.judge.runs.work(self.k)

    @cached
    def allowance(self):
        """Nanoseconds of work that the start may take."""
        rows = self.shared.n_samples / self.judge.runs.n_samples
        return max(WORK * min(rows, 2), ITERATIONS * self.iteration * rows)

    def find(self):
        """Find the start, a `Found`.

        If the likelihood leads to components narrower than the data's rounding, search once more
        under the likelihood that takes the rounding into account.
        """
        found = self._find()
        searched = self.settings.max_iter and self._likelihood_decides()
        # the judge last: wide data, where no likelihood decides, does not need it at all
        if searched and not self.start.complete and not self.judge.resolves(found.params):
            return self._aware().find()
        return found

    def _aware(self):
        return Search(self.shared, self.k, self.family, self.settings.aware())

    def _find(self):
        events = []
        if self._is_wide() and not self.start.given:
            return self._wide(events)
        if self.start.complete or self.k == 1:  # nothing to choose or to move
            return Found(self._candidates(0, 1, events)[0], events)
        rounds = [self._race(number, events) for number in range(self.start.n_init)]
        winner = best_of([runner for runner, _ in rounds], 1, self.judge.level)[0]
        spent = max(spent for _, spent in rounds)
        events = winner_events(events, winner, self.start)
        if not self.settings.max_iter:  # the user wants to see the start itself
            return Found(winner.run.params, events)
        if self.start.given:
            return Found(self._best_on_more_rows([winner.run.params]), events)
        return self._improve(winner, events, spent)

    def _improve(self, runner, events, spent=0):
        """The best solution that moves from `runner` lead to, a `Found`."""
        if not self.judge.resolves(runner.run.params):
            return Found(runner.run.params, events)
        climb = self.climb(runner, self.start.effort, spent)
        params = self._best_on_more_rows([end.run.params for end in [climb.best, *climb.others]])
        return Found(params, events, self.start.effort, climb.moves)

    def _is_wide(self):
        n, d = self.shared.n_samples, self.shared.backend.n_features
        return is_wide(n, d, self.k, self.family)

    def _likelihood_decides(self):
        """Whether there are enough samples for likelihoods to tell which solution is right."""
        n, d = self.shared.n_samples, self.shared.backend.n_features
        matrices = get_family(self.family).n_matrices(self.k)
        return d <= MOST_FEATURES and n >= ROWS_PER_FEATURE * matrices * d

    def _wide(self, events):
        """The start for wide data, from the best partition."""
        sample, start = self.shared.sample(self.k), self.start
        how = (
            self.family,
            self.settings.added_variance,
            start.seed,
            self.threads,
            start.n_init,
            events,
        )
        brief = self._likelihood_decides()
        params = wide_start(sample, self.k, *how, brief=brief)
        if not (brief and self.settings.max_iter):
            return Found(params, events)
        run = self.judge.run(params)
        return self._improve(Runner(0, run, self.judge.score(run)), events, run.n_iter)

    def search_further(self, result, effort):
        """Search on from the end of a fit; the `Found` has its own `params` if nothing is better.

        Its `effort` and `moves` are those of this search alone.

        Parameters
        ----------
        result : FitResult
        effort : float
        """
        run = self.judge.run(result.params, 0)
        runner = Runner(0, run, self.judge.score(run))
        # another seed: other moves than those that found it
        climb = self.climb(runner, effort, seed=self.start.seed + 1)
        if climb.best is runner and not climb.others:
            return Found(result.params, [], effort, climb.moves)
        ends = [climb.best, *climb.others]
        params = self._best_on_more_rows([end.run.params for end in ends])
        return Found(params, [], effort, climb.moves)

    def grow(self, params):
        """A start from a solution of fewer components, adding some where they gain most."""
        if not self._likelihood_decides():
            raise DataError("too few samples for likelihoods to tell which solution is right")
        run = None
        while params.n_components < self.k:
            larger = Outlook(self.judge.backend, self.part, params).larger()
            if not larger:
                raise DataError("there is no place for one more component")
            runs = run_many(self.judge, larger, LONGEST, self.threads)
            run = max(runs, key=self.judge.score)
            params = run.params
        found = self._improve(Runner(0, run, self.judge.score(run)), [])
        return found._replace(effort=0.0)  # it makes up for a poor start, not extra effort

    def climb(self, runner, effort, spent=0, seed=None, over=None):
        """A `Climb` from `runner`, within the budget of that effort less the iterations `spent`.

        `over` is a judge, its sample and the iterations allowed: a closer look at other rows than
        the part.
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
            return climb_from(judge, sample, runner, *how)
        except (DataError, FitError, np.linalg.LinAlgError):
            return Climb(runner, [], 0, 0)  # the start is good without moves

    def _race(self, number, events):
        """The winner of one round of starts, and the iterations that the round took."""
        allowed = 0.5 * self.allowance / self.iteration
        several = min(len(AUTO), max(FEWEST_STARTS, int(allowed / LEG)))
        leg = min(LEG, max(SHORTEST_LEG, int(allowed / several))) if self.settings.max_iter else 0
        candidates = self._candidates(number, several, events)
        longest = None if allowed > several * LEG * 8 else leg
        return best_start(self.judge, candidates, self.threads, leg, longest)

    def _candidates(self, number, several, events):
        """The first `several` starts of `AUTO`, in round `number`."""
        tries = [(number * len(AUTO) + i, *AUTO[i]) for i in range(several)]
        work = LLOYD_STEPS * self.part.x.size * self.k  # a fifth of a nanosecond each
        threads = self.threads if 0.2 * work >= SIDE_BY_SIDE else 1
        partitions = side_by_side(lambda how: self.seeds.labels(*how, self.k), tries, threads)
        candidates = []
        for labels, distinct in partitions:
            if distinct < self.k:
                say_few_rows(events, distinct, self.k)
            # a part of few samples has a (nearly) singular covariance
            pseudo = pseudo_weight(self.part, self.family)
            parts = self.seeds.moments(labels, self.k, self.family)
            params = params_of_parts(parts, self.family, self.settings.added_variance, pseudo)
            candidates.append(apply_given(params, self.start))
        return candidates

    def _best_on_more_rows(self, candidates):
        """The best of several solutions for the part, on all of the sample, then on all data.

        A few rows do not tell which of two close solutions is higher.
        """
        backend, sample = self.shared.backend, self.shared.sample(self.k)
        tol = max(SHARP * self.settings.tol, SHARPEST)
        if len(sample.x) == len(self.part.x):
            over, iterations = self.judge.backend, self._polish_iterations(1.0)
            if self.iteration > HEAVY:  # with all threads
                settings = replace(self.settings, max_iter=iterations, tol=tol)
                first = em.fit(over, candidates[0], settings).params
            else:
                first = self.judge.runs(candidates[0], iterations, tol).params
            candidates = [first, *candidates[1:]]
        else:
            candidates = self._contenders(candidates, self.judge.backend)
            over = self.shared.over(sample)
            iterations = self._polish_iterations(len(sample.x) / len(self.part.x))
            first = min(LEG, iterations)
            legs = [iterations] if len(candidates) == 1 else [first, iterations - first]
            for leg in legs:
                settings = replace(self.settings, max_iter=leg, tol=tol)
                candidates = [em.fit(over, p, settings).params for p in candidates]
                candidates = self._contenders(candidates, over)
            candidates[0] = self._look_closely(candidates[0], sample, over, settings)
        if len(sample.x) == self.shared.n_samples:
            return candidates[0]
        candidates = self._contenders(candidates, over)
        if len(candidates) == 1:
            return candidates[0]
        return max(candidates, key=lambda params: backend.stats(params).log_likelihood)

    def _look_closely(self, params, sample, over, settings):
        """A solution, or the better one that the most promising moves on all of the sample find.

        The sample has populations of which the part holds hardly any rows.
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

    def _polish_iterations(self, rows):
        """How many iterations polish a solution, on `rows` times the rows of the part.

        On a small share of the data they save iterations on all of it, which cost more.
        """
        allowed = POLISH_SHARE * self.allowance / (self.iteration * rows)
        few = len(self.part.x) * rows <= self.shared.n_samples / 2
        return int(min(POLISH, max(4 * LEG if few else LEG, allowed)))

    def _contenders(self, candidates, over):
        """Candidates that may be the best on other rows, within the noise, the best first.

        On all rows there is no noise: only the best.
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
