"""Seconds per EM iteration of several competitors, in turn."""

import os
import statistics
import time
import warnings
from dataclasses import dataclass, field, fields

from competitors import Run
from peak import peak
from sklearn.exceptions import ConvergenceWarning

# Seconds before each measurement: OpenBLAS's threads spin for a while after scikit-learn's last
# call and would take a core from whoever comes next. Tests, which assert no times, set none.
PAUSE = float(os.environ.get("BENCH_PAUSE", "0.3"))
# Seconds that the difference of the long and the short run should last, and its most iterations.
MEASURED = 0.4
MOST = 100
# Its fewest: the machine's speed changes from run to run, and the difference of two runs of nearly
# the same length would be mostly that.
FEWEST = 4
# Those who need more seconds for one iteration have one run of `FEWEST` iterations, divided by one
# more for the E-step that each run has besides: no difference, and not in our favour.
SLOW = 0.5
# Iterations after which all must have the same log-likelihood.
SAME = 3


class DifferentWork(SystemExit):
    """A competitor reached another log-likelihood."""


@dataclass
class Measured:
    """What is known about one competitor."""

    seconds: list = field(default_factory=list)  # per iteration, round by round
    iterations: tuple = (1, 2)  # of the short and the long run that were asked for
    reached: float = float("nan")  # mean log-likelihood after `SAME` iterations
    stopped: bool = False  # a run ended before those asked for; seconds are of those done
    note: str = ""
    first: Run | None = None  # of `SAME` iterations

    @property
    def median(self):
        return statistics.median(self.seconds)

    def as_json(self):
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "first"}
        return values | {"median": self.median}


def timed(function, *arguments, pause=PAUSE):
    """Wall time of one call, after a pause, and what it returned."""
    time.sleep(pause)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        started = time.perf_counter()
        result = function(*arguments)
        return time.perf_counter() - started, result


def first_runs(work, competitors):
    """Run each for `SAME` iterations, which compiles and allocates, too; {name: Measured}.

    Raises
    ------
    DifferentWork
        A log-likelihood differs from the first competitor's in plain float64 arithmetic.
    """
    found = {}
    for competitor in competitors:
        name = competitor.name
        run = competitor.run(SAME)
        if run.iterations != SAME:
            raise DifferentWork(f"{name} did {run.iterations} of {SAME} iterations")
        reached = work.mean_log_likelihood(run.reached)
        found[name] = Measured(reached=reached, note=competitor.note, first=run)
        allowed = getattr(competitor, "allowed", 1e-5 if "float32" in name else 1e-9)
        want = found[competitors[0].name].reached
        for value in (getattr(competitor, "reported", reached), reached):
            if not abs(value - want) <= allowed * abs(want):  # NaN is different, too
                raise DifferentWork(f"{name} reached {value!r} and not {want!r}: not the same work")
    return found


def plan(seconds_per_iteration, rounds, budget):
    """(short, long) iterations and rounds that take at most about `budget` seconds, maybe none."""
    if seconds_per_iteration > SLOW:
        return (0, FEWEST), min(rounds, int(budget / ((FEWEST + 1) * seconds_per_iteration)))
    extra = min(MOST, max(FEWEST, round(MEASURED / seconds_per_iteration)))
    cost = (extra + 4) * seconds_per_iteration  # both runs, each with a last E-step
    return (1, 1 + extra), min(rounds, int(budget / cost))


def first_look(competitor, measured):
    """Seconds per iteration, roughly: for planning, and for who is too slow for more."""
    time.sleep(PAUSE)
    once = competitor.run(1)
    again = competitor.run(2) if measured.first.seconds < 0.5 else measured.first
    difference = (again.seconds - once.seconds) / (again.iterations - once.iterations)
    # each run is longer than its iterations: a bound, should something have disturbed one of them
    most = min(once.seconds, again.seconds / again.iterations)
    return min(most, max(difference, again.seconds / (again.iterations + 3)))


def per_iteration(competitor, measured):
    """Measure once."""
    few, many = measured.iterations
    if few == 0:
        whole = competitor.run(many)
        measured.stopped |= whole.iterations < many
        return whole.seconds / (whole.iterations + 1)
    short, long = competitor.run(few), competitor.run(many)
    measured.stopped |= long.iterations < many
    done = long.iterations - short.iterations
    if done < 1:
        raise SystemExit(f"{competitor.name} stopped after {long.iterations} iterations")
    return (long.seconds - short.seconds) / done


def measure(work, competitors, rounds, budget, threads=1):
    """Measure all in turn, round by round; slow ones in fewer rounds, evenly spread.

    The first competitor is measured in every round, between two looks at the FMA peak of
    `threads` threads. Others have `budget` seconds each, times their `patience`; the slowest are
    only looked at once, before the rounds.

    Returns
    -------
    found : dict of Measured
    peaks : list of float
        GFLOP/s at the time of each round's first measurement.
    """
    found = first_runs(work, competitors)
    turns = {c.name: prepare(c, found[c.name], rounds, budget) for c in competitors[1:]}
    first, *others = competitors
    about = first_look(first, found[first.name])
    found[first.name].iterations, _ = plan(about, rounds, budget)
    peaks = []
    for turn in range(rounds):
        time.sleep(PAUSE)
        before = peak(threads)
        found[first.name].seconds.append(per_iteration(first, found[first.name]))
        peaks.append(0.5 * (before + peak(threads)))
        for competitor in others:
            mine = turns[competitor.name]
            if turn * mine // rounds != (turn - 1) * mine // rounds:
                time.sleep(PAUSE)
                measured = found[competitor.name]
                measured.seconds.append(per_iteration(competitor, measured))
    return found, peaks


def prepare(competitor, measured, rounds, budget):
    """Choose the iterations; returns in how many of the rounds it is measured."""
    about = first_look(competitor, measured)
    mine = budget * getattr(competitor, "patience", 1.0)
    measured.iterations, turns = plan(about, rounds, mine)
    if turns > 0:
        return max(2, turns)
    measured.seconds.append(about)  # so slow that what was seen already must do
    return 0
