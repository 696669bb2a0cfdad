"""The fits of a search to one data set: what they share, and in which order they run."""

import threading
import time
from dataclasses import dataclass, replace

import numpy as np

from .. import fitting
from ..backends import LocalBackend
from ..backends.threads import serial_blas, side_by_side
from ..em.loop import FitResult
from ..errors import DataError, FitError
from ..fitting.checkpoint import Job, Keeper
from ..starts import initial, optimum

# Nanoseconds of a pass over the sample, of an average K, from which on pieces run side by side. In
# shorter ones threads wait for one another's Python most of the time: a search from 2 to 10 on
# 300 x 2 (0.02 ms) took 0.09 s one after another and 0.11 s on two threads.
SIDE_BY_SIDE = 200_000
# Mean log-likelihoods that are apart by less are level, whatever the tolerance.
LEVEL = 1e-6


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

    def plan(self, total, more=False):
        """At most `total` pieces of work are going to begin, and end; or as many `more`."""

    def begins(self, n_components, covariance_type, what):
        """A piece begins: `what` is "start", "fit" or "second look", and its fold if it has one."""

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

    def plan(self, total, more=False):
        self._total = total + more * self._total

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

    def plan(self, total, more=False):
        with self._lock:
            self._watch.plan(total, more)

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

    Every candidate starts as a fit of it alone would, to the same bits: only the sample and its
    seeds are shared. Where the likelihood falls with K, which it cannot of the best fits, K starts
    from the solution of fewer components, too, if there are samples enough for it to tell. Starts
    and fits run side by side on threads where passes are short, unless they are tiny. Results are
    the same bits.

    Parameters
    ----------
    backend : Backend
    numbers : sequence of int, ascending
        All K of the search.
    covariance_types : sequence of str
    start : starting.Start
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
        self._rows = min(backend.n_samples, optimum.sample_rows(numbers[-1], backend.n_features))
        a_pass = self._rows * (8 + backend.n_features) * sum(numbers) / len(numbers)
        self._threads = backend.threads if a_pass >= SIDE_BY_SIDE else 1
        self._watch = watch
        self._keeper = Keeper() if keeper is None else keeper
        self._stage = stage
        self._shared = optimum.Shared(backend, start)
        # a named start is what the user asked for: nothing else may take its place
        self._searches = start.method == "auto" and not start.given and settings.max_iter > 0
        self._last = {}

    def pieces(self, numbers):
        """How many pieces of work these numbers of components are, at most."""
        return len(self.covariance_types) * 2 * len(numbers)

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
        largest_first = sorted(todo, key=lambda job: -job.n_components)
        new = [job for job in largest_first if not self._keeper.state(job)]
        # scikit-learn's starts set filters of warnings and limits of threads of the whole process
        threads = self._threads if self._is_small() else 1
        found = side_by_side(self._own, new, threads if self.start.method == "auto" else 1)
        starts = dict(zip(new, found, strict=True))

        def fit(job):
            return self._fit(job, starts.pop(job, None))

        if min(threads, len(todo)) > 1:
            with self._keeper.side_by_side():
                fits = side_by_side(fit, largest_first, threads)
            results |= zip(largest_first, fits, strict=True)
        else:
            results |= {job: fit(job) for job in todo}
        found = self._rising(results)
        self.keep({job: result for job, result in found.items() if result is not results[job]})
        return found

    def _is_small(self):
        """Whether passes over the data are as short as those over the sample."""
        whole = self.backend.n_samples == self._rows
        return whole and isinstance(self.backend, LocalBackend) and self.backend.in_memory

    def _own(self, job):
        """A candidate's own start, a `Found` or `Failure`, and the seconds that took."""
        began = time.perf_counter()
        found = self._attempt(job, "start", lambda: self._start(job))
        return found, time.perf_counter() - began

    def _start(self, job):
        family, k = job
        how = self.start, self.settings[family], self._shared
        return initial.initial_params(self.backend, k, family, *how)

    def _fit(self, job, start):
        """The result of a candidate, or why there is none."""
        found, seconds = start or (None, 0.0)
        if isinstance(found, Failure):
            return found
        return self._attempt(job, "fit", lambda: self._run(job, found, seconds, self._keeper))

    def _run(self, job, found, seconds, keeper=None):
        family, k = job

        def iteration(*news):
            self._watch.iteration(k, family, *news)

        return fitting.fit(
            self.backend,
            k,
            family,
            found,
            self.settings[family],
            callback=iteration,
            keeper=keeper,
            seconds=seconds,
        )

    # Second looks -----------------------------------------------------------------------------

    def _rising(self, results):
        """The same, K starting from fewer components where its likelihood is lower than theirs."""
        if not self._searches:
            return results
        results = dict(results)
        for job in sorted(results, key=lambda job: job.n_components):
            result = results[job]
            before = self._last.get(job.covariance_type)
            if not isinstance(result, FitResult):
                continue
            if before is not None and _falls(before, result, self.settings[job.covariance_type]):
                result = self._better(job, result, lambda s, b=before: s.grow(b.params))
                results[job] = result
            if before is None or result.log_likelihood >= before.log_likelihood:
                self._last[job.covariance_type] = result
        return results

    @serial_blas()
    def search_on(self, results, jobs, effort):
        """Search on from the solutions of some candidates, that much farther.

        Parameters
        ----------
        results : dict of Job -> FitResult or Failure
            Of all candidates.
        jobs : list of Job
            Those that have results to go on from.
        effort : float

        Returns
        -------
        dict
            `results` with what was found; no likelihood is lower than it was.
        """
        if not self._searches or self.start.effort == 0:
            return results
        found = dict(results)
        for job in jobs:
            found[job] = self._better(
                job, results[job], lambda s, r=results[job]: s.search_further(r, effort)
            )
        self._last = {}
        return self._rising(found)

    def keep(self, results):
        """Write results of candidates to the checkpoint in place of those before."""
        for job, result in results.items():
            self._keeper.finish(job, result)

    def _better(self, job, result, find):
        """`result`, or that of another start if it is higher; `find` gets an `optimum.Search`."""

        def look():
            family, k = job
            settings = self.settings[family]
            settings = settings.aware() if result.rounded else settings
            search = optimum.Search(self._shared, k, family, settings)
            began = time.perf_counter()
            found = find(search)
            seconds = result.seconds.get("init", 0.0) + time.perf_counter() - began
            best = result
            if found.params is not result.params:
                other = self._run(job, found, seconds)
                best = other if other.log_likelihood > result.log_likelihood else result
            effort, moves = result.effort + found.effort, result.moves + found.moves
            return replace(best, effort=effort, moves=moves)

        self._watch.plan(1, more=True)
        found = self._attempt(job, "second look", look)
        return result if isinstance(found, Failure) else found

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


def _falls(before, result, settings):
    """Whether a result is lower than that of fewer components, by more than what is level."""
    level = max(settings.tol, LEVEL) * result.total_weight
    return result.log_likelihood < before.log_likelihood - 0.01 * level
