"""What a person sees: tables that fit their terminal, JSON that any program reads, progress."""

import io
import json
import sys
from types import SimpleNamespace

import click
import numpy as np
import pytest
from numba import njit
from rich.cells import cell_len
from rich.console import Console

from gmm_fast.cli import printing
from gmm_fast.cli import progress as progress_module
from gmm_fast.cli.progress import Progress, SearchProgress
from gmm_fast.mixture.params import Params
from gmm_fast.selection.choice import Candidate


@pytest.fixture
def screen(monkeypatch, capsys):
    """A function of a width: what is shown from then on goes to a terminal of that width."""

    def of(width):
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
        return lambda: click.unstyle(capsys.readouterr().out).splitlines()

    return of


def mixture(k, d, centre=0.0, scale=1.0):
    rng = np.random.default_rng(0)
    means = centre + 10 * scale * rng.normal(size=(k, d))
    return Params(rng.dirichlet(np.ones(k)), means, scale**2 * rng.uniform(1, 4, (k, d)), "diag")


def candidates(count, size=1e4, converged=True):
    families = ("full", "tied", "diag", "spherical")
    rng = np.random.default_rng(0)
    return [
        SimpleNamespace(
            covariance_type=families[i // 9],
            n_components=2 + i % 9,
            n_parameters=10 * i,
            bic=size * rng.uniform(1, 10),
            aic=size * rng.uniform(1, 10),
            icl=size * rng.uniform(1, 10),
            silhouette=rng.uniform(),
            cv=None,
            cv_se=None,
            failure=None,
            unsound=None,
            result=SimpleNamespace(
                rounded=False,
                log_likelihood=-size * rng.uniform(1, 10),
                n_iter=3 + i,
                converged=converged,
                effort=1.0,
            ),
        )
        for i in range(count)
    ]


def table(candidates, best, criterion, **more):
    """A search of which that candidate is the best."""
    facts = {"runner_up": None, "margin": None, "stopped_at": None} | more
    return SimpleNamespace(
        candidates=candidates, best=candidates[best], criterion=criterion, **facts
    )


# Components -----------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120, 250])
@pytest.mark.parametrize(("centre", "scale"), [(0, 1), (1e9, 1e6), (-1e15, 3), (0, 1e-9), (5, 1e3)])
def test_components_fit_the_terminal(screen, width, centre, scale):
    read = screen(width)
    params = mixture(20, 30, centre, scale)
    printing.print_components(params)
    lines = read()
    assert max(cell_len(line) for line in lines) <= width
    header, rows, note = lines[0], lines[1:21], " ".join(line.strip() for line in lines[21:])
    assert "…" not in "".join([header, *rows])
    assert [int(row.split()[0]) for row in rows] == np.argsort(-params.weights).tolist()
    shown = header.count("feature")
    assert 1 <= shown <= printing.MOST_FEATURES
    assert [row.count("±") for row in rows] == 20 * [shown]
    assert f"{shown} of 30 features; all with --json" in note
    if width == 250:
        assert shown >= 8


def test_wider_terminals_show_more(screen):
    shown = []
    for width in (60, 80, 120, 160):
        read = screen(width)
        printing.print_components(mixture(3, 30))
        shown.append(read()[0].count("feature"))
    assert shown == sorted(set(shown))


def test_all_that_fits_is_shown_without_a_note(screen):
    read = screen(80)
    printing.print_components(mixture(4, 3))
    header, *rows, note = read()
    assert " ".join(header.split()) == "component weight feature 0 feature 1 feature 2"
    assert len(rows) == 4
    assert note == "  (mean ± standard deviation)"
    assert not any("..." in row for row in rows)


def test_many_components_are_cut_with_a_note(screen):
    read = screen(80)
    printing.print_components(mixture(25, 2))
    *_, note = lines = read()
    assert len(lines) == 1 + printing.MOST_COMPONENTS + 1
    assert "20 of 25 components; all with --json" in note


@pytest.mark.parametrize(
    ("means", "deviations", "cells"),
    [
        ([1.23456, -10.5], [0.5, 2], ["1.235 ± 0.500", "-10.500 ± 2.000"]),
        ([1234.5], [123], ["1234 ± 123"]),
        ([1234.5678], [12.3], ["1234.6 ± 12.3"]),
        ([6378137.25], [0.5], ["6378137.250 ± 0.500"]),
        ([1e9], [1e6], ["1000000000 ± 1000000"]),
        ([0.001, 0.002], [0.0001, 0.0002], ["0.001000 ± 0.000100", "0.002000 ± 0.000200"]),
        ([1e-12], [1e-13], ["1e-12 ± 1e-13"]),
        ([1e15], [2], ["1e+15 ± 2"]),
        ([3.0], [0.0], ["3.00 ± 0.00"]),
        ([0, 0], [1e-3, 1e3], ["0.0 ±    0.0", "0.0 ± 1000.0"]),
        ([5, 50], [9.5, 10.5], ["5.00 ±  9.50", "50.00 ± 10.50"]),
    ],
)
def test_decimals_are_those_that_the_deviations_call_for(means, deviations, cells):
    found = printing.mean_and_deviation(np.array(means, float), np.array(deviations, float))
    assert found == cells


def test_small_weights_are_not_zero(screen):
    read = screen(80)
    weights = np.array([1 - 1e-6, 1e-6, 0])
    printing.print_components(Params(weights, np.zeros((3, 1)), np.ones(3), "spherical"))
    assert [line.split()[1] for line in read()[1:4]] == ["1.0000", "1.0e-06", "0.0000"]


# Candidates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl", "silhouette"])
@pytest.mark.parametrize("size", [1e2, 1e4, 1e9])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_candidates_fit_the_terminal(screen, criterion, size, width):
    read = screen(width)
    found = candidates(36, size)
    printing.print_candidates(table(found, 13, criterion))
    lines = read()
    assert max(cell_len(line) for line in lines) <= width
    assert "…" not in "".join(lines)
    header, rows = lines[0], lines[1:37]
    name = criterion if criterion == "silhouette" else criterion.upper()
    assert name in header
    assert [int(row.replace("*", "").split()[0]) for row in rows] == 4 * list(range(2, 11))
    assert [i for i, row in enumerate(rows) if "*" in row] == [13]
    shown = getattr(found[13], criterion)
    assert (f"{shown:.4f}" if criterion == "silhouette" else f"{shown:,.1f}") in rows[13]
    best = "highest silhouette" if criterion == "silhouette" else f"lowest {name}"
    assert lines[37] == f"  * best: {best}"
    every = {"log-likelihood", "parameters", "BIC", "AIC", "ICL", "silhouette", "iterations"}
    hidden = {column for column in every if column not in header}
    if width == 200:
        assert hidden == set()
    note = " ".join(line.strip() for line in lines[38:])
    assert note.startswith("(no room for ") == bool(hidden)
    assert all(column in note for column in hidden)


def test_eighty_columns_hold_the_usual_search(screen):
    """One family and ten-thousands in the likelihood: everything but AIC."""
    read = screen(80)
    found = candidates(9)
    printing.print_candidates(table(found, 2, "bic"))
    lines = read()
    assert "covariance" not in lines[0]
    assert all(name in lines[0] for name in ("log-likelihood", "BIC", "ICL", "silhouette"))


def test_fits_that_did_not_converge_are_marked(screen):
    read = screen(120)
    found = candidates(9)
    found[4].result.converged = False
    printing.print_candidates(table(found, 2, "bic"))
    lines = read()
    assert [i for i, line in enumerate(lines[1:10]) if line.rstrip().endswith("+")] == [4]
    assert "  + not converged: raise --max-iter or --tol" in lines


def test_the_effort_is_shown_where_it_differs(screen):
    read = screen(200)
    found = candidates(9)
    found[3].result.effort = 4.0
    printing.print_candidates(table(found, 2, "bic"))
    header, *rows = read()[:10]
    end = header.index("effort") + len("effort")
    assert [row[end - 4 : end].strip() for row in rows] == ["1", "1", "1", "4", *5 * ["1"]]
    found[3].result.effort = 1.0
    found[0].n_components, found[0].result.effort = 1, 0.0  # nothing to search for
    printing.print_candidates(table(found, 2, "bic"))
    assert "effort" not in " ".join(read())


def test_undefined_scores_are_dashes(screen):
    read = screen(120)
    found = candidates(2)
    found[0].silhouette = float("nan")
    printing.print_candidates(table(found, 1, "bic"))
    assert " - " in read()[1]


def test_a_failed_candidate_is_a_row_of_dashes_with_its_reason(screen):
    read = screen(120)
    found = candidates(3)
    failed = Candidate(9, "full", None, failure="the reason")
    printing.print_candidates(table([*found, failed], 1, "bic"))
    lines = read()
    assert lines[4].split() == ["9", *6 * ["-"], "-"]
    assert lines[-1] == "  - K=9 full could not be fitted: the reason"


def test_cross_validation_margin_and_early_stop_are_shown(screen):
    read = screen(120)
    found = candidates(3)
    for candidate in found:
        candidate.cv, candidate.cv_se = -1.25, 0.5
    more = {"runner_up": Candidate(4, "full", None), "margin": 0.125, "stopped_at": 4}
    printing.print_candidates(table(found, 1, "cv", **more))
    lines = read()
    assert all("-1.2500 ± 0.5000" in line for line in lines[1:4])
    assert lines[4] == "  * best: highest CV; margin to the runner-up, K=4 full: 0.1250"
    assert lines[5] == "  (stopped early: nothing was better for 3 values of K)"


# Pipes, colours, encodings ---------------------------------------------------------------------


def test_pipes_get_no_escapes_and_no_trailing_spaces(capsys):
    found = candidates(36)
    printing.print_candidates(table(found, 0, "bic"))
    printing.print_components(mixture(20, 30))
    printing.print_facts("title", [("name", "value"), ("much longer name", 3)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())
    assert "AIC" in out  # the whole table, whatever the terminal behind the pipe


def test_no_color_is_respected(screen, capsys, monkeypatch):
    screen(100)
    found = candidates(3)
    printing.print_candidates(table(found, 0, "bic"))
    assert "\x1b[1;32m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    printing.print_candidates(table(found, 0, "bic"))
    out = capsys.readouterr().out
    assert "32m" not in out
    assert "*" in out


@pytest.mark.parametrize(("encoding", "sign"), [("ascii", "+-"), ("utf-8", "±")])
def test_output_that_is_not_unicode(monkeypatch, encoding, sign):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding))
    printing.print_components(mixture(2, 2))
    printing.print_facts("caf\udce9.npy", [("model", "caf\udce9.gmm.npz")])  # a name in Latin-1
    sys.stdout.flush()
    text = raw.getvalue().decode(encoding)
    assert f" {sign} " in text
    assert "caf?.gmm.npz" in text


