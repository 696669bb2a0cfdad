"""Tables that commands write: the ending decides the format, columns have names."""

import os
import shlex
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from blobs import blobs
from formats import fcs_bytes
from invoking import run

from gmm_fast import DataError, FitError, load, save
from gmm_fast.files import tablefiles
from gmm_fast.files.tablefiles import table_writer

READ = {
    ".csv": partial(pd.read_csv, dtype={"id": str}),
    ".tsv": partial(pd.read_csv, sep="\t", dtype={"id": str}),
    ".parquet": pd.read_parquet,
    ".arrow": pd.read_feather,
}
ARRAYS = {".npy": np.load, ".npz": np.load}


@pytest.fixture
def cells(tmp_path, monkeypatch):
    """Three blobs with ids and times, in cells.parquet and cells.csv; m.npz of its numbers."""
    monkeypatch.chdir(tmp_path)
    x = blobs(seed=1, sizes=(90, 60, 50), d=2, apart=5)
    data = pd.DataFrame(x, columns=["a", "b"])
    data.insert(0, "id", [f"{i:04}" for i in range(200)])
    data["time"] = pd.date_range("2020-01-01", periods=200, freq="min")
    data["kind"] = pd.Categorical(["u", "v"] * 100)
    data.to_parquet("cells.parquet", index=False)
    data.to_csv("cells.csv", index=False)
    data.to_feather("cells.feather")
    run("fit -k 3 cells.parquet --columns a,b -o m.npz")
    return data


@pytest.mark.parametrize("ending", READ)
def test_tables(cells, ending):
    model, x = load("m.npz"), cells[["a", "b"]]
    run(f"predict m.npz cells.parquet -o labels{ending}")
    table = READ[ending](f"labels{ending}")
    assert list(table) == ["label"]
    np.testing.assert_array_equal(table["label"], model.predict(x))
    run(f"predict m.npz cells.parquet --proba -o proba{ending}")
    table = READ[ending](f"proba{ending}")
    assert list(table) == ["component_0", "component_1", "component_2"]
    np.testing.assert_array_equal(table, model.predict_proba(x))
    run(f"score m.npz cells.parquet --samples scores{ending}")
    np.testing.assert_array_equal(
        READ[ending](f"scores{ending}")["log_prob"], model.score_samples(x)
    )
    run(f"sample m.npz 50 -o drawn{ending} --labels drawn_labels{ending}")
    table = READ[ending](f"drawn{ending}")
    assert list(table) == ["a", "b"]
    np.testing.assert_array_equal(table, load("m.npz").set_params(random_state=0).sample(50)[0])
    run(f"fit -k 3 cells.parquet --columns a,b -o m.npz --labels fitted{ending}")
    np.testing.assert_array_equal(READ[ending](f"fitted{ending}")["label"], model.predict(x))


@pytest.mark.parametrize("ending", ARRAYS)
def test_arrays(cells, ending):
    model, x = load("m.npz"), cells[["a", "b"]]
    run(f"predict m.npz cells.parquet --proba -o proba{ending}")
    found = ARRAYS[ending](f"proba{ending}")
    found = found if ending == ".npy" else found["component_0"]
    np.testing.assert_array_equal(found, model.predict_proba(x))


@pytest.mark.parametrize("ending", READ)
@pytest.mark.parametrize("data", ["cells.parquet", "cells.csv", "cells.feather", "parts"])
def test_columns_of_the_input_are_written_beside(cells, monkeypatch, ending, data):
    monkeypatch.setattr(tablefiles, "_ROWS", 70)
    os.mkdir("parts")
    cells[:80].to_parquet("parts/1.parquet", index=False)
    cells[80:].to_parquet("parts/2.parquet", index=False)
    run(f"predict m.npz {data} --keep time,id,kind -o labels{ending}")
    table = READ[ending](f"labels{ending}")
    assert list(table) == ["time", "id", "kind", "label"]
    np.testing.assert_array_equal(table["id"], cells["id"])
    np.testing.assert_array_equal(table["kind"], cells["kind"])
    np.testing.assert_array_equal(pd.to_datetime(table["time"]), cells["time"])
    np.testing.assert_array_equal(table["label"], load("m.npz").predict(cells))


@pytest.mark.parametrize("order", "<>")
def test_channels_are_passed_on(cells, order):
    x = np.column_stack([cells[["a", "b"]], np.arange(200) / 8])
    Path("x.fcs").write_bytes(fcs_bytes(x.astype(f"{order}f4"), ["a", "b", "Time"]))
    run("predict m.npz x.fcs --keep Time,b -o labels.parquet")
    table = pd.read_parquet("labels.parquet")
    np.testing.assert_array_equal(table[["Time", "b"]], x[:, [2, 1]].astype("f4"))
    np.testing.assert_array_equal(table["label"], load("m.npz").predict(cells[["a", "b"]]))


