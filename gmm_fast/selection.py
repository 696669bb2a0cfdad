"""Model choice: K x family, one table, one best, and how sure that is."""

from dataclasses import dataclass, field
from numbers import Integral

import numpy as np

from . import checks, criteria, crossval
from .backends import count_positive
from .checkpoint import Job
from .criteria import CRITERIA, HIGHER, in_words, named
from .em import FitResult
from .errors import DataError, FitError
from .families import get_family
from .searching import OneAtATime, Watch, Work

# Values of K without a better one after which an early stop ends the search.
PATIENCE = 3
# A margin below which the choice is not clear. Of BIC: less than 10 is no "very strong" evidence
# (Kass & Raftery 1995, Bayes factors, JASA 90). For cross-validation it is the standard error of
# the difference.
SLIGHT = {"bic": 10.0, "aic": 10.0, "icl": 10.0, "silhouette": 0.01}
# Losses that are apart by less than this share are level: rounding does not choose.
LEVEL = 1e-12
# Reasons named in one message.
MOST_REASONS = 3


@dataclass(frozen=True, eq=False)
class Candidate:
    """One fit of a search, or why there is none.

    Attributes
    ----------
    n_components : int
    covariance_type : str
    result : FitResult or None
        None, as are the criteria, when it could not be fitted.
    bic, aic, icl : float or None
        Lower is better.
    silhouette : float or None
        Higher is better; NaN when there are not at least two clusters.
    held_out : crossval.HeldOut, optional
        Where cross-validation was asked for, and possible.
    failure : str, optional
        Why it could not be fitted.
    """

    n_components: int
    covariance_type: str
    result: FitResult | None
    bic: float | None = None
    aic: float | None = None
    icl: float | None = None
    silhouette: float | None = None
    held_out: crossval.HeldOut | None = None
    failure: str | None = None

    @classmethod
    def of(cls, result, silhouette, held_out=None):
        params = result.params
        values = criteria.bic(result), criteria.aic(result), criteria.icl(result), silhouette
        return cls(params.n_components, params.covariance_type, result, *values, held_out)

    @property
    def n_parameters(self):
        return None if self.result is None else criteria.n_parameters(self.result.params)

    @property
    def cv(self):
        """Mean log-likelihood of a sample that was held out; higher is better."""
        return None if self.held_out is None else self.held_out.mean

    @property
    def cv_se(self):
        """Standard error of `cv`."""
        return None if self.held_out is None else self.held_out.standard_error

    def loss(self, criterion):
        """The criterion, turned so that lower is better; infinite where it is undefined."""
        value = getattr(self, criterion)
        if value is None or not np.isfinite(value):
            return np.inf
        return -value if criterion in HIGHER else value

    def __str__(self):
        return f"K={self.n_components} {self.covariance_type}"