def test_long_names_are_folded_and_whole(screen):
    read = screen(80)
    name = "/a/very/long/path" * 12
    printing.print_facts(name, [("model", name)])
    lines = read()
    assert max(cell_len(line) for line in lines) <= 80
    assert "".join(line.replace("model", "").strip() for line in lines) == 2 * name


def test_brackets_in_names_are_no_markup(capsys):
    printing.print_facts("[red]x.npy", [("model", "[bold]y")])
    assert capsys.readouterr().out == "[red]x.npy\n  model  [bold]y\n"


# JSON ---------------------------------------------------------------------------------------


def test_json_is_strict(capsys):
    printing.print_json(
        {
            "nan": float("nan"),
            "inf": np.float64("-inf"),
            "list": [1, (2.5, np.float32(0.5))],
            "array": np.array([[1.0, np.nan]]),
            "int": np.int64(3),
            "bool": np.True_,
            "none": None,
            "text": "é\udce9",
            3: {"deep": np.arange(2)},
        }
    )
    out = capsys.readouterr().out
    assert out.count("\n") == 1

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(out, parse_constant=refuse) == {
        "nan": None,
        "inf": None,
        "list": [1, [2.5, 0.5]],
        "array": [[1.0, None]],
        "int": 3,
        "bool": True,
        "none": None,
        "text": "é\udce9",
        "3": {"deep": [0, 1]},
    }


