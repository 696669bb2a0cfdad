"""Files of flow cytometers: channels, markers, bits, amplifiers, several data sets."""

import json

import numpy as np
import pytest
from formats import fcs_bytes, shrink_blocks
from invoking import run
from test_formats import check_reads
from test_sources import joined

from gmm_fast.errors import DataError
from gmm_fast.sources import open_source

N = 40


def opened(tmp_path, X, *more, columns=None, **keywords):
    path = tmp_path / "x.fcs"
    path.write_bytes(fcs_bytes(X, *more, **keywords))
    return open_source(path, columns=columns)


def events(dtype="f4", d=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 250, (N, d)).astype(dtype)


def test_time_is_left_out_with_a_note(tmp_path):
    X = events()
    for name in ("Time", "TIME", "HDR-T"):
        with opened(tmp_path, X, ["FSC-A", name, "SSC-A"]) as source:
            assert source.feature_names == ["FSC-A", "SSC-A"]
            assert source.notes == (
                f"the time channel, {name!r}, is left out; --columns (columns=) brings it back",
            )
            check_reads(source, X[:, [0, 2]])
    with opened(tmp_path, X, ["FSC-A", "Time", "SSC-A"], columns=["Time", 0]) as source:
        assert source.notes == ()
        check_reads(source, X[:, [1, 0]])


def test_markers_name_columns_and_channels_choose_them(tmp_path):
    X = events(d=4)
    named = {"P1S": "CD4", "P2S": " ", "P3S": "FSC", "P4S": "CD4"}
    with opened(tmp_path, X, ["FL1", "FL2", "FL3", "FSC"], **named) as source:
        # a marker of two channels, or the name of another channel, names nothing
        assert source.feature_names == ["FL1", "FL2", "FL3", "FSC"]
        assert source.notes == ()
    named = {"P1S": "CD4", "P3S": "CD8"}
    for columns in (["CD8", "FL1"], ["FL3", "CD4"], [2, "0"]):
        with opened(tmp_path, X, ["FL1", "FL2", "FL3", "FL4"], columns=columns, **named) as source:
            assert source.feature_names == ["CD8", "CD4"]
            assert source.notes == (
                "columns are named by their markers ($PnS): 'CD8' is 'FL3', 'CD4' is 'FL1'",
            )
            check_reads(source, X[:, [2, 0]])
    with pytest.raises(DataError, match=r"x\.fcs: has no column 'CD9'; did you mean 'CD8'"):
        opened(tmp_path, X, ["FL1", "FL2", "FL3", "FL4"], columns=["CD9"], **named)


@pytest.mark.parametrize("order", "<>")
def test_integers_of_all_widths(tmp_path, monkeypatch, order):
    shrink_blocks(monkeypatch, 100)
    for dtype in ("u1", "u2", "u4", "u8"):
        X = np.random.default_rng(1).integers(0, 200, (N, 3)).astype(order + dtype)
        with opened(tmp_path, X) as source:
            check_reads(source, X.astype(dtype))
    whole = np.random.default_rng(2).integers(0, 2**24, N)
    three = whole.astype(order + "u4").view("u1").reshape(N, 4)
    three = three[:, :3] if order == "<" else three[:, 1:]
    kinds = [("a", order + "u2"), ("b", "u1", 3), ("c", "u1"), ("d", order + "u4")]
    X = np.zeros(N, kinds)
    X["a"], X["b"], X["c"], X["d"] = np.arange(N), three, np.arange(N) * 2, np.arange(N) * 3
    with opened(tmp_path, X) as source:
        expected = np.column_stack([np.arange(N), whole, np.arange(N) * 2, np.arange(N) * 3])
        check_reads(source, expected.astype("u4"))


def test_bits_beyond_the_range_do_not_count(tmp_path):
    X = np.array([[1023, 5], [1024 + 7, 2**15 + 6]], "u2")
    with opened(tmp_path, X, P1R=1024, P2R=1000, P2N="FL") as source:
        np.testing.assert_array_equal(joined(source, 9, "f8"), [[1023, 5], [7, 6]])
    with opened(tmp_path, X, P1R=0, P2R=65536) as source:
        np.testing.assert_array_equal(joined(source, 9, "f8"), X)


