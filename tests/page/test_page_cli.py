"""`--report` of `fit` and `search`: what it writes, and what it refuses before any work."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from invoking import run
from pages import Page

from gmm_fast import fitting


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, x):
    """The current folder, with "my data.npy"."""
    monkeypatch.chdir(tmp_path)
    np.save("my data.npy", x)
    return tmp_path


def read(path="report.html"):
    return Page(Path(path).read_text("utf-8"))


def test_search():
    line = "search 1 4 'my data.npy' --covariance full,diag --report report.html --json"
    facts = json.loads(run(line).stdout)
    assert facts["best"]["report"] == "report.html"
    found = read()
    assert f"gmm-fast {line}" in found.text
    assert "Gaussian mixture search of my data.npy" in found.text
    heads, *lines = found.table("K")
    assert len(lines) == len(facts["candidates"]) == 8
    for row, line in zip(facts["candidates"], lines, strict=True):
        assert line[heads.index("BIC")] == f"{row['bic']:,.1f}"
    chosen = next(line for line in lines if "★" in line[0])
    assert chosen[0].removeprefix("★ ") == str(facts["best"]["n_components"])
    assert chosen[1] == facts["best"]["covariance_type"]
    assert "my data.search.gmm.npz" in found.text
    assert f"{facts['best']['n_iter']} iteration" in found.text


def test_fit(x):
    np.save("w.npy", np.full(len(x), 2.5))
    result = run(
        "fit -k 2 'my data.npy' --no-model --weights w.npy --labels l.npy --report a.htm "
        "--max-iter 1 --tol 0"
    )
    assert "a.htm" in result.stdout
    found = read("a.htm")
    assert "2 components with full covariances (VVV), as asked for." in found.text
    assert "EM did not converge in 1 iteration" in found.text
    assert "w.npy, 500 in all" in found.text
    assert "l.npy" in found.text
    assert "gmm.npz" not in found.text


def test_no_report_without_the_option():
    assert json.loads(run("fit -k 2 'my data.npy' --json").stdout)["report"] is None
    assert {path.name for path in Path().iterdir()} == {"my data.npy", "my data.gmm.npz"}


@pytest.mark.parametrize("command", ["fit -k 2", "search 1 3"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--report report.pdf", "report.pdf: a report is an HTML page; give a name that ends in"),
        ("--report ''", "a report is an HTML page"),
        ("--report nowhere/report.html", "there is no folder"),
        ("--report a.html --labels a.html", "--labels a.html: the ending decides the format"),
        ("--report a.html --model a.html", "--model a.html: a model is an .npz"),
    ],
)
def test_refused_before_the_work(command, options, message, monkeypatch):
    monkeypatch.setattr(fitting, "fit", lambda *_, **__: pytest.fail("it worked"))
    result = run(f"{command} 'my data.npy' {options}", code=2)
    assert message in result.stderr
    assert {path.name for path in Path().iterdir()} == {"my data.npy"}


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_what_is_missing_is_named(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr("gmm_fast.cli.inputs.open_data", lambda *_: pytest.fail("it was opened"))
    result = run("search 1 3 'my data.npy' --report a.html", code=2)
    assert f"needs {missing}" in result.stderr
    assert "pip install 'gmm-fast[plot]'" in result.stderr


def test_a_resumed_search_may_be_reported():
    """The report does not touch the result: it may come later, elsewhere, or again."""
    run("search 1 3 'my data.npy' --checkpoint a.ckpt --report first.html")
    run("search --resume a.ckpt --report second.html")
    first, second = read("first.html"), read("second.html")
    assert first.table("K") == second.table("K")
    assert first.table("component") == second.table("component")
    assert "gmm-fast search --resume a.ckpt --report second.html" in second.text
    Path("first.html").unlink()
    run("search --resume a.ckpt")
    assert read("first.html").table("K") == first.table("K")


def test_a_full_disk(monkeypatch):
    """The model is there, the report is not, and it is said."""
    replace = os.replace

    def full(source, target):
        if Path(target).name == "a.html":
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    result = run("fit -k 2 'my data.npy' --report a.html", code=1)
    assert "a.html: could not be written: No space left on device" in result.stderr
    assert {path.name for path in Path().iterdir()} == {"my data.npy", "my data.gmm.npz"}