@dataclass(frozen=True, eq=False)
class SearchTable:
    """All candidates of a search, and which is the best.

    Attributes
    ----------
    candidates : list of Candidate
        By family, then by K.
    criterion : str
    silhouette_rows : int
        Rows that silhouettes were measured on.
    folds : int, optional
        Of the cross-validation.
    stopped_at : int, optional
        The last K, where the search ended before its range.
    """

    candidates: list
    criterion: str
    silhouette_rows: int
    folds: int | None = None
    stopped_at: int | None = None
    _ranked: list = field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "_ranked", _ranked(self.candidates, self.criterion))

    @property
    def best(self):
        """The candidate of the lowest loss, of equals the simplest; None where none has a loss."""
        return self._ranked[0] if self._ranked else None

    @property
    def runner_up(self):
        """The candidate of the next lowest loss, or None."""
        return self._ranked[1] if len(self._ranked) > 1 else None

    @property
    def margin(self):
        """How much worse the runner-up is by the criterion, in its own unit; None without one."""
        if self.runner_up is None:
            return None
        best, other = (c.loss(self.criterion) for c in (self.best, self.runner_up))
        return max(0.0, float(other - best))

    @property
    def warnings(self):
        """What makes the choice doubtful, a list of str."""
        return [*self._at_the_edge(), *self._slight()]

    def _at_the_edge(self):
        best = self.best.n_components
        tried = sorted({c.n_components for c in self.candidates})
        if len(tried) == 1:
            return
        # of one component there is no silhouette: 2 is no edge
        least = 2 if self.criterion == "silhouette" else 1
        if best == tried[0] > least:
            yield f"the best K, {best}, is the lowest that was tried; try lower ones"
        fitted = max(c.n_components for c in self._ranked)
        if best == fitted:
            what = "was tried; try higher ones" if fitted == tried[-1] else "could be fitted"
            yield f"the best K, {best}, is the highest that {what}"

    def _slight(self):
        margin, runner_up = self.margin, self.runner_up
        if margin is None:
            return
        if self.criterion == "cv":
            least = self._error_of_the_margin()
            what, unit = "its standard error", ""
        else:
            least = SLIGHT[self.criterion]
            what, unit = f"{least:g}", f" of {named(self.criterion)}"
        if margin < least:
            yield (
                f"the choice is not clear: the margin to the runner-up, {runner_up}, is "
                f"{in_words(self.criterion, margin)}{unit}, less than {what}"
                + (f" of {in_words('cv', least)}" if self.criterion == "cv" else "")
            )

    def _error_of_the_margin(self):
        """Standard error of the difference of the best two, which were seen on the same folds."""
        best, other = (np.array(c.held_out.folds) for c in (self.best, self.runner_up))
        return crossval.standard_error(best - other)


def _ranked(candidates, criterion):
    """Candidates that have a loss, the lowest first; of those that are level the simplest first."""
    scored = [(c.loss(criterion), c) for c in candidates]
    scored = sorted((s for s in scored if np.isfinite(s[0])), key=lambda s: s[0])
    if not scored:
        return []
    level = scored[0][0] + LEVEL * max(1.0, abs(scored[0][0]))
    first = [c for loss, c in scored if loss <= level]
    return sorted(first, key=lambda c: c.n_parameters) + [c for loss, c in scored if loss > level]


def candidate_row(candidate):
    """A candidate as one row of a table, JSON values."""
    result = candidate.result
    return {
        "n_components": candidate.n_components,
        "covariance_type": candidate.covariance_type,
        "log_likelihood": None if result is None else result.log_likelihood,
        "n_parameters": candidate.n_parameters,
        "bic": candidate.bic,
        "aic": candidate.aic,
        "icl": candidate.icl,
        "silhouette": candidate.silhouette,
        "cv": candidate.cv,
        "cv_se": candidate.cv_se,
        "n_iter": None if result is None else result.n_iter,
        "converged": None if result is None else result.converged,
        "stop_reason": None if result is None else result.stop_reason,
        "events": [] if result is None else list(result.events),
        "failure": candidate.failure,
    }


