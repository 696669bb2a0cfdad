"""Print results for people and programs: tables, JSON, notes, warnings."""

import errno
import io
import json
import math
import os
import sys

import click
import numpy as np
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..backends.memory import describe
from ..errors import FitError
from ..mixture.resolution import steps_text
from ..selection.choice import not_converged
from ..selection.criteria import HIGHER, in_words, label_of
from ..selection.grid import PATIENCE
from ..sources import describe_transforms
from ..text import count, mean_and_deviation, number, shorten, show_size, stage_seconds, weight

# Columns of a table in a file or a pipe.
PIPE_WIDTH = 200
# The most components and features in a table (fewer features where they do not fit).
MOST_COMPONENTS = 20
MOST_FEATURES = 12
# Characters of a feature's name in a table.
LONGEST_NAME = 20
# Facts that are paths of outputs.
WRITTEN = ("model", "labels", "report", "plot", "animation", "checkpoint")
# Passes that wait for data for a larger share of their time are bound by the disk or by decoding.
DISK_BOUND = 0.3
# Columns that the table of a search drops where it is too wide, in order; never the criterion.
DISPENSABLE = (
    "AIC",
    "parameters",
    "effort",
    "ICL",
    "iterations",
    "silhouette",
    "log-likelihood",
    "CV",
    "BIC",
)


def plain(value):
    """`value` for JSON: lists for arrays, null for NaN and infinity."""
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
    """Print one JSON object on stdout."""
    _out(json.dumps(plain(facts), allow_nan=False) + "\n")


def _console():
    """A console that renders to text as stdout needs it: a terminal, or a file or pipe."""
    real = Console()
    return Console(
        file=io.StringIO(),
        force_terminal=real.is_terminal,
        color_system=real.color_system,
        width=real.width if real.is_terminal else PIPE_WIDTH,
        highlight=False,
    )


def show(what=""):
    """Print text or a table on stdout; a file or a pipe gets no trailing spaces."""
    screen = _console()
    screen.print(what)
    text = screen.file.getvalue()
    if not screen.is_terminal:
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    _out(text)


def _out(text):
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # an ASCII terminal, or a file name that is not Unicode
        text = text.replace("±", "+-").replace("…", "...")
        text = text.encode(encoding, "replace").decode(encoding)
    try:
        click.echo(text, nl=False, color=True)  # rich has already decided on colours
    except OSError as error:
        if error.errno == errno.EPIPE:  # `| head`: click ends silently
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python tries again when it exits
        raise FitError(f"standard output could not be written: {error.strerror}") from None


def _fits(table):
    """Whether a table fits without cutting or wrapping its cells."""
    screen = _console()
    unbound = screen.options.update(max_width=10 * PIPE_WIDTH)
    return Measurement.get(screen, unbound, table).maximum <= screen.width


def print_answer(as_json, facts, title, rows):
    """Print `facts` as JSON, or `rows` as a table."""
    if as_json:
        print_json(facts)
    else:
        print_facts(title, rows)


