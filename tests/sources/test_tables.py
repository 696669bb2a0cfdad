"""What tables hold besides plain numbers: row indices, decimals, categories; what is said of it."""

import json
from decimal import Decimal

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from formats import hdf5, zarr_array
from invoking import run
from test_sources import assert_same_bits, joined

from gmm_fast import GaussianMixture
from gmm_fast.errors import DataError
from gmm_fast.sources import first_bad_row, open_source


def frame_of(n=40):
    rng = np.random.default_rng(3)
    ids = pd.Index(np.arange(n) * 1000, name="cell_id")
    return pd.DataFrame({"a": rng.normal(size=n), "b": rng.normal(size=n)}, index=ids)


# The pandas row index ------------------------------------------------------------------------

LEFT_OUT = "the pandas row index, 'cell_id', is left out; --columns (columns=) brings it back"


def test_a_named_index_is_no_feature(tmp_path):
    frame = frame_of()
    frame.to_parquet(tmp_path / "x.parquet")
    for data in (tmp_path / "x.parquet", pa.Table.from_pandas(frame)):
        with open_source(data) as source:
            assert source.feature_names == list(pd.read_parquet(tmp_path / "x.parquet").columns)
            assert source.notes == (LEFT_OUT,)
            assert_same_bits(joined(source, 99, "f8"), frame.to_numpy())
        with open_source(data, columns=["cell_id", "b"]) as source:
            assert source.notes == ()
            assert_same_bits(
                joined(source, 99, "f8"), frame.reset_index()[["cell_id", "b"]].to_numpy("f8")
            )


def test_levels_and_words_of_an_index(tmp_path):
    frame = frame_of(3)
    frame.index = pd.MultiIndex.from_tuples([("x", 1), ("x", 2), ("y", 1)], names=["batch", None])
    frame.to_parquet(tmp_path / "x.parquet")
    with open_source(tmp_path / "x.parquet") as source:
        assert source.feature_names == ["a", "b"]
        assert "'batch', '__index_level_1__', is left out" in source.notes[0]
    frame[[]].to_parquet(tmp_path / "none.parquet")
    with pytest.raises(DataError, match=r"has no columns; the pandas row index, 'batch', .*back"):
        open_source(tmp_path / "none.parquet")


@pytest.mark.parametrize("said", [b"", b"{", b"[]", b"{}", b'{"index_columns": 3}', b"\xff"])
def test_odd_metadata_names_no_index(said):
    table = pa.table({"cell_id": [1.0]}).replace_schema_metadata({"pandas": said})
    assert open_source(table).feature_names == ["cell_id"]


def test_the_index_is_said_of_by_commands_and_models(tmp_path):
    path, model = tmp_path / "x.parquet", tmp_path / "x.gmm.npz"
    frame_of().to_parquet(path)
    told = f"reading {path}: {LEFT_OUT}"
    fitted = run(f"fit --k 2 {path} -o {model} --json")
    facts = json.loads(fitted.stdout)
    assert facts["n_features"] == 2
    assert told in facts["events"]
    assert facts["warnings"] == []  # nothing to doubt
    assert fitted.stderr.count(f"note: {told}\n") == 1
    # the columns of the model are asked for: nothing is left out without a word
    assert "note" not in run(f"score {model} {path}").stderr
    assert told in GaussianMixture(2, random_state=0).fit(path).events_


def test_a_folder_says_it_once(tmp_path):
    for name in ("1", "2"):
        frame_of().to_parquet(tmp_path / f"{name}.parquet")
    with open_source(tmp_path) as source:
        assert source.notes == (f"{LEFT_OUT} (2 of 2 files)",)
    for i in range(7):
        frame_of().rename_axis(f"id{i}").to_parquet(tmp_path / f"{i}.parquet")
    with open_source(tmp_path) as source:
        assert len(source.notes) == 6
        assert source.notes[-1] == "and 2 more such notes on its files"


