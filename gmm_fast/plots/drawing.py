"""Draw on one Axes: points, shades, ellipses, curves, numbers, legend, caption."""

import textwrap
from dataclasses import dataclass

import numpy as np

from ..text import shorten
from .canvas import drawing
from .projection import inside

# Okabe and Ito (2008), Color universal design: colour-blind readers can tell these apart.
PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
    "#000000",
)
# Beyond the palette, markers and the numbers at the means tell components apart.
MARKERS = "os^DvP*X"
GREY = "0.35"
# Components in a legend, the heaviest ones.
MOST_LISTED = 12
# Components named in a plot of silhouettes.
MOST_NAMED = 40
# With more components, lines are thin and numbers small.
MANY = 12
# SVG and PDF hold more points as a bitmap.
MOST_SHAPES = 3000
# Characters of a name on an axis.
LONGEST_NAME = 70
# An ellipse may be this many times larger than the picture.
MOST_REACH = 100
# Lines are darker than points, to be seen on white.
_DARKER = 0.75


@dataclass(frozen=True, eq=False)
class Scene:
    """A mixture and rows in the coordinates of a picture.

    Attributes
    ----------
    cloud : cloud.Cloud
    names : list of str
        Names of the coordinates.
    weights : (K,) float64
    means : (K, m) float64
    covariances : (K, m, m) float64
    """

    cloud: object
    names: list
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    @classmethod
    def of(cls, cloud, view, params):
        means, covariances = view.mixture(params)
        return cls(cloud, view.names, params.weights, means, covariances)

    @property
    def alive(self):
        """Components with positive weight; the others are not drawn."""
        return np.flatnonzero(self.weights > 0)


def colours_of(n_components):
    """(K, 3) colours, repeating the palette."""
    rgb = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in PALETTE]
    return np.array(rgb)[np.arange(n_components) % len(PALETTE)]


def marker_of(k):
    return MARKERS[k // len(PALETTE) % len(MARKERS)]


def line_colour(k):
    return colours_of(k + 1)[k] * _DARKER


def tidy(ax):
    """Set a light grid and no box."""
    ax.grid(True, color="0.92", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=8, color="0.6")
    ax.xaxis.get_offset_text().set_fontsize(8)
    # an offset or exponent would overlap the caption
    ax.yaxis.set_major_formatter(lambda value, _: _number(value, ax.yaxis.get_majorticklocs()))


def _number(value, ticks):
    """A number on an axis, with as many decimals as the other ticks."""
    texts = [f"{tick:.12g}" for tick in ticks]
    if any("e" in text for text in texts):
        return f"{value:.12g}".replace("-", "−")
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return f"{value:,.{decimals}f}".replace("-", "−")


def name_axes(ax, x=None, y=None, most=LONGEST_NAME):
    """Label axes without math: a $ in the name of a column is no formula."""
    if x is not None:
        ax.set_xlabel(shorten(x, most), fontsize=9, parse_math=False)
    if y is not None:
        ax.set_ylabel(shorten(y, most), fontsize=9, parse_math=False)


def describe(ax, title, caption):
    """Set the title, and below it the caption in small letters."""
    inches = ax.figure.get_figwidth() if hasattr(ax.figure, "get_figwidth") else 6.4
    width = max(24, int(16 * inches * ax.get_position().width))
    text = "\n".join(textwrap.wrap(caption, width))
    height = 10.5 * (text.count("\n") + 1) if text else 0
    ax.set_title(title, loc="left", fontsize=11, pad=5 + height, parse_math=False)
    if text:
        ax.annotate(
            text,
            (0, 1),
            (0, 4),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            fontsize=8,
            linespacing=1.15,
            color=GREY,
            annotation_clip=False,
            gid="caption",
            parse_math=False,
        )


def describe_figure(figure, title, caption):
    """Set the title above, and the caption below, a figure of several Axes."""
    width = max(24, int(16 * figure.get_figwidth()))
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, parse_math=False)
    text = "\n".join(textwrap.wrap(caption, width))
    figure.supxlabel(text, x=0.01, ha="left", fontsize=8, color=GREY, parse_math=False)