def print_facts(title, rows):
    """Print a table of (name, value) pairs."""
    table = Table(show_header=False, box=None, padding=(0, 1), pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row("  " + name, Text(str(value)))
    show(Text(title, style="italic", overflow="fold"))
    show(table)


def print_fit(data, result, facts, n_fits=1):
    """Print the result of a fit, the best of `n_fits`."""
    rows = [
        ("samples x features", f"{facts['n_samples']:,} x {facts['n_features']:,}"),
        ("components", f"{facts['n_components']}, {_family(result.params)}"),
        *score_rows(facts | {"mean_log_likelihood": result.mean_log_likelihood}),
    ]
    if facts["silhouette_samples"]:
        on = count(facts["silhouette_samples"], "sample")
        rows.append(("silhouette", f"{number(facts['silhouette'])} (on {on})"))
    rows += [*_scale_rows(facts), ("stopped by", _stop(result))]
    seconds, stages = facts["seconds"]["total"], stage_seconds(facts["seconds"])
    many = f" for {n_fits} fits (this one: {stages})" if n_fits > 1 else f" ({stages})"
    rows.append(("seconds", f"{seconds:.2f}{many}"))
    rows += [(name, facts[name]) for name in WRITTEN if facts.get(name)]
    print_facts(str(data), rows)
    show()
    print_components(result.params, facts["features"])


def print_info(model, result, facts):
    """Print what a model file holds."""
    rows = [
        ("components", f"{facts['n_components']}, {_family(result.params)}"),
        ("features", f"{facts['n_features']:,}"),
        ("fitted to", f"{facts.get('data', 'data')} ({count(result.n_samples, 'sample')})"),
        *_scale_rows(facts),
        *score_rows(facts),
        ("stopped by", _stop(result)),
        *_rounding_rows(result),
        *(("note", event) for event in result.events),
    ]
    print_facts(str(model), rows)
    show()
    print_components(result.params, facts.get("features"))


def note(text):
    """Print something that a user should know, on stderr."""
    click.echo(f"note: {text}", err=True)


def warn(text):
    """Print something that makes a result doubtful, on stderr."""
    click.echo(f"warning: {text}", err=True)


def print_notes(result, printed=()):
    """Print events and warnings on stderr, except those already `printed`."""
    for event in result.events:
        if event not in printed:
            note(event)
    if not result.converged and (text := not_converged(result.n_iter)) not in printed:
        warn(text)


def print_holding(backend, promise, client):
    """Print where the data is held, and by how many threads it is processed; on stderr."""
    n, d, stored = backend.n_samples, backend.n_features, backend.source_dtype
    size = show_size(n * d * stored.itemsize)
    data = f"{backend.name}: {n:,} x {d} {stored}, {size}"
    if client is not None:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        kept = "kept by them" if backend.in_memory else "read anew in every pass"
        threads = sum(worker["nthreads"] for worker in workers.values())
        note(
            f"{data}; {count(backend.n_parts, 'part')} on {count(len(workers), 'worker')} "
            f"with {count(threads, 'thread')}, {kept}"
        )
        note(f"dashboard: {client.dashboard_link}")
        return
    if backend.in_memory:
        note(f"{data}; kept in memory, on {count(backend.threads, 'thread')}")
    else:
        note(
            f"{data}; does not fit into memory ({describe(promise)}): streamed in every pass, on "
            f"{count(backend.threads, 'thread')}"
        )


def print_reading(backend):
    """Print how fast streamed passes were, on stderr."""
    reading = getattr(backend, "reading", None)
    if reading is None or not reading.n_bytes:
        return
    share = reading.waited / reading.seconds
    rate = show_size(reading.n_bytes / reading.seconds)
    text = f"passes read {rate}/s, and waited for data {share:.0%} of their time"
    if share >= DISK_BOUND:
        decoded = backend.opened.decoded
        text += ": they are bound by " + (
            "decoding; a .npy is read faster" if decoded else "the disk (disk-bound)"
        )
    note(text)


def _scale_rows(facts):
    """The row on the transforms of the features, if there are any."""
    each = facts.get("transforms")
    return [] if each is None else [("scale", describe_transforms(each, facts.get("features")))]


def _rounding_rows(result):
    """The row on the steps of the data, if it was rounded."""
    if result.resolution is None:
        return []
    taken = "; likelihoods take it into account" if result.rounded else ""
    return [("data rounded to", steps_text(result.resolution) + taken)]


def score_rows(facts):
    """The rows on the likelihood and the criteria."""
    mean = facts["mean_log_likelihood"]
    return [
        ("log-likelihood", f"{facts['log_likelihood']:,.3f} ({mean:.5f} a sample)"),
        ("parameters", f"{facts['n_parameters']:,}"),
        ("BIC / AIC / ICL", f"{facts['bic']:,.1f} / {facts['aic']:,.1f} / {facts['icl']:,.1f}"),
    ]


def _family(params):
    family = params.family
    return f"{family.name} covariance ({family.mclust_name})"


def _stop(result):
    reasons = {"tolerance": "tolerance", "max_iter": "the iteration limit (not converged)"}
    reason = reasons.get(result.stop_reason, result.stop_reason)
    return f"{reason} after {count(result.n_iter, 'iteration')}"


def print_components(params, names=None):
    """Print weights, means and standard deviations, the heaviest component first.

    `names` are the names of the features, if they have any.
    """
    k, d = params.n_components, params.n_features
    variances = params.family.component_variances(params)
    order = np.argsort(-params.weights, kind="stable")[:MOST_COMPONENTS]
    cells = [
        mean_and_deviation(params.means[order, j], np.sqrt(variances[order, j]))
        for j in range(min(d, MOST_FEATURES))
    ]
    shown = len(cells)
    heads = [
        f"feature {j}" if names is None else shorten(names[j], LONGEST_NAME) for j in range(shown)
    ]
    table = _component_table(params.weights, order, heads, cells, shown < d)
    while shown > 1 and not _fits(table):
        shown -= 1
        table = _component_table(params.weights, order, heads, cells[:shown], True)
    show(table)
    more = []
    if shown < d:
        more.append(f"{shown} of {d:,} features")
    if len(order) < k:
        more.append(f"{len(order)} of {k:,} components")
    if more:
        show(Text(f"  (mean ± standard deviation; {', '.join(more)}; all with --json)"))
    else:
        show(Text("  (mean ± standard deviation)"))


def _component_table(weights, order, heads, cells, cut):
    table = Table(box=None, padding=(0, 1))
    table.add_column("component", justify="right", no_wrap=True)
    table.add_column("weight", justify="right", no_wrap=True)
    for head in heads[: len(cells)]:
        table.add_column(Text(head), justify="right", no_wrap=True)
    for row, k in enumerate(order):
        texts = [column[row] for column in cells]
        table.add_row(str(k), weight(weights[k]), *texts, "..." if cut else None)
    return table


def print_candidates(table):
    """Print the table of a search, its best row marked, and remarks on it."""
    candidates, best, by = table.candidates, table.best, label_of(table.criterion)
    columns, hidden = _columns(candidates, best), []
    shown = _candidate_table(candidates, best, by, columns)
    for name in DISPENSABLE:
        if _fits(shown):
            break
        if name != by and name in columns:
            columns.remove(name)
            hidden.append(name)
            shown = _candidate_table(candidates, best, by, columns)
    show(shown)
    how = "highest" if table.criterion in HIGHER else "lowest"
    show(Text(f"  * best: {how} {by}{_margin(table)}"))
    if table.stopped_at is not None:
        show(Text(f"  (stopped early: nothing was better for {PATIENCE} values of K)"))
    if not all(c.result.converged for c in candidates if c.result is not None):
        show(Text("  + not converged: raise --max-iter or --tol"))
    for candidate in candidates:
        if candidate.unsound is not None and candidate is not best:
            show(Text(f"  ! {candidate} cannot win: {candidate.unsound}"))
    if any(_mark(c, best) == "~" for c in candidates):
        show(Text("  ~ narrower than the data's rounding, which is taken into account"))
    if hidden:
        show(Text(f"  (no room for {', '.join(hidden)}; all with --json)"))
    for candidate in candidates:
        if candidate.failure is not None:
            show(Text(f"  - {candidate} could not be fitted: {candidate.failure}"))


def _margin(table):
    if table.runner_up is None:
        return ""
    margin = in_words(table.criterion, table.margin)
    return f"; margin to the runner-up, {table.runner_up}: {margin}"


def print_doubts(warnings):
    """Print what makes the choice of a search doubtful, on stderr."""
    for warning in warnings:
        warn(warning)


def _columns(candidates, best):
    """Columns of the table after K and the family; effort only where candidates differ in it."""
    # with one component there is nothing to search for
    searched = {c.result.effort for c in candidates if c.result is not None and c.n_components > 1}
    return [n for n in _candidate_cells(best) if n != "effort" or len(searched) > 1]


def _candidate_table(candidates, best, by, columns):
    several = len({c.covariance_type for c in candidates}) > 1
    table = Table(box=None, padding=(0, 1))
    table.add_column("", no_wrap=True)
    table.add_column("K", justify="right", no_wrap=True)
    if several:
        table.add_column("covariance", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True, style="bold" if name == by else None)
    for c in candidates:
        cells = _candidate_cells(c)
        table.add_row(
            _mark(c, best),
            str(c.n_components),
            *([c.covariance_type] if several else []),
            *(cells.get(name, "-") for name in columns),
            style="bold green" if c is best else None,
        )
    return table


def _mark(candidate, best):
    """The sign before a row: * the best, ! cannot win, ~ takes rounding into account."""
    if candidate is best:
        return "*"
    if candidate.unsound is not None:
        return "!"
    return "~" if candidate.result is not None and candidate.result.rounded else ""


def _candidate_cells(candidate):
    """Cells by column; none where the fit failed."""
    result = candidate.result
    if result is None:
        return {}
    cells = {
        "log-likelihood": number(result.log_likelihood, 1),
        "parameters": f"{candidate.n_parameters:,}",
        "BIC": number(candidate.bic, 1),
        "AIC": number(candidate.aic, 1),
        "ICL": number(candidate.icl, 1),
        "silhouette": number(candidate.silhouette),
        "CV": f"{number(candidate.cv)} ± {number(candidate.cv_se)}",
        "effort": f"{result.effort:.3g}",
        "iterations": f"{result.n_iter}" + (" " if result.converged else "+"),
    }
    if candidate.cv is None:
        del cells["CV"]
    return cells