def test_a_null_of_a_dictionary_is_missing(tmp_path):
    codes = pa.array([0, 1, 0], pa.int8())
    column = pa.DictionaryArray.from_arrays(codes, pa.array([7, None]))
    table = pa.table({"a": column, "b": [1, 2, 3]})
    path = tmp_path / "x.arrow"
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)
    for data in (table, path):
        with open_source(data, missing="drop") as source:
            np.testing.assert_array_equal(joined(source, 99, "f8"), [[7, 1], [7, 3]])


@pytest.mark.parametrize("chunks", [None, (2, 2)])
def test_packed_numbers_are_told_of(tmp_path, chunks):
    packed = np.array([[1, 2], [3, -32768], [5, 6]], "i2")
    told = {"scale_factor": 0.01, "_FillValue": -32768}
    path = hdf5(tmp_path, packed, chunks=chunks)
    with h5py.File(path, "a") as file:
        file["X"].attrs.update(told)
    folder = zarr_array(tmp_path, packed, attributes=told)
    for data in (path, folder):
        with open_source(data) as source:
            assert "though scale_factor, _FillValue say what they stand for" in source.notes[0]
    with h5py.File(path, "a") as file:
        del file["X"].attrs["scale_factor"]
        file["X"].attrs["_FillValue"] = np.nan
    with open_source(path) as source:
        assert source.notes == ()


# Decimals and categories ----------------------------------------------------------------------


def decimals(scale, n=2000):
    rng = np.random.default_rng(scale)
    size = 10.0 ** rng.integers(1, 19, n)
    whole = (rng.uniform(-1, 1, n) * size).astype("i8").tolist()
    return [Decimal(w).scaleb(-scale) for w in [0, 1, -1, 2**53, *whole]]


@pytest.mark.parametrize("scale", [0, 2, 9])
def test_decimals_are_the_nearest_numbers(tmp_path, scale):
    values = [v for v in decimals(scale) if abs(v.scaleb(scale)) < 2**53]
    table = pa.table({"x": pa.array([None, *values, None], pa.decimal128(38, scale))})
    pq.write_table(table.slice(1, len(values)), tmp_path / "x.parquet")
    expected = np.array([[float(v)] for v in values])
    for data in (tmp_path / "x.parquet", table.slice(1, len(values))):
        with open_source(data) as source:
            assert source.dtype == np.float64
            assert_same_bits(joined(source, 99, "f8"), expected)
    assert first_bad_row(open_source(table))[:2] == (0, 0)


def test_large_decimals(tmp_path):
    values = [*decimals(3), Decimal(10) ** 33, Decimal("-142857142857142857142857142857.142")]
    for kind in (pa.decimal128(38, 3), pa.decimal256(60, 3)):
        source = open_source(pa.table({"x": pa.array(values, kind)}))
        found = joined(source, 9999, "f8")[:, 0]
        np.testing.assert_allclose(found, [float(v) for v in values], rtol=3e-16)


def test_categories_of_numbers(tmp_path):
    frame = pd.DataFrame({"a": pd.Categorical([3, 1, 3]), "b": [0.5, 1.5, 2.5]})
    table = pa.Table.from_pandas(frame)
    assert pa.types.is_dictionary(table.schema.field("a").type)
    frame.to_parquet(tmp_path / "x.parquet")
    for data in (tmp_path / "x.parquet", table, frame, frame[["a"]]):
        with open_source(data) as source:
            assert source.feature_names == ["a", "b"][: source.n_features]
            found = joined(source, 9, "f8")
            assert_same_bits(found, frame.astype("f8").to_numpy()[:, : found.shape[1]])
    frame["a"] = pd.Categorical([3, None, 1])
    for data in (frame, pa.Table.from_pandas(frame)):
        assert first_bad_row(open_source(data))[:2] == (1, 0)
    words = pd.DataFrame({"a": pd.Categorical(["1", "2"])})
    for data in (words, pa.Table.from_pandas(words)):
        with pytest.raises(DataError, match=r"'a' \((category|dictionary<.*)\) holds? no real num"):
            open_source(data)
