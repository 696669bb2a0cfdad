"""A model reads the next file as that of its fit, and says where it is written otherwise."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from blobs import blobs
from invoking import run

from gmm_fast import GaussianMixture, ModelFileError, load, open_source, save
from gmm_fast.files.modelfile import read_model, write_model


@pytest.fixture
def frame(tmp_path, monkeypatch):
    """Two blobs, of which -999 means that a value is missing; in the current folder cells.csv."""
    monkeypatch.chdir(tmp_path)
    x = blobs(seed=2, sizes=(80, 60), d=2, apart=6).round(3)
    x[[3, 90], [0, 1]] = -999
    data = pd.DataFrame(x, columns=["a", "b"])
    data.to_csv("cells.csv", index=False, sep=";", decimal=",")
    return data


def notes(line):
    """What a prediction says, but for what is guessed and left out."""
    result = run(f"{line} -o l.npy")
    return [
        text
        for text in result.stderr.splitlines()
        if "fit's file" in text and "is replaced" not in text
    ]


def test_what_was_said_of_the_fit_holds_for_the_next_file(frame):
    run("fit -k 2 cells.csv --na -999 --missing drop -o m.npz")
    said = (
        "note: reading cells.csv: na '-999', missing 'drop', as was said of the fit's file; --na, "
        "--missing say otherwise"
    )
    assert notes("predict m.npz cells.csv") == [said]
    labels = np.load("l.npy")
    assert np.flatnonzero(labels == -1).tolist() == [3, 90]
    facts = json.loads(run("score m.npz cells.csv --json").stdout)
    assert said.removeprefix("note: ") in facts["notes"]
    assert said in run("plot m.npz cells.csv -o p.png").stderr
    np.testing.assert_array_equal(load("m.npz").predict("cells.csv"), labels)

    # what is said anew counts
    assert (
        "row 3 (counting from 0), column 0 ('a') is missing"
        in run("predict m.npz cells.csv --missing error", 2).stderr
    )
    (told,) = notes("predict m.npz cells.csv --na ''")
    assert told.endswith("missing 'drop', as was said of the fit's file; --missing says otherwise")
    assert (np.load("l.npy") >= 0).all()

    # of a file that is no text only what holds for all files
    np.save("cells.npy", frame.replace(-999, np.nan).to_numpy())
    (told,) = notes("predict m.npz cells.npy")
    assert told.startswith("note: reading cells.npy: missing 'drop', as was said")
    np.testing.assert_array_equal(np.load("l.npy"), labels)
    run("predict m.npz cells.npy --decimal ,", 2)
    said = "note: reading cells.npy: na '-999' is looked for in text only: here such values count"
    assert said in run("predict m.npz cells.npy -o l.npy").stderr
    assert "looked for" not in run("predict m.npz cells.npy --na '' -o l.npy").stderr
    with pytest.warns(UserWarning, match=r"cells\.npy: na '-999' is looked for in text only, wh"):
        load("m.npz").predict("cells.npy")
    load("m.npz").predict(frame)  # arrays are what they are


@pytest.mark.parametrize("said", ["--na=-999,?", "--na=-999 --na ?"])
def test_lists_may_be_said_in_parts(frame, said):
    frame.iloc[7, 1] = np.nan
    frame.to_csv("cells.csv", index=False, na_rep="?")
    run(f"fit -k 2 cells.csv {said} --missing drop --labels l.csv -o m.npz")
    assert np.flatnonzero(pd.read_csv("l.csv").label < 0).tolist() == [3, 7, 90]
    run("predict m.npz cells.csv --keep a --keep b -o l.csv")
    assert pd.read_csv("l.csv").columns.tolist() == ["a", "b", "label"]
    line = "search 2 2 cells.csv --columns a,b --missing drop --na=-999 --na ? -c tied -c diag"
    assert re.findall(r"2  (tied|diag) ", run(line).stdout) == ["tied", "diag"]


def test_a_file_that_is_written_otherwise(frame):
    frame = frame.drop([3, 90])
    frame.to_csv("cells.csv", index=False, sep=";", decimal=",")
    run("fit -k 2 cells.csv -o m.npz")
    assert notes("predict m.npz cells.csv") == []
    want = np.load("l.npy")
    frame.to_csv("new.csv", index=False)
    (told,) = notes("predict m.npz new.csv")
    assert told == (
        "note: reading new.csv: delimiter ',' (the fit's file: ';'), decimal '.' (the fit's file: "
        "',')"
    )
    np.testing.assert_array_equal(np.load("l.npy"), want)
    assert notes("predict m.npz new.csv --delimiter , --decimal .") == []
    frame.to_csv("bare.csv", index=False, header=False, sep=";", decimal=",")
    (told,) = notes("predict m.npz bare.csv")
    assert told == "note: reading bare.csv: no names (the fit's file: names)"

    model = load("m.npz")
    with pytest.warns(UserWarning, match=r"new\.csv: delimiter ',' \(the fit's file: ';'\), dec"):
        np.testing.assert_array_equal(model.predict("new.csv"), want)
    np.testing.assert_array_equal(model.predict("cells.csv"), want)


def test_a_folder_is_written_in_several_ways(frame, tmp_path):
    frame = frame.drop([3, 90])
    (tmp_path / "parts").mkdir()
    frame.to_csv("parts/1.csv", index=False, sep=";", decimal=",")
    frame.to_csv("parts/2.csv", index=False, sep=";")
    run("fit -k 2 parts -o m.npz")
    assert notes("predict m.npz parts") == notes("predict m.npz parts/2.csv") == []
    frame.to_csv("new.csv", index=False, sep="\t")
    assert notes("predict m.npz new.csv") == [
        "note: reading new.csv: delimiter '\\t' (the fit's file: ';')"
    ]


def test_what_was_said_may_not_fit(frame):
    """An error of the next file tells what was taken over."""
    frame.to_csv("plain.csv", index=False)
    run("fit -k 2 cells.csv --decimal , --na -999 --missing drop -o m.npz")
    said = run("predict m.npz plain.csv --delimiter ,", 2).stderr
    assert (
        "(read with decimal ',', na '-999', as was said of the fit's file; --decimal, --na" in said
    )
    assert len(notes("predict m.npz plain.csv --decimal .")) == 2


def test_a_source_is_read_as_it_was_opened(frame):
    given = {"na": "-999", "missing": "drop"}
    model = GaussianMixture(2, random_state=0).fit(open_source("cells.csv", **given))
    save(model, "m.npz")
    model = load("m.npz")
    labels = model.predict(open_source("cells.csv", **given))
    np.testing.assert_array_equal(model.predict("cells.csv"), labels)
    with pytest.warns(UserWarning, match=r"cells\.csv: without na '-999', which was said of the"):
        assert (model.predict(open_source("cells.csv")) >= 0).all()


def test_a_fit_from_a_model_reads_alike(frame):
    run("fit -k 2 cells.csv --na -999 --missing drop -o m.npz")
    said = run("fit --from m.npz cells.csv -o again.npz --checkpoint f.ckpt").stderr
    assert "na '-999', missing 'drop', as was said of the fit's file" in said
    again = load("again.npz")
    np.testing.assert_allclose(again.means_, load("m.npz").means_, rtol=1e-3)
    run("fit --resume f.ckpt")
    assert load("again.npz").means_.tobytes() == again.means_.tobytes()


def test_signs_of_thousands_may_be_said_to_be_none(frame):
    frame = frame.drop([3, 90])
    (frame * 1000).astype(int).map("{:,}".format).to_csv("k.csv", index=False, sep=";")
    run("fit -k 2 k.csv --thousands , -o m.npz")
    (told,) = notes("predict m.npz k.csv")
    assert told.startswith("note: reading k.csv: thousands ',', as was said of the fit's file")
    assert "decimal ','" in run("predict m.npz k.csv --thousands '' -o l.npy").stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"transforms": ["arcsinh:5"]},
        {"transforms": ["arcsinh:5", "sqrt"]},
        {"transforms": [None, None]},
        {"transforms": "logicle"},
        {"reading": {"given": {"missing": "never"}, "written": {}}},
        {"reading": {"given": {"colour": "red"}, "written": {}}},
        {"reading": {"given": {}, "written": {"decimal": ["."], "index": [[]]}}},
        {"reading": []},
        {"reading": {"given": {}}},
    ],
)
def test_forged_models_are_refused(frame, wrong):
    run("fit -k 2 cells.csv --na -999 --missing drop -o m.npz")
    params, facts = read_model("m.npz")
    write_model("m.npz", params, facts | wrong)
    with pytest.raises(ModelFileError, match=r"m\.npz: its record of how the data was read is"):
        load("m.npz")


def test_older_models_are_read(frame):
    run("fit -k 2 cells.csv --na -999 --missing drop -o m.npz")
    params, facts = read_model("m.npz")
    write_model(
        "m.npz", params, {k: v for k, v in facts.items() if k not in ("transforms", "reading")}
    )
    assert load("m.npz").transforms_ is None
    assert notes("predict m.npz cells.csv --na -999 --missing drop") == []
