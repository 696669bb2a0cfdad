"""Data that nobody tunes starts on: measured like the rest, looked at last."""

from functools import partial

import numpy as np
from sklearn.datasets import load_digits, load_sample_image
from sklearn.decomposition import PCA
from sklearn.random_projection import GaussianRandomProjection
from starts_cases import RUGGED, SMOOTH, Case
from starts_real import LONG, csv, photo


def _patches():
    """Every eleventh 5 x 5 patch of the flower's green channel, in six principal components."""
    green = load_sample_image("flower.jpg")[:, :, 1].astype(float)
    windows = np.lib.stride_tricks.sliding_window_view(green, (5, 5))
    patches = windows.reshape(-1, 25)[::11]
    patches = patches + np.random.default_rng(1).uniform(-0.5, 0.5, patches.shape)
    return PCA(6, svd_solver="full").fit_transform(patches)


def _opponent(name):
    """A photo's brightness and two differences of its colours, after a square root."""
    red, green, blue = np.sqrt(photo(name) + 1).T
    return np.column_stack([red + green + blue, red - green, blue - 0.5 * (red + green)])


def _edges():
    """Brightness and its two slopes at every seventh pixel of the photo of china."""
    grey = photo("china").mean(axis=1).reshape(427, 640)
    down, across = np.gradient(grey)
    return np.column_stack([grey.ravel(), down.ravel(), across.ravel()])[::7]


def _projected():
    """The digits' 64 pixels in 12 random directions."""
    return GaussianRandomProjection(12, random_state=3).fit_transform(load_digits().data)


def _rings():
    """Three noisy rings in space, of different radii and densities."""
    rng = np.random.default_rng(21)
    radius = np.repeat([1.0, 2.5, 4.0], [1000, 1500, 500])
    angle = rng.uniform(0, 2 * np.pi, len(radius))
    ring = np.column_stack([np.cos(angle), np.sin(angle), np.sin(2 * angle)])
    return radius[:, None] * ring + 0.12 * rng.normal(size=(len(radius), 3))


def _heavy():
    """Student's t of three degrees of freedom about seven centres in five dimensions."""
    rng = np.random.default_rng(22)
    label = rng.integers(0, 7, 6000)
    noise = rng.standard_t(3, size=(6000, 5)) * rng.uniform(0.4, 1.2, (7, 5))[label]
    return 4 * rng.normal(size=(7, 5))[label] + noise


def _case(name, says, load, k, family="full", goal=SMOOTH):
    return Case(name, says, load(), k, family, goal=goal, cap=6.0 if goal is SMOOTH else LONG / 2)


CASES = {
    "unseen_colours": partial(
        _case, "colours", "657 named colours in Luv", partial(csv, "colours"), 4
    ),
    "unseen_cars": partial(_case, "cars", "32 rows", partial(csv, "cars"), 2, "diag"),
    "unseen_patches": partial(_case, "patches", "5 x 5 pixels", _patches, 5),
    "unseen_opponent": partial(
        _case, "opponent", "colours of china", partial(_opponent, "china"), 4
    ),
    "unseen_edges": partial(_case, "edges", "brightness, slopes", _edges, 8, goal=RUGGED),
    "unseen_projected": partial(
        _case, "projected digits", "12 random directions", _projected, 12, "diag", RUGGED
    ),
    "unseen_rings": partial(_case, "rings", "three rings", _rings, 9, goal=RUGGED),
    "unseen_heavy": partial(_case, "heavy tails", "Student's t", _heavy, 7, goal=RUGGED),
}
