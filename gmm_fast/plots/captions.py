"""Describe pictures, in captions and as facts for programs: rows, axes, what is left out."""

import math

import numpy as np

from ..text import count
from .drawing import MOST_REACH


def title_of(params):
    family = params.family
    return f"{count(params.n_components, 'component')}, {family.name} covariance"


def caption_of(scene, view, levels):
    """The caption of `clusters`."""
    cloud, parts = scene.cloud, [rows_drawn(scene.cloud)]
    if view.n_axes == 1:
        parts.append("lines: components, weighted; dashed: their sum")
    else:
        if cloud.density is None and len(scene.weights) > 1:
            parts.append("faint: uncertain")
        if len(levels):
            parts.append(ellipses_of(levels))
    return "; ".join([*parts, *axes_text(view), *outside_text(scene)])


def ellipses_of(levels):
    """What ellipses mean, and the share of a Gaussian's samples inside them."""
    sigma = " and ".join(f"{level:g}" for level in levels)
    held = " and ".join(f"{1 - math.exp(-(level**2) / 2):.0%}" for level in levels)
    noun = "standard deviation" if len(levels) == 1 and levels[0] == 1 else "standard deviations"
    return f"ellipses: {sigma} {noun} ({held} of a component)"


def rows_drawn(cloud):
    """How many rows are drawn, and which."""
    n, drawn = cloud.n_samples, len(cloud.points)
    if cloud.density is not None:
        return f"density of all {n:,} rows"
    if drawn == n:
        return f"all {n:,} rows" if n > 1 else "1 row"
    return f"{drawn:,} of {n:,} rows drawn (seed {cloud.seed})"


def facts_of(scene, view):
    """Facts of a picture, for programs."""
    cloud = scene.cloud
    return {
        "n_samples": cloud.n_samples,
        "rows": cloud.drawn,
        "style": "points" if cloud.density is None else "density",
        "features": None if view.columns is None else view.names,
        "projection": None if view.columns is not None else view.names,
        "outside": cloud.outside,
    }


def axes_text(view):
    """What the axes are, unless they are features."""
    if view.columns is not None:
        return []
    if view.ratios is None:
        return ["axes: the directions most correlated with all features"]
    return ["axes: directions that separate the components best (and features most correlated)"]


def outside_text(scene):
    """What lies outside the axes, or is not drawn."""
    cloud, parts = scene.cloud, []
    if cloud.outside:
        parts.append(f"{count(cloud.outside, 'row')} outside the axes")
    lo, hi = cloud.limits.T
    alive = scene.weights > 0
    far = ((scene.means < lo) | (scene.means > hi)).any(axis=1) & alive
    reach = np.sqrt(np.diagonal(scene.covariances, axis1=1, axis2=2))
    wide = (reach > MOST_REACH * (hi - lo)).any(axis=1) & alive & ~far
    wide &= len(lo) > 1  # one coordinate is drawn as curves, not as ellipses
    absent = {"outside the axes": far, "too wide for an ellipse": wide, "without weight": ~alive}
    for what, which in absent.items():
        found = np.flatnonzero(which)
        if len(found):
            some = ", ".join(map(str, found[:6])) + (", …" if len(found) > 6 else "")
            parts.append(f"component{'' if len(found) == 1 else 's'} {some} {what}")
    return parts