@pytest.mark.parametrize(
    ("cells", "want"),
    [
        (["1", " 2", "-30"], [1, 2, -30]),
        (["1", "2.5", "1e3"], [1.0, 2.5, 1000.0]),
        (["", "7", "NA"], [None, 7, None]),
        (["?", "7.", "-.5"], [None, 7.0, -0.5]),
        (["1", "007", "3"], ["1", "007", "3"]),
        (["1", "+2", "3"], ["1", "+2", "3"]),
        (["1", "2a", ""], ["1", "2a", ""]),
        (["1", ".", "e5"], ["1", ".", "e5"]),
        (["1", "9" * 18, "3"], [1, 10**18 - 1, 3]),
        (["1", "9" * 19, "3"], ["1", "9" * 19, "3"]),
        (["", "", "NA"], ["", "", "NA"]),
        (["1'234'567", "5", "1'000.5"], [1234567.0, 5.0, 1000.5]),
        (["1'2", "5", "6"], ["1'2", "5", "6"]),
    ],
)
@pytest.mark.parametrize("decimal", ".,")
def test_numbers_of_text_are_numbers_where_all_are(tmp_path, monkeypatch, cells, want, decimal):
    """In formats that have types, of all parts alike; text keeps what is written."""
    monkeypatch.chdir(tmp_path)
    os.mkdir("parts")
    cells = [cell.replace(".", decimal) for cell in cells]
    for i, cell in enumerate(cells):
        rows = [f"{x}{decimal}5;{cell}\n" for x in range(4)]
        Path(f"parts/{i}.csv").write_text("x;y\n" + "".join(rows))
    want = [w.replace(".", decimal) if isinstance(w, str) else w for w in want]
    how = f"parts --columns x --decimal {decimal} --header --na ? --thousands '"
    commands = shlex.join(how.split())
    run(f"fit -k 1 {commands} -o m.npz")
    for ending, read in ((".parquet", pq.read_table), (".arrow", pyarrow.feather.read_table)):
        run(f"predict m.npz {commands} --keep y -o labels{ending}")
        found = read(f"labels{ending}")["y"].to_pylist()
        assert found == np.repeat(np.array(want, object), 4).tolist()
        assert [type(x) for x in found[::4]] == [type(x) for x in want]
    run(f"predict m.npz {commands} --keep y -o labels.csv")
    found = pd.read_csv("labels.csv", dtype=str, keep_default_na=False)["y"]
    assert found.tolist() == np.repeat(cells, 4).tolist()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("predict m.npz none.npy -o x.txt", "--out x.txt: the ending decides the format; give one"),
        ("predict m.npz none.npy -o x.csv.gz", "--out x.csv.gz: the ending decides the format"),
        ("score m.npz none.npy --samples x.joblib", "--samples x.joblib: the ending decides"),
        ("sample m.npz 9 -o x.xlsx", "--out x.xlsx: the ending decides the format"),
        ("sample m.npz 9 -o x.npy --labels l.mat", "--labels l.mat: the ending decides the"),
        ("fit -k 2 none.npy --labels l.txt", "--labels l.txt: the ending decides the format"),
        ("fit -k 2 none.npy -o model.joblib", "--model model.joblib: a model is an .npz, not .jo"),
        ("search 2 3 none.npy -o m.pkl", "--model m.pkl: a model is an .npz, not .pkl"),
        ("predict m.npz none.npy --keep id", "--keep needs -o, the name of a table"),
        ("predict m.npz none.npy --keep id -o l.npy", "--out l.npy: an array holds no columns of"),
        ("predict m.npz x.npy --keep id -o l.csv", "--keep copies columns of Parquet, Arrow"),
        ("predict m.npz cells.csv --keep ids -o l.csv", "has no column 'ids'; did you mean 'id'?"),
        (
            "predict m.npz cells.csv --keep label -o l.csv",
            "--keep label: the output has its own co",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(cells, line, message):
    np.save("x.npy", cells[["a", "b"]])
    before = sorted(os.listdir())
    assert message in run(line, 2).stderr
    assert sorted(os.listdir()) == before


def test_models_are_not_saved_under_the_name_of_another_format(cells, tmp_path):
    with pytest.raises(DataError, match="a model is an .npz, not .joblib"):
        save(load("m.npz"), tmp_path / "m.joblib")


@pytest.mark.parametrize("ending", [".npz", *READ])
@pytest.mark.parametrize("rows", [0, 3, 5])
def test_a_table_appears_whole_or_not_at_all(tmp_path, ending, rows):
    path = tmp_path / f"x{ending}"
    with (
        pytest.raises(FitError, match=f"{rows} rows written of 4 announced"),
        table_writer(path, (4,), np.int32, ["label"]) as writer,
    ):
        writer.write(np.zeros(rows))
    assert not os.listdir(tmp_path)


def test_models_of_a_search_are_named_so(cells):
    run("fit -k 2 cells.csv --columns a,b")
    before = load("cells.gmm.npz").means_
    assert "replaced" not in run("search 2 3 cells.csv --columns a,b").stderr
    np.testing.assert_array_equal(load("cells.gmm.npz").means_, before)
    assert load("cells.search.gmm.npz").means_.shape == (3, 2)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("fit -k 2 cells.csv --columns a,b -o m.npz", "--model m.npz"),
        ("search 2 3 cells.csv --columns a,b --no-model --labels l.npy", "--labels l.npy"),
        ("predict m.npz cells.csv -o l.npy", "--out l.npy"),
        ("score m.npz cells.csv --samples l.npy", "--samples l.npy"),
        ("sample m.npz 9 -o x.npy --labels l.npy", "--labels l.npy"),
        ("plot m.npz cells.csv -o l.png", "--out l.png"),
        ("plot m.npz --kind loglik -o l.png", "--out l.png"),
        ("fit -k 2 cells.csv --columns a,b --report l.html", "--report l.html"),
    ],
)
def test_what_is_replaced_is_told_or_refused(cells, line, told):
    np.save("l.npy", np.zeros(3))
    path = told.split()[1]
    if not os.path.exists(path):
        Path(path).write_bytes(b"precious")
    content = Path(path).read_bytes()
    error = run(f"{line} --no-clobber", 2).stderr
    assert f"{told}: exists already, and --no-clobber says not to replace it" in error
    assert Path(path).read_bytes() == content
    assert not Path("x.npy").exists()
    assert f"note: {told}: the existing file is replaced" in run(line).stderr
    assert Path(path).read_bytes() != content


