"""Searches for the optimum on a sample by local moves from the best solution so far."""

from dataclasses import dataclass

import numpy as np

from .moves import Outlook
from .race import Runner, run_many
from .short import Patience

# Moves tried side by side from the same solution: the same ones on any machine.
BATCH = 8
# The search ends after this many moves in a row without a gain, plus one for each component. Each
# doubling of an iteration's time beyond `QUICK` nanoseconds adds as many again: a fit of a few
# hundred rows is to take milliseconds.
PATIENCE, QUICK = 24, 100_000
# A move is checked after this many iterations, after twice as many, and so on; in the last half of
# them it must gain this share of what it still lacks. Of 64 moves that led to something better on
# six data sets, `HASTY` keeps 36 at 4 iterations a move, and `PATIENT` 40 at 8. `PATIENT` is for
# iterations that cost less than making the move.
HASTY, PATIENT = (4, 0.5), (6, 1 / 3)
# Iterations of one move: at most, usually, and as a share of the remaining budget.
MOST_ITERATIONS, USUAL, SHARE = 160, 4, 0.25
# How many solutions besides the best are returned, and how far below it they may be, per sample.
OTHERS, NEAR = 3, 0.05
# Means this many within-component standard deviations apart, in an average feature, are different.
ELSEWHERE = 0.3
# Seeds the generator of moves, so that no other generator draws the same numbers.
STREAM = 0x30F3


@dataclass(frozen=True, eq=False)
class Climb:
    """Where a search ended.

    Attributes
    ----------
    best : Runner
    others : list of Runner
        Solutions slightly below it, the best first.
    moves : int
        Moves tried.
    spent : int
        Iterations they ran.
    """

    best: Runner
    others: list
    moves: int
    spent: int


def climb_from(judge, sample, start, budget, seed, threads, larger=1.0, closely=False):
    """Search from a solution by local moves, until they gain nothing or the budget is spent.

    Parameters
    ----------
    judge : Judge
        Judge of the sample.
    sample : Sample
    start : Runner
    budget : float
        Iterations over the sample; the last batch of moves may exceed it slightly.
    seed : int
    threads : int
        The moves do not depend on it.
    larger : float
        Size of the data, in samples of this size. Above 1 there is more patience (at most twice as
        much), and solutions other than the best are returned, too.
    closely : bool
        Try only the most promising moves.

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
        # drop what can neither replace the best nor be returned beside it
        least = -NEAR * judge.weight if larger > 1 else judge.level
        while budget - spent >= BATCH * USUAL and failed < most:
            longest = int(min(MOST_ITERATIONS, max(2 * USUAL, SHARE * (budget - spent))))
            found = best
            proposals = source.next(BATCH)
            to_beat = best.run.log_likelihood + judge.level
            patience = [Patience(to_beat, *look)] * len(proposals)
            for run in run_many(judge, proposals, longest, threads, patience, USUAL):
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
    """Whether a solution replaces the best.

    It must be higher by more than `judge.level`, have no more components on few samples, and none
    narrower than the data resolves.
    """
    higher = other.score > best.score + judge.level
    sound = not other.events and judge.few(other.run) <= judge.few(best.run)
    return higher and sound and judge.resolves(other.run.params)


def _next_best(judge, best, others):
    """Solutions that ended elsewhere, slightly below the best."""
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
    """Whether one mixture has a component far from every component of the other."""
    apart = (a.means[:, None] - b.means) / scale
    squared = (apart**2).mean(axis=2)
    return max(squared.min(axis=0).max(), squared.min(axis=1).max()) > ELSEWHERE**2


class _Moves:
    """Moves from one solution: random ones first, from the second batch on the promising ones.

    Finding promising moves is not worth it for a solution that the first batch already improves.
    """

    def __init__(self, judge, sample, best, rng, closely):
        self._rng = rng
        self._outlook = Outlook(judge.backend, sample, best.run.params)
        self._batches, self._promising = int(closely), []

    def next(self, count):
        """The next `count` moves as a list of Params; fewer where a draw yields no move."""
        if self._batches == 1:
            self._promising = self._outlook.promising()
        self._batches += 1
        found, self._promising = self._promising[:count], self._promising[count:]
        return found + self._outlook.draw(self._rng, count - len(found))
