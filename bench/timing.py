"""Seconds per EM iteration of several competitors, in turn."""

import statistics
import time
from dataclasses import dataclass, field

from peak import peak

# Seconds before each measurement: OpenBLAS's threads spin for a while after scikit-learn's last
# call and would take a core from whoever comes next.
PAUSE = 0.3
# Seconds that the difference of the long and the short run should last, and its most iterations.
MEASURED = 0.4
MOST = 100
# Iterations after which all must have the same log-likelihood.
SAME = 3


class DifferentWork(SystemExit):
    """A competitor reached another log-likelihood."""


@dataclass
class Measured:
    """What is known about one competitor.

    Attributes
    ----------
    seconds : list of float
        Per iteration, round by round.
    iterations : (int, int)
        Of the short and the long run that were asked for.
    reached : float
        Mean log-likelihood after `SAME` iterations.
    stopped : bool
        Whether a run ended before the iterations asked for; seconds are of those done.
    """

    seconds: list = field(default_factory=list)
    iterations: tuple = (1, 2)
    reached: float = float("nan")
    stopped: bool = False
    note: str = ""

    @property
    def median(self):
        return statistics.median(self.seconds)


def allowed(competitor):
    """Relative difference of log-likelihoods that is still the same work."""
    return getattr(competitor, "allowed", 1e-5 if "float32" in competitor.name else 1e-9)


def first_runs(work, competitors):
    """Run each for `SAME` iterations, which compiles and allocates, too; {name: Measured}.

    Raises
    ------
    DifferentWork
        Log-likelihoods differ.
    """
    found = {}
    for competitor in competitors:
        run = competitor.run(SAME)
        reached = work.mean_log_likelihood(run.reached)
        if run.iterations != SAME:
            raise DifferentWork(f"{competitor.name} did {run.iterations} of {SAME} iterations")
        found[competitor.name] = Measured(reached=reached, note=competitor.note)
        same(competitor.name, getattr(competitor, "reported", reached), reached, 1e-5)
    check_same(competitors, found)
    return found


def check_same(competitors, found):
    """All reached what plain float64 arithmetic reaches, the first competitor's."""
    want = found[competitors[0].name].reached
    for competitor in competitors:
        same(competitor.name, found[competitor.name].reached, want, allowed(competitor))


def same(name, value, want, relative):
    if not abs(value - want) <= relative * abs(want):  # NaN is different, too
        raise DifferentWork(f"{name} reached {value!r} and not {want!r}: not the same work")


def plan(seconds_per_iteration, rounds, budget):
    """(short, long) iterations and rounds that take at most about `budget` seconds, 2 at least."""
    extra = min(MOST, max(1, round(MEASURED / seconds_per_iteration)))
    cost = (extra + 4) * seconds_per_iteration  # both runs, each with a last E-step
    return (1, 1 + extra), max(2, min(rounds, int(budget / cost)))


def per_iteration(competitor, measured):
    """Measure once."""
    few, many = measured.iterations
    short, long = competitor.run(few), competitor.run(many)
    measured.stopped |= long.iterations < many
    done = long.iterations - short.iterations
    if done < 1:
        raise SystemExit(f"{competitor.name} stopped after {long.iterations} iterations")
    return (long.seconds - short.seconds) / done


def measure(work, competitors, rounds, budget, threads=1):
    """Measure all in turn, round by round; slow ones in fewer rounds, evenly spread.

    Parameters
    ----------
    work : Work
    competitors : list
        The first is measured between two looks at the FMA peak.
    rounds : int
    budget : float
        Seconds for one competitor.
    threads : int
        Threads of the peak.

    Returns
    -------
    found : dict of Measured
    peaks : list of float
        GFLOP/s at the time of each round's first measurement.
    """
    found = first_runs(work, competitors)
    turns = {}
    for competitor in competitors:
        measured = found[competitor.name]
        short, long = competitor.run(1), competitor.run(2)
        about = max(long.seconds - short.seconds, long.seconds / 5)
        measured.iterations, turns[competitor.name] = plan(about, rounds, budget)
    peaks = []
    for turn in range(rounds):
        for number, competitor in enumerate(competitors):
            share = turns[competitor.name]
            if turn * share // rounds == (turn - 1) * share // rounds:
                continue
            time.sleep(PAUSE)
            before = peak(threads) if number == 0 else 0.0
            found[competitor.name].seconds.append(per_iteration(competitor, found[competitor.name]))
            if number == 0:
                peaks.append(0.5 * (before + peak(threads)))
    return found, peaks
