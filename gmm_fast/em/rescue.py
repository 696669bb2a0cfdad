"""Rescues components that die or collapse while EM runs, and reports them as events."""

import math

import numpy as np

from ..errors import FitError, number_list
from ..mixture.params import Params
from .regularisation import swamp_events

# A component responsible for fewer average samples than this is dead.
DEAD = 1e-6
# A singular covariance gets this share of the data's variance in each feature.
FLOOR = 1e-6
# It has recovered once its variances are this many times the floor.
RECOVERED = 100
# How often one fit revives a dead component; after that the component stays dead.
MAX_RESCUES = 3


class Rescue:
    """Keeps parameters valid when components die or collapse, and reports it in `events`.

    A collapsed component keeps a floor under its variances until they are well above it on their
    own. Otherwise it would collapse again and again, and the likelihood would jump.

    Parameters
    ----------
    survey : Survey
        Survey of the data.
    n_samples : int
    dtype : dtype
        Type that the kernels compute in.
    origin : (d,) float64 or None
        Kernels see x - origin.
    events : sequence of str
        Earlier events.
    collapsed : ndarray of bool, optional
        For a resumed fit: which covariances keep a floor.
    revivals : dict of int -> int, optional
        For a resumed fit: how often each component was revived.
    """

    def __init__(
        self, survey, n_samples, dtype, origin, events=(), *, collapsed=None, revivals=None
    ):
        self.least = DEAD * survey.total_weight / n_samples
        self._eps = np.finfo(dtype).eps
        self._origin = 0.0 if origin is None else origin
        # for a constant feature: its rounding, or something positive if it is zero
        rounding = np.maximum((1e-8 * survey.mean) ** 2, 1e-18 * max(survey.variance.max(), 1e-12))
        self.floor = np.maximum(FLOOR * survey.variance, rounding)
        self.events = list(events)
        self.revivals = dict(revivals or {})
        # (K,), for tied (1,)
        self.collapsed = np.zeros(1, bool) if collapsed is None else np.array(collapsed, bool)
        self.acted = False

    @classmethod
    def over(cls, backend, covariance_type, events=(), **more):
        """A rescue for a fit of that family to the data of a backend."""
        survey = backend.survey(covariance_type)
        return cls(survey, backend.n_samples, backend.dtype, backend.origin, events, **more)

    def dead(self, stats):
        """Which components are responsible for no sample, (K,) bool."""
        return stats.n_k < self.least

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite ends as a FitError
    def raise_singular(self, params, iteration):
        """`params` with the variances of singular covariances raised."""
        family = params.family
        factor, singular = params.factored
        variances = family.conditional_variances(factor)
        thin = (variances <= self._noise(params)).any(axis=1)
        before, self.collapsed = self.collapsed, singular | thin
        if before.any():
            self.collapsed |= before & (variances < RECOVERED * self.floor).any(axis=1)
        self.acted = bool(self.collapsed.any())
        if not self.acted:
            return params
        if (self.collapsed & ~before).any():
            self._say_singular(params, self.collapsed & ~before, iteration)
        which, floor = self.collapsed, self.floor
        covariances = params.covariances
        for _ in range(100):
            covariances = family.raise_variances(covariances, which, floor)
            raised = Params(params.weights, params.means, covariances, params.covariance_type)
            which = raised.factored[1]
            if not which.any():
                return raised
            floor = 10 * floor
        raise FitError(f"iteration {iteration}: a covariance is not finite; rescale the data")

    def _noise(self, params):
        """Variance that rounding to the kernel's dtype makes of a variance of zero.

        It is that at the component's mean: a distant outlier says nothing about its digits.
        """
        noise = (self._eps * (params.means - self._origin)) ** 2
        return noise.min(axis=0) if params.family.shared else noise

    @np.errstate(over="ignore")  # a variance that overflows relative to the floor is the widest
    def revive(self, params, dead, iteration):
        """`params` in which each dead component takes over half of the heaviest one.

        The two halves are one standard deviation apart along the feature in which the heaviest
        component is widest (relative to the data).
        """
        family = params.family
        weights, means = params.weights.copy(), params.means.copy()
        covariances = params.covariances
        for k in np.flatnonzero(dead).tolist():
            used = self.revivals.get(k, 0)
            if used >= MAX_RESCUES:
                continue
            self.revivals[k] = used + 1
            heavy = int(np.argmax(weights))
            variances = family.component_variances(
                Params(weights, means, covariances, params.covariance_type)
            )[heavy]
            widest = int(np.argmax(variances / self.floor))
            offset = np.zeros_like(self.floor)
            self.acted = True
            offset[widest] = 0.5 * math.sqrt(variances[widest])
            means[k] = means[heavy] + offset
            means[heavy] = means[heavy] - offset
            weights[k] = weights[heavy] = 0.5 * weights[heavy]
            covariances = family.copy_covariance(covariances, k, heavy)
            self.events.append(
                f"iteration {iteration}: component {k} died (no sample belonged to it); "
                f"it was given half of component {heavy}"
                + (", for the last time" if used + 1 == MAX_RESCUES else "")
            )
        return Params(weights, means, covariances, params.covariance_type)

    def _say_singular(self, params, singular, iteration):
        which = _names(params, singular)
        text = f"{which} collapsed to a singular covariance; variances were raised"
        if not any(event.endswith(text) for event in self.events):
            self.events.append(f"iteration {iteration}: {text}")


