"""Model choice: K x family, one table, one best."""

from dataclasses import dataclass

import numpy as np

from . import checks, criteria, fitting, init, seeding
from .criteria import CRITERIA
from .em import FitResult
from .errors import DataError, FitError
from .families import get_family


@dataclass(frozen=True, eq=False)
class Candidate:
    """One fit of a search.

    Attributes
    ----------
    result : FitResult
    bic, aic, icl : float
        Lower is better.
    silhouette : float
        Higher is better; NaN when there are not at least two clusters.
    """

    result: FitResult
    bic: float
    aic: float
    icl: float
    silhouette: float

    @classmethod
    def of(cls, result, silhouette):
        return cls(
            result, criteria.bic(result), criteria.aic(result), criteria.icl(result), silhouette
        )

    @property
    def n_components(self):
        return self.result.params.n_components

    @property
    def n_parameters(self):
        return criteria.n_parameters(self.result.params)

    @property
    def covariance_type(self):
        return self.result.params.covariance_type

    def loss(self, criterion):
        """The criterion, turned so that lower is better; infinite where it is undefined."""
        value = getattr(self, criterion)
        value = -value if criterion == "silhouette" else value
        return value if np.isfinite(value) else np.inf


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
    """

    candidates: list
    criterion: str
    silhouette_rows: int

    @property
    def best(self):
        """The candidate of the lowest loss, the first of equals."""
        return min(self.candidates, key=lambda c: c.loss(self.criterion))


def candidate_row(candidate):
    """A candidate as one row of a table, JSON values."""
    result = candidate.result
    return {
        "n_components": candidate.n_components,
        "covariance_type": candidate.covariance_type,
        "log_likelihood": result.log_likelihood,
        "n_parameters": candidate.n_parameters,
        "bic": candidate.bic,
        "aic": candidate.aic,
        "icl": candidate.icl,
        "silhouette": candidate.silhouette,
        "n_iter": result.n_iter,
        "converged": result.converged,
        "stop_reason": result.stop_reason,
        "events": list(result.events),
    }


def check_search(
    lo, hi, covariance_types, criterion, n_samples=None, *, silhouette_rows=criteria.SILHOUETTE_ROWS
):
    """Raise DataError when a search of that call cannot work."""
    checks.integer("the lowest number of components", lo, 1)
    checks.integer("the highest number of components", hi, 1)
    if lo > hi:
        raise DataError(f"nothing to search: the lowest K, {lo}, is above the highest, {hi}")
    checks.integer("silhouette_rows", silhouette_rows, 0)
    if not covariance_types:
        raise DataError("name at least one covariance family")
    for name in covariance_types:
        get_family(name)
    if not isinstance(criterion, str) or criterion not in CRITERIA:
        raise DataError(f"unknown criterion {criterion!r}; choose from {', '.join(CRITERIA)}")
    if criterion == "silhouette" and hi == 1:
        raise DataError("the silhouette is not defined for K = 1; search from 2, or use bic")
    if criterion == "silhouette" and silhouette_rows == 0:
        raise DataError("criterion silhouette needs silhouette_rows above 0")
    if n_samples is not None and hi > n_samples:
        raise DataError(f"{n_samples} samples are fewer than {hi} components; lower the highest K")


def search(
    backend,
    lo,
    hi,
    covariance_types,
    criterion,
    start,
    settings,
    *,
    silhouette_rows=criteria.SILHOUETTE_ROWS,
    callback=None,
    progress=None,
    keeper=None,
):
    """Fit every K in lo..hi with every family.

    Parameters
    ----------
    backend : Backend
    lo, hi : int
    covariance_types : sequence of str
    criterion : str
        One of `CRITERIA`.
    start : init.Start
        The same for every candidate.
    settings : em.Settings
    silhouette_rows : int
        Rows of the sample for silhouettes; 0 for none.
    callback : callable, optional
        As for `em.fit`.
    progress : callable, optional
        Called as progress(done, total, n_components, covariance_type) before each fit.
    keeper : checkpoint.Keeper, optional
        As for `fitting.fit`.

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
    check_search(
        lo, hi, covariance_types, criterion, backend.n_samples, silhouette_rows=silhouette_rows
    )
    jobs = [(name, k) for name in dict.fromkeys(covariance_types) for k in range(lo, hi + 1)]
    sample = seeding.draw_sample(backend, init.sample_rows(hi, backend.n_features), start.seed)
    results = []
    for done, (name, k) in enumerate(jobs):
        if progress is not None:
            progress(done, len(jobs), k, name)
        results.append(
            fitting.fit(
                backend,
                k,
                name,
                start,
                settings,
                sample=sample,
                callback=callback,
                keeper=keeper,
            )
        )
    scores, rows = silhouettes_of(backend, [r.params for r in results], silhouette_rows, start.seed)
    candidates = [Candidate.of(r, s) for r, s in zip(results, scores, strict=True)]
    table = SearchTable(candidates, criterion, rows)
    if not np.isfinite(table.best.loss(criterion)):
        raise FitError(f"no candidate has a {criterion}")
    return table


def silhouettes_of(backend, models, rows, seed):
    """Silhouettes of the labels of models, all in one look at the pairs.

    Returns
    -------
    scores : list of float
        NaN for K = 1.
    n_rows : int
        Size of the sample; 0 when nothing was measured.
    """
    scores = [float("nan")] * len(models)
    several = [i for i, params in enumerate(models) if params.n_components > 1]
    if rows == 0 or not several:
        return scores, 0
    sample = criteria.SilhouetteSample(backend, rows, seed)
    found = sample.silhouettes([sample.labels(models[i]) for i in several])
    for i, score in zip(several, found, strict=True):
        scores[i] = score
    return scores, len(sample.x)
