"""The command `plot`, `fit --plot` and `--animate`, `search --plot`: facts, files, refusals."""

import json
import os
import sys

import numpy as np
import pandas as pd
import pytest
from blobs import blobs
from invoking import run
from PIL import Image

from gmm_fast import fitting, plots
from gmm_fast.cli import commands, resuming
from gmm_fast.files.modelfile import read_model

FIT = "fit -k 3 data.npy --threads 1"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with data.npy, (150, 2), three blobs, and a model of it."""
    monkeypatch.chdir(tmp_path)
    np.save("data.npy", blobs(seed=2, sizes=(60, 50, 40), d=2, apart=5))
    run(FIT)
    return tmp_path


def run_json(line):
    return json.loads(run(f"{line} --json").stdout)


def refused(line, message):
    before = sorted(os.listdir())
    assert message in run(line, 2).stderr
    assert sorted(os.listdir()) == before  # nothing is written


def size(path):
    with Image.open(path) as image:
        return image.size


# -- plot ------------------------------------------------------------------------------------------


def test_plot_tells_what_it_drew(folder):
    assert run_json("plot data.gmm.npz data.npy") == {
        "kind": "clusters",
        "n_samples": 150,
        "rows": 150,
        "style": "points",
        "features": ["feature 0", "feature 1"],
        "projection": None,
        "outside": 0,
        "out": "data.png",
    }
    assert size("data.png") == (960, 720)
    facts = run_json("plot data.gmm.npz data.npy --rows 40 --style points -o a.png")
    assert facts["rows"] == 40
    assert run_json("plot data.gmm.npz data.npy --rows 40")["style"] == "density"
    shown = run("plot data.gmm.npz data.npy --rows 40").stdout
    assert "150 of 150 as density" in shown
    assert "data.png" in shown


@pytest.mark.parametrize("kind", ["clusters", "uncertainty", "silhouette", "loglik"])
@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_kinds_and_endings(folder, kind, ending):
    starts = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    run(f"plot data.gmm.npz data.npy --kind {kind} -o out.{ending} --dpi 40")
    with open(f"out.{ending}", "rb") as file:
        assert file.read(5).startswith(starts[ending])


def test_default_names(folder):
    for kind in ("uncertainty", "silhouette", "loglik"):
        run(f"plot data.gmm.npz data.npy --kind {kind}")
    run("plot data.gmm.npz data.npy")
    pictures = ["data.loglik.png", "data.png", "data.silhouette.png", "data.uncertainty.png"]
    assert sorted(n for n in os.listdir() if n.endswith(".png")) == pictures


def test_it_is_what_python_draws(folder):
    """The same bytes, whoever asks."""
    import gmm_fast

    model = gmm_fast.load("data.gmm.npz")
    run("plot data.gmm.npz data.npy -o cli.png --rows 30 --style points --seed 5 --dpi 70")
    ax = plots.clusters(model, "data.npy", rows=30, style="points", seed=5)
    plots.save(ax, "python.png", dpi=70)
    assert (folder / "cli.png").read_bytes() == (folder / "python.png").read_bytes()


def test_silhouette_is_the_one_that_fit_prints(folder):
    measured = run_json(FIT)["silhouette"]
    facts = run_json("plot data.gmm.npz data.npy --kind silhouette")
    assert facts["silhouette"] == pytest.approx(measured, rel=1e-12)


def test_loglik_needs_no_data(folder):
    _, facts = read_model("data.gmm.npz")
    found = run_json("plot data.gmm.npz --kind loglik -o out.png")
    assert found["n_iter"] == facts["n_iter"]
    assert found["log_likelihood"] == facts["log_likelihood"]


def test_columns_by_name(folder):
    x = np.load("data.npy")
    pd.DataFrame({"FSC": x[:, 0], "well": "A", "SSC": x[:, 1]}).to_parquet("cells.parquet")
    run("fit -k 2 cells.parquet --columns SSC,FSC --plot cells.svg")
    facts = run_json("plot cells.gmm.npz cells.parquet --features FSC,SSC")
    assert facts["features"] == ["FSC", "SSC"]
    # data without names has those of the model
    assert run_json("plot cells.gmm.npz data.npy")["features"] == ["SSC", "FSC"]
    refused("plot cells.gmm.npz cells.parquet --features FSD", "did you mean 'FSC'?")


def test_many_features(folder):
    np.save("wide.npy", blobs(seed=2, sizes=(60, 50), d=7, apart=3))
    run("fit -k 2 wide.npy -c diag")
    facts = run_json("plot wide.gmm.npz wide.npy")
    assert facts["features"] is None
    assert [name[:14] for name in facts["projection"]] == ["discriminant 1", "discriminant 2"]
    facts = run_json("plot wide.gmm.npz wide.npy --view pairs --dpi 30")
    assert len(facts["features"]) == 5


def test_size(folder):
    run("plot data.gmm.npz data.npy --size 5x3 --dpi 40")
    assert size("data.png") == (200, 120)


def test_criteria_of_a_search(folder):
    printed = run("search 1 4 data.npy -c full,diag --criterion icl --plot a.png --json").stdout
    (folder / "search.json").write_text(printed)
    assert json.loads(printed)["best"]["plot"] == "a.png"
    facts = run_json("plot search.json --kind criteria")
    assert facts == {
        "kind": "criteria",
        "criterion": "icl",
        "fits": 8,
        "out": "search.criteria.png",
    }
    assert (folder / "a.png").read_bytes() == (folder / "search.criteria.png").read_bytes()
    assert run_json("plot search.json --kind criteria --criterion aic")["criterion"] == "aic"
    refused("plot search.json --kind criteria --criterion cv", "no values of cv")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("plot data.gmm.npz", "DATA is missing: a plot of clusters needs it"),
        ("plot data.gmm.npz three.npy", "three.npy has 3 columns, but data.gmm.npz has 2"),
        ("plot data.gmm.npz data.npy -o out.bmp", "unknown ending; use .png, .svg or"),
        ("plot data.gmm.npz data.npy -o out", "unknown ending"),
        ("plot data.gmm.npz data.npy -o no/out.png", "create it first"),
        ("plot data.gmm.npz data.npy --features 0,2", "has no column 2"),
        ("plot data.gmm.npz data.npy --features 0 --view projection", "contradict"),
        (
            "plot data.gmm.npz data.npy --kind loglik --features 0",
            "and uncertainty, not to loglik",
        ),
        (
            "plot data.gmm.npz data.npy --kind silhouette --view pairs",
            "--kind clusters, not to silh",
        ),
        (
            "plot data.gmm.npz data.npy --criterion bic",
            "applies to --kind criteria, not to clu",
        ),
        ("plot data.gmm.npz --kind criteria", "is not JSON; a plot of criteria needs a file"),
        ("plot none.json --kind criteria", "there is no such file"),
        ("plot . --kind criteria", "cannot be read"),
        ("plot other.json --kind criteria", "is not the table of a search"),
        ("plot deep.json --kind criteria", "is not JSON"),
        ("plot data.npy data.gmm.npz", "MODEL comes before DATA"),
        ("plot data.gmm.npz data.npy --size 6", "'6' is not a size; write 6.4x4.8"),
        ("plot data.gmm.npz data.npy --size nanx3", "is not a size"),
        ("plot data.gmm.npz data.npy --size 1x9", "too small; make each side at least 3"),
        ("plot data.gmm.npz data.npy --size 99x99 --dpi 900", "at most 100 million pixels"),
        ("plot data.gmm.npz nan.npy", "row 3 (counting from 0), column 1 is NaN"),
        (f"{FIT} --plot out.jpg", "--plot out.jpg: unknown ending; use .png"),
        (f"{FIT} --animate out.png", "--animate out.png: unknown ending; use .gif"),
        (f"{FIT} --plot no/out.png", "create it first"),
        (f"{FIT} --plot a.png --labels a.png", "the ending decides the format"),
        ("search 1 2 data.npy --plot out.gif", "--plot out.gif: unknown ending"),
    ],
)
def test_refusals(folder, line, message):
    x = np.load("data.npy")
    np.save("three.npy", np.ones((5, 3)))
    x[3, 1] = np.nan
    np.save("nan.npy", x)
    (folder / "other.json").write_text('{"candidates": 3}')
    (folder / "deep.json").write_text("[" * 100_000)
    refused(line, message)


def test_a_picture_does_not_replace_what_is_read(folder):
    os.symlink("data.npy", "data.png")
    refused("plot data.gmm.npz data.npy", "would overwrite the input file")
    os.symlink("data.npy", "film.gif")
    refused(f"{FIT} --animate film.gif", "would overwrite the input file")


@pytest.mark.parametrize(
    "line",
    [
        "plot data.gmm.npz data.npy",
        "plot data.gmm.npz --kind loglik",
        f"{FIT} --plot a.png",
        f"{FIT} --animate a.gif",
        "search 1 2 data.npy --plot a.png",
    ],
)
def test_matplotlib_is_missing(folder, monkeypatch, line):
    """Said before the work begins, with what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(fitting, "fit", lambda *a, **k: pytest.fail("it was fitted"))
    monkeypatch.setattr(commands.inputs, "open_data", lambda *a: pytest.fail("data was opened"))
    refused(line, "needs matplotlib: pip install 'gmm-fast[plot]'")