def plane(ax, scene, i, j, levels):
    """Draw coordinate j over coordinate i: rows, ellipses, and the numbers of components."""
    cloud = scene.cloud
    if cloud.density is not None:
        _shades(ax, cloud.density, i, j)
    else:
        _points(ax, scene, i, j)
    ellipses(ax, scene, i, j, levels)
    numbers(ax, scene, scene.means[:, [i, j]], cloud.limits[[i, j]])
    ax.set_xlim(*cloud.limits[i])
    ax.set_ylim(*cloud.limits[j])
    tidy(ax)
    name_axes(ax, scene.names[i], scene.names[j])


def line(ax, scene, j, numbered=True):
    """Draw coordinate j alone: a histogram, the components' densities and their sum."""
    cloud = scene.cloud
    counts, edges = cloud.histogram(j)
    heights = counts / (cloud.drawn * np.diff(edges))
    ax.stairs(heights, edges, fill=True, color="0.85", zorder=1)
    weights, means = scene.weights, scene.means[:, j]
    deviations = np.sqrt(scene.covariances[:, j, j])
    width = 1.0 if len(weights) > MANY else 1.6
    own = [_abscissae(cloud.limits[j], means[k], deviations[k]) for k in scene.alive]
    x = np.unique(np.concatenate(own))
    total = np.zeros(len(x))
    for k, places in zip(scene.alive, own, strict=True):
        one = weights[k], means[k], deviations[k]
        ax.plot(places, _density(places, *one), color=line_colour(k), linewidth=width, zorder=3)
        total += _density(x, *one)
    ax.plot(x, total, color="0.2", linewidth=1.0, linestyle=(0, (4, 2)), zorder=4, gid="mixture")
    if numbered:
        peaks = weights / (np.sqrt(2 * np.pi) * deviations)
        numbers(ax, scene, np.stack([means, peaks], axis=1), cloud.limits[[j]])
    ax.set_xlim(*cloud.limits[j])
    # one very narrow component must not flatten all else
    top = max(heights.max(), min(total.max(), 2.5 * heights.max()))
    ax.set_ylim(0, 1.12 * top if top > 0 else 1.0)
    tidy(ax)
    name_axes(ax, scene.names[j], "density")


def visible(centre, reach, limits):
    """Whether an outline that extends `reach` from `centre` is in the picture and can be drawn.

    matplotlib takes forever to draw curves very much larger than the picture.
    """
    size = limits[:, 1] - limits[:, 0]
    met = (centre - reach <= limits[:, 1]) & (centre + reach >= limits[:, 0])
    return bool(met.all() and (reach <= MOST_REACH * size).all())


def uncertain_plane(ax, scene):
    """Draw rows in a plane: the more uncertain, the darker and larger."""
    cloud = scene.cloud
    order = np.argsort(cloud.uncertainty, kind="stable")
    order = order[inside(cloud.points[order], cloud.limits)]
    values = cloud.uncertainty[order]
    n = len(values)
    drawn = ax.scatter(
        *cloud.points[order].T,
        c=values,
        s=sizes_of(n) * (0.6 + 3 * values),
        cmap=_colour_map(),
        vmin=0,
        vmax=max(0.5, float(cloud.uncertainty.max())),
        linewidths=0,
        rasterized=n > MOST_SHAPES,
        zorder=2,
        gid="rows",
    )
    ellipses(ax, scene, 0, 1, (1.0,))
    numbers(ax, scene, scene.means, cloud.limits)
    ax.set_xlim(*cloud.limits[0])
    ax.set_ylim(*cloud.limits[1])
    tidy(ax)
    name_axes(ax, scene.names[0], scene.names[1])
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.9, aspect=30)
    bar.set_label("uncertainty (1 − largest responsibility)", fontsize=8)
    bar.ax.tick_params(labelsize=8, color="0.6")
    bar.outline.set_visible(False)


