"""Components that die or collapse: made usable again while EM runs, and told of."""

import math

import numpy as np

from ..errors import FitError, some
from ..mixture.params import Params
from .regularisation import swamp_events

# A component responsible for less than this many average samples has died.
DEAD = 1e-6
# A singular covariance is given this share of the data's variance in each feature.
FLOOR = 1e-6
# It has recovered when its variances are this many times the floor.
RECOVERED = 100
# Rescues of dead components in one fit, for each component; then they are left as they are.
MAX_RESCUES = 3


class Rescue:
    """Keeps parameters valid when components die or collapse, and says so in `events`.

    A component that has collapsed keeps a floor under its variances until they are well above it
    on their own, or it would collapse again and again while the likelihood jumps.

    Parameters
    ----------
    survey : Survey
        Of the data.
    n_samples : int
    dtype : dtype
        Of the kernels.
    origin : (d,) float64 or None
        Kernels see x - origin.
    events : sequence of str
        What was said before.
    collapsed : ndarray of bool, optional
        For a fit that goes on: which covariances are held up.
    revivals : dict of int -> int, optional
        For a fit that goes on: how often each component was revived.
    """

    def __init__(
        self, survey, n_samples, dtype, origin, events=(), *, collapsed=None, revivals=None
    ):
        self.least = DEAD * survey.total_weight / n_samples
        self._eps = np.finfo(dtype).eps
        self._origin = 0.0 if origin is None else origin
        # for a constant feature: its rounding, or where it is zero something not zero
        rounding = np.maximum((1e-8 * survey.mean) ** 2, 1e-18 * max(survey.variance.max(), 1e-12))
        self.floor = np.maximum(FLOOR * survey.variance, rounding)
        self.events = list(events)
        self.revivals = dict(revivals or {})
        # (K,), for tied (1,)
        self.collapsed = np.zeros(1, bool) if collapsed is None else np.array(collapsed, bool)
        self.acted = False

    @classmethod
    def over(cls, backend, covariance_type, events=(), **more):
        """For a fit of that family to the data of a backend."""
        survey = backend.survey(covariance_type)
        return cls(survey, backend.n_samples, backend.dtype, backend.origin, events, **more)

    def dead(self, stats):
        """Which components are responsible for nothing, (K,) bool."""
        return stats.n_k < self.least

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite ends as a FitError
    def raise_singular(self, params, iteration):
        """`params` with singular covariances made regular."""
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
            covariances = family.raised(covariances, which, floor)
            raised = Params(params.weights, params.means, covariances, params.covariance_type)
            which = raised.factored[1]
            if not which.any():
                return raised
            floor = 10 * floor
        raise FitError(f"iteration {iteration}: a covariance is not finite; rescale the data")

    def _noise(self, params):
        """What is left of variances of zero when samples are rounded to the kernel's dtype.

        At a component's own place: samples far from it, an outlier, say nothing of its digits.
        """
        noise = (self._eps * (params.means - self._origin)) ** 2
        return noise.min(axis=0) if params.family.shared else noise

    @np.errstate(over="ignore")  # a variance without bound beside the floor is the widest
    def revive(self, params, dead, iteration):
        """`params` with each dead component given half of the heaviest one.

        The two halves part by one standard deviation along the feature in which the heaviest
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
            covariances = family.replaced(covariances, k, heavy)
            self.events.append(
                f"iteration {iteration}: component {k} died (no sample belonged to it); "
                f"it was given half of component {heavy}"
                + (", for the last time" if used + 1 == MAX_RESCUES else "")
            )
        return Params(weights, means, covariances, params.covariance_type)

    def _say_singular(self, params, singular, iteration):
        text = f"{_who(params, singular)} collapsed to a singular covariance; variances were raised"
        if not any(event.endswith(text) for event in self.events):
            self.events.append(f"iteration {iteration}: {text}")


def thin_events(params, survey, reg_covar):
    """Events for covariances that are reg_covar and little else, and for features it swamps."""
    varied = survey.variance > 1e3 * reg_covar
    varied[survey.constant_features] = False
    family, added = params.family, params.family.added(reg_covar)
    # given the other features: a component may be flat in a direction along no axis
    variances = family.conditional_variances(params.factor)
    thin = ((variances < 2 * added) & varied).any(axis=1)
    events = []
    if thin.any():
        events.append(
            f"{_who(params, thin)} {_COLLAPSED} reg_covar "
            "(repeated rows, linearly dependent features, too many components, or "
            "fewer samples than features)"
        )
    return events + swamp_events(reg_covar, survey)


def few_rows_events(params, stats, n_samples):
    """An event for covariances that are of no more rows than they have directions.

    Parameters
    ----------
    params : Params
    stats : Stats
        Of the data under `params`; a row is what weighs as much as the average one.
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
    found = ("at most " if many else "") + _counted(most, "row")
    if family.shared:
        than = f"it has directions ({found}, {_counted(k, 'mean')}, {_counted(d, 'direction')})"
    elif family.matrices:
        than = "their covariances have" if many else "its covariance has"
        than += f" directions ({found}, {_counted(d, 'direction')})"
    else:
        than = f"{'their' if many else 'its'} variance needs ({found}, 2 are the least)"
    verb = "are" if many else "is"
    return [f"{_who(params, few)} {verb} {_HELD} {than}; {_advice(family)}"]


def needed_rows_events(families, numbers, n_features, n_rows):
    """Events, one a family, for fits that need more rows than there are: before they begin.

    Parameters
    ----------
    families : sequence of Family
    numbers : sequence of int, ascending
        Of components.
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
            " and more" if k < numbers[-1] else ""
        )
        events.append(
            f"in {_counted(n_features, 'dimension')} the {family.name} {need} {least:,} rows or "
            f"more for {whose}, {_NEEDED} ({n_rows:,}); {_advice(family)}"
        )
    return events


# What `few_rows_events` and `needed_rows_events` always say.
_COLLAPSED = "collapsed: in some direction the variance is hardly more than"
_HELD, _NEEDED = "held by no more rows than", "more than the data has"


def is_unsound(event):
    """Whether an event tells that a likelihood means little: of too few rows, or collapsed."""
    return is_of_few_rows(event) or _COLLAPSED in event


def is_of_few_rows(event):
    """Whether an event is one of `few_rows_events`."""
    return _HELD in event


def is_of_needed_rows(event):
    """Whether an event is one of `needed_rows_events`."""
    return _NEEDED in event


def _advice(family):
    if family.matrices:
        return (
            'try covariance_type="diag" (--covariance diag), a larger reg_covar (--reg-covar), '
            "fewer features or fewer components"
        )
    return "try a larger reg_covar (--reg-covar) or fewer components"


def _counted(number, noun):
    text = f"{number:,.1f}".removesuffix(".0")
    return f"{text} {noun}" + ("" if text == "1" else "s")


def _who(params, which):
    """What to call the covariances that `which` marks."""
    if params.family.shared:
        return f"the {params.family.name} covariance"
    return some(np.flatnonzero(which), "component")
