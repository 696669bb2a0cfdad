"""Finds the step to which each feature was rounded, and keeps components from shrinking below it.

Densities are unbounded on repeated values, so a component that shrinks onto some of them gains
likelihood without end. Data rounded to steps of h says nothing about anything narrower. The
resolution-aware likelihood

    l_H = sum_i w_i ln sum_k pi_k N(x_i; mu_k, Sigma_k) exp(-tr(inv(Sigma_k) H) / 2),
    H = diag(h_j^2 / 12),

is at most the likelihood of the cells that the data was rounded to (by Jensen's inequality for
values uniform in a cell: dequantisation, Theis, van den Oord & Bethge 2016, "A note on the
evaluation of generative models"), so nothing is gained below the resolution. EM for it is exact: it
adds a constant to the log density of each component, and H to each covariance, the reverse of
Sheppard's correction.
"""

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

from ..errors import DataError, number_list
from .params import Params

AUTO = "auto"
# Most values, from all over the data, that steps are found from, and most rows of them.
SKETCH_VALUES, SKETCH_ROWS = 2**17, 2**14
# How far from a whole number of steps a value may lie: as a share of a step for exact numbers and
# for those with floating-point rounding, and in units of that rounding.
EXACT, NEARLY, ROUNDINGS = 1e-6, 0.02, 8
# A step does not count below this many roundings of the numbers, or if this many fit in the range.
LEAST_ROUNDINGS, MOST_STEPS = 100, 1e9
# A grid coarser than this many roundings of float32 is real if the finer one is their noise.
CLEARLY = 1000
# Fewer distinct values form a grid by chance, unless each occurs this often on average.
FEW_VALUES, OFTEN = 4, 2
# Values on no grid that repeat this often on average are rounded, too: logarithms of counts are.
TIED = 4
# A grid with this share of the rows is the data's, even if others are on a finer grid or on none:
# heaped ages, imputed means. A grid twice as coarse has half of the rows by chance.
MOST, MOST_OF_TWICE = 0.4, 0.8
# At least this many values must share these rows: fewer may each deserve a component.
SHARING = 5
# Coarser grids that people round to, and how many of the most frequent values to try as origin.
COARSER, ANCHORS = (10, 5, 2), 8
# Rows off a grid but this near to it, in its steps, belong to narrow clusters around its values.
BESIDE, MOSTLY = 0.25, 0.75
# Rows that quickly show that a feature is on no grid, and how many of them may tie by chance.
FIRST_LOOK, TIES = 64, 3
# Rounds of Euclid's algorithm.
ROUNDS = 60
# A component is resolved if its variance in every direction is at least this, in units of H: a
# standard deviation of half a step.
RESOLVED = 3.0


def check_resolution(value):
    """Raise DataError unless `value` is "auto", None, or numbers, finite and not negative."""
    if value is None or (isinstance(value, str) and value == AUTO):
        return
    rule = "resolution must be 'auto', None, a number, or one number for each feature"
    if isinstance(value, str | bytes):
        raise DataError(f"{rule}, not {value!r}")
    try:
        steps = np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{rule}, not {value!r}") from None
    if steps.ndim > 1:
        raise DataError(f"{rule}, not an array of shape {steps.shape}")
    steps = np.atleast_1d(steps)
    wrong = steps[~(np.isfinite(steps) & (steps >= 0))]
    if len(wrong):
        raise DataError(
            f"resolution must be finite and at least 0, not {wrong[0]:g}; 0 means not rounded"
        )


def check_steps(value, backend):
    """Raise DataError if the number or the size of given steps does not fit the data."""
    if value is None or isinstance(value, str):
        return
    d, survey = backend.n_features, backend.survey()
    if np.ndim(value) and len(value) != d:
        raise DataError(
            f"resolution has {len(value)} values for the {d} feature{'s' * (d > 1)} of "
            f"{backend.name}; give one number for all of them, or one for each"
        )
    steps = np.broadcast_to(np.asarray(value, np.float64), d)
    # two values, each of half the rows, are two standard deviations apart
    wide = steps > 4 * np.sqrt(survey.variance)
    wide[survey.constant_features] = False
    if wide.any():
        j = int(np.flatnonzero(wide)[0])
        raise DataError(
            f"resolution: a step of {steps[j]:g} is larger than feature {j} (counting from 0) "
            f"spreads (its standard deviation is {np.sqrt(survey.variance[j]):.3g}); give the step "
            "to which its values were rounded"
        )


