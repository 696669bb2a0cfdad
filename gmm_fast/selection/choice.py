"""Choose the best candidate of a search, and say how clear the choice is."""

from dataclasses import dataclass, field

import numpy as np

from .. import fitting
from ..em import rescue
from ..em.loop import FitResult
from ..text import count
from . import criteria, crossval
from .criteria import HIGHER, in_words, label_of

# The choice is not clear below these margins. A difference of BIC below 10 is not "very strong"
# evidence (Kass & Raftery 1995, Bayes factors, JASA 90). Cross-validation has the standard error
# of the difference instead.
SLIGHT = {"bic": 10.0, "aic": 10.0, "icl": 10.0, "silhouette": 0.01}
# At least this share of the best value for cross-validation, where all folds may agree.
LEVEL_CV = 1e-9
# Losses that differ by a smaller share are level: rounding must not choose.
LEVEL = 1e-12
# What JSON, tables and reports tell of a candidate, and of a fit by itself.
ROW = (
    "n_components", "covariance_type", "log_likelihood", "n_parameters", "bic", "aic", "icl",
    "silhouette", "cv", "cv_se", "n_iter", "converged", "stop_reason", "rounded", "excess",
    "unsound", "effort", "moves", "events", "failure",
)  # fmt: skip
_OF_A_SEARCH = ("cv", "cv_se", "rounded", "excess", "unsound", "failure")
FIT = tuple(name for name in ROW if name not in _OF_A_SEARCH)
_OF_RESULT = {
    "log_likelihood", "n_iter", "converged", "stop_reason", "rounded", "excess", "effort", "moves",
    "events",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Candidate:
    """One fit of a search, or the reason why it failed.

    Attributes
    ----------
    n_components : int
    covariance_type : str
    result : FitResult or None
        None where the fit failed; so are the criteria.
    bic, aic, icl : float or None
        Lower is better.
    silhouette : float or None
        Higher is better; NaN for fewer than two clusters.
    held_out : crossval.HeldOut, optional
        The result of cross-validation.
    failure : str, optional
        Why the fit failed.
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
        """Mean log-likelihood of a held-out sample; higher is better."""
        return None if self.held_out is None else self.held_out.mean

    @property
    def cv_se(self):
        """Standard error of `cv`."""
        return None if self.held_out is None else self.held_out.standard_error

    def loss(self, criterion):
        """The criterion, with its sign such that lower is better; infinite where undefined."""
        value = getattr(self, criterion)
        if value is None or not np.isfinite(value):
            return np.inf
        return -value if criterion in HIGHER else value

    @property
    def unsound(self):
        """Why this fit cannot win a search, or None."""
        if self.result is None:
            return None
        return next((e for e in self.result.events if rescue.is_unsound(e)), None)

    def __str__(self):
        return f"K={self.n_components} {self.covariance_type}"


@dataclass(frozen=True, eq=False)
class SearchTable:
    """All candidates of a search, and the choice among them.

    Attributes
    ----------
    candidates : list of Candidate
        By family, then by K.
    criterion : str
    silhouette_rows : int
        Rows of the sample for silhouettes.
    folds : int, optional
        Folds of the cross-validation.
    stopped_at : int, optional
        The last K of a search that stopped early.
    """

    candidates: list
    criterion: str
    silhouette_rows: int
    folds: int | None = None
    stopped_at: int | None = None
    _ranked: list = field(init=False, repr=False)

    def __post_init__(self):
        object.__setattr__(self, "_ranked", _rank(self.candidates, self.criterion))

    @property
    def best(self):
        """The candidate with the lowest loss, the simplest of equals; None if none has a loss."""
        return self._ranked[0] if self._ranked else None

    @property
    def runner_up(self):
        """The candidate with the next lowest loss, or None."""
        return self._ranked[1] if len(self._ranked) > 1 else None

    @property
    def margin(self):
        """By how much the runner-up is worse, in units of the criterion; None without one."""
        if self.runner_up is None:
            return None
        best, other = (c.loss(self.criterion) for c in (self.best, self.runner_up))
        return max(0.0, float(other - best))

    @property
    def warnings(self):
        """What makes the choice doubtful, a list of str; doubts of the best fit come first."""
        of_best = [] if self.best.result is None else doubts(self.best.result)
        return [*of_best, *self._edge_warnings(), *self._margin_warnings()]

    def _edge_warnings(self):
        best = self.best.n_components
        tried = sorted({c.n_components for c in self.candidates})
        if len(tried) == 1:
            return
        # one component has no silhouette: 2 is no edge
        least = 2 if self.criterion == "silhouette" else 1
        if best == tried[0] > least:
            yield f"the best K, {best}, is the lowest that was tried; try lower ones"
        fitted = max(c.n_components for c in self._ranked)
        if best == fitted:
            what = "was tried; try higher ones" if fitted == tried[-1] else "could be fitted"
            yield f"the best K, {best}, is the highest that {what}"

    def _margin_warnings(self):
        margin, runner_up = self.margin, self.runner_up
        if margin is None:
            return
        if self.criterion == "cv":
            # between level mixtures the error, too, is rounding
            least = max(self._margin_error(), LEVEL_CV * abs(self.best.cv))
            what, unit = "its standard error", ""
        else:
            least = SLIGHT[self.criterion]
            what, unit = f"{least:g}", f" of {label_of(self.criterion)}"
        if margin < least:
            yield (
                f"the choice is not clear: the margin to the runner-up, {runner_up}, is "
                f"{in_words(self.criterion, margin)}{unit}, less than {what}"
                + (f" of {in_words('cv', least)}" if self.criterion == "cv" else "")
            )

    def _margin_error(self):
        """Standard error of the margin: the best two were measured on the same folds."""
        best, other = (np.array(c.held_out.folds) for c in (self.best, self.runner_up))
        return crossval.standard_error(best - other)


def doubts(result):
    """What makes a fit doubtful, a list of str.

    These are its events, except those of the data alone, and that it did not converge.

    Parameters
    ----------
    result : FitResult
    """
    found = [event for event in result.events if not fitting.is_of_data(event)]
    if result.stop_reason == "max_iter" and result.n_iter:  # max_iter=0 asks for the start alone
        found.append(not_converged(result.n_iter))
    return list(dict.fromkeys(found))


def not_converged(n_iter):
    """The warning that a fit reached the limit of `n_iter` iterations."""
    return f"EM did not converge in {count(n_iter, 'iteration')}; raise --max-iter or --tol"


def in_the_running(candidates, criterion):
    """Candidates that may win: those with a value, and only the sound ones if there are any."""
    valued = [c for c in candidates if np.isfinite(c.loss(criterion))]
    return [c for c in valued if c.unsound is None] or valued


def _rank(candidates, criterion):
    """Candidates with a loss, lowest first; those level with the best by number of parameters."""
    scored = [(c.loss(criterion), c) for c in in_the_running(candidates, criterion)]
    scored = sorted(scored, key=lambda s: s[0])
    if not scored:
        return []
    level = scored[0][0] + LEVEL * max(1.0, abs(scored[0][0]))
    first = [c for loss, c in scored if loss <= level]
    return sorted(first, key=lambda c: c.n_parameters) + [c for loss, c in scored if loss > level]


def candidate_row(candidate, names=ROW):
    """Facts of a candidate by name, JSON values; None, and no events, where the fit failed."""
    result = candidate.result
    row = {}
    for name in names:
        if name not in _OF_RESULT:
            row[name] = getattr(candidate, name)
        elif name == "events":
            row[name] = [] if result is None else list(result.events)
        else:
            row[name] = None if result is None else getattr(result, name)
    return row
