"""Races starts: short EM runs side by side, dropping the worse half after each leg."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from ..backends.threads import side_by_side
from .short import ENDLESS, Run

# Most iterations of the first leg; every further leg is twice as long. With 5 instead of 10, one
# start in twenty that would have won was dropped (bench/starts_cases.py, overlapping).
LEG = 10
# This many run until they converge, or to the end of the longest leg: EM may seem to converge on
# its way, and only late is it clear which of two starts is better.
FINALISTS = 3
LONGEST_LEG = 160
# From this many nanoseconds of work on, several threads for starts or moves pay off.
SIDE_BY_SIDE = 1_500_000


@dataclass(eq=False)
class Runner:
    """A start in the race, and how far it got."""

    number: int
    run: Run
    score: float = -np.inf
    events: tuple = ()

    def record(self, judge, run):
        """Take over the end of a run, and score it."""
        self.run, self.score = run, judge.score(run)
        self.events += run.events


def best_start(judge, candidates, threads, leg=LEG, longest=None):
    """The candidate that ends with the highest score.

    Parameters
    ----------
    judge : Judge
    candidates : list of Params
    threads : int
    leg : int
        Iterations of the first leg; with 0 the start of the highest score wins.
    longest : int, optional
        Most iterations of the last leg; `LONGEST_LEG` by default.

    Returns
    -------
    winner : Runner
    spent : int
        Iterations of all candidates together.
    """
    runners = [
        Runner(number, Run(params, -np.inf, 0, False)) for number, params in enumerate(candidates)
    ]
    spent, longest = 0, LONGEST_LEG if longest is None else longest
    while True:
        going = [r for r in runners if not r.run.converged]
        runs = run_many(judge, [r.run.params for r in going], leg, threads)
        for runner, run in zip(going, runs, strict=True):
            runner.record(judge, run)
            spent += run.n_iter
        going_on = max(FINALISTS, ceil(len(runners) / 2))
        last = not 0 < 2 * leg <= longest or all(r.run.converged for r in runners)
        runners = best_of(runners, 1 if last else going_on, judge.level)
        if len(runners) == 1:
            return runners[0], spent
        leg *= 2


def run_many(judge, starts, iterations, threads, patience=None, expected=None):
    """Run several starts, on several threads if that pays off; returns their runs.

    Parameters
    ----------
    judge : Judge
    starts : list of Params
    iterations : int
        Most iterations of each.
    threads : int
    patience : list of short.Patience, optional
        One for each start.
    expected : int, optional
        Typical number of iterations, if most runs end early.
    """
    if not starts:
        return []
    patience = [ENDLESS] * len(starts) if patience is None else patience
    work = (expected or iterations) * judge.runs.work(starts[0].n_components)

    def run(start):
        return judge.run(start[0], iterations, start[1])

    starts = list(zip(starts, patience, strict=True))
    return side_by_side(run, starts, threads if work >= SIDE_BY_SIDE else 1)


def best_of(runners, count, level):
    """The `count` runners of the highest scores.

    Of those within `level` of the last one the lowest numbers are taken: rounding must not choose.
    """
    last = sorted(r.score for r in runners)[-min(count, len(runners))]
    better = [r for r in runners if r.score > last + level]
    alike = [r for r in runners if abs(r.score - last) <= level]
    return better + sorted(alike, key=lambda r: r.number)[: count - len(better)]