def steps_for(value, backend):
    """The step of each feature, (d,) with 0 for none, or None if no feature has one.

    Parameters
    ----------
    value : "auto", None, float or (d,) array
    backend : Backend
    """
    if value is None:
        return None
    if isinstance(value, str):
        steps = backend.steps
    elif np.ndim(value):
        steps = value
    else:
        steps = np.full(backend.n_features, float(value))
        steps[backend.survey().constant_features] = 0.0
    return steps if steps.any() else None


def rounding_of(steps):
    """Variance that rounding to `steps` hides, h^2 / 12."""
    return steps**2 / 12


def find_steps(x, eps):
    """The step of each column's grid, (d,); 0 for a column on no grid.

    Parameters
    ----------
    x : (m, d) float64
        Rows from all over the data.
    eps : float
        Rounding of the type that the numbers were stored or are computed in.
    """
    x = np.asarray(x, np.float64)
    steps = np.zeros(x.shape[1])
    single = float(np.finfo(np.float32).eps)
    if len(x) < 2:
        return steps
    few = np.sort(x[:: max(1, len(x) // FIRST_LOOK)][:FIRST_LOOK], axis=0)
    for j in np.flatnonzero(_may_be_grids(few, eps)):
        steps[j] = _step(x[:, j], eps)
        # 5.2000001 was float32 once: its last digits are no grid
        noise = single * np.abs(x[:, j]).max()
        if 0 < steps[j] < noise and (coarser := _step(x[:, j], single)) > CLEARLY * noise:
            steps[j] = coarser
    return steps


def _may_be_grids(ordered, eps):
    """Which columns of a few sorted values, (m, d), may be rounded: on a grid, or tied."""
    gaps = np.diff(ordered, axis=0)
    scale, noise = _scale(ordered, eps)
    apart = gaps > noise
    tie = (~apart).sum(axis=0) > TIES
    _, ok = _euclid(np.where(apart, gaps, 0.0), noise)
    # a column of one value here may have others elsewhere
    return (ok | tie) & (scale > 0) | ~apart.any(axis=0)


def _scale(values, eps):
    """Largest magnitude of each column, and the rounding of numbers that large."""
    scale = np.abs(values).max(axis=0)
    return scale, eps * scale


def _euclid(gaps, noise):
    """The largest step that divides all gaps of each column, and whether there is one.

    `gaps`, (m, d), are 0 where they do not count. Euclid's algorithm on real numbers: the remainder
    of a gap after whole steps is the next, smaller step.
    """
    with np.errstate(all="ignore"):
        step = np.where(gaps > 0, gaps, np.inf).min(axis=0)
        total = gaps.sum(axis=0)
        found = np.zeros(len(step), bool)
        alive = np.isfinite(step)
        for _ in range(ROUNDS):
            count = np.round(gaps / step)
            # many steps together give more digits than the smallest gap
            better = total / count.sum(axis=0)
            inexact = np.minimum(ROUNDINGS * noise, NEARLY * step)
            allowed = np.maximum(EXACT * step, inexact)
            done = alive & ~(np.abs(gaps - count * better) > allowed).any(axis=0)
            step = np.where(done, better, step)
            found |= done
            alive &= ~done
            if not alive.any():
                break
            left = np.abs(gaps - count * step)
            off = left > allowed
            alive &= off.any(axis=0)
            smaller = np.where(off, left, np.inf).min(axis=0)
            step = np.where(alive, smaller, step)
            alive &= (step > LEAST_ROUNDINGS * noise) & (total < MOST_STEPS * step)
        exact = step * MOST_STEPS > total
        return step, found & exact


def _step(column, eps):
    """The step of one column, or 0."""
    values, counts = np.unique(column, return_counts=True)
    _, noise = _scale(values, eps)
    gaps = np.diff(values)
    if len(gaps) and gaps.min() <= noise:  # the same number, computed in several ways
        first = np.append(True, gaps > noise)
        starts = np.flatnonzero(first)
        ends = np.append(starts[1:], len(values)) - 1
        if (values[ends] - values[starts]).max() > 2 * noise:
            return 0.0  # neighbours all the way: the type has no digits for a step
        counts = np.add.reduceat(counts, starts)
        values = values[first]
        gaps = np.diff(values)
    distinct, rows = len(values), len(column)
    if distinct < 2 or (distinct < FEW_VALUES and rows < OFTEN * distinct):
        return 0.0
    step, is_grid = _euclid(gaps[:, None], noise)
    step = step[0] if is_grid[0] else 0.0
    if most := _step_of_most(values, counts, step, noise):
        return most
    if step:
        # the mean of many steps has more digits than the smallest gap
        return float((values[-1] - values[0]) / np.round((values[-1] - values[0]) / step))
    if distinct * TIED > rows:
        return 0.0
    nearest = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))
    order = np.argsort(nearest)
    passed = np.cumsum(counts[order])
    return float(nearest[order][np.searchsorted(passed, 0.5 * passed[-1])])


def _step_of_most(values, counts, step, noise):
    """The step of the coarsest grid that holds most rows, if it is coarser than `step`, else 0.

    This finds heaped values, such as ages that half of the people give in fives, and grids where
    some values are exact or imputed.

    Parameters
    ----------
    values : (m,) array
        Distinct values, ascending.
    counts : (m,) array
        Rows with each value.
    step : float
        Step of the grid that holds all values, or 0.
    noise : float
        Rounding of the numbers.
    """
    often = counts > 1
    tied, rows = values[often], counts.sum()
    if len(tied) <= SHARING or counts[often].sum() < MOST * rows:
        return 0.0
    gaps = np.diff(tied)
    _, first, times = np.unique(
        np.round(np.log(gaps) / EXACT**0.5), return_index=True, return_counts=True
    )
    usual = gaps[first[np.argmax(times)]]
    counts = counts[often]
    found = 0.0
    if usual > 1.5 * step and _is_of_most(tied, counts, rows, usual, step, noise):
        found = step = usual
    if step:
        on = _on_grid(tied, counts, step, step, noise)
        tied, counts, rows = tied[on], counts[on], counts[on].sum()
    for many in COARSER if step else ():
        if _is_of_most(tied, counts, rows, step * many, step, noise):
            return float(step * many)
    return float(found)


def _on_grid(tied, counts, coarse, step, noise):
    """Which values are on the grid of step `coarse`, with the origin that gives it most rows."""
    allowed = max(0.25 * step if step < coarse else NEARLY * coarse, ROUNDINGS * noise)
    anchors = tied[np.argsort(-counts, kind="stable")[:ANCHORS], None]
    apart = (tied - anchors) / coarse
    on = np.abs(apart - np.round(apart)) * coarse <= allowed
    return on[np.argmax(on @ counts)]


def _is_of_most(tied, counts, rows, coarse, step, noise):
    """Whether most rows are on a grid of step `coarse`, other than by chance."""
    if coarse < LEAST_ROUNDINGS * noise:
        return False
    on = _on_grid(tied, counts, coarse, step, noise)
    here = counts[on] / rows
    if here.sum() < (MOST if coarse > 2.5 * step else MOST_OF_TWICE):
        return False
    if here.sum() ** 2 < SHARING * (here**2).sum():  # few values have most of them
        return False
    apart = (tied - tied[on][0]) / coarse
    beside = counts[~on & (np.abs(apart - np.round(apart)) <= BESIDE)]
    return len(beside) < SHARING or beside.sum() < MOSTLY * counts[~on].sum()


def narrowness(params, rounding):
    """How narrow covariances are compared with the rounding, (K,), or (1,) for a tied one.

    The largest eigenvalue of H^1/2 inv(Sigma) H^1/2: the inverse of the least variance in any
    direction, in units of H.
    """
    family = params.family
    factor, singular = params.factored
    if not family.matrices:
        found = (factor.reshape(len(factor), -1) ** 2 * rounding).max(axis=1)
    else:
        rounded = np.flatnonzero(rounding)
        factor = factor.reshape(-1, *factor.shape[-2:])[:, :, rounded]
        found = np.linalg.norm(factor * np.sqrt(rounding[rounded]), 2, axis=(1, 2)) ** 2
    return np.where(singular, np.inf, found)


def narrow(params, rounding):
    """Which covariances are narrower than the data resolves, (K,) or (1,) bool."""
    return RESOLVED * narrowness(params, rounding) > 1


def resolves(params, rounding):
    """Whether no covariance is narrower than the data resolves; True without rounding."""
    return rounding is None or not narrow(params, rounding).any()


def widen(params, rounding):
    """A start with the rounding added to narrower covariances, as in a rounding-aware M-step."""
    less = narrowness(params, rounding) > 1
    if not less.any():
        return params
    family = params.family
    covariances = family.raise_variances(params.covariances, less, rounding)
    return Params(params.weights, params.means, covariances, family.name)


def penalties(factor, rounding, family):
    """tr(inv(Sigma_k) H) / 2 of each component, (K,), or of the shared covariance, (1,).

    `factor` comes from the family's `inverse_cholesky`.
    """
    if not family.matrices:
        return 0.5 * (factor.reshape(len(factor), -1) ** 2 * rounding).sum(axis=1)
    return 0.5 * (factor.reshape(-1, *factor.shape[-2:]) ** 2 @ rounding).sum(axis=1)


def rounded_event(params, steps):
    """The event of a fit that took the rounding into account."""
    which = narrow(params, rounding_of(steps))
    if params.family.shared:
        who = f"the {params.family.name} covariance"
    elif which.any():
        who = number_list(np.flatnonzero(which), "component")
    else:
        who = "some components"
    return (
        f"{who} {_NARROWER}, {steps_text(steps)}: the fit takes the rounding into account, so that "
        "nothing is gained below it (resolution)"
    )


def steps_text(steps):
    """The smallest and the largest step as text."""
    steps = np.asarray(steps)
    known = np.unique(steps[steps > 0])
    return f"{known[0]:g}" + (f" to {known[-1]:g}" if len(known) > 1 else "")


_NARROWER = "would be narrower than the data's rounding"


def excess(backend, params, steps):
    """Share of the samples whose density claims more than one sample in a cell of the grid.

    This is the density over the rounded features. A model of the cells cannot exceed
    f(x) prod h_j = 1. Sound models do so only where most rows share one value in several features
    of few values: then a component is as wide as a cell, and its peak is above 1.

    Parameters
    ----------
    backend : Backend
    params : Params
    steps : (d,) array
        Step of each feature, 0 for one that was not rounded.
    """
    rounded = np.flatnonzero(steps)
    covariances = params.family.full(params)[:, rounded[:, None], rounded]
    log_cell = np.log(steps[rounded]).sum()
    lower = np.linalg.cholesky(covariances)
    log_det_half = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    with np.errstate(divide="ignore"):
        peaks = np.log(params.weights) - log_det_half - 0.5 * len(rounded) * np.log(2 * np.pi)
    if logsumexp(peaks) + log_cell <= 0:  # not even if all peaks coincide
        return 0.0
    found = total = 0.0
    parts = list(zip(peaks, params.means[:, rounded], lower, strict=True))
    for start, x in backend.data_chunks():
        rows = slice(start, start + len(x))
        weights = np.ones(len(x)) if backend.weights is None else backend.weights[rows]
        logs = np.empty((len(parts), len(x)))
        for k, (peak, mean, factor) in enumerate(parts):
            z = solve_triangular(factor, (x[:, rounded] - mean).T, lower=True)
            logs[k] = peak - 0.5 * (z**2).sum(axis=0)
        found += weights @ (logsumexp(logs, axis=0) + log_cell > EXACT)
        total += weights.sum()
    return float(found / total)