@pytest.mark.parametrize(
    "line",
    [
        "fit -k 2 cells.csv --columns a,b -o new",
        "search 1 2 cells.csv --columns a,b --no-model --labels new",
        "predict m.npz cells.csv -o new",
        "score m.npz cells.csv --samples new",
        "sample m.npz 9 -o new",
        "plot m.npz cells.csv -o new.png",
    ],
)
def test_nor_what_another_program_writes_meanwhile(cells, monkeypatch, line):
    """Whoever comes second keeps the other's file."""
    name = line.split()[-1]
    link = os.link

    def late(old, new):
        if os.path.basename(new) == name:
            Path(name).write_bytes(b"precious")
        return link(old, new)

    monkeypatch.setattr(os, "link", late)
    error = run(f"{line} --no-clobber", 1).stderr
    assert f"{name}: was written by another program during the work" in error
    assert Path(name).read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("data", "out", "refused"),
    [
        ("parts", "parts/l.npy", True),
        ("parts", "parts/new/l.parquet", True),
        ("parts/", "link/l.npy", True),
        ("link", "parts/l.csv", True),
        ("parts/*.csv", "parts/l.csv", True),
        ("p*", "parts/l.csv", True),
        ("**/1.csv", "parts/new/1.csv", True),
        ("parts/*.csv", "parts/l.npy", False),
        ("parts/*.csv", "parts/new/l.csv", False),
        ("parts/1*.csv", "parts/2.csv", False),
        ("parts/1.csv", "parts/l.csv", False),
        ("parts", "parts/x.labels.npy", False),
        ("parts", "parts/_l.npy", False),
        ("parts", "parts.npy", False),
    ],
)
def test_no_output_becomes_data(cells, data, out, refused):
    """Of a folder or a pattern; refused before the work."""
    os.makedirs("parts/new")
    os.symlink("parts", "link")
    cells[["a", "b"]].to_csv("parts/1.csv", index=False)
    line = f"predict m.npz '{data}' -o {out}"
    if not refused:
        run(line)
        assert Path(out).exists()
        return
    told = f"{out}: would become a file of {data}, and the next run would read it"
    assert f"--out {told}" in run(line, 2).stderr
    assert f"--labels {told}" in run(f"fit -k 2 '{data}' --labels {out}", 2).stderr
    assert not Path(out).exists()


def test_models_may_lie_beside_their_data(cells, monkeypatch):
    os.mkdir("parts")
    cells[["a", "b"]].to_csv("parts/1.csv", index=False)
    monkeypatch.chdir("parts")
    run("fit -k 2 . --report r.html")
    run("predict parts.gmm.npz .")
    assert set(os.listdir()) == {"1.csv", "parts.gmm.npz", "parts.labels.npy", "r.html"}
    assert "--model m.npz: would become a file of ." in run("fit -k 2 . -o m.npz", 2).stderr


def test_a_fit_that_goes_on_replaces_nothing_either(cells):
    run("fit -k 2 cells.csv --columns a,b -o once.npz --labels once.npy --checkpoint once.ckpt")
    Path("once.npy").write_bytes(b"precious")
    Path("once.npz").unlink()
    error = run("fit --resume once.ckpt --no-clobber", 2).stderr
    assert "--labels once.npy: exists already, and --no-clobber says not to replace it" in error
    Path("once.npy").unlink()
    run("fit --resume once.ckpt --no-clobber")
    assert len(np.load("once.npy")) == len(pd.read_csv("cells.csv"))