def numbers_of(n_components):
    """Numbers of components as an ascending sequence of distinct integers.

    Parameters
    ----------
    n_components : int, range or iterable of int

    Raises
    ------
    DataError
        Not integers, less than 1, or none at all.
    """
    if isinstance(n_components, Integral):
        n_components = [n_components]
    if isinstance(n_components, range):  # never made a list: it may be as long as it likes
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
    """Raise DataError when a search of that call cannot work; `numbers` as of `numbers_of`.

    `n_samples` are those of positive weight, as far as that is known.
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
    """Folds of the cross-validation: what is asked for, or the default if it is to choose."""
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
    """Fit every K with every family, and compare them.

    Parameters
    ----------
    backend : Backend
    numbers : sequence of int
        As `numbers_of` returns them.
    covariance_types : sequence of str
    criterion : str
        One of `CRITERIA`.
    start : init.Start
        The same for every candidate.
    settings : em.Settings
    silhouette_rows : int
        Rows of the sample for silhouettes; 0 for none.
    folds : int, optional
        Of a cross-validation; none without, unless it is the criterion.
    early_stop : bool
        Whether to end after `PATIENCE` values of K, ascending, of which none was better by the
        criterion, in any family, than the best before.
    watch : searching.Watch, optional
        Told what runs.
    keeper : checkpoint.Keeper, optional
        As for `fitting.fit`. Fits of a cross-validation are not kept.

    Returns
    -------
    SearchTable

    Raises
    ------
    DataError
        The call cannot work (`check_search`), or the data is wrong.
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
    rows = _Rows(silhouettes)
    stop = _Stop(criterion)
    stopped_at = None
    for some in [[k] for k in numbers] if early_stop else [numbers]:
        rows.add(work.fit(some), validation.measure(some) if validation else {})
        if some[-1] == numbers[-1]:
            break
        if stop.after(rows.of(some[-1], measured=criterion == "silhouette")):
            stopped_at = some[-1]
            break
    table = SearchTable(rows.all(families), criterion, silhouettes.n_rows, folds, stopped_at)
    if table.best is None:
        raise FitError(f"no candidate has a {criterion}" + _reasons(table.candidates))
    return table


class _Rows:
    """What is known of each candidate, as the search goes on."""

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

    def of(self, n_components, *, measured):
        """Candidates of that K, with silhouettes if they are `measured`."""
        jobs = [job for job in self._results if job.n_components == n_components]
        return self._candidates(jobs, measured)

    def all(self, covariance_types):
        """Every candidate, by family and then by K, with all there is to know."""
        order = {name: place for place, name in enumerate(covariance_types)}
        jobs = sorted(self._results, key=lambda j: (order[j.covariance_type], j.n_components))
        return self._candidates(jobs, True)

    def _candidates(self, jobs, measured):
        if measured:
            self._measure([job for job in jobs if job not in self._scores])
        return [self._candidate(job) for job in jobs]

    def _measure(self, jobs):
        """Silhouettes of several, all in one look at the pairs."""
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
    """Says when a search has gone on for long enough without a better candidate."""

    def __init__(self, criterion):
        self._criterion = criterion
        self._lowest = np.inf
        self._waited = 0

    def after(self, candidates):
        """Whether to stop after those of one more K."""
        loss = min(c.loss(self._criterion) for c in candidates)
        better = loss < self._lowest
        self._lowest = min(loss, self._lowest)
        self._waited = 0 if better or not np.isfinite(self._lowest) else self._waited + 1
        return self._waited >= PATIENCE


def _reasons(candidates):
    """Why candidates could not be fitted, for a message."""
    failed = [c for c in candidates if c.failure is not None]
    if not failed:
        return ""
    told = "; ".join(f"{c}: {c.failure}" for c in failed[:MOST_REASONS])
    more = f"; and {len(failed) - MOST_REASONS} more" if len(failed) > MOST_REASONS else ""
    return f": {told}{more}"


class Silhouettes:
    """Silhouettes of models, on one sample of the data.

    Attributes
    ----------
    n_rows : int
        Size of the sample; 0 as long as nothing was measured.
    """

    def __init__(self, backend, rows, seed):
        self._how = backend, rows, seed
        self._sample = None

    @property
    def n_rows(self):
        return 0 if self._sample is None else len(self._sample.x)

    def of(self, models):
        """A list of float, all from one look at the pairs; NaN for K = 1."""
        scores = [float("nan")] * len(models)
        several = [i for i, params in enumerate(models) if params.n_components > 1]
        if self._how[1] == 0 or not several:
            return scores
        if self._sample is None:
            self._sample = criteria.SilhouetteSample(*self._how)
        labels = [self._sample.labels(models[i]) for i in several]
        for i, score in zip(several, self._sample.silhouettes(labels), strict=True):
            scores[i] = score
        return scores