def test_json_keeps_every_bit(capsys):
    values = np.random.default_rng(0).normal(size=50) * 10.0 ** np.arange(-25, 25)
    printing.print_json({"x": values})
    assert json.loads(capsys.readouterr().out)["x"] == values.tolist()


# Progress -----------------------------------------------------------------------------------


def line_of(progress, width):
    file = io.StringIO()
    Console(file=file, width=width).print(progress)
    (line,) = file.getvalue().splitlines()
    assert cell_len(line) <= width
    return line


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(time=100.0)
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now.time)
    return now


def test_progress_of_em(clock):
    progress = Progress(2_000_000, 100)
    search = SearchProgress(progress, [2, 10])
    search.plan(36)
    search.begins(10, "spherical", "fit")
    clock.time += 7
    assert line_of(progress, 80) == "1/36 K=10 spherical: fit · 7 s"
    search.iteration(10, "spherical", 1, -12.345678, 0.5)
    assert line_of(progress, 80) == (
        "1/36 K=10 spherical: fit · iteration 1/100 · log-likelihood -12.34568"
    )
    clock.time += 2
    search.iteration(10, "spherical", 9, -12.25, 1e-3)
    assert line_of(progress, 200) == (
        "1/36 K=10 spherical: fit · iteration 9/100 · log-likelihood -12.25000 · "
        "4.0 iterations/s · change +1.0e-03 · 8.0 M samples/s"
    )
    assert line_of(progress, 95).endswith(" · 4.0 iterations/s")
    assert line_of(progress, 50).endswith("iteration 9/100")
    assert line_of(progress, 12) == "1/36 K=10 s…"


