"""Make figures and write them as PNG, SVG or PDF; the same picture gives the same bytes.

matplotlib is imported on first use, without `pyplot`: it needs no display and changes no globals.
"""

import os
import threading
import warnings
from contextlib import contextmanager

from ..errors import DataError
from ..files.outputs import atomic_write
from ..sources.paths import require_package

ENDINGS = (".png", ".svg", ".pdf")
SIZE = (6.4, 4.8)
DPI = 150
# Axes have no room on fewer inches. More pixels than this would take over 400 MB.
LEAST_INCHES = 3.0
MOST_PIXELS = 100_000_000
# Without dates and versions the same picture gives the same file.
_METADATA = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# the salt of the hashed names in an SVG is a setting that all threads share
_SVG = threading.Lock()


def check_picture(path, what="the picture", endings=ENDINGS):
    """Check, before long work begins, that a picture can be written to this path.

    Parameters
    ----------
    path : str or os.PathLike
    what : str
        The option that names it, for messages.
    endings : sequence of str
        The allowed endings.

    Raises
    ------
    DataError
        The ending is unknown, or matplotlib is missing.
    """
    name = os.fsdecode(path)
    if not name.lower().endswith(tuple(endings)):
        known = endings[0] if len(endings) == 1 else f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise DataError(f"{what} {name}: unknown ending; use {known}")
    check_matplotlib()


def check_matplotlib():
    """Raise DataError, which says how to install matplotlib, if it is missing."""
    with drawing():
        import matplotlib  # noqa: F401 - only to see whether it is installed


def drawing():
    """A context for importing matplotlib."""
    return require_package("drawing", "matplotlib", "plot")


def check_size(size, dpi):
    """Raise DataError unless a picture of (width, height) inches can be drawn at this dpi."""
    width, height = size
    if min(size) < LEAST_INCHES:
        raise DataError(
            f"a picture of {width:g} x {height:g} inches is too small; make each side at least "
            f"{LEAST_INCHES:g}"
        )
    if dpi < 1 or width * height * dpi**2 > MOST_PIXELS or max(size) * dpi >= 2**16:
        raise DataError(
            f"{width:g} x {height:g} inches at {dpi:g} dots per inch: a picture has at most 100 "
            "million pixels, 65,535 a side; give a smaller size or dpi"
        )


def new_figure(size=SIZE):
    """An empty `matplotlib.figure.Figure` whose layout makes room for labels and legends."""
    with drawing():
        from matplotlib.figure import Figure
    return Figure(figsize=size, layout="constrained")


def save(ax, path, dpi=DPI):
    """Write the figure of an Axes, whole or not at all.

    The same figure gives the same bytes: the file holds no date.

    Parameters
    ----------
    ax : Axes, array of Axes, or Figure
    path : str or os.PathLike
        Ends in ``.png``, ``.svg`` or ``.pdf``.
    dpi : float
        Dots per inch, also of bitmaps within SVG and PDF.

    Raises
    ------
    DataError
        The ending is unknown, the size is too small or too large, or the file cannot be written.
    FitError
        Writing failed.
    """
    check_picture(path)
    figure = figure_of(ax)
    check_size(figure.get_size_inches(), dpi)
    kind = os.path.splitext(os.fsdecode(path))[1][1:].lower()
    with atomic_write(path) as file:
        write(figure, file, kind, dpi)


def write(figure, file, kind, dpi=DPI):
    """Write a figure to an open file as "png", "svg" or "pdf"; the same figure, the same bytes."""
    with _quiet(), _reproducible(kind):
        figure.savefig(file, format=kind, dpi=dpi, metadata=_METADATA[kind])


def figure_of(ax):
    """The figure of an Axes, of an array of Axes, or of a subfigure."""
    figure = getattr(ax, "flat", [ax])[0].figure
    while figure.figure is not figure:  # a subfigure
        figure = figure.figure
    return figure


@contextmanager
def _reproducible(kind):
    if kind != "svg":
        yield
        return
    import matplotlib

    with _SVG, matplotlib.rc_context({"svg.hashsalt": "gmm-fast"}):
        yield


@contextmanager
def _quiet():
    """Silence warnings of missing glyphs: column names are what they are."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s)Glyph .* missing from")
        warnings.filterwarnings("ignore", message="(?s)Matplotlib currently does not support")
        yield
