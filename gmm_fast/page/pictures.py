"""Draw the pictures of a report: which ones, their captions, and their bytes."""

import io
import warnings

from ..plots import canvas, composition, figures, views
from ..selection.criteria import HIGHER
from .facts import is_number
from .rendering import write_page
from .tables import MOST_COMPONENTS
from .wording import CRITERIA

# Samples in a picture: enough to see the clusters, few enough for a page that opens at once.
DRAWN_ROWS = 5000
# Bytes. Larger SVGs, of thousands of dots, become PNGs.
MOST_SVG = 300_000


def write_illustrated(path, facts, rows, result, **options):
    """Draw the pictures of a report and write its page; failed pictures become warnings.

    Takes the facts and rows of `rendering.render`, and the options of `draw_pictures`.
    """
    pictures, troubles = draw_pictures(result, rows, facts["criterion"], **options)
    facts = facts | {"warnings": [*(facts.get("warnings") or []), *troubles]}
    write_page(path, facts, rows, pictures)


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
    """Draw every picture for which there is data.

    Parameters
    ----------
    result : em.FitResult
    rows : list of dict
        The candidates of a search.
    criterion : str or None
        The criterion that chose the best; None for a fit.
    backend : Backend, optional
        The data. A seeded sample of it is drawn, without another pass over all of it.
    names : list of str, optional
        Names of the features.
    labels : list of str, optional
        As for `views.view_of`.
    seed : int
    silhouette_rows : int
        Rows of the sample for silhouettes.

    Returns
    -------
    pictures : list of (title, caption, bytes)
    troubles : list of str
        What could not be drawn, and why.
    """
    wanted = _criterion_picture(rows, criterion)
    if backend is not None:
        wanted += _data_pictures(result.params, backend, names, labels, seed, silhouette_rows)
    wanted += _trace_picture(result)
    pictures, troubles = [], []
    for title, caption, draw in wanted:
        try:
            pictures.append((title, caption, _bytes_of(draw())))
        except Exception as error:  # a report without one picture is better than none
            reason = str(error) or type(error).__name__
            troubles.append(f"the picture “{title}” could not be drawn: {reason}")
    return pictures, troubles


def _criterion_picture(rows, criterion):
    """(title, caption, function that draws) of the picture of a search."""
    if criterion is None or len({row["n_components"] for row in rows}) == 1:
        return []
    better = "higher" if criterion in HIGHER else "lower"
    caption = f"{CRITERIA[criterion][0]} of the candidates; {better} is better."
    return [("Criterion", caption, lambda: figures.criteria(rows, criterion))]


def _trace_picture(result):
    """(title, caption, function that draws) of the picture of the iterations."""
    if sum(map(is_number, result.trace)) < 2:
        return []
    caption = "Log-likelihood of the start and after each iteration of EM."
    return [("Log-likelihood", caption, lambda: figures.loglik(result))]


def _data_pictures(params, backend, names, labels, seed, silhouette_rows):
    """(title, caption, function that draws) of each picture that shows samples."""
    drawn = {"rows": DRAWN_ROWS, "seed": seed}
    caption = _sample_text(backend.n_samples, DRAWN_ROWS, seed)
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
            "One minus the probability of the component that each sample is assigned to; "
            f"{caption}.",
            lambda: composition.draw_uncertainty(
                backend, params, views.plane_of(params, names, labels=labels), **drawn
            )[0],
        ))  # fmt: skip
    if silhouette_rows and 1 < params.n_components <= MOST_COMPONENTS:
        measured = {"rows": silhouette_rows, "seed": seed}
        found.append((
            "Silhouette",
            "A bar for each sample, by component; below 0, the sample is nearer to another one; "
            f"{_sample_text(backend.n_samples, silhouette_rows, seed)}.",
            lambda: composition.draw_silhouette(backend, params, **measured)[0],
        ))  # fmt: skip
    return found


def _sample_text(n, most, seed):
    """How many samples are drawn, and which."""
    return f"all {n:,} samples" if n <= most else f"{most:,} of {n:,} samples (seed {seed})"


def _bytes_of(axes):
    """The figure of some Axes as SVG, or as PNG if the SVG is too large."""
    figure = canvas.figure_of(axes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of layouts without room
        svg = _save(figure, "svg")
        return svg if len(svg) <= MOST_SVG else _save(figure, "png")


def _save(figure, kind):
    file = io.BytesIO()
    canvas.write(figure, file, kind)
    return file.getvalue()
