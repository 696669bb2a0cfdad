"""Animate a fit: a GIF with the assignment of rows after every few iterations."""

import os
from dataclasses import replace

import numpy as np

from ..files.outputs import atomic_write
from .canvas import check_picture, drawing, new_figure
from .captions import ellipses_of, rows_drawn, title_of
from .cloud import assign, gather
from .composition import LEVELS, panel
from .drawing import Scene, describe, legend
from .views import view_of

ENDINGS = (".gif",)
# Limits on the frames of a film, and on the bytes of parameters kept for them.
MOST_FRAMES = 60
MOST_BYTES = 64 * 2**20
# Rows in a film, dots per inch, milliseconds per frame and for the last one.
FILM_ROWS = 3000
DPI = 100
FRAME_TIME = 200
LAST_TIME = 2500
# Colours of a film: the palette, its faded colours, and the edges of letters.
COLOURS = 192


class Recorder:
    """Keeps the parameters of every few iterations of a fit; call it with each `em.State`.

    When there are too many, it drops every second one, and from then on keeps half as many.

    Attributes
    ----------
    frames : list of (iteration, mean log-likelihood, Params)
    """

    def __init__(self):
        self.frames = []
        self._every = 1

    def __call__(self, state):
        if state.iteration % self._every:
            return
        self.frames.append((state.iteration, state.trace[-1], state.params))
        if len(self.frames) > self._most(state.params):
            self._every *= 2
            self.frames = [f for f in self.frames if f[0] % self._every == 0]

    def finish(self, result):
        """Add the end of the fit, whatever its iteration."""
        last = (result.n_iter, result.trace[-1], result.params)
        if self.frames and self.frames[-1][0] == result.n_iter:
            self.frames.pop()
        self.frames.append(last)

    def _most(self, params):
        size = params.covariances.nbytes + params.means.nbytes
        return int(np.clip(MOST_BYTES // size, 8, MOST_FRAMES))


def check_animation(path, what="the animation"):
    """Raise DataError unless a film can be written to `path`; see `canvas.check_picture`."""
    check_picture(path, what, ENDINGS)


def write_animation(
    path, backend, frames, total_weight, names=None, *, labels=None, rows=FILM_ROWS, seed=0
):
    """Draw the frames of a `Recorder`, and write them.

    All frames show the same rows on the same axes: one or two features, or else the discriminant
    directions of the last frame.

    Parameters
    ----------
    path : str or os.PathLike
        Must end in ``.gif``.
    backend : Backend
        The data.
    frames : list of (iteration, log-likelihood, Params)
    total_weight : float
        Sum of the sample weights; log-likelihoods are divided by it.
    names : list of str, optional
        Names of the features.
    labels : list of str, optional
        As for `view_of`.
    rows : int
        Limit on the rows of the sample.
    seed : int

    Returns
    -------
    dict
        The facts: frames, rows, n_samples.

    Raises
    ------
    DataError
        As `check_animation`, or the file cannot be written.
    FitError
        Writing failed.
    """
    check_animation(path)
    last = frames[-1][2]
    how = "auto" if last.n_features <= 2 else "projection"
    view = view_of(last, names, view=how, labels=labels)
    cloud = gather(backend, last, view, rows=rows, seed=seed, keep=True)
    film = _Film(view, title_of(last))
    pictures = []
    for iteration, log_likelihood, params in frames:
        labels, uncertainty = assign(backend, params, cloud.x)
        shown = replace(cloud, labels=labels, uncertainty=uncertainty)
        caption = f"iteration {iteration}: mean log-likelihood {log_likelihood / total_weight:.5f}"
        caption += f"; {rows_drawn(cloud)}"
        if view.n_axes == 2:
            caption += f"; {ellipses_of(LEVELS)}"
        film.draw(Scene.of(shown, view, params), caption)
        pictures.append(film.picture())
    _write(path, pictures)
    return {"frames": len(pictures), "rows": len(cloud.points), "n_samples": cloud.n_samples}


class _Film:
    """One figure for all frames; the axes stay where the first frame put them."""

    def __init__(self, view, title):
        with drawing():
            from matplotlib.backends.backend_agg import FigureCanvasAgg
        self.title = title
        self.figure = new_figure()
        self.figure.set_dpi(DPI)
        self.canvas = FigureCanvasAgg(self.figure)
        self.ax = self.figure.add_subplot()
        self._placed = False

    def draw(self, scene, caption):
        self.ax.clear()
        panel(self.ax, scene, LEVELS)
        if len(scene.names) == 1:
            # the height of the first frame, so that heights can be compared
            self._top = getattr(self, "_top", self.ax.get_ylim()[1])
            self.ax.set_ylim(0, self._top)
        legend(self.ax, scene)
        describe(self.ax, self.title, caption)
        self.canvas.draw()
        if not self._placed:
            self.figure.set_layout_engine("none")
            self._placed = True

    def picture(self):
        """The pixels, (height, width, 3) uint8."""
        return np.asarray(self.canvas.buffer_rgba())[:, :, :3].copy()


def _share_palette(pictures):
    """Images that share one palette, so that still parts keep their colours."""
    from PIL import Image

    some = [pictures[i] for i in sorted({0, len(pictures) // 2, len(pictures) - 1})]
    palette = Image.fromarray(np.concatenate(some)).quantize(COLOURS)
    return [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]


def _write(path, pictures):
    pictures = _share_palette(pictures)
    times = [FRAME_TIME] * (len(pictures) - 1) + [LAST_TIME]
    with atomic_write(os.fspath(path)) as file:
        pictures[0].save(
            file,
            format="gif",
            save_all=True,
            append_images=pictures[1:],
            duration=times,
            loop=0,
            optimize=False,
        )
