"""Search for a model: check the call, fit and measure every K and family, return one table."""

from numbers import Integral

import numpy as np

from .. import checks
from ..backends import count_positive
from ..em.loop import FitResult
from ..errors import DataError, FitError
from ..fitting.checkpoint import Job
from ..mixture.families import get_family
from ..names import CRITERIA
from . import criteria, crossval
from .choice import Candidate, SearchTable, in_the_running
from .criteria import Silhouettes
from .searching import OneAtATime, Watch, Work

# An early stop ends the search after this many values of K without an improvement.
PATIENCE = 3
# Where one of these criteria decides, candidates within NEAR of the best are searched farther, with
# FARTHER times the effort.
NEAR, FARTHER = 20.0, 2.0
DECIDING = ("bic", "aic", "icl")
# Limit on the reasons in one message.
MOST_REASONS = 3


def numbers_of(n_components):
    """Return numbers of components as an ascending sequence of distinct integers.

    Parameters
    ----------
    n_components : int, range or iterable of int

    Raises
    ------
    DataError
        They are not integers, less than 1, or none at all.
    """
    if isinstance(n_components, Integral):
        n_components = [n_components]
    if isinstance(n_components, range):  # not made a list: it may be very long
        numbers = n_components if n_components.step > 0 else n_components[::-1]
        ends = numbers[:1]
    else:
        try:
            if isinstance(n_components, str | bytes):
                raise TypeError
            ends = list(n_components)
        except TypeError:
            raise DataError(
                "n_components must be an integer or several, such as range(2, 11), not "
                f"{n_components!r}"
            ) from None
        numbers = None
    ends = [checks.integer("the number of components", k, 1) for k in ends]
    numbers = sorted(set(ends)) if numbers is None else numbers
    if len(numbers) == 0:
        raise DataError(
            f"nothing to search: {n_components!r} holds no number of components; note that a "
            "range ends before its second number"
        )
    return numbers


def check_search(
    numbers,
    covariance_types,
    criterion,
    n_samples=None,
    *,
    silhouette_rows=criteria.SILHOUETTE_ROWS,
    folds=None,
):
    """Raise DataError if a search with these arguments cannot work.

    `numbers` are what `numbers_of` returns; `n_samples` counts positive weights, if known.
    """
    highest = numbers[-1]
    checks.integer("silhouette_rows", silhouette_rows, 0)
    if not covariance_types:
        raise DataError("name at least one covariance family")
    for name in covariance_types:
        get_family(name)
    if not isinstance(criterion, str) or criterion not in CRITERIA:
        raise DataError(f"unknown criterion {criterion!r}; choose from {', '.join(CRITERIA)}")
    if criterion == "silhouette" and highest == 1:
        raise DataError("the silhouette is not defined for K = 1; search from 2, or use bic")
    if criterion == "silhouette" and silhouette_rows == 0:
        raise DataError("criterion silhouette needs silhouette_rows above 0")
    if n_samples is not None and highest > n_samples:
        raise DataError(
            f"{n_samples} samples are fewer than {highest} components; lower the highest K"
        )
    crossval.check_folds(folds, highest, n_samples)


def folds_of(criterion, folds):
    """The number of folds: what was asked for, or the default if the criterion is "cv"."""
    if folds is None and isinstance(criterion, str) and criterion == "cv":
        return crossval.FOLDS
    return folds


def search(
    backend,
    numbers,
    covariance_types,
    criterion,
    start,
    settings,
    *,
    silhouette_rows=criteria.SILHOUETTE_ROWS,
    folds=None,
    early_stop=False,
    watch=None,
    keeper=None,
):
    """Fit every K in every family, and compare the fits.

    Parameters
    ----------
    backend : Backend
    numbers : sequence of int
        As `numbers_of` returns them.
    covariance_types : sequence of str
    criterion : str
        One of `CRITERIA`.
    start : starting.Start
        The same for every candidate.
    settings : em.Settings
    silhouette_rows : int
        Rows of the sample for silhouettes; 0 for none.
    folds : int, optional
        Folds of a cross-validation; by default none, unless it is the criterion.
    early_stop : bool
        Whether to stop after `PATIENCE` ascending values of K that, in no family, improve the
        criterion.
    watch : searching.Watch, optional
        Receives the progress.
    keeper : checkpoint.Keeper, optional
        As for `fitting.fit`. Fits of a cross-validation are not kept.

    Returns
    -------
    SearchTable

    Raises
    ------
    DataError
        The arguments cannot work (`check_search`), or the data is wrong.
    FitError
        No candidate has a value of `criterion`.
    """
    families = list(dict.fromkeys(covariance_types))
    folds = folds_of(criterion, folds)
    used = backend.n_samples if backend.weights is None else count_positive(backend.weights)
    check_search(numbers, families, criterion, used, silhouette_rows=silhouette_rows, folds=folds)
    how = (numbers, families, start, settings)
    watch = OneAtATime(Watch() if watch is None else watch)
    work = Work(backend, *how, watch=watch, keeper=keeper)
    validation = None
    if folds is not None:
        validation = crossval.CrossValidation(backend, folds, *how, watch=watch)
    watch.plan(work.pieces(numbers) + (validation.pieces(numbers) if validation else 0))
    silhouettes = Silhouettes(backend, silhouette_rows, start.seed)
    rows = _Results(silhouettes)
    stop = _Stop(criterion)
    stopped_at = None
    for some in [[k] for k in numbers] if early_stop else [numbers]:
        rows.add(work.fit(some), validation.measure(some) if validation else {})
        if some[-1] == numbers[-1]:
            break
        if stop.after(rows.of(some[-1], measured=criterion == "silhouette")):
            stopped_at = some[-1]
            break
    _search_on(work, rows, criterion, start)
    table = SearchTable(rows.all(families), criterion, silhouettes.n_rows, folds, stopped_at)
    if table.best is None:
        raise FitError(f"no candidate has a {criterion}" + _reasons(table.candidates))
    return table


