"""The public functions that draw models with data, fits and searches."""

import math

import numpy as np

from .. import checks
from ..errors import DataError
from ..names import CRITERIA
from ..selection import criteria as measures
from ..selection.criteria import HIGHER
from ..sources import axis_labels
from ..text import count
from .canvas import check_matplotlib
from .cloud import ROWS
from .composition import LEVELS, axes_of, draw_clusters, draw_silhouette, draw_uncertainty
from .drawing import MARKERS, colours_of, describe, line_colour, name_axes, tidy
from .views import VIEWS, check_several, plane_of, view_of

STYLES = ("auto", "points", "density")


def clusters(
    model,
    X,
    *,
    features=None,
    view="auto",
    style="auto",
    rows=ROWS,
    seed=0,
    levels=LEVELS,
    title=None,
    ax=None,
):
    """Draw rows in the colours of their components, and the components themselves.

    One feature: a histogram, the components' densities (lines) and the mixture's (dashed). Two: a
    scatter plot with the covariance ellipses. Three to five: all pairs of them. More: the two
    discriminant directions, which separate the components best (see
    `projection.discriminant_view`). Rows with an uncertain component are faint; numbers mark the
    means. The axes ignore a few rows far off all others; the caption counts those outside.

    Parameters
    ----------
    model : GaussianMixture
        Fitted.
    X : (n, d) array-like, table, path, or what `open_source` returns
        Data with the features of the fit.
    features : list of str or int, optional
        Draw these features: names, or numbers from 0; at most five.
    view : {'auto', 'pairs', 'projection'}
        'pairs' draws pairs of the five features that tell components apart best, even if there are
        more; 'projection' draws discriminant directions, even if there are fewer.
    style : {'auto', 'points', 'density'}
        'points' draws a sample of `rows` rows, 'density' shades by the number of rows, in a pass
        over all data; 'auto' is 'points' for at most `rows` rows.
    rows : int
        Limit on the rows drawn as points.
    seed : int
        Seed of the sample.
    levels : sequence of float
        Draw ellipses at these standard deviations. The ellipse at r holds 1 - exp(-r^2 / 2) of a
        component's samples.
    title : str, optional
    ax : Axes, or (m, m) array of Axes for pairs of m features, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    Axes, or (m, m) array of Axes

    Raises
    ------
    DataError
        A ValueError: a parameter is wrong, the data does not match the model, or matplotlib is
        missing.
    """
    check_matplotlib()
    check_choices(view, style, rows, seed, levels)
    params, source, names, labels = _open(model, X)
    chosen = view_of(params, names, features, view, labels)  # checked before the data is read
    options = {"style": style, "rows": rows, "seed": seed, "levels": levels, "title": title}
    return draw_clusters(model._backend(source), params, chosen, **options, ax=ax)[0]


def uncertainty(model, X, *, features=None, rows=ROWS, seed=0, title=None, ax=None):
    """Draw how uncertain the components of rows are: one minus the largest responsibility.

    It is drawn over one or two features, or over the discriminant directions of more than two.
    Uncertain rows are dark and large.

    Parameters
    ----------
    model, X, rows, seed, title
        As for `clusters`.
    features : list of str or int, optional
        Draw over these features, one or two.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        As `clusters`.
    """
    check_matplotlib()
    check_choices("auto", "auto", rows, seed, LEVELS)
    params, source, names, labels = _open(model, X)
    view = plane_of(params, names, features, labels)  # checked before the data is read
    options = {"rows": rows, "seed": seed, "title": title}
    return draw_uncertainty(model._backend(source), params, view, **options, ax=ax)[0]