def test_amplifiers(tmp_path):
    X = np.array([[0, 512, 100], [256, 1023, 50]], "u2")
    keys = {"P1R": 1024, "P2R": 1024, "P1E": "4,1", "P2E": "4.0,0.0", "P1G": 2, "P3G": 10}
    with opened(tmp_path, X, **keys) as source:
        assert source.dtype == np.float64
        expected = [[1, 10**2, 10], [10, 10 ** (4 * 1023 / 1024), 5]]  # gain is of linear ones
        np.testing.assert_allclose(joined(source, 9, "f8"), expected, rtol=1e-14)
        assert source.notes == (
            "channels of logarithmic amplifiers are made linear ($PnE): 'c0', 'c1'",
            "channels are divided by their gain ($PnG): 'c2'",
        )
    with opened(tmp_path, X.astype("f4"), P1E="4,1", P1R=1024) as source:
        np.testing.assert_array_equal(joined(source, 9, "f8"), X)  # floats are linear
    with opened(tmp_path, X, ["a", "b", "Time"], columns=["Time"], TIMESTEP=0.5) as source:
        np.testing.assert_array_equal(joined(source, 9, "f8"), [[50], [25]])


def test_places_of_data(tmp_path):
    X = events()
    size = X.nbytes
    for keys in ({"ENDDATA": 4096 + size}, {"BEGINDATA": "4096 "}, {"BYTEORD": "1,2"}):
        with opened(tmp_path, X, **keys) as source:  # one too far; a blank; 16 bits
            check_reads(source, X)
    content = bytearray(fcs_bytes(X))
    content[26:42] = b" " * 16  # what writers do where the places have too many digits
    (tmp_path / "x.fcs").write_bytes(content)
    check_reads(open_source(tmp_path / "x.fcs"), X)
    content = fcs_bytes(X).replace(b"$BEGINDATA/4096", b"$BEGINDATA/4000")
    (tmp_path / "x.fcs").write_bytes(content)  # HEADER knows better
    check_reads(open_source(tmp_path / "x.fcs"), X)


def test_several_data_sets(tmp_path):
    X, Y = events(), events(seed=1)[:9]
    path = tmp_path / "x.fcs"
    first = fcs_bytes(X, NEXTDATA=4096 + X.nbytes)
    path.write_bytes(first + fcs_bytes(Y))
    with open_source(path) as source:
        assert source.notes == (
            f"the file holds 2 data sets; only the first is read, {path}:2 names the second",
        )
        check_reads(source, X)
    for inner, expected in (("1", X), ("2", Y)):
        with open_source(f"{path}:{inner}") as source:
            assert source.notes == ()
            np.testing.assert_array_equal(joined(source, 5, "f4"), expected)
    path.write_bytes(first + b"rest")
    with open_source(path) as source:  # what was asked for is there
        check_reads(source, X)
    with pytest.raises(
        DataError, match=r"x\.fcs: is not an FCS file, or its HEADER segment is dam"
    ):
        open_source(f"{path}:2")


def test_by_the_commands(tmp_path):
    path, model = tmp_path / "x.fcs", tmp_path / "x.gmm.npz"
    X = np.random.default_rng(0).normal(size=(300, 3)).astype("f4")
    path.write_bytes(fcs_bytes(X, ["FL1", "Time", "FL2"], P3S="CD8"))
    fitted = run(f"fit --k 2 {path} --json -o {model}")
    assert json.loads(fitted.stdout)["features"] == ["FL1", "CD8"]
    assert f"note: reading {path}: the time channel" in fitted.stderr
    labels = tmp_path / "labels.npy"
    run(f"predict {model} {path} -o {labels}")
    expected = np.load(labels)
    path.write_bytes(fcs_bytes(X[:, ::-1], ["FL9", "Time", "FL1"], P1S="CD8"))
    run(f"predict {model} {path} -o {labels}")
    np.testing.assert_array_equal(np.load(labels), expected)