def uncertain_line(ax, scene):
    """Draw uncertainty over the only coordinate, in the colours of components."""
    cloud = scene.cloud
    colours = colours_of(len(scene.weights))
    for k in np.unique(cloud.labels):
        own = (cloud.labels == k) & inside(cloud.points, cloud.limits)
        ax.scatter(
            cloud.points[own, 0],
            cloud.uncertainty[own],
            s=sizes_of(len(own)) + 4,
            color=colours[k],
            marker=marker_of(k),
            linewidths=0,
            rasterized=len(own) > MOST_SHAPES,
            gid=f"rows of {k}",
        )
    ax.set_xlim(*cloud.limits[0])
    ax.set_ylim(-0.02, max(0.52, 1.05 * float(cloud.uncertainty.max())))
    tidy(ax)
    name_axes(ax, scene.names[0], "uncertainty (1 − largest responsibility)")
    legend(ax, scene)


def bars(ax, values, labels):
    """Draw the sorted silhouettes of each component, the first component at the top."""
    colours = colours_of(int(labels.max()) + 1)
    present = np.unique(labels)
    gap = max(1.0, 0.02 * len(values))
    size = 8 if len(present) <= 20 else 6
    every = -(-len(present) // MOST_NAMED)  # there is no room to name very many components
    place, ticks = 0.0, {}
    for i, k in enumerate(present):
        own = np.sort(values[labels == k])[::-1]
        edges = place + np.arange(len(own) + 1)
        ax.stairs(own, edges, orientation="horizontal", fill=True, color=colours[k], gid=f"of {k}")
        if i % every == 0:
            ticks[str(k)] = place + len(own) / 2
            ax.text(
                1.01,
                ticks[str(k)],
                f"{len(own):,}, {own.mean():.2f}",
                transform=ax.get_yaxis_transform(),
                fontsize=size,
                va="center",
                color=GREY,
            )
        place += len(own) + gap
    ax.axvline(values.mean(), color="0.1", linestyle=(0, (4, 2)), linewidth=1.2, gid="mean")
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.set_xlim(min(-0.1, 1.05 * float(values.min())), 1.0)
    ax.set_ylim(place - gap + gap / 2, -gap / 2)
    tidy(ax)
    ax.grid(False, axis="y")
    ax.set_yticks(list(ticks.values()), list(ticks), fontsize=size)
    name_axes(ax, "silhouette", "component")


def legend(ax, scene, **options):
    """Add a legend: the components and their weights, only the heaviest of many."""
    with drawing():
        from matplotlib.lines import Line2D
    order = np.argsort(-scene.weights, kind="stable")
    order = order[scene.weights[order] > 0]
    listed = order if len(order) <= MOST_LISTED else order[: MOST_LISTED - 2]
    handles = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=marker_of(k),
            markersize=6,
            color=colours_of(k + 1)[k],
            markeredgecolor=line_colour(k),
            label=f"{k}  ({percent(scene.weights[k])})",
        )
        for k in sorted(listed)
    ]
    title = "component"
    if len(listed) < len(order):
        title = f"component, the\n{len(listed)} heaviest of {len(order)}"
    where = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)} | options
    made = ax.legend(
        handles=handles,
        title=title,
        fontsize=8,
        title_fontsize=8,
        frameon=False,
        borderaxespad=0,
        handletextpad=0.2,
        **where,
    )
    made.get_title().set_color(GREY)
    return made


def percent(share):
    """A share in per cent; small ones have a decimal."""
    if 0 < share < 0.001:
        return "< 0.1%"
    return f"{100 * share:.{0 if share >= 0.095 else 1}f}%"


def sizes_of(n):
    """Area of each of n points, in square points."""
    return float(np.clip(4000 / max(n, 1), 3.5, 26.0))