def thin_events(params, survey, reg_covar):
    """Events for covariances that are hardly more than reg_covar, and for features it swamps."""
    varied = survey.variance > 1e3 * reg_covar
    varied[survey.constant_features] = False
    family, added = params.family, params.family.added(reg_covar)
    # given the other features: a component may be flat along no axis
    variances = family.conditional_variances(params.factor)
    thin = ((variances < 2 * added) & varied).any(axis=1)
    events = []
    if thin.any():
        events.append(
            f"{_names(params, thin)} {_COLLAPSED} reg_covar "
            "(repeated rows, linearly dependent features, too many components, or "
            "fewer samples than features)"
        )
    return events + swamp_events(reg_covar, survey)


def few_rows_events(params, stats, n_samples):
    """An event for covariances with no more rows than directions.

    Parameters
    ----------
    params : Params
    stats : Stats
        Statistics of the data under `params`; rows are counted by weight, 1 on average.
    n_samples : int
    """
    k, d = params.n_components, params.n_features
    family = params.family
    rows = stats.n_k * (n_samples / stats.total_weight)
    few = family.undecided(rows, d)
    if not few.any():
        return []
    many = few.sum() > 1
    most = rows.sum() if family.shared else rows[few].max()
    found = ("at most " if many else "") + _count(most, "row")
    if family.shared:
        than = f"it has directions ({found}, {_count(k, 'mean')}, {_count(d, 'direction')})"
    elif family.matrices:
        than = "their covariances have" if many else "its covariance has"
        than += f" directions ({found}, {_count(d, 'direction')})"
    else:
        than = f"{'their means need' if many else 'its mean needs'} ({found}; a variance needs 2)"
    verb = "have" if many else "has"
    return [f"{_names(params, few)} {verb} {_FEW_ROWS} {than}; {_advice(family)}"]


def needed_rows_events(families, numbers, n_features, n_rows):
    """Events, one per family, for planned fits that need more rows than there are.

    Parameters
    ----------
    families : sequence of Family
    numbers : sequence of int, ascending
        Numbers of components.
    n_features, n_rows : int
    """
    events = []
    for family in families:
        k = next((k for k in numbers if family.least_rows(k, n_features) > n_rows), None)
        if k is None:
            continue
        least, one = family.least_rows(k, n_features), k == 1 or family.shared
        need = "covariance needs" if one else "covariances need"
        whose = ("1 component" if k == 1 else f"{k:,} components") + (
            " or more" if k < numbers[-1] else ""
        )
        events.append(
            f"in {_count(n_features, 'dimension')} the {family.name} {need} at least {least:,} "
            f"rows for {whose}, {_NEEDED} ({n_rows:,}); {_advice(family)}"
        )
    return events


# Text by which the events of `thin_events`, `few_rows_events` and `needed_rows_events` are known.
_COLLAPSED = "collapsed: in some direction the variance is hardly more than"
_FEW_ROWS, _NEEDED = "no more rows than", "more than the data has"


def is_unsound(event):
    """Whether an event makes the likelihood doubtful: too few rows, or a collapsed component."""
    return is_of_few_rows(event) or _COLLAPSED in event


def is_of_few_rows(event):
    """Whether an event comes from `few_rows_events`."""
    return _FEW_ROWS in event


def is_of_needed_rows(event):
    """Whether an event comes from `needed_rows_events`."""
    return _NEEDED in event


def _advice(family):
    if family.matrices:
        return (
            'try covariance_type="diag" (--covariance diag), a larger reg_covar (--reg-covar), '
            "fewer features or fewer components"
        )
    return "try a larger reg_covar (--reg-covar) or fewer components"


def _count(number, noun):
    text = f"{number:,.1f}".removesuffix(".0")
    return f"{text} {noun}" + ("" if text == "1" else "s")


def _names(params, which):
    """The names of the covariances that `which` marks."""
    if params.family.shared:
        return f"the {params.family.name} covariance"
    return number_list(np.flatnonzero(which), "component")
