"""Run the fits of a search to one data set: share what they can, and order them."""

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

# Nanoseconds of a pass over the sample, for an average K, from which on pieces run side by side. In
# shorter ones threads mostly wait for the interpreter lock: a search from 2 to 10 on 300 x 2
# (0.02 ms) took 0.09 s one after another and 0.11 s on two threads.
SIDE_BY_SIDE = 200_000
# Mean log-likelihoods that differ by less are level, whatever the tolerance.
LEVEL = 1e-6


@dataclass(frozen=True)
class Failure:
    """Why a candidate has no result.

    Attributes
    ----------
    reason : str
        The reason in words.
    """

    reason: str


class Watch:
    """Receives the progress of a search; does nothing unless methods are overridden.

    Pieces of work run side by side, but only one method is called at a time.
    """

    def plan(self, total, more=False):
        """At most `total` pieces of work, or as many `more`, are going to begin and end."""

    def begins(self, n_components, covariance_type, what):
        """A piece begins; `what` is "start", "fit" or "second look", with its fold if any."""

    def iteration(self, n_components, covariance_type, iteration, mean_log_likelihood, change):
        """An iteration on all data ended."""

    def ends(self, n_components, covariance_type):
        """The piece that had begun for this candidate ended."""


class Logged(Watch):
    """Logs the end of every piece of a search.

    Parameters
    ----------
    logger : logging.Logger
    iterations : bool
        Whether to log every iteration, too.
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
    """Passes calls from several threads on to another `Watch`, one at a time."""

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

    Every candidate starts as a separate fit would, to the same bits: only the sample and its seeds
    are shared. The likelihood of the best fits never falls with K. Where it does fall, K starts
    from the solution with fewer components, too, if there are enough samples for it to tell. Starts
    and fits run side by side on threads where passes are short, unless they are tiny; results are
    the same bits.

    Parameters
    ----------
    backend : Backend
    numbers : sequence of int, ascending
        Every K of the search.
    covariance_types : sequence of str
    start : starting.Start
    settings : em.Settings
    watch : Watch
    keeper : checkpoint.Keeper, optional
    stage : str
        Added to `what` in calls of the watch.
    """

    def __init__(
        self, backend, numbers, covariance_types, start, settings, *, watch, keeper=None, stage=""
    ):
        fitting.check_settings(settings)
        self.backend = backend
        self.covariance_types = list(covariance_types)
        self.start = start
        # before threads start: the kernel of the survey must not depend on which comes first
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
        # the user asked for a named start: nothing else may replace it
        self._searches = start.method == "auto" and not start.given and settings.max_iter > 0
        self._last = {}

    def pieces(self, numbers):
        """An upper limit on the pieces of work for these numbers of components."""
        return len(self.covariance_types) * 2 * len(numbers)

    @serial_blas()
    def fit(self, numbers):
        """Fit these numbers of components, all above those fitted before, in every family.

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
        # scikit-learn's starts change warning filters and thread limits of the whole process
        threads = self._threads if self._is_small() else 1
        found = side_by_side(self._timed_start, new, threads if self.start.method == "auto" else 1)
        starts = dict(zip(new, found, strict=True))

        def fit(job):
            return self._fit(job, starts.pop(job, None))

        if min(threads, len(todo)) > 1:
            with self._keeper.side_by_side():
                fits = side_by_side(fit, largest_first, threads)
            results |= zip(largest_first, fits, strict=True)
        else:
            results |= {job: fit(job) for job in todo}
        found = self._raise_falling(results)
        self.keep({job: result for job, result in found.items() if result is not results[job]})
        return found

    def _is_small(self):
        """Whether passes over the data are as short as those over the sample."""
        whole = self.backend.n_samples == self._rows
        return whole and isinstance(self.backend, LocalBackend) and self.backend.in_memory

    def _timed_start(self, job):
        """The start of a candidate, a `Found` or `Failure`, and the seconds that it took."""
        began = time.perf_counter()
        found = self._attempt(job, "start", lambda: self._start(job))
        return found, time.perf_counter() - began

    def _start(self, job):
        family, k = job
        how = self.start, self.settings[family], self._shared
        return initial.initial_params(self.backend, k, family, *how)

    def _fit(self, job, start):
        """The result of a candidate, or its `Failure`."""
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

    def _raise_falling(self, results):
        """`results`, where each K below its predecessor has also started from that solution."""
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
        """Search on from the solutions of some candidates, with more effort.

        Parameters
        ----------
        results : dict of Job -> FitResult or Failure
            Results of all candidates.
        jobs : list of Job
            Candidates with results, from which to search on.
        effort : float

        Returns
        -------
        dict
            `results` with those found; no likelihood is lower than before.
        """
        if not self._searches or self.start.effort == 0:
            return results
        found = dict(results)
        for job in jobs:
            found[job] = self._better(
                job, results[job], lambda s, r=results[job]: s.search_further(r, effort)
            )
        self._last = {}
        return self._raise_falling(found)

    def keep(self, results):
        """Replace results of candidates in the checkpoint."""
        for job, result in results.items():
            self._keeper.finish(job, result)

    def _better(self, job, result, find):
        """The better of `result` and the fit from what `find` returns for an `optimum.Search`."""

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
        """The result of `function`, or the `Failure` of this candidate."""
        stage = f"{what}, {self._stage}" if self._stage else what
        self._watch.begins(job.n_components, job.covariance_type, stage)
        try:
            return function()
        except (DataError, FitError) as error:
            # other data than the checkpoint's, or a lost cluster, is no fault of the candidate
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
            return Failure(f"arithmetic failed ({error})")
        finally:
            self._watch.ends(job.n_components, job.covariance_type)


def _falls(before, result, settings):
    """Whether a result is clearly lower than that with fewer components."""
    level = max(settings.tol, LEVEL) * result.total_weight
    return result.log_likelihood < before.log_likelihood - 0.01 * level
