"""Show progress in one live line on a terminal."""

import sys
import time
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

# Width of the bar, and of terminals too narrow for it.
BAR = 20
NARROW = 72


class Progress:
    """A live line on stderr, on a terminal only: what runs, iteration, log-likelihood, rate.

    Parameters
    ----------
    n_samples : int, optional
    max_iter : int, optional
    quiet : bool
        Show nothing.
    """

    def __init__(self, n_samples=None, max_iter=None, quiet=False):
        self.n_samples = n_samples
        self.max_iter = max_iter
        self.quiet = quiet
        self._compiling = None
        self._share = None
        self.say("starting")

    @contextmanager
    def shown(self):
        """Show the line while the block runs."""
        if self.quiet or not sys.stderr.isatty():
            yield self
            return
        screen = Console(stderr=True, highlight=False)
        line = Live(self, console=screen, transient=True, refresh_per_second=10)
        with _compilations(self), line:
            yield self

    def say(self, what):
        """Begin a stage."""
        self._what = what
        self._parts = []
        self._first = None
        self._began = time.monotonic()

    def iteration(self, iteration, mean_log_likelihood, change):
        """Report the end of an EM iteration."""
        now = time.monotonic()
        if self._first is None:
            self._first = iteration, now
        done, seconds = iteration - self._first[0], max(now - self._first[1], 1e-9)
        rate = done / seconds  # the first iteration only starts the clock
        of = "" if self.max_iter is None else f"/{self.max_iter}"
        self._parts = [
            f"iteration {iteration}{of}",
            f"log-likelihood {mean_log_likelihood:.5f}",
            *([f"{rate:.1f} iterations/s"] if done else []),
            f"change {change:+.1e}",
            *([f"{rate * self.n_samples / 1e6:.1f} M samples/s"] if done else []),
        ]

    def rows(self, done):
        """Report that a pass over the data has done so many rows."""
        rate = done / max(time.monotonic() - self._began, 1e-9)
        self._parts = [f"{done / self.n_samples:.0%}", f"{rate / 1e6:.1f} M samples/s"]

    def share(self, done, seconds_left=None):
        """Report the share of the whole work that is done, 0 to 1; None at its end."""
        now = time.monotonic()
        self._share = None if done is None else (done, now, seconds_left)

    def compiling(self, begins):
        """Report that Numba begins or ends compiling a kernel."""
        self._compiling = time.monotonic() if begins else None

    def __rich_console__(self, screen, options):
        now = time.monotonic()
        if self._compiling is not None:
            yield _line(
                ["compiling kernels, once on this machine", f"{now - self._began:.0f} s"],
                options.max_width,
            )
            return
        parts = [self._what, *self._parts]
        if not self._parts:
            parts.append(f"{now - self._began:.0f} s")
        if self._share is None:
            yield _line(parts, options.max_width)
            return
        done, then, left = self._share
        if left is not None:  # near the front: the end is cut where there is no room
            parts.insert(1, f"about {_duration(max(0, left - (now - then)))} left")
        if options.max_width < NARROW:
            yield _line(parts, options.max_width)
            return
        grid = Table.grid(padding=(0, 1))
        grid.add_row(
            ProgressBar(total=1.0, completed=done, width=BAR),
            _line(parts, options.max_width - BAR - 1),
        )
        yield grid


class SearchProgress:
    """Show a search in the line of a `Progress`; has the methods of `searching.Watch`.

    Parameters
    ----------
    progress : Progress
    numbers : sequence of int
        Numbers of components to try. The time left is estimated on the assumption that a piece of
        work takes time in proportion to its number of components.
    """

    def __init__(self, progress, numbers):
        self._progress = progress
        self._components = sum(numbers) / len(numbers)
        self._done, self._total = 0, None
        self._shown = None

    def plan(self, total, more=False):
        if more:
            self._total += total
            return
        self._total = total
        self._began = time.monotonic()
        self._behind = 0

    def begins(self, n_components, covariance_type, what):
        self._shown = n_components, covariance_type
        self._progress.say(
            f"{self._done + 1}/{self._total} K={n_components} {covariance_type}: {what}"
        )

    def iteration(self, n_components, covariance_type, *news):
        if (n_components, covariance_type) != self._shown:
            self.begins(n_components, covariance_type, "fit")
        self._progress.iteration(*news)

    def ends(self, n_components, covariance_type):
        self._done += 1
        self._behind += n_components
        if self._done == self._total:
            self._progress.share(None)
            return
        share = min(self._behind / (self._components * self._total), 1.0)
        seconds = time.monotonic() - self._began
        self._progress.share(share, seconds * (1 - share) / share)


def _duration(seconds):
    """A time in words: 8 s, 3 min 20 s, 2 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02} s"
    return "{} h {:02} min".format(*divmod(minutes, 60))


def _line(parts, width):
    """Join as many parts as fit in a line."""
    text = parts[0]
    for part in parts[1:]:
        if len(text) + 3 + len(part) > width - 1:
            break
        text += f" · {part}"
    return Text(text, no_wrap=True, overflow="ellipsis")


@contextmanager
def _compilations(progress):
    """Tell `progress` when Numba compiles; loading from its cache does not count."""
    from numba.core import event

    class Listener(event.Listener):
        def __init__(self):
            self.depth = 0

        def on_start(self, _):
            self.depth += 1
            if self.depth == 1:
                progress.compiling(True)

        def on_end(self, _):
            self.depth -= 1
            if self.depth == 0:
                progress.compiling(False)

    with event.install_listener("numba:compile", Listener()):
        yield
