"""Gather the data to draw: a seeded sample of rows, or the density of all rows."""

from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from ..backends import backend_over
from ..errors import DataError
from .projection import inside

# Limit on rows drawn as points; larger data is drawn as a density.
ROWS = 10_000
# Bytes of rows taken at a time: rows may have thousands of features, though few are drawn.
PIECE_BYTES = 32 * 2**20
# Axes ignore this share of rows on either side, if all rows would make them FARTHER times longer.
TRIMMED = 0.005
FARTHER = 3.0
MARGIN = 0.05
# Fewer rows are all shown.
FEW = 20
MOST_BINS = 240


@dataclass(eq=False)
class Cloud:
    """The rows to draw.

    Attributes
    ----------
    points : (r, m) float64
        Coordinates of the sample.
    labels : (r,) int32
    uncertainty : (r,) float64
        One minus the largest responsibility.
    n_samples : int
        Rows of the data.
    seed : int
    limits : (m, 2) float64
        Ends of the axes.
    outside : int
        Drawn rows outside the axes.
    density : Density or None
        Density of all rows, drawn instead of the points.
    x : (r, d) float64 or None
        The rows themselves, if they were asked for.
    """

    points: np.ndarray
    labels: np.ndarray
    uncertainty: np.ndarray
    n_samples: int
    seed: int
    limits: np.ndarray
    outside: int
    density: object = None
    x: np.ndarray | None = None

    @property
    def drawn(self):
        """Number of rows in the picture."""
        return self.n_samples if self.density is not None else len(self.points)

    def histogram(self, j, most_bins=100):
        """Counts and edges of coordinate j, over all drawn rows."""
        if self.density is not None:
            return self.density.histograms[j], self.density.edges[j]
        edges = edges_of(self.points[:, j], self.limits[j], most_bins, self.drawn)
        return np.histogram(self.points[:, j], edges)[0], edges


@dataclass(eq=False)
class Density:
    """Counts of rows in cells.

    Attributes
    ----------
    edges : list of (bins + 1,) float64
        One array per coordinate.
    histograms : list of (bins,) int64
    cells : dict of (i, j) -> (bins of i, bins of j, 4) float64
        For each pair i < j: counts, and sums of the colours of the rows' components.
    """

    edges: list
    histograms: list
    cells: dict = field(default_factory=dict)


