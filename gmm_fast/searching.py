"""The fits of a search to one data set: what they share, and in which order they run."""

import threading
import time
from dataclasses import dataclass

import numpy as np

from . import fitting, init
from .backends import LocalBackend
from .checkpoint import Job, Keeper
from .errors import DataError, FitError
from .threads import serial_blas, side_by_side

# Nanoseconds of a pass over the sample, of an average K, from which on pieces run side by side. In
# shorter ones threads wait for one another's Python most of the time: a search from 2 to 10 on
# 300 x 2 (0.02 ms) took 0.09 s one after another and 0.11 s on two threads.
SIDE_BY_SIDE = 200_000


@dataclass(frozen=True)
class Failure:
    """Why a candidate has no result.

    Attributes
    ----------
    reason : str
        In plain words.
    """

    reason: str


class Watch:
    """Told how far a search is; here of no consequence, meant to be overridden.

    Pieces of work run side by side, but only one of these methods is called at a time.
    """

    def plan(self, total):
        """At most `total` pieces of work are going to begin, and end."""

    def begins(self, n_components, covariance_type, what):
        """A piece begins: `what` is "start", "split" or "fit", and the fold where it is of one."""

    def iteration(self, n_components, covariance_type, iteration, mean_log_likelihood, change):
        """An iteration on all of the data ended."""

    def ends(self, n_components, covariance_type):
        """The piece ended that had begun for this candidate."""


class Logged(Watch):
    """A search as records of a logger: every piece that ended, on demand every iteration.

    Parameters
    ----------
    logger : logging.Logger
    iterations : bool
    """

    def __init__(self, logger, iterations=False):
        self._logger = logger
        self._iterations = iterations
        self._running, self._done, self._total = {}, 0, 0

    def plan(self, total):
        self._total = total

    def begins(self, n_components, covariance_type, what):
        self._running[n_components, covariance_type] = what, time.perf_counter()

    def iteration(self, n_components, covariance_type, iteration, mean_log_likelihood, change):
        if self._iterations:
            self._logger.info(
                "K=%d %s: iteration %d: %.6f (%+.2e)",
                *(n_components, covariance_type, iteration, mean_log_likelihood, change),
            )

    def ends(self, n_components, covariance_type):
        what, began = self._running.pop((n_components, covariance_type))
        self._done += 1
        self._logger.info(
            "%d/%d K=%d %s: %s, %.2f s",
            *(self._done, self._total, n_components, covariance_type),
            *(what, time.perf_counter() - began),
        )


class OneAtATime(Watch):
    """Passes on to another `Watch` from several threads, one call at a time."""

    def __init__(self, watch):
        self._watch = watch
        self._lock = threading.RLock()

    def plan(self, total):
        with self._lock:
            self._watch.plan(total)

    def begins(self, n_components, covariance_type, what):
        with self._lock:
            self._watch.begins(n_components, covariance_type, what)

    def iteration(self, n_components, covariance_type, iteration, mean_log_likelihood, change):
        with self._lock:
            self._watch.iteration(
                n_components, covariance_type, iteration, mean_log_likelihood, change
            )

    def ends(self, n_components, covariance_type):
        with self._lock:
            self._watch.ends(n_components, covariance_type)


