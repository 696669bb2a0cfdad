"""Figures and their files: PNG, SVG, PDF by ending, the same bytes for the same picture.

matplotlib is imported on use, and without `pyplot`: no display is needed, nothing global changes.
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
# Inches below which axes have no room, and pixels that a picture may have: 400 MB of them.
LEAST_INCHES = 3.0
MOST_PIXELS = 100_000_000
# Dates and versions in files would make them differ.
_METADATA = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
# names in SVG files are hashed with a setting that is one for all threads
_SVG = threading.Lock()


def check_picture(path, what="the picture", endings=ENDINGS):
    """Make sure, before long work begins, that a picture of that name can be made.

    Parameters
    ----------
    path : str or os.PathLike
    what : str
        Of which option it is, for messages.
    endings : sequence of str
        That are known.

    Raises
    ------
    DataError
        An unknown ending; matplotlib is missing.
    """
    name = os.fsdecode(path)
    if not name.lower().endswith(tuple(endings)):
        known = endings[0] if len(endings) == 1 else f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise DataError(f"{what} {name}: unknown ending; let it end in {known}")
    check_matplotlib()


def check_matplotlib():
    """Raise DataError, which says how to install it, if matplotlib is missing."""
    with drawing():
        import matplotlib  # noqa: F401 - whether it is there


def drawing():
    """A context in which matplotlib is imported."""
    return require_package("drawing", "matplotlib", "plot")


def check_size(size, dpi):
    """Raise DataError unless a picture of (width, height) inches makes sense at that resolution."""
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
    """An empty `matplotlib.figure.Figure` that makes room for what is in it."""
    with drawing():
        from matplotlib.figure import Figure
    return Figure(figsize=size, layout="constrained")


def save(ax, path, dpi=DPI):
    """Write the figure of an Axes, whole or not at all.

    The same figure gives the same bytes: nothing of the time is written.

    Parameters
    ----------
    ax : Axes, array of Axes, or Figure
    path : str or os.PathLike
        Ends in ``.png``, ``.svg`` or ``.pdf``.
    dpi : float
        Dots per inch; of pictures within SVG and PDF, too.

    Raises
    ------
    DataError
        An unknown ending, a size that makes no sense; the file cannot be written.
    FitError
        Writing failed.
    """
    check_picture(path)
    figure = figure_of(ax)
    check_size(figure.get_size_inches(), dpi)
    kind = os.path.splitext(os.fsdecode(path))[1][1:].lower()
    with atomic_write(path) as file, _quiet(), _reproducible(kind):
        figure.savefig(file, format=kind, dpi=dpi, metadata=_METADATA[kind])


def figure_of(ax):
    """The figure that an Axes, an array of them, or the figure itself is in."""
    figure = getattr(ax, "flat", [ax])[0].figure
    while figure.figure is not figure:  # a part of a figure
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
    """Without warnings of signs that the font has not: names of columns are what they are."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s)Glyph .* missing from")
        warnings.filterwarnings("ignore", message="(?s)Matplotlib currently does not support")
        yield