def silhouette(model, X, *, rows=measures.SILHOUETTE_ROWS, seed=0, title=None, ax=None):
    """Draw the silhouettes of rows, component by component, and their mean.

    A silhouette compares the mean distances to the rows of the nearest other component, b, and to
    the other rows of its own, a: (b - a) / max(a, b), from -1 to 1 (Rousseeuw 1987).

    Parameters
    ----------
    model, X, title
        As for `clusters`.
    rows : int
        Limit on the rows of the sample. Fits and searches with the same size and seed measure the
        same sample.
    seed : int
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        As `clusters`; fewer than two components have rows.
    """
    check_matplotlib()
    check_choices("auto", "auto", rows, seed, LEVELS)
    params, source, *_ = _open(model, X)
    check_several(params)
    options = {"rows": rows, "seed": seed, "title": title}
    return draw_silhouette(model._backend(source), params, **options, ax=ax)[0]


def loglik(model, *, title=None, ax=None):
    """Draw the log-likelihood after each iteration of a fit.

    Parameters
    ----------
    model : GaussianMixture, FitResult or sequence of float
        A fitted model (the mean of a sample is drawn), or the values themselves.
    title : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        A ValueError: the model does not know its iterations, or matplotlib is missing.
    """
    check_matplotlib()
    values, of, end = _trace(model)
    if len(values) == 0 or not np.isfinite(values).all():
        raise DataError("the model holds no log-likelihoods of iterations; fit it to draw them")
    ax = axes_of(ax)
    many = len(values) > 40
    ax.plot(
        np.arange(len(values)),
        values,
        color=line_colour(0),
        marker=None if many else "o",
        markersize=4,
        linewidth=1.5,
    )
    tidy(ax)
    _integer_ticks(ax)
    name_axes(ax, "EM iteration (0: the start)", of)
    caption = f"{values[-1]:.6g} after {count(len(values) - 1, 'iteration')}{end}"
    describe(ax, title or "Log-likelihood", caption)
    return ax


def criteria(table, criterion=None, *, title=None, ax=None):
    """Draw a criterion against the number of components, with a line for each family.

    Marks the best fit, and those that `SearchResult.table` calls unsound or rounded.

    Parameters
    ----------
    table : SearchResult, dict or list of dict
        What `search` returned, what ``gmm-fast search --json`` printed, or rows with the keys
        n_components, covariance_type and the criterion. Rows without a value are not drawn.
    criterion : {'bic', 'aic', 'icl', 'silhouette', 'cv'}, optional
        By default the criterion of the search, else BIC. Lower is better, except for the last two.
    title : str, optional
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    DataError
        A ValueError: this is not a table, it has no values of the criterion, or matplotlib is
        missing.
    """
    check_matplotlib()
    rows, criterion = table_of(table, criterion)
    drawn = [(row, _value(row, criterion)) for row in rows]
    drawn = [(row, value) for row, value in drawn if value is not None]
    if not drawn:
        raise DataError(f"the table holds no values of {criterion}; choose another criterion")
    ax = axes_of(ax)
    families = list(dict.fromkeys(row["covariance_type"] for row, _ in drawn))
    for i, family in enumerate(families):
        points = sorted(
            (row["n_components"], value) for row, value in drawn if row["covariance_type"] == family
        )
        ax.plot(
            *zip(*points, strict=True),
            color=colours_of(i + 1)[i] * 0.9,
            marker=MARKERS[i % len(MARKERS)],
            markersize=4.5,
            linewidth=1.5,
            label=family,
        )
    sound = [pair for pair in drawn if not pair[0].get("unsound")]
    rounded = [pair for pair in sound if pair[0].get("rounded")]
    _mark(ax, [pair for pair in drawn if pair[0].get("unsound")], "x", "cannot win: unsound", 8)
    _mark(ax, rounded, "o", "takes rounding into account", 2)
    sign = -1 if criterion in HIGHER else 1
    best, value = min(sound or drawn, key=lambda pair: sign * pair[1])  # the first of equals
    ax.plot(
        [best["n_components"]],
        [value],
        linestyle="none",
        marker="o",
        markersize=13,
        markerfacecolor="none",
        markeredgecolor="0.1",
        markeredgewidth=1.4,
        label=f"best: {best['n_components']}, {best['covariance_type']}",
        gid="best",
    )
    tidy(ax)
    _integer_ticks(ax)
    what = "cross-validated log-likelihood" if criterion == "cv" else measures.label_of(criterion)
    name_axes(ax, "components", what)
    ax.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    caption = f"{'higher' if criterion in HIGHER else 'lower'} is better"
    missing = len(rows) - len(drawn)
    if missing:
        caption += f"; {missing} of {len(rows)} fits without a value not drawn"
    describe(ax, title or f"{what} by number of components", caption)
    return ax