class Work:
    """All fits of a search to one data set.

    First every candidate finds a start on a sample, from seeds that are nested in K. Then, from
    the smallest K up, the start for K + 1 is compared with a split of the one for K. From the
    better one EM runs on all of the data. What runs on the sample runs side by side on threads,
    unless it is tiny; so do the fits if the sample is the data. Otherwise they follow one another,
    each on all threads. Results are the same bits.

    Parameters
    ----------
    backend : Backend
    numbers : sequence of int, ascending
        All K of the search.
    covariance_types : sequence of str
    start : init.Start
    settings : em.Settings
    watch : Watch
    keeper : checkpoint.Keeper, optional
    stage : str
        Added to what the watch is told.
    """

    def __init__(
        self, backend, numbers, covariance_types, start, settings, *, watch, keeper=None, stage=""
    ):
        fitting.check_settings(settings)
        self.backend = backend
        self.covariance_types = list(covariance_types)
        self.start = start
        # before threads look: with which kernel must not depend on who comes first
        backend.survey(self.covariance_types[0])
        self.settings = {f: settings.for_data(backend, f) for f in self.covariance_types}
        self._numbers = numbers
        self._rows = min(backend.n_samples, init.sample_rows(numbers[-1], backend.n_features))
        a_pass = self._rows * (8 + backend.n_features) * sum(numbers) / len(numbers)
        self._threads = backend.threads if a_pass >= SIDE_BY_SIDE else 1
        self._watch = watch
        self._keeper = Keeper() if keeper is None else keeper
        self._stage = stage
        self._shared = None
        # a named start is what the user asked for: nothing else may take its place
        self._splits = start.method == "auto" and not start.given
        self._unstarted = []
        self._last = {}

    def pieces(self, numbers):
        """How many pieces of work these numbers of components are, at most."""
        splits = sum(k - 1 in numbers for k in numbers) if self._splits else 0
        return len(self.covariance_types) * (2 * len(numbers) + splits)

    @serial_blas()
    def fit(self, numbers):
        """Fit those numbers of components, above all that were fitted before, in every family.

        Returns
        -------
        dict of Job -> FitResult or Failure
            By family, then by K.
        """
        jobs = [Job(family, k) for family in self.covariance_types for k in numbers]
        results = {job: self._keeper.result(job) for job in jobs}
        todo = [job for job in jobs if results[job] is None]
        starts = self._find_starts(jobs, [job for job in todo if not self._keeper.state(job)])

        def fit(job):
            return self._fit(job, starts.pop(job, None))

        if self._is_small() and min(self._threads, len(todo)) > 1:
            largest_first = sorted(todo, key=lambda job: -job.n_components)
            with self._keeper.side_by_side():
                fits = side_by_side(fit, largest_first, self._threads)
            results |= zip(largest_first, fits, strict=True)
        else:
            results |= {job: fit(job) for job in todo}
        if numbers[-1] == self._numbers[-1]:
            self._shared = None  # of each fold there is one
        return results

    def _is_small(self):
        """Whether passes over the data are as short as those over the sample."""
        whole = self.backend.n_samples == self._rows
        return whole and isinstance(self.backend, LocalBackend) and self.backend.in_memory

    # Starts -----------------------------------------------------------------------------------

    def _find_starts(self, jobs, needed):
        """(`init.Found` or `Failure`, seconds) for those that need one, by job."""
        waiting = self._unstarted + jobs
        if self._splits:  # on the way to a start lie those of fewer components
            last = {job.covariance_type: job.n_components for job in needed}
            found = [j for j in waiting if j.n_components <= last.get(j.covariance_type, 0)]
        else:
            found = needed
        self._unstarted = [job for job in waiting if job not in found]
        if not found:
            return {}
        if self._shared is None:
            self._shared = init.Shared(
                self.backend, self._numbers[-1], self.covariance_types, self.start
            )
        self._seed(sorted({job.n_components for job in found}))
        # scikit-learn's starts set filters of warnings and limits of threads of the whole process
        threads = self._threads if self.start.method == "auto" else 1
        largest_first = sorted(found, key=lambda job: -job.n_components)
        starts = dict(
            zip(largest_first, side_by_side(self._own, largest_first, threads), strict=True)
        )
        if self._splits:
            chains = [[j for j in found if j.covariance_type == f] for f in self.covariance_types]
            better = side_by_side(lambda chain: self._climb(chain, starts), chains, threads)
            for some in better:
                starts |= some
        return {job: starts[job] for job in needed}

    def _seed(self, numbers):
        """Find the starting partitions, which all families share."""
        if self.start.method != "auto":
            return
        seeds, threads = self._shared.seeds, self._threads
        tries = init.tries(self.start, numbers[-1])
        side_by_side(lambda how: seeds.chain(*how), tries, threads)
        wanted = [(how, k) for k in reversed(numbers) for how in init.tries(self.start, k)]
        side_by_side(lambda one: seeds.labels(*one[0], one[1]), wanted, threads)

    def _own(self, job):
        """The best of a candidate's own starts, and the seconds that took."""

        def find():
            family, k = job
            return init.find_start(self._shared, k, family, self.start, self.settings[family])

        began = time.perf_counter()
        return self._attempt(job, "start", find), time.perf_counter() - began

    def _climb(self, chain, starts):
        """Starts of one family, K ascending, each against a split of the one before."""
        better = {}
        for job in chain:
            found, seconds = starts[job]
            number, before = self._last.get(job.covariance_type, (0, None))
            usable = isinstance(before, init.Found) and isinstance(found, init.Found)
            if usable and number == job.n_components - 1:
                began = time.perf_counter()
                split = self._attempt(job, "split", lambda f=found, b=before: self._split(f, b))
                # where none can be made the start is what it was
                found = found if isinstance(split, Failure) else split
                seconds += time.perf_counter() - began
            self._last[job.covariance_type] = job.n_components, found
            better[job] = found, seconds
        return better

    def _split(self, found, before):
        """`found`, or what a split of the start `before`, of a component less, leads to."""
        shared, settings = self._shared, self.settings[found.params.covariance_type]
        params = best_of_splits(
            shared.over_sample(), shared.sample, found.params, before.params, settings
        )
        return found if params is found.params else init.Found(params, found.events, True)

    # Fits -------------------------------------------------------------------------------------

    def _fit(self, job, start):
        """The result of a candidate, or why there is none."""
        found, seconds = start or (None, 0.0)
        if isinstance(found, Failure):
            return found
        return self._attempt(job, "fit", lambda: self._run(job, found, seconds))

    def _run(self, job, found, seconds):
        family, k = job
        settings = self.settings[family]
        params, events = None, []
        if found is not None:
            began = time.perf_counter()
            params, events = self._shared.polished(found, settings), found.events
            seconds += time.perf_counter() - began

        def iteration(*news):
            self._watch.iteration(k, family, *news)

        return fitting.fit(
            self.backend,
            k,
            family,
            params,
            settings,
            callback=iteration,
            keeper=self._keeper,
            events=events,
            seconds=seconds,
        )

    def _attempt(self, job, what, function):
        """What `function` returns, or the `Failure` of this candidate."""
        told = f"{what}, {self._stage}" if self._stage else what
        self._watch.begins(job.n_components, job.covariance_type, told)
        try:
            return function()
        except (DataError, FitError) as error:
            # data that is not that of the checkpoint, a cluster that is gone: no candidate's fault
            resumed = isinstance(error, DataError) and self._keeper.state(job) is not None
            remote = what == "fit" and not isinstance(self.backend, LocalBackend)
            if resumed or (remote and isinstance(error, FitError)):
                raise
            return Failure(str(error))
        except MemoryError as error:
            return Failure(f"out of memory ({error})" if str(error) else "out of memory")
        except np.linalg.LinAlgError as error:
            return Failure(f"a covariance could not be factorised ({error})")
        except ArithmeticError as error:
            return Failure(f"a number that is no number came out ({error})")
        finally:
            self._watch.ends(job.n_components, job.covariance_type)