def _colour_map():
    """A colour map from light to dark, which also works in black and white."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "uncertainty", ["#C8C8C8", "#E8B86A", "#D55E00", "#5A1A00"]
    )


def _points(ax, scene, i, j):
    """Scatter the rows of each component inside the axes; uncertain rows are faint."""
    cloud = scene.cloud
    shown = inside(cloud.points[:, [i, j]], cloud.limits[[i, j]])
    n, colours = len(cloud.points), colours_of(len(scene.weights))
    base = float(np.clip(1.15 - 0.12 * np.log10(n + 1), 0.55, 0.9))
    # 0.5 is the largest uncertainty between two components
    opacity = base * np.clip(1 - 1.6 * cloud.uncertainty, 0.2, 1)
    for k in np.unique(cloud.labels[shown]):
        own = shown & (cloud.labels == k)
        ax.scatter(
            cloud.points[own, i],
            cloud.points[own, j],
            s=sizes_of(n),
            c=np.column_stack([np.tile(colours[k], (own.sum(), 1)), opacity[own]]),
            marker=marker_of(k),
            linewidths=0,
            rasterized=n > MOST_SHAPES,
            zorder=2,
            gid=f"rows of {k}",
        )


def _shades(ax, density, i, j):
    """Shade cells in the mean colour of their rows: the more rows, the darker."""
    cells = density.cells[i, j] if (i, j) in density.cells else density.cells[j, i].swapaxes(0, 1)
    counts = cells[:, :, 0]
    image = np.zeros((*counts.shape, 4))
    full = counts > 0
    image[full, :3] = np.clip(cells[full, 1:] / counts[full, None], 0, 1)
    image[full, 3] = 0.12 + 0.88 * np.log1p(counts[full]) / np.log1p(max(counts.max(), 1))
    edges = density.edges[i], density.edges[j]
    ax.imshow(
        image.swapaxes(0, 1),
        origin="lower",
        extent=(edges[0][0], edges[0][-1], edges[1][0], edges[1][-1]),
        aspect="auto",
        interpolation="nearest",
        zorder=1,
    )


def ellipses(ax, scene, i, j, levels):
    """Draw ellipses at `levels` standard deviations from the means."""
    with drawing():
        from matplotlib.patches import Ellipse
    width = 0.8 if len(scene.weights) > MANY else 1.3
    limits = scene.cloud.limits[[i, j]]
    for k in scene.alive:
        covariance = scene.covariances[k][np.ix_([i, j], [i, j])]
        values, vectors = np.linalg.eigh(covariance)
        axes = 2 * np.sqrt(np.maximum(values, 0))
        angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
        for level in levels:
            if not visible(scene.means[k, [i, j]], level * np.sqrt(np.diag(covariance)), limits):
                continue
            ax.add_patch(
                Ellipse(
                    scene.means[k, [i, j]],
                    level * axes[1],
                    level * axes[0],
                    angle=angle,
                    fill=False,
                    edgecolor=line_colour(k),
                    linewidth=width if level == min(levels) else 0.75 * width,
                    zorder=4,
                    gid=f"component {k}",
                )
            )


def numbers(ax, scene, places, limits):
    """Write the numbers of the components, with a white outline, at the `places` inside."""
    with drawing():
        from matplotlib.patheffects import withStroke
    for k in scene.alive[inside(places[scene.alive, : len(limits)], limits)]:
        ax.text(
            *places[k],
            str(k),
            ha="center",
            va="center",
            fontsize=7 if len(scene.weights) > MANY else 10,
            fontweight="bold",
            color="0.1",
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
            clip_on=True,
            zorder=5,
            gid=f"number {k}",
        )


def _abscissae(limits, mean, deviation):
    """Where to evaluate the curve of a component: on the whole axis, and densely near its mean."""
    near = mean + deviation * np.linspace(-5, 5, 81)
    near = near[(near >= limits[0]) & (near <= limits[1])]
    return np.union1d(np.linspace(*limits, 400), near)


def _density(x, weight, mean, deviation):
    """w N(x; mu, sigma)."""
    with np.errstate(under="ignore", over="ignore"):
        return (
            weight / (np.sqrt(2 * np.pi) * deviation) * np.exp(-0.5 * ((x - mean) / deviation) ** 2)
        )
