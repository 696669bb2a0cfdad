"""Every command and every line of Python in the README works."""

import re
import shlex
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from distributed import LocalCluster

from gmm_fast.backends import memory
from gmm_fast.cli.main import main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def commands():
    lines = "".join(blocks("console")).splitlines()
    assert all(line.startswith("$ ") for line in lines)
    return [line[2:] for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with data.npy, in which the README's commands run one after another."""
    path = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0], [6, 0], [0, 6], [6, 6]])
    x = centres[rng.integers(0, 4, 600)] + rng.normal(size=(600, 2))
    np.save(path / "data.npy", x)
    (path / "parts").mkdir()
    for i in range(3):
        np.save(path / "parts" / f"part-{i}.npy", x[200 * i : 200 * (i + 1)])
    frame = pd.DataFrame(x, columns=["FSC", "SSC"])
    frame["well"] = "A1"
    frame.to_parquet(path / "cells.parquet")
    frame.to_csv(path / "table.csv.gz", index=False)
    with h5py.File(path / "data.h5", "w") as file:
        file["measured/X"] = x
    return path


@pytest.fixture(scope="module")
def scheduler():
    """Address of a Dask scheduler with a worker."""
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster:
        yield cluster.scheduler_address


def test_there_are_commands():
    assert len(commands()) > 10
    assert commands()[:2] == ["make demo", "make test"]


def test_gmm_fast_commands(folder, scheduler, monkeypatch):
    monkeypatch.chdir(folder)
    # --memory counts what a process holds; this one has run other tests
    monkeypatch.setattr(memory, "anonymous_bytes", lambda: 100 * 10**6)
    for command in commands():
        command = command.replace("tcp://localhost:8786", scheduler)
        program, *arguments = shlex.split(command)
        if program == "gmm-fast":
            result = CliRunner().invoke(main, arguments, catch_exceptions=False)
            assert result.exit_code == 0, (command, result.output)
    for name in ("data.gmm.npz", "labels.npy", "diag.npz", "proba.npy", "log_prob.npy"):
        assert (folder / name).exists()
    assert np.load(folder / "drawn.npy").shape == (1000, 2)
    for name in ("data.png", "data.gif", "search.svg", "clusters.pdf", "data.loglik.png"):
        assert (folder / name).exists()


def test_the_table_of_a_search_is_what_is_printed(folder, monkeypatch):
    monkeypatch.chdir(folder)
    command = "search 1 8 data.npy --criterion cv --early-stop"
    assert f"gmm-fast {command}" in commands()
    (shown,) = (block for block in blocks("text") if "best: highest CV" in block)
    printed = CliRunner().invoke(main, command.split(), catch_exceptions=False).stdout
    assert printed.startswith(shown)


def test_pictures_are_there_and_small():
    for path in re.findall(r"^!\[.+\]\((.+)\)$", README, flags=re.M):
        assert (ROOT / path).stat().st_size < 150_000


def test_make_commands_are_targets():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.M)
    named = [c.split()[1] for c in commands() if c.startswith("make ")]
    assert set(named) <= set(targets)


def test_python(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    rounded, code, pictures, with_dask, stream = blocks("python")
    exec(compile(rounded, "README.md", "exec"), {})
    chosen, narrowest, spike = map(float, capsys.readouterr().out.split())
    assert chosen == 1
    assert narrowest == pytest.approx(1.2, abs=0.05)
    assert spike == pytest.approx(0.001, rel=0.01)
    exec(compile(code, "README.md", "exec"), {})
    assert "True" in capsys.readouterr().out
    (folder / "clusters.png").unlink(missing_ok=True)
    CliRunner().invoke(main, ["fit", "--k", "4", "data.npy"], catch_exceptions=False)
    exec(compile(pictures, "README.md", "exec"), {})
    assert (folder / "clusters.png").exists()
    exec(compile(with_dask, "README.md", "exec"), {})
    assert capsys.readouterr().out == "(5,)\n"
    (folder / "model.npz").unlink()
    names = {}
    exec(compile(stream, "README.md", "exec"), names)
    assert names["theirs"].means_.shape == (4, 2)
    assert names["model"].covariance_type == "spherical"
    assert (folder / "model.npz").exists()


def test_old_options_have_a_place():
    """Each command of the table for users of gmm-em parses."""
    for command in re.findall(r"\| `(gmm-fast [^`]*)` \|", README):
        name, *arguments = shlex.split(command)[1:]
        main.commands[name].make_context(name, arguments)
