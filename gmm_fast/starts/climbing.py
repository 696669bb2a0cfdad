"""The search for the optimum on a sample: moves from the best solution so far, under one judge."""

from dataclasses import dataclass

import numpy as np

from .moves import Outlook
from .race import Runner, many
from .short import Patience

# Moves that are tried side by side, from the same solution: the same ones on any machine.
BATCH = 8
# The search ends when so many moves in a row gained nothing, and one more for each component; it
# goes on longer, by as many for every doubling, where an iteration takes more nanoseconds than
# this: a fit of a few hundred rows is to take milliseconds.
PATIENCE, QUICK = 24, 100_000
# Iterations after which a move is looked at (and after twice as many, and so on), and the share of
# what is missing that it has to gain in the last half of them. Of 64 moves that found something
# better on six data sets 36 are kept by `HASTY`, at 4 iterations a move; 40 by `PATIENT`, at 8,
# which is for iterations that cost less than making the move.
HASTY, PATIENT = (4, 0.5), (6, 1 / 3)
# Iterations of one move, at most and usually, and the share of what is left that it may take.
MOST_ITERATIONS, USUAL, SHARE = 160, 4, 0.25
# Solutions besides the best that are told of, and how far below it they may be, a sample.
OTHERS, NEAR = 3, 0.05
# A component is elsewhere from so many standard deviations within components on, in an average
# feature.
ELSEWHERE = 0.3
# Of the generator of moves, so that no other draws the same.
STREAM = 0x30F3


@dataclass(frozen=True, eq=False)
class Climb:
    """Where a search ended.

    Attributes
    ----------
    best : Runner
    others : list of Runner
        Solutions not far below, the best first.
    moves : int
        Tried.
    spent : int
        Iterations that they ran.
    """

    best: Runner
    others: list
    moves: int
    spent: int


def climbed(judge, sample, start, budget, seed, threads, larger=1.0, closely=False):
    """Search from a solution, by local moves, until they gain nothing or the budget is spent.

    Parameters
    ----------
    judge : Judge
        Of the sample.
    sample : Sample
    start : Runner
    budget : float
        Iterations over the sample; the last batch of moves may pass it by little.
    seed : int
    threads : int
        The moves do not depend on it.
    larger : float
        So many times the sample is all the data: then there is more patience, twice as much at
        most, and other solutions than the best are told of.
    closely : bool
        Whether only the moves that promise most are tried.

    Returns
    -------
    Climb
    """
    best, others = start, []
    moves = spent = 0
    k = start.run.params.n_components
    if k > 1:
        slow = max(1, judge.runs.work(k) / QUICK)
        most = (PATIENCE + k) * (1 + np.log2(slow)) * min(larger, 2)
        most = BATCH if closely else most
        look = PATIENT if slow == 1 else HASTY
        rng = np.random.default_rng([seed, STREAM])
        source = _Moves(judge, sample, best, rng, closely)
        failed = 0
        # of no use are those that cannot take the place of the best, or be told of
        least = -NEAR * judge.weight if larger > 1 else judge.level
        while budget - spent >= BATCH * USUAL and failed < most:
            longest = int(min(MOST_ITERATIONS, max(2 * USUAL, SHARE * (budget - spent))))
            found = best
            proposals = source.next(BATCH)
            to_beat = best.run.log_likelihood + judge.level
            patience = [Patience(to_beat, *look)] * len(proposals)
            for run in many(judge, proposals, longest, threads, patience, USUAL):
                moves, spent, failed = moves + 1, spent + run.n_iter + 1, failed + 1
                other = Runner(moves, run, events=run.events)
                if not run.log_likelihood > found.score + least:
                    continue
                other.score = judge.score(run)
                others.append(other)
                if _better(judge, other, found):
                    found, failed = other, 0
            failed += BATCH - len(proposals)
            if found is not best:
                best, source = found, _Moves(judge, sample, found, rng, closely)
    others = _next_best(judge, best, [start, *others]) if larger > 1 else []
    return Climb(best, others, moves, spent)


def _better(judge, other, best):
    """Whether a solution takes the place of the best: higher by more than what is level, and with
    no more components on few samples, and none that the data does not resolve."""
    higher = other.score > best.score + judge.level
    sound = not other.events and judge.few(other.run) <= judge.few(best.run)
    return higher and sound and judge.resolves(other.run.params)


def _next_best(judge, best, others):
    """Some that ended elsewhere, not far below."""
    least = best.score - NEAR * judge.weight
    within = judge.within(best.run.params)
    scale = np.sqrt(np.maximum(within, np.finfo(float).tiny))
    kept = [r for r in others if least < r.score and not r.events and r.run.converged]
    found = []
    for runner in sorted(kept, key=lambda r: -r.score):
        apart = all(_apart(runner.run.params, r.run.params, scale) for r in [best, *found])
        sound = judge.few(runner.run) <= judge.few(best.run)
        if apart and sound and judge.resolves(runner.run.params):
            found.append(runner)
        if len(found) == OTHERS:
            break
    return found


def _apart(a, b, scale):
    """Whether a component of one mixture is near none of the other one."""
    apart = (a.means[:, None] - b.means) / scale
    squared = (apart**2).mean(axis=2)
    return max(squared.min(axis=0).max(), squared.min(axis=1).max()) > ELSEWHERE**2


class _Moves:
    """Moves from one solution: drawn ones, and from the second batch on those that promise most.

    A solution that is left at once was hardly worth a close look.
    """

    def __init__(self, judge, sample, best, rng, closely):
        self._rng = rng
        self._outlook = Outlook(judge.backend, sample, best.run.params)
        self._batches, self._promising = int(closely), []

    def next(self, count):
        """As many, a list of Params; fewer where draws make none."""
        if self._batches == 1:
            self._promising = self._outlook.promising()
        self._batches += 1
        found, self._promising = self._promising[:count], self._promising[count:]
        return found + self._outlook.drawn(self._rng, count - len(found))