def gather(backend, params, view, *, rows=ROWS, seed=0, dense=False, colours=None, keep=False):
    """Gather the data for a picture.

    Parameters
    ----------
    backend : Backend
    params : Params
    view : projection.View
    rows : int
        Limit on the size of the sample.
    seed : int
    dense : bool
        Count all rows, in a pass over the data.
    colours : (K, 3) array, optional
        Colours of the components; needed for `dense`.
    keep : bool
        Keep the rows themselves.

    Returns
    -------
    Cloud

    Raises
    ------
    DataError
        A row is not finite.
    """
    chosen = choose_rows(backend.n_samples, rows, seed)
    step = max(1, PIECE_BYTES // (8 * backend.n_features))
    kept, points, labels, uncertainty = [], [], [], []
    for first in range(0, len(chosen), step):
        x = backend.take(chosen[first : first + step])
        found, how = assign(backend, params, x)
        points.append(view.rows(x))
        labels.append(found)
        uncertainty.append(how)
        if keep:
            kept.append(x)
    points = np.concatenate(points)
    limits = np.stack([robust_limits(column) for column in points.T])
    density = None
    if dense:
        density, outside = _count(backend, params, view, points, limits, colours)
    else:
        outside = int((~inside(points, limits)).sum())
    return Cloud(
        points,
        np.concatenate(labels),
        np.concatenate(uncertainty),
        backend.n_samples,
        seed,
        limits,
        outside,
        density,
        np.concatenate(kept) if keep else None,
    )


def choose_rows(n_samples, rows, seed):
    """Sorted numbers of at most `rows` rows, drawn uniformly without replacement."""
    if n_samples <= rows:
        return np.arange(n_samples)
    rng = np.random.default_rng([seed, 0x9107])
    return np.sort(rng.choice(n_samples, rows, replace=False, shuffle=False))


def assign(backend, params, x):
    """Labels, (m,) int32, and uncertainties, (m,), of rows taken from `backend`."""
    parts = [
        (out.labels.copy(), 1 - out.resp.max(axis=1).astype(np.float64))
        for out in _scored(backend, params, x, resp=True)
    ]
    labels, uncertainty = map(np.concatenate, zip(*parts, strict=True))
    return labels, np.maximum(uncertainty, 0)


def _labels(backend, params, x):
    return np.concatenate([out.labels.copy() for out in _scored(backend, params, x)])


def _scored(backend, params, x, **what):
    """Yield the results of `Backend.score` for rows taken from `backend`."""
    try:
        for _, out in backend_over(backend, x).score(params, labels=True, **what):
            yield out
    except DataError:
        if not np.isfinite(x).all():
            backend.refuse_bad_values()  # its error names the row and the file
        raise


def robust_limits(values):
    """The ends of an axis: it shows all values except a few that lie far off.

    Parameters
    ----------
    values : (r,) float64

    Returns
    -------
    (2,) float64
    """
    values = np.sort(values)
    least, most = values[0], values[-1]
    if len(values) >= FEW:
        cut = max(2, int(np.ceil(TRIMMED * len(values))))
        inner = values[cut], values[-1 - cut]
        spread = inner[1] - inner[0]
        if spread > 0 and most - least > FARTHER * spread:
            # each side by itself: only one may have outliers
            least, most = max(least, inner[0] - spread / 4), min(most, inner[1] + spread / 4)
    pad = MARGIN * (most - least) if most > least else 0.5 * max(abs(most), 1.0)
    return np.array([least - pad, most + pad])


def edges_of(values, limits, most_bins, n_samples, *, exactly=False):
    """Edges of equal bins for a coordinate; whole numbers fall in the middle of bins.

    The width is that of Freedman and Diaconis (1981) for `n_samples` values like these, but less
    where clusters far apart make it too wide; with `exactly`, there are about `most_bins` bins.
    """
    lo, hi = limits
    shown = values[(values >= lo) & (values <= hi)]
    spread = np.subtract(*np.percentile(shown, [75, 25])) if len(shown) else 0.0
    width = 2 * spread * max(n_samples, 1) ** (-1 / 3)
    least = most_bins if exactly else int(np.clip(np.sqrt(n_samples), 10, 50))
    bins = int(np.clip((hi - lo) / width, least, most_bins)) if width > 0 else least
    small = max(abs(lo), abs(hi)) < 2**31
    if small and len(shown) and (shown == np.round(shown)).all() and hi - lo >= 10:
        step = max(1, int(np.ceil((hi - lo) / bins)))
        return np.arange(np.ceil(lo) - 0.5, np.floor(hi) + step, step)
    return np.linspace(lo, hi, bins + 1)


def _count(backend, params, view, sample, limits, colours):
    """The `Density` of all rows, and how many of them lie outside the limits."""
    bins = int(np.clip(np.sqrt(backend.n_samples) / 4, 60, MOST_BINS))
    n_axes = view.n_axes
    most, exactly = (100, False) if n_axes == 1 else (bins, True)
    edges = [
        edges_of(sample[:, j], limits[j], most, backend.n_samples, exactly=exactly)
        for j in range(n_axes)
    ]
    sizes = [len(e) - 1 for e in edges]
    density = Density(edges, [np.zeros(size, np.int64) for size in sizes])
    for i, j in combinations(range(n_axes), 2):
        density.cells[i, j] = np.zeros((sizes[i], sizes[j], 4))
    outside = 0
    for _, x in backend.data_chunks():
        points = view.rows(x)
        if not np.isfinite(points).all():
            backend.refuse_bad_values()
        outside += int((~inside(points, limits)).sum())
        places = [_places(points[:, j], edges[j]) for j in range(n_axes)]
        for histogram, place in zip(density.histograms, places, strict=True):
            histogram += np.bincount(place[place >= 0], minlength=len(histogram))
        if density.cells:
            _add_cells(density.cells, places, colours[_labels(backend, params, x)])
    return density, outside


def _places(values, edges):
    """The bin of each value, -1 outside all bins."""
    size = len(edges) - 1
    with np.errstate(over="ignore"):
        place = (values - edges[0]) * (size / (edges[-1] - edges[0]))
    held = (place >= 0) & (place <= size)
    place = np.where(held, place, 0).astype(np.int64)
    return np.where(held, np.minimum(place, size - 1), -1)


def _add_cells(cells, places, colours):
    for (i, j), counts in cells.items():
        shown = (places[i] >= 0) & (places[j] >= 0)
        index = places[i][shown] * counts.shape[1] + places[j][shown]
        length = counts.shape[0] * counts.shape[1]
        flat = counts.reshape(length, 4)
        flat[:, 0] += np.bincount(index, minlength=length)
        for channel in range(3):
            flat[:, 1 + channel] += np.bincount(index, colours[shown, channel], minlength=length)