def test_time_left_of_a_search(clock):
    """Pieces take as long as they have components: after 2 + 4 of 18, two thirds are left."""
    progress = Progress(1000, 100)
    search = SearchProgress(progress, [2, 4, 6, 4, 2])
    search.plan(5)
    for k in (2, 4):
        search.begins(k, "full", "fit")
        search.ends(k, "full")
        clock.time += 30
    search.begins(6, "full", "fit")
    assert line_of(progress, 60) == "3/5 K=6 full: fit · about 30 s left · 0 s"
    clock.time += 10
    wide = line_of(progress, 100)
    assert wide.startswith("━━")
    assert wide.endswith(" 3/5 K=6 full: fit · about 20 s left · 10 s")
    clock.time += 500  # an estimate that has passed is no negative time
    assert "about 0 s left" in line_of(progress, 100)
    for k in (6, 4, 2):
        search.ends(k, "full")
    progress.say("silhouette")
    assert line_of(progress, 100) == "silhouette · 0 s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(7.6, "8 s"), (200, "3 min 20 s"), (3725, "1 h 02 min")]
)
def test_durations(seconds, words):
    assert progress_module._duration(seconds) == words


def test_progress_of_a_pass(clock):
    progress = Progress(4_000_000)
    progress.say("labels")
    clock.time += 2
    progress.rows(1_000_000)
    assert line_of(progress, 80) == "labels · 25% · 0.5 M samples/s"


def test_progress_says_that_kernels_are_compiled(clock):
    progress = Progress(10)
    progress.say("reading the data")
    clock.time += 1
    progress.compiling(True)
    clock.time += 12
    assert line_of(progress, 80) == "compiling kernels, once on this machine · 13 s"
    progress.compiling(False)
    assert line_of(progress, 80) == "reading the data · 13 s"


def test_compilations_are_noticed():
    said = []
    with progress_module._compilations(SimpleNamespace(compiling=said.append)):
        square = njit(lambda value: value * value)
        assert said == []
        assert square(3) == 9
        assert said == [True, False]
        assert square(4) == 16  # compiled already
    assert said == [True, False]
    assert njit(lambda value: value + 1)(1) == 2  # nobody listens any more
    assert said == [True, False]


def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    progress = Progress(10)
    with progress.shown():
        progress.say("working")
        progress.iteration(1, -1.0, 0.5)
    assert capsys.readouterr() == ("", "")


# Notes --------------------------------------------------------------------------------------


def test_notes_go_to_stderr_in_one_line_each(capsys):
    event = "iteration 3: " + 30 * "something long happened "
    printing.print_notes(SimpleNamespace(events=[event], converged=False, n_iter=1))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"note: {event}",
        "warning: EM did not converge in 1 iteration; raise --max-iter or --tol",
    ]
    printing.print_notes(SimpleNamespace(events=[], converged=True, n_iter=5))
    assert capsys.readouterr() == ("", "")


def test_notes_are_not_said_again(capsys):
    result = SimpleNamespace(events=["one", "two"], converged=False, n_iter=3)
    limit = "EM did not converge in 3 iterations; raise --max-iter or --tol"
    printing.print_notes(result, ["one", limit])
    assert capsys.readouterr().err == "note: two\n"
    printing.print_doubts(["one", limit])
    assert capsys.readouterr().err == f"warning: one\nwarning: {limit}\n"
