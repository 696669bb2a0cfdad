"""Compose whole pictures of data: one Axes or a grid of pairs, title, caption, legend."""

import numpy as np

from ..backends import DaskBackend
from ..errors import DataError
from ..selection import criteria as measures
from .canvas import SIZE, figure_of, new_figure
from .captions import axes_text, caption_of, facts_of, outside_text, rows_drawn, title_of
from .cloud import ROWS, gather
from .drawing import (
    Scene,
    bars,
    colours_of,
    describe,
    describe_figure,
    legend,
    line,
    name_axes,
    plane,
    uncertain_line,
    uncertain_plane,
)
from .views import check_several

# Standard deviations at which ellipses are drawn.
LEVELS = (1.0, 2.0)


def draw_clusters(
    backend,
    params,
    view,
    *,
    style="auto",
    rows=ROWS,
    seed=0,
    levels=LEVELS,
    title=None,
    ax=None,
    size=SIZE,
):
    """Draw `clusters` of a `Backend` through a view from `view_of`.

    Returns
    -------
    ax : Axes or array of Axes
    facts : dict
        Facts of the picture: n_samples, rows, style, features, projection, outside.
    """
    # Dask workers would have to send all rows here
    many = backend.n_samples > rows and not isinstance(backend, DaskBackend)
    dense = style == "density" or (style == "auto" and many)
    cloud = gather(
        backend,
        params,
        view,
        rows=rows,
        seed=seed,
        dense=dense,
        colours=colours_of(params.n_components),
    )
    scene = Scene.of(cloud, view, params)
    title = title or title_of(params)
    if view.n_axes > 2:
        ax = _pairs(scene, view, levels, title, ax, size)
    else:
        ax = axes_of(ax, size)
        panel(ax, scene, levels)
        legend(ax, scene)
        describe(ax, title, caption_of(scene, view, levels))
    return ax, facts_of(scene, view)


def draw_uncertainty(backend, params, view, *, rows=ROWS, seed=0, title=None, ax=None, size=SIZE):
    """Draw `uncertainty` of a `Backend` through a view from `plane_of`; see `draw_clusters`."""
    cloud = gather(backend, params, view, rows=rows, seed=seed)
    scene = Scene.of(cloud, view, params)
    ax = axes_of(ax, size)
    if view.n_axes == 1:
        uncertain_line(ax, scene)
    else:
        uncertain_plane(ax, scene)
    sample = cloud.uncertainty
    caption = [
        rows_drawn(cloud),
        f"mean {sample.mean():.3g}, above 0.1: {(sample > 0.1).mean():.0%} of them",
        *axes_text(view),
        *outside_text(scene),
    ]
    describe(ax, title or f"Uncertainty, {title_of(params)}", "; ".join(caption))
    return ax, facts_of(scene, view)


def draw_silhouette(
    backend, params, *, rows=measures.SILHOUETTE_ROWS, seed=0, title=None, ax=None, size=SIZE
):
    """Draw `silhouette` of a `Backend`; returns what `draw_clusters` does."""
    check_several(params)
    sample = measures.SilhouetteSample(backend, rows, seed)
    labels = sample.labels(params)
    values = sample.silhouette_samples(labels)
    if np.isnan(values).any():
        raise DataError(
            "the silhouette needs rows in at least two components, and more rows than components "
            "with rows; draw another kind"
        )
    ax = axes_of(ax, size)
    bars(ax, values, labels)
    n = len(values)
    how = f"all {n:,} rows"
    if n < backend.n_samples:
        how = f"{n:,} of {backend.n_samples:,} rows drawn (seed {seed})"
    caption = f"mean {values.mean():.4f} (dashed); {how}; at the right: rows and mean of each"
    describe(ax, title or f"Silhouettes, {title_of(params)}", caption)
    facts = {"n_samples": backend.n_samples, "rows": n, "silhouette": float(values.mean())}
    return ax, facts


def panel(ax, scene, levels=LEVELS):
    """Draw one or two coordinates on one Axes."""
    if len(scene.names) == 1:
        line(ax, scene, 0)
    else:
        plane(ax, scene, 0, 1, levels)


def _pairs(scene, view, levels, title, axes, size):
    """Draw scatter plots below the diagonal, histograms on it, the legend above it."""
    m = view.n_axes
    own = axes is None
    if own:
        grown = max(1.0, m / 3)
        axes = new_figure((size[0] * grown, size[1] * grown)).subplots(m, m)
    axes = np.asarray(axes, dtype=object)
    if axes.shape != (m, m):
        raise DataError(f"ax: {m} features need {m} x {m} Axes, not {axes.shape}")
    for row in range(m):
        for column in range(m):
            ax = axes[row, column]
            if column > row:
                ax.set_axis_off()
                continue
            if column == row:
                line(ax, scene, row, numbered=False)
                ax.set_yticks([])
            else:
                plane(ax, scene, column, row, levels)
            name_axes(ax, scene.names[column], scene.names[row], most=22)
            _outer_labels(ax, row == m - 1, column == 0 and row > 0)
    legend(axes[0, 1], scene, loc="upper left", bbox_to_anchor=(0.0, 1.0))
    caption = caption_of(scene, view, levels)
    if view.columns is not None and view.n_axes < len(view.axes):
        caption += f"; {view.n_axes} of {len(view.axes):,} features"
    if own:
        describe_figure(figure_of(axes), title, caption)
    else:
        describe(axes[0, 0], title, caption)
    return axes


def _outer_labels(ax, bottom, left):
    """Keep names and numbers at the edges of the figure only."""
    ax.tick_params(labelbottom=bottom, labelleft=left, labelsize=7)
    ax.locator_params(nbins=4)
    if not bottom:
        ax.set_xlabel("")
        ax.xaxis.get_offset_text().set_visible(False)
    if not left:
        ax.set_ylabel("")
        ax.yaxis.get_offset_text().set_visible(False)


def axes_of(ax, size=SIZE):
    """The Axes to draw on: `ax`, or that of a new figure."""
    if ax is None:
        return new_figure(size).add_subplot()
    if not hasattr(ax, "add_artist"):
        raise DataError(f"ax must be a matplotlib Axes, not {type(ax).__name__}")
    return ax
