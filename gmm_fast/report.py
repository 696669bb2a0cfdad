"""What a person or a program is shown: tables, JSON, progress."""

import json
import math
import time
from contextlib import contextmanager

import numpy as np
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

WIDE = 12  # features or components of which tables show no more


def plain(value):
    """`value` as JSON holds it: lists for arrays, null for NaN and infinity."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def print_json(facts):
    """One JSON object on stdout."""
    print(json.dumps(plain(facts), allow_nan=False))


def console(stderr=False):
    """Where tables (stdout) or progress and messages (stderr) go."""
    made = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if not made.is_terminal:  # a file or a pipe has no width to respect
        made.width = 200
    return made


def number(value, digits=4):
    """A number for a table; a dash for what is not defined."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.{digits}f}"


def print_facts(title, rows):
    """A two-column table of (name, value) pairs."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(str(value)))
    console().print(table)


def print_components(params, variances, order=None):
    """Weights, means and standard deviations, the heaviest component first."""
    d = params.n_features
    table = Table(title_justify="left", box=None, padding=(0, 2))
    table.add_column("component", justify="right")
    table.add_column("weight", justify="right")
    table.add_column(f"mean ± standard deviation of {_count(d, 'feature')}")
    order = np.argsort(-params.weights, kind="stable") if order is None else order
    for k in order[:WIDE]:
        pairs = [
            f"{m:.4g} ± {s:.3g}"
            for m, s in zip(params.means[k, :WIDE], np.sqrt(variances[k, :WIDE]), strict=True)
        ]
        rest = ["..."] if d > WIDE else []
        table.add_row(str(k), f"{params.weights[k]:.4f}", "   ".join(pairs + rest))
    console().print(table)
    if params.n_components > WIDE:
        console().print(f"  ... and {params.n_components - WIDE} more (see --json)")


def print_candidates(candidates, best, criterion):
    """The table of a search, the best row marked."""
    families = len({c.covariance_type for c in candidates}) > 1
    table = Table(box=None, padding=(0, 2))
    table.add_column("")
    table.add_column("K", justify="right")
    if families:
        table.add_column("covariance")
    for name in ("log-likelihood", "parameters", "BIC", "AIC", "ICL", "silhouette", "iterations"):
        chosen = name.lower() == criterion
        table.add_column(name, justify="right", style="bold" if chosen else None)
    for c in candidates:
        row = [
            f"{c.result.log_likelihood:,.1f}",
            f"{c.n_parameters:,}",
            f"{c.bic:,.1f}",
            f"{c.aic:,.1f}",
            f"{c.icl:,.1f}",
            number(c.silhouette),
            f"{c.result.n_iter}" + ("" if c.result.converged else " (limit)"),
        ]
        mark = "*" if c is best else ""
        name = [c.covariance_type] if families else []
        table.add_row(
            mark, str(c.n_components), *name, *row, style="bold green" if c is best else None
        )
    console().print(table)


def _count(n, noun):
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


class Progress:
    """A live line on stderr, on a terminal only: what runs, iteration, log-likelihood, rate."""

    def __init__(self, n_samples=0):
        self.n_samples = n_samples
        self.what = ""
        self._live = None
        self._started = time.perf_counter()
        self._last = 0.0

    @contextmanager
    def shown(self):
        """Show the line while the block runs."""
        screen = console(stderr=True)
        if not screen.is_terminal:
            yield self
            return
        with Live(console=screen, transient=True, refresh_per_second=10) as live:
            self._live = live
            try:
                yield self
            finally:
                self._live = None

    def say(self, what):
        """Begin a stage."""
        self.what = what
        self._started = time.perf_counter()
        if self._live is not None:
            self._live.update(Text(what + " ..."))

    def iteration(self, iteration, mean_log_likelihood, change):
        """An EM iteration ended."""
        if self._live is None:
            return
        now = time.perf_counter()
        if now - self._last < 0.05:
            return
        self._last = now
        rate = iteration / max(now - self._started, 1e-9)
        self._live.update(
            Text(
                f"{self.what}: iteration {iteration}   "
                f"log-likelihood {mean_log_likelihood:.5f} a sample ({change:+.1e})   "
                f"{rate:.1f} iterations/s   {rate * self.n_samples / 1e6:.1f} M samples/s"
            )
        )

    def candidate(self, done, total, n_components, covariance_type):
        """A fit of a search begins."""
        self.say(f"fit {done + 1} of {total}: K = {n_components}, {covariance_type}")