def _mark(ax, pairs, marker, label, size):
    """Mark some candidates, and name the mark in the legend."""
    if pairs:
        points = [(row["n_components"], value) for row, value in pairs]
        colour = "0.1" if marker == "x" else "1.0"
        ax.plot(
            *zip(*points, strict=True),
            linestyle="none",
            marker=marker,
            color=colour,
            markersize=size,
            zorder=3,
            label=label,
        )


def check_choices(view, style, rows, seed, levels):
    """Raise DataError unless these parameters are allowed."""
    for name, value, known in (("view", view, VIEWS), ("style", style, STYLES)):
        if value not in known:
            raise DataError(f"unknown {name} {value!r}; choose from {', '.join(known)}")
    checks.integer("rows", rows, 1)
    checks.integer("seed", seed, 0)
    if any(checks.real("levels", level) == 0 for level in levels):
        raise DataError("levels must be positive")


def table_of(table, criterion=None):
    """Rows and criterion of a table that `criteria` takes.

    Raises
    ------
    DataError
        It is not a table, or the criterion is unknown.
    """
    if isinstance(table, dict):
        rows, own = table.get("candidates"), table.get("criterion")
    else:
        rows, own = getattr(table, "table", table), getattr(table, "criterion", None)
    if criterion is None:
        criterion = own or "bic"
    if criterion not in CRITERIA:
        raise DataError(f"unknown criterion {criterion!r}; choose from {', '.join(CRITERIA)}")
    keys = {"n_components", "covariance_type"}
    good = isinstance(rows, list) and all(isinstance(r, dict) and keys <= set(r) for r in rows)
    if not good or not rows:
        raise DataError(
            "not the table of a search; give the result of search, or the output of `gmm-fast "
            "search --json`"
        )
    return rows, criterion


def _open(model, X):
    """(Parameters, source, names of the features, labels of the axes) of a model and its data."""
    if not hasattr(model, "_params"):
        raise DataError(
            f"a fitted gmm_fast.GaussianMixture is needed, not {type(model).__name__}; "
            "GaussianMixture.from_sklearn makes one of scikit-learn's"
        )
    source = model._open(X)
    names = source.feature_names
    if names is None and hasattr(model, "feature_names_in_"):
        names = [str(name) for name in model.feature_names_in_]
    return model._params(), source, names, axis_labels(names, getattr(model, "transforms_", None))


def _trace(model):
    """(Values to draw, their name, how the fit ended in words)."""
    result = getattr(model, "result_", model)
    if hasattr(result, "trace"):
        values = np.array(result.trace, np.float64) / result.total_weight
        reasons = {"tolerance": "; converged", "max_iter": "; stopped before it converged"}
        return values, "mean log-likelihood of a sample", reasons.get(result.stop_reason, "")
    try:
        values = np.array(model, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise DataError(
            f"a fitted model or a list of log-likelihoods is needed, not {type(model).__name__}"
        ) from None
    return values, "log-likelihood", ""


def _value(row, criterion):
    """A finite value of a criterion, or None."""
    value = row.get(criterion)
    if row.get("failure") or not isinstance(value, int | float | np.number):
        return None
    return float(value) if math.isfinite(value) else None


def _integer_ticks(ax):
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