def _search_on(work, rows, criterion, start):
    """Search farther from every candidate near the best, as long as there are new ones.

    Where the likelihood does not decide, this would change nothing.
    """
    if criterion not in DECIDING:
        return
    before = rows.results
    seen = {
        job
        for job, result in before.items()
        if isinstance(result, FitResult) and result.effort > start.effort  # from a checkpoint
    }
    while jobs := [job for job in rows.near_the_best(criterion, NEAR) if job not in seen]:
        seen |= set(jobs)
        rows.replace(work.search_on(rows.results, jobs, FARTHER * start.effort))
    # all at once: which are near the best must not depend on where a search was interrupted
    work.keep({job: r for job, r in rows.results.items() if r is not before[job]})


class _Results:
    """What is known of each candidate as the search goes on."""

    def __init__(self, silhouettes):
        self._silhouettes = silhouettes
        self._results, self._held_out, self._scores = {}, {}, {}

    def add(self, results, held_out):
        self._results |= results
        for job, found in held_out.items():
            result = results[job]
            if isinstance(found, crossval.HeldOut):
                self._held_out[job] = found
            elif isinstance(result, FitResult):
                result.events.append(f"cross-validation: {found.reason}")

    @property
    def results(self):
        return dict(self._results)

    def replace(self, results):
        """Replace results of candidates; those that changed are measured again."""
        for job, result in results.items():
            if result is not self._results[job]:
                if result.params is not self._results[job].params:
                    self._scores.pop(job, None)
                    result.events += [
                        e for e in self._results[job].events if e.startswith("cross-validation: ")
                    ]
                self._results[job] = result

    def near_the_best(self, criterion, margin):
        """Jobs of candidates that are at most `margin` worse than the best."""
        running = in_the_running([self._candidate(j) for j in self._results], criterion)
        losses = {Job(c.covariance_type, c.n_components): c.loss(criterion) for c in running}
        least = min(losses.values(), default=np.inf)
        return [job for job, loss in losses.items() if loss <= least + margin]

    def of(self, n_components, *, measured):
        """Candidates with one K; with silhouettes if `measured`."""
        jobs = [job for job in self._results if job.n_components == n_components]
        return self._candidates(jobs, measured)

    def all(self, covariance_types):
        """All candidates with silhouettes, by family and then by K."""
        order = {name: place for place, name in enumerate(covariance_types)}
        jobs = sorted(self._results, key=lambda j: (order[j.covariance_type], j.n_components))
        return self._candidates(jobs, True)

    def _candidates(self, jobs, measured):
        if measured:
            self._measure([job for job in jobs if job not in self._scores])
        return [self._candidate(job) for job in jobs]

    def _measure(self, jobs):
        """Measure the silhouettes of several fits in one pass over the pairs."""
        jobs = [job for job in jobs if isinstance(self._results[job], FitResult)]
        scores = self._silhouettes.of([self._results[job].params for job in jobs])
        self._scores |= zip(jobs, scores, strict=True)

    def _candidate(self, job: Job):
        result = self._results[job]
        if not isinstance(result, FitResult):
            return Candidate(job.n_components, job.covariance_type, None, failure=result.reason)
        score = self._scores.get(job, float("nan"))
        return Candidate.of(result, score, self._held_out.get(job))


class _Stop:
    """Decides when a search has gone on long enough without an improvement."""

    def __init__(self, criterion):
        self._criterion = criterion
        self._lowest = np.inf
        self._waited = 0

    def after(self, candidates):
        """Whether to stop, given the candidates of the next K."""
        running = in_the_running(candidates, self._criterion)
        loss = min((c.loss(self._criterion) for c in running), default=np.inf)
        better = loss < self._lowest
        self._lowest = min(loss, self._lowest)
        self._waited = 0 if better or not np.isfinite(self._lowest) else self._waited + 1
        return self._waited >= PATIENCE


def _reasons(candidates):
    """The end of a message: why candidates could not be fitted."""
    failed = [c for c in candidates if c.failure is not None]
    if not failed:
        return ""
    reasons = "; ".join(f"{c}: {c.failure}" for c in failed[:MOST_REASONS])
    more = f"; and {len(failed) - MOST_REASONS} more" if len(failed) > MOST_REASONS else ""
    return f": {reasons}{more}"
