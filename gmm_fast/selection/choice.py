"""Candidates of a search, which of them is the best, and how sure that is."""

from dataclasses import dataclass, field

import numpy as np

from .. import fitting
from ..em import rescue
from ..em.loop import FitResult
from . import criteria, crossval
from .criteria import HIGHER, in_words, named

# A margin below which the choice is not clear. Of BIC: less than 10 is no "very strong" evidence
# (Kass & Raftery 1995, Bayes factors, JASA 90). For cross-validation it is the standard error of
# the difference.
SLIGHT = {"bic": 10.0, "aic": 10.0, "icl": 10.0, "silhouette": 0.01}
# The same of cross-validation, where all folds agree.
LEVEL_CV = 1e-9
# Losses that are apart by less than this share are level: rounding does not choose.
LEVEL = 1e-12


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

    @property
    def unsound(self):
        """Why it cannot win a search although it was fitted, or None."""
        if self.result is None:
            return None
        return next((e for e in self.result.events if rescue.is_unsound(e)), None)

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
        """What makes the choice doubtful, of the best fit itself first; a list of str."""
        of_the_best = [] if self.best.result is None else doubts(self.best.result)
        return [*of_the_best, *self._at_the_edge(), *self._slight()]

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
            # of mixtures that are level the error is rounding, too
            least = max(self._error_of_the_margin(), LEVEL_CV * abs(self.best.cv))
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


def doubts(result):
    """What makes a fit doubtful, a list of str.

    Its events, as they are, but those of the data alone; and that it did not converge.

    Parameters
    ----------
    result : FitResult
    """
    found = [event for event in result.events if not fitting.is_of_data(event)]
    if result.stop_reason == "max_iter" and result.n_iter:  # of a start alone nobody asked for more
        found.append(not_converged(result.n_iter))
    return list(dict.fromkeys(found))


def not_converged(n_iter):
    """The warning that a fit ended at the limit of `n_iter` iterations."""
    many = "1 iteration" if n_iter == 1 else f"{n_iter:,} iterations"
    return f"EM did not converge in {many}; raise --max-iter or --tol"


def in_the_running(candidates, criterion):
    """Candidates that may win: those that have a value, and are sound, if any of them is."""
    valued = [c for c in candidates if np.isfinite(c.loss(criterion))]
    return [c for c in valued if c.unsound is None] or valued


def _ranked(candidates, criterion):
    """Candidates that have a loss, the lowest first; of those that are level the simplest first."""
    scored = [(c.loss(criterion), c) for c in in_the_running(candidates, criterion)]
    scored = sorted(scored, key=lambda s: s[0])
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
        "rounded": None if result is None else result.rounded,
        "excess": None if result is None else result.excess,
        "unsound": candidate.unsound,
        "effort": None if result is None else result.effort,
        "moves": None if result is None else result.moves,
        "events": [] if result is None else list(result.events),
        "failure": candidate.failure,
    }
