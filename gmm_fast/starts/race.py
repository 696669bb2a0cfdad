"""Which start goes on: short EM runs side by side, the worse half dropped after each leg."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from ..backends.threads import side_by_side
from .short import ENDLESS, Run

# Iterations of the first leg, at most; every further leg is twice as long. After 5 iterations
# instead of 10 one start in twenty that would have won was dropped (bench/starts_cases.py,
# overlapping).
LEG = 10
# So many run on until they settle, or to the end of the longest leg: EM may look settled on its
# way, and which of two starts is the better one is seen late.
FINALISTS = 3
LONGEST_LEG = 160
# Nanoseconds of work for which it pays to run starts, or moves, on several threads.
SIDE_BY_SIDE = 1_500_000


@dataclass(eq=False)
class Runner:
    """A start on its way."""

    number: int
    run: Run
    score: float = -np.inf
    events: tuple = ()

    def ran(self, judge, run):
        self.run, self.score = run, judge.score(run)
        self.events += run.events


def best_start(judge, candidates, threads, leg=LEG, longest=None):
    """The candidate that ends highest, as far as it got.

    Parameters
    ----------
    judge : Judge
    candidates : list of Params
    threads : int
    leg : int
        Iterations of the first leg; after one of none the highest start wins.
    longest : int, optional
        Iterations of the last leg, at most; `LONGEST_LEG` by default.

    Returns
    -------
    winner : Runner
    spent : int
        Iterations that all of them ran.
    """
    runners = [
        Runner(number, Run(params, -np.inf, 0, False)) for number, params in enumerate(candidates)
    ]
    spent, longest = 0, LONGEST_LEG if longest is None else longest
    while True:
        going = [r for r in runners if not r.run.converged]
        runs = many(judge, [r.run.params for r in going], leg, threads)
        for runner, run in zip(going, runs, strict=True):
            runner.ran(judge, run)
            spent += run.n_iter
        going_on = max(FINALISTS, ceil(len(runners) / 2))
        last = not 0 < 2 * leg <= longest or all(r.run.converged for r in runners)
        runners = first_of(runners, 1 if last else going_on, judge.level)
        if len(runners) == 1:
            return runners[0], spent
        leg *= 2


def many(judge, starts, iterations, threads, patience=None, expected=None):
    """The runs of several starts, on several threads where that pays.

    Parameters
    ----------
    judge : Judge
    starts : list of Params
    iterations : int
        At most.
    threads : int
    patience : list of short.Patience, optional
        Of each.
    expected : int, optional
        Iterations of one of them, where most end early.
    """
    if not starts:
        return []
    patience = [ENDLESS] * len(starts) if patience is None else patience
    work = (expected or iterations) * judge.runs.work(starts[0].n_components)

    def run(start):
        return judge.run(start[0], iterations, start[1])

    starts = list(zip(starts, patience, strict=True))
    return side_by_side(run, starts, threads if work >= SIDE_BY_SIDE else 1)


def first_of(runners, count, level):
    """So many that scored highest; of those level with the last, by less than `level`, the first in
    number, so that rounding does not choose."""
    last = sorted(r.score for r in runners)[-min(count, len(runners))]
    better = [r for r in runners if r.score > last + level]
    alike = [r for r in runners if abs(r.score - last) <= level]
    return better + sorted(alike, key=lambda r: r.number)[: count - len(better)]
