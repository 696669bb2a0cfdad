"""The pictures of a report: which ones, their captions, and their bytes."""

import io
import warnings

import numpy as np

from ..plots import composition, figures, views
from ..selection.criteria import HIGHER
from .facts import is_number
from .tables import MOST_COMPONENTS
from .wording import CRITERIA

# Samples that pictures show: enough to see the clusters, few enough for a page that opens at once.
DRAWN_ROWS = 5000
# Larger SVGs, of thousands of dots, are drawn as PNG.
MOST_SVG = 300_000
DPI = 150


def draw_pictures(
    result,
    rows,
    criterion,
    *,
    backend=None,
    names=None,
    labels=None,
    seed=0,
    silhouette_rows=0,
):
    """The pictures that there is something for.

    Parameters
    ----------
    result : em.FitResult
    rows : list of dict
        The candidates of a search.
    criterion : str or None
        What the best was judged by; None for a fit.
    backend : Backend, optional
        Over the data: a seeded sample of it is drawn, without another pass over all of it.
    names : list of str, optional
        Of the features.
    labels : list of str, optional
        As for `views.view_of`.
    seed : int
    silhouette_rows : int
        Rows of the sample that silhouettes are measured on.

    Returns
    -------
    pictures : list of (title, caption, bytes)
    troubles : list of str
        What could not be drawn, and why.
    """
    wanted = _criterion(rows, criterion)
    if backend is not None:
        wanted += _of_data(result.params, backend, names, labels, seed, silhouette_rows)
    wanted += _trace(result)
    pictures, troubles = [], []
    for title, caption, draw in wanted:
        try:
            pictures.append((title, caption, _bytes_of(draw())))
        except Exception as error:  # a report without one picture is worth more than none
            reason = str(error) or type(error).__name__
            troubles.append(f"the picture “{title}” could not be drawn: {reason}")
    return pictures, troubles


def _criterion(rows, criterion):
    """(title, caption, function that draws) of the picture of a search."""
    if criterion is None or len({row["n_components"] for row in rows}) == 1:
        return []
    better = "higher" if criterion in HIGHER else "lower"
    caption = f"{CRITERIA[criterion][0]} of the candidates; {better} is better."
    return [("Criterion", caption, lambda: figures.criteria(rows, criterion))]


def _trace(result):
    """The same of the picture of the iterations."""
    if sum(map(is_number, result.trace)) < 2:
        return []
    caption = "Log-likelihood of the start and after each iteration of EM."
    return [("Log-likelihood", caption, lambda: figures.loglik(result))]


def _of_data(params, backend, names, labels, seed, silhouette_rows):
    """The same of pictures that show samples."""
    drawn = {"rows": DRAWN_ROWS, "seed": seed}
    caption = _drawn(backend.n_samples, DRAWN_ROWS, seed)
    found = [(
        "Clusters",
        f"Samples in the colours of their components; {caption}.",
        lambda: composition.draw_clusters(
            backend, params, views.view_of(params, names, labels=labels), style="points", **drawn
        )[0],
    )]  # fmt: skip
    if params.n_components > 1:
        found.append((
            "Uncertainty",
            "One less the probability of the component that each sample is assigned to; "
            f"{caption}.",
            lambda: composition.draw_uncertainty(
                backend, params, views.plane_of(params, names, labels=labels), **drawn
            )[0],
        ))  # fmt: skip
    if silhouette_rows and 1 < params.n_components <= MOST_COMPONENTS:
        measured = {"rows": silhouette_rows, "seed": seed}
        found.append((
            "Silhouette",
            "A bar for each sample, by component; below 0 it is nearer to another one; "
            f"{_drawn(backend.n_samples, silhouette_rows, seed)}.",
            lambda: composition.draw_silhouette(backend, params, **measured)[0],
        ))  # fmt: skip
    return found


def _drawn(n, most, seed):
    """How many samples are drawn, and which."""
    return f"all {n:,} samples" if n <= most else f"{most:,} of {n:,} samples (seed {seed})"


def _bytes_of(axes):
    """The figure of some axes, as SVG, or as PNG where that is smaller."""
    import matplotlib

    figure = np.ravel(axes)[0].figure
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "gmm-fast"}):
        # signs that the font has not: names of columns are what they are
        warnings.simplefilter("ignore", UserWarning)
        svg = _saved(figure, "svg", {"Date": None, "Creator": None})  # the same bytes each time
        return svg if len(svg) <= MOST_SVG else _saved(figure, "png", {"Software": None})


def _saved(figure, kind, metadata):
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=DPI, metadata=metadata)
    return file.getvalue()
