"""The pictures of a report: which ones, their captions, and their bytes."""

import io
from dataclasses import dataclass

import numpy as np

from .facts import HIGHER, is_number
from .tables import CRITERIA, MOST_COMPONENTS

# Samples that pictures show: enough to see the clusters, few enough for a page that opens at once.
DRAWN_ROWS = 5000
# Larger SVGs, of thousands of dots, are drawn as PNG.
MOST_SVG = 300_000
DPI = 150


@dataclass(frozen=True)
class Sample:
    """Samples that pictures show.

    Attributes
    ----------
    x : (m, d) float64
    n_samples : int
        Of the data that they are drawn from.
    seed : int
    """

    x: np.ndarray
    n_samples: int
    seed: int

    @classmethod
    def of(cls, backend, seed=0):
        """At most `DRAWN_ROWS` samples, drawn uniformly without replacement."""
        n = backend.n_samples
        chosen = np.arange(n)
        if n > DRAWN_ROWS:
            rng = np.random.default_rng([seed, 0x9A6E])
            chosen = np.sort(rng.choice(n, DRAWN_ROWS, replace=False, shuffle=False))
        return cls(backend.take(chosen), n, seed)

    @property
    def caption(self):
        if len(self.x) == self.n_samples:
            return f"All {self.n_samples:,} samples."
        return f"{len(self.x):,} of {self.n_samples:,} samples (seed {self.seed})."


def draw_pictures(model, sample, rows, criterion):
    """The pictures that there is something for.

    Parameters
    ----------
    model : GaussianMixture
    sample : Sample or None
    rows : list of dict
        The candidates of a search.
    criterion : str or None
        What the best was judged by; None for a fit.

    Returns
    -------
    pictures : list of (title, caption, bytes)
    troubles : list of str
        What could not be drawn, and why.
    """
    pictures, troubles = [], []
    for title, caption, draw in _wanted(model, sample, rows, criterion):
        try:
            pictures.append((title, caption, _bytes_of(draw())))
        except Exception as error:  # a report without one picture is worth more than none
            reason = str(error) or type(error).__name__
            troubles.append(f"the picture “{title}” could not be drawn: {reason}")
    return pictures, troubles


def _wanted(model, sample, rows, criterion):
    """(title, caption, function that draws) of each picture."""
    try:
        from .. import plots
    except ImportError:
        return []
    found = []
    if criterion is not None and len({r["n_components"] for r in rows}) > 1:
        found.append((
            "Criterion",
            f"{CRITERIA[criterion][0]} of each candidate; "
            f"{'higher' if criterion in HIGHER else 'lower'} is better.",
            lambda: plots.criteria(rows, criterion),
        ))  # fmt: skip
    if sample is not None:
        several = 1 < model.n_components <= MOST_COMPONENTS
        found.append(("Clusters", sample.caption, lambda: plots.clusters(model, sample.x)))
        if model.n_components > 1:
            caption = f"How sure it is which component each belongs to. {sample.caption}"
            found.append(("Uncertainty", caption, lambda: plots.uncertainty(model, sample.x)))
        if several:
            caption = f"One bar a sample, by component; above 0 is well placed. {sample.caption}"
            found.append(("Silhouette", caption, lambda: plots.silhouette(model, sample.x)))
    if sum(map(is_number, model.result_.trace)) > 1:
        caption = "Log-likelihood of the start and after each iteration of EM."
        found.append(("Log-likelihood", caption, lambda: plots.loglik(model)))
    return found


def _bytes_of(axes):
    """The figure of some axes, as SVG, or as PNG where that is smaller."""
    import matplotlib

    figure = np.ravel(axes)[0].figure
    with matplotlib.rc_context({"svg.hashsalt": "gmm-fast"}):  # the same bytes each time
        svg = _saved(figure, "svg", metadata={"Date": None})
    return svg if len(svg) <= MOST_SVG else _saved(figure, "png", dpi=DPI)


def _saved(figure, kind, **options):
    file = io.BytesIO()
    figure.savefig(file, format=kind, bbox_inches="tight", **options)
    return file.getvalue()