# -- fit and search --------------------------------------------------------------------------------


def test_fit_draws(folder):
    facts = run_json(f"{FIT} --init random --plot fit.png --animate fit.gif -o a.npz")
    assert (facts["plot"], facts["animation"]) == ("fit.png", "fit.gif")
    plain = run_json(f"{FIT} --init random -o b.npz")
    assert (plain["plot"], plain["animation"]) == (None, None)
    assert plain["log_likelihood"] == facts["log_likelihood"]  # to watch changes nothing
    run("plot a.npz data.npy -o plot.png")
    assert (folder / "fit.png").read_bytes() == (folder / "plot.png").read_bytes()
    with Image.open("fit.gif") as film:
        assert film.n_frames == facts["n_iter"] + 1
    shown = run(f"{FIT} --plot fit.png").stdout
    assert "plot                fit.png" in shown


def test_a_fit_that_is_resumed_draws(folder):
    """Also in another folder, to the place that was named; the film begins where it goes on."""
    run(f"{FIT} --checkpoint fit.ckpt --plot fit.png --animate fit.gif --init random")
    first = (folder / "fit.png").read_bytes()
    os.remove("fit.png")
    os.remove("fit.gif")
    os.mkdir("there")
    os.chdir("there")
    facts = run_json(f"fit --resume {os.path.join('..', 'fit.ckpt')}")
    assert os.path.realpath(facts["plot"]) == str((folder / "fit.png").resolve())
    assert (folder / "fit.png").read_bytes() == first
    with Image.open(folder / "fit.gif") as film:
        assert getattr(film, "n_frames", 1) == 1  # the fit had ended
    assert {"plot", "animate"} <= set(resuming.PATHS)


def test_search_draws(folder):
    shown = run("search 1 3 data.npy --plot s.svg").stdout
    assert "s.svg" in shown
    text = (folder / "s.svg").read_text()
    assert text.startswith("<?xml")
    assert "date" not in text.lower()


def test_help_names_all_kinds():
    shown = run("plot --help").output
    for kind in ("clusters", "uncertainty", "silhouette", "loglik", "criteria"):
        assert kind in shown
    assert "gmm-fast[plot]" in shown


@pytest.mark.slow
def test_on_workers(folder):
    """A sample is drawn: not all rows come here."""
    facts = run_json("plot data.gmm.npz data.npy --workers 1 --rows 50")
    assert (facts["rows"], facts["style"]) == (50, "points")
