"""Formats: every way to give a table gives the same rows, in bounded memory."""

import gc
import os
import pickle
import subprocess
import sys
import threading

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from formats import (
    TEXTS,
    WAYS,
    arrow,
    fcs,
    hdf5,
    ipc,
    npy,
    parquet,
    parts,
    shrink_blocks,
    text,
    text_of,
)
from test_sources import assert_same_bits, joined

import gmm_fast
from gmm_fast.errors import DataError, FitError
from gmm_fast.sources import (
    NpySource,
    bad_value_error,
    first_bad_row,
    load_resident,
    open_source,
    stream,
    take,
)


def descriptors():
    return set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()


@pytest.fixture(autouse=True)
def nothing_left():
    """Whatever a test does, neither a thread nor a descriptor outlives it."""
    threads, open_before = threading.active_count(), len(descriptors())
    yield
    if len(descriptors()) > open_before:
        gc.collect()
    ours = [t for t in threading.enumerate() if t.name.startswith("gmm-fast")]
    assert ours == [], threads
    assert len(descriptors()) <= open_before


def table(dtype="f8", n=23, d=3, seed=0):
    return (np.random.default_rng(seed).integers(0, 10_000, (n, d)) / 7 - 500).astype(dtype)


@pytest.fixture(params=[False, True], ids=["", "small"])
def small_blocks(request, monkeypatch):
    """Blocks of a few rows, so that little data has many."""
    if request.param:
        shrink_blocks(monkeypatch, 80)


def check_reads(source, X):
    """All ways of reading give the bits of the array."""
    assert (source.n_samples, source.n_features) == X.shape
    assert source.dtype.newbyteorder("=") == X.dtype
    n, d = X.shape
    for origin in (None, np.arange(d) / 3):
        for dtype in ("f8", "f4"):
            shifted = X if origin is None else X.astype("f8") - origin
            expected = np.ascontiguousarray(shifted.astype(dtype))
            for rows in (1, 7, n, n + 1):
                assert_same_bits(joined(source, rows, dtype, origin), expected)
            for readers in (1, 3):
                kept = load_resident(source, dtype, origin=origin, readers=readers)
                assert_same_bits(kept.array, expected)
            for wanted in ([], [n - 1], [0, 3, 4, n - 2], range(n), [2]):
                rows = np.array(list(wanted), int)
                assert_same_bits(take(source, rows, dtype, origin=origin), expected[rows])
    assert first_bad_row(source) is None
    if source.boundaries is not None:
        check_boundaries(boundaries_of(source), source.boundaries, n)


def boundaries_of(source):
    """All of them."""
    return sorted({source.boundaries.before(row) for row in range(source.n_samples)})


def check_boundaries(rows, boundaries, n):
    """What is asked for one row belongs together for all of them."""
    assert rows[0] == 0
    for row in range(n):
        assert boundaries.before(row) == max(r for r in rows if r <= row)
        assert boundaries.after(row) == min((r for r in rows if r >= row), default=None)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_gives_the_same_bits(tmp_path, way, dtype):
    X = table(dtype)
    with open_source(WAYS[way](tmp_path, X)) as source:
        check_reads(source, X)


@pytest.mark.parametrize("keep_bytes", [0, 23 * 3 * 8 - 1, 23 * 3 * 8])
@pytest.mark.parametrize("way", TEXTS)
def test_every_text_gives_the_same_bits(tmp_path, way, keep_bytes):
    X = table()
    with open_source(TEXTS[way](tmp_path, X), keep_bytes=keep_bytes) as source:
        check_reads(source, X)
        assert source.held_bytes <= keep_bytes
        assert (source.held_bytes == X.nbytes) == (keep_bytes == X.nbytes)


@pytest.mark.parametrize("way", [w for w in WAYS | TEXTS if w != "pandas"])
def test_columns_are_chosen_in_any_order(tmp_path, way):
    X = table()
    data = (WAYS | TEXTS)[way](tmp_path, X)
    with open_source(data, columns=[2, "0"]) as source:
        check_reads(source, np.ascontiguousarray(X[:, [2, 0]]))
        named = source.feature_names is not None
        assert not named or source.feature_names == ["c2", "c0"]
    if named:
        with open_source(data, columns=["c1"]) as source:
            check_reads(source, X[:, [1]])
    with pytest.raises(DataError, match="no column 'c7'"):
        open_source(data, columns=["c7"])
    with pytest.raises(DataError, match="has no column 3; it has 3, counted from 0"):
        open_source(data, columns=[3])
    with pytest.raises(DataError, match="'1' is asked for twice"):
        open_source(data, columns=[1, "1"])


FILES = [w for w in WAYS | TEXTS if w not in ("table", "table-chunks", "batch", "polars", "pandas")]


@pytest.mark.parametrize("way", FILES)
def test_pickled_sources_read_on(tmp_path, way, monkeypatch):
    X = table()
    with open_source((WAYS | TEXTS)[way](tmp_path, X), keep_bytes=100) as source:
        expected = joined(source, 5, "f8")
        content = pickle.dumps(source)
    monkeypatch.chdir("/")
    with pickle.loads(content) as copy:
        assert copy.name == source.name
        assert_same_bits(joined(copy, 5, "f8"), expected)


@pytest.mark.parametrize("way", ["parquet", "csv", "hdf5-chunks", "npz-packed", "parquet-folder"])
def test_a_thread_and_the_caller_may_read_at_once(tmp_path, way):
    X = table(n=300)
    with open_source((WAYS | TEXTS)[way](tmp_path, X)) as source:
        from gmm_fast.sources import chunks

        for i, chunk in enumerate(chunks(source, 10, "f4")):
            row = (37 * i) % 300
            assert_same_bits(take(source, [row], "f8"), X[[row]])
            assert_same_bits(chunk, X[10 * i : 10 * i + 10].astype("f4"))


def test_closed_sources_do_not_read(tmp_path):
    for write in (npy, parquet, text, hdf5, ipc, fcs):
        source = open_source(write(tmp_path, table()))
        source.close()
        with pytest.raises(ValueError, match="closed source"):
            take(source, [0], "f8")


# Dtypes


@pytest.mark.parametrize("kind", ["?", "i1", "u2", "i4", "u4", "i8", "f2"])
@pytest.mark.parametrize(
    "way", ["parquet", "table", "polars", "hdf5", "hdf5-chunks", "npz", "arrow", "arrow-stream"]
)
def test_other_dtypes(tmp_path, way, kind):
    X = (np.arange(60).reshape(20, 3) % 7).astype(kind)
    if way == "polars" and kind == "f2":
        pytest.skip("polars has no such dtype everywhere")
    with open_source(WAYS[way](tmp_path, X)) as source:
        check_reads(source, X)


@pytest.mark.parametrize("write", [lambda p, t: t, lambda p, t: pq.write_table(t, p) or p])
def test_columns_of_several_dtypes(tmp_path, write):
    columns = {"a": np.arange(9, dtype="i2"), "b": np.arange(9, dtype="f4") / 3}
    with open_source(write(tmp_path / "x.parquet", pa.table(columns))) as source:
        check_reads(source, np.column_stack(list(columns.values())))
    columns["c"] = np.arange(9, dtype="i8") + 2**55
    with open_source(write(tmp_path / "y.parquet", pa.table(columns))) as source:
        check_reads(source, np.column_stack(list(columns.values())))


@pytest.mark.parametrize("values", [[1.5, None, 2.0], [1, None, 2], [True, None, False]])
@pytest.mark.parametrize("write", [lambda p, t: t, lambda p, t: pq.write_table(t, p) or p])
def test_a_missing_value_is_a_bad_one(tmp_path, values, write):
    columns = pa.table({"a": [1, 2, 3], "b": values})
    path = tmp_path / "x.parquet"
    with open_source(write(path, columns)) as source:
        assert source.dtype == np.float64
        bad = first_bad_row(source)
        assert bad[:2] == (1, 1)
        message = r"row 1 \(counting from 0\), column 1 \('b'\) is NaN; remove or fill"
        with pytest.raises(DataError, match=message):
            raise bad_value_error(source, bad)


def test_nulls_without_statistics(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": [1, None, 3]}), path, write_statistics=False)
    with open_source(path) as source:
        assert first_bad_row(source)[:2] == (1, 0)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "boolean", "double[pyarrow]"])
def test_pandas_missing_values(dtype):
    frame = pd.DataFrame({"a": pd.array([1, None, 0], dtype), "b": [1.0, 2.0, 3.0]})
    for columns in (None, ["a"]):
        source = open_source(frame, columns=columns)
        assert source.dtype == np.float64
        assert first_bad_row(source)[:2] == (1, 0)


def test_a_value_too_large_is_named(tmp_path):
    X = table()
    X[17, 1] = -1e300
    for way in ("parquet", "polars", "npz-packed", "dask", "parquet-folder"):
        with (
            open_source(WAYS[way](tmp_path, X)) as source,
            pytest.raises(DataError, match=r"row 1[27] .*column 1 is -1e\+300, too large for"),
        ):
            joined(source, 5, "f4")


def test_the_index_of_pandas_is_no_column(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=[5, 9])
    frame.to_parquet(tmp_path / "x.parquet")
    with open_source(tmp_path / "x.parquet") as source:
        assert source.feature_names == ["a"]
    with open_source(tmp_path / "x.parquet", columns=["__index_level_0__"]) as source:
        assert_same_bits(joined(source, 9, "f8"), np.array([[5.0], [9.0]]))


def test_columns_that_are_left_out_may_be_text(tmp_path):
    columns = {"city": ["a", "b"], "x": [1.0, 2.0], "n": [3, 4]}
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    pd.DataFrame(columns).to_csv(tmp_path / "x.csv", index=False)
    import dask.dataframe as dd

    ways = [
        tmp_path / "x.parquet",
        tmp_path / "x.csv",
        pa.table(columns),
        pl.DataFrame(columns),
        pd.DataFrame(columns),
        dd.from_pandas(pd.DataFrame(columns), 2),
    ]
    for data in ways:
        with open_source(data, columns=["n", "x"]) as source:
            assert source.feature_names == ["n", "x"]
            assert_same_bits(joined(source, 9, "f8"), np.array([[3.0, 1.0], [4.0, 2.0]]))
        with pytest.raises(DataError, match=r"'?city'?.*(no real numbers|'a', not a number)"):
            open_source(data)


def test_many_columns_of_one_name(tmp_path):
    X = table()
    twice = pa.Table.from_arrays([pa.array(x) for x in X.T], ["a", "b", "a"])
    pq.write_table(twice, tmp_path / "x.parquet")
    for data in (twice, tmp_path / "x.parquet"):
        with open_source(data, columns=[2, 1]) as source:
            check_reads(source, np.ascontiguousarray(X[:, [2, 1]]))
        with pytest.raises(DataError, match=r"2 columns are named 'a'; choose by number.*: 0, 2"):
            open_source(data, columns=["a"])


# Parquet


def test_row_groups_are_skipped(tmp_path, monkeypatch):
    X = table(n=100)
    path = parquet(tmp_path, X, row_group_size=10)
    asked = []
    whole = pq.ParquetFile.iter_batches

    def record(self, *args, row_groups, **options):
        asked.append(row_groups[0])
        return whole(self, *args, row_groups=row_groups, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", record)
    shrink_blocks(monkeypatch, 240)  # ten rows
    with open_source(path) as source:
        assert boundaries_of(source) == list(range(0, 100, 10))
        wanted = [5, 45, 46, 51, 99]
        assert_same_bits(take(source, wanted, "f8"), X[wanted])
        assert asked == [0, 4, 9]


@pytest.mark.parametrize("way", ["parquet", "arrow", "feather", "parquet-folder"])
def test_groups_are_decoded_side_by_side(tmp_path, monkeypatch, way):
    """By as many threads as are allowed; the first bad row is named whichever finds one first."""
    X = table(n=100)
    X[[7, 90]] = 1e300
    readers, meet = {}, threading.Barrier(2, timeout=20)
    whole = stream.StreamSource._put

    def record(self, *args):
        if (name := threading.current_thread().name) not in readers:
            readers[name] = self
            meet.wait()
        whole(self, *args)

    shrink_blocks(monkeypatch, 240)
    with open_source(WAYS[way](tmp_path, X)) as source:
        assert_same_bits(load_resident(source, "f8", readers=4).array, X)
        with pytest.raises(DataError, match=r"row 7 \(counting from 0\), column 0 is 1e\+300, too"):
            load_resident(source, "f4", readers=4)
        monkeypatch.setattr(stream.StreamSource, "_put", record)
        load_resident(source, "f8", readers=2)
    first, second = readers.values()
    assert first is not second


def test_empty_row_groups(tmp_path, monkeypatch):
    X = table(n=30)
    path = tmp_path / "x.parquet"
    with pq.ParquetWriter(path, arrow(X).schema) as writer:
        for rows in (X[:0], X[:10], X[:0], X[:0], X[10:20], X[20:], X[:0]):
            writer.write_table(arrow(rows))
    assert pq.read_metadata(path).num_row_groups == 7
    shrink_blocks(monkeypatch, 240)
    with open_source(path) as source:
        assert boundaries_of(source) == [0, 10, 20]
        check_reads(source, X)
        for row in (25, 12, 29, 10, 0):
            assert_same_bits(take(source, [row], "f8"), X[[row]])


@pytest.mark.parametrize("options", [{"row_group_size": 1}, {"data_page_size": 8}])
def test_tiny_groups_and_pages(tmp_path, options):
    X = table()
    with open_source(parquet(tmp_path, X, **options)) as source:
        check_reads(source, X)


# Dask


def test_dask_computes_each_block_once():
    import dask.array as da

    X, computed = table(n=40), []

    def note(block, block_info=None):
        computed.append(block_info[0]["chunk-location"][0])
        return block

    data = da.from_array(X, chunks=(10, 3)).map_blocks(note, dtype=X.dtype, meta=X[:0])
    with open_source(data) as source:
        assert computed == []
        assert_same_bits(joined(source, 3, "f8"), X)
    assert computed == [0, 1, 2, 3]


def test_dask_with_empty_and_unknown_chunks():
    import dask.array as da

    X = table()
    data = da.from_array(X, chunks=((5, 0, 18), 3))
    with open_source(data) as source:
        check_reads(source, X)
    with open_source(data[data[:, 0] > -1e9]) as source:  # sizes unknown
        check_reads(source, X)
    with open_source(data[:, 0], one_feature=True) as source:
        check_reads(source, X[:, :1])
    with pytest.raises(DataError, match="has one dimension"):
        open_source(data[:, 0])
    with pytest.raises(DataError, match="has no rows"):
        open_source(data[:0])


def test_what_dask_raises_is_named():
    import dask.array as da

    def fail(block):
        raise KeyError("oops") if len(block) else block

    data = da.from_array(table(), chunks=5).map_blocks(fail, dtype="f8", meta=np.empty((0, 3)))
    with pytest.raises(FitError, match=r"X: computing rows 0:5 failed: KeyError: 'oops'"):
        take(open_source(data), [0], "f8")


# Folders, patterns and names


def test_natural_order_and_what_is_skipped(tmp_path):
    X = table(n=12)
    for i, rows in enumerate(np.split(X, 12)):
        np.save(tmp_path / f"part-{i}.npy", rows)
    (tmp_path / "README.md").write_text("no data")
    (tmp_path / "_SUCCESS.npy").touch()
    (tmp_path / ".hidden.npy").touch()
    (tmp_path / "_logs").mkdir()
    (tmp_path / "_logs" / "x.csv").touch()
    for data in (tmp_path, str(tmp_path), tmp_path / "*.npy", f"{tmp_path}/part-*"):
        with open_source(data) as source:
            assert_same_bits(joined(source, 5, "f8"), X)
            assert source.name == str(data)


def test_hundreds_of_files_need_few_descriptors(tmp_path):
    X = table(n=300)
    for i, rows in enumerate(np.split(X, 100)):
        np.save(tmp_path / f"{i}.npy", rows)
    before = len(descriptors())
    with open_source(tmp_path) as source:
        assert_same_bits(take(source, [0, 150, 299], "f8"), X[[0, 150, 299]])
        with pickle.loads(pickle.dumps(source)) as copy:
            assert_same_bits(joined(copy, 30, "f8"), X)
            assert len(descriptors()) <= before + 5


def test_files_of_several_dtypes(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(16, dtype="i4").reshape(8, 2))
    np.save(tmp_path / "b.npy", np.ones((2, 2), "f4"))
    with open_source(tmp_path) as source:
        assert source.dtype == np.float64
        check_reads(source, np.concatenate([np.arange(16.0).reshape(8, 2), np.ones((2, 2))]))


def test_empty_parts_are_skipped_unless_all_are(tmp_path):
    for i, rows in enumerate((0, 3, 0)):
        parquet_path = tmp_path / f"{i}.parquet"
        pq.write_table(arrow(table(n=3)[:rows]), parquet_path)
    with open_source(tmp_path) as source:
        assert source.n_samples == 3
    (tmp_path / "1.parquet").unlink()
    with pytest.raises(DataError, match=r"0\.parquet: has no rows"):
        open_source(tmp_path)


def test_a_bad_row_is_found_in_its_file(tmp_path):
    X = table()
    X[20, 1] = np.inf
    with open_source(parts(tmp_path, X, parquet)) as source:
        assert source.locate(20) == (str(tmp_path / "parts" / "10" / "data.parquet"), 15)
        error = bad_value_error(source, first_bad_row(source))
    assert str(error) == (
        f"{tmp_path}/parts/10/data.parquet: row 15 (counting from 0), column 1 ('c1') is inf; "
        "remove or fill such rows first"
    )


@pytest.mark.skipif(os.name == "nt", reason="names that Windows forbids")
def test_strange_names_that_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = table()
    for name in ("a[1].npy", "b*.npy", "c.npz:X", "d:e.npy", "f.h5:g.npy"):
        with open(name, "wb") as file:
            np.save(file, X)
        with open_source(name) as source:
            assert_same_bits(joined(source, 50, "f8"), X)


@pytest.mark.parametrize("name", ["DATA.CSV", "Data.Tsv", "x.TAB"])
def test_endings_in_capitals(tmp_path, name):
    X = table()
    sign = "," if "CSV" in name else "\t"
    with open_source(text(tmp_path, X, name, sign=sign)) as source:
        check_reads(source, X)


def test_npy_content_under_any_name(tmp_path):
    with open(tmp_path / "data.bin", "wb") as file:
        np.save(file, table())
    with open_source(tmp_path / "data.bin") as source:
        check_reads(source, table())


def test_arrays_within_files(tmp_path):
    X, y = table(), np.arange(23.0)
    np.savez(tmp_path / "a.npz", X=X, Y=X + 1, y=y)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["deep/X"], file["Y"], file["y"] = X, X + 1, y
    for name, add in (("a.npz:X", 0), ("a.npz:Y", 1), ("a.h5:/deep/X", 0), ("a.h5:Y", 1)):
        with open_source(f"{tmp_path}/{name}") as source:
            check_reads(source, X + add)
    for name in ("a.npz:y", "a.h5:/y"):
        with open_source(f"{tmp_path}/{name}", one_feature=True) as source:
            check_reads(source, y.reshape(-1, 1))


# Text


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        ("a,b\n1,2\n3,4\n", ["a", "b"], [[1, 2], [3, 4]]),
        ("1,2\n3,4", None, [[1, 2], [3, 4]]),
        ("\ufeffa,b\r\n1,2\r\n", ["a", "b"], [[1, 2]]),
        ("\ufeff1,2\n", None, [[1, 2]]),
        ("# a,b\n1,2\n", ["a", "b"], [[1, 2]]),
        ('"a, b",c\n1,2\n', ["a, b", "c"], [[1, 2]]),
        ("\n\na,b\n\n1,2\n\n", ["a", "b"], [[1, 2]]),
        ("x\n1\n2\n", ["x"], [[1], [2]]),
        ("1\n2\n", None, [[1], [2]]),
        (" 1, 2e3\n3 ,-4\n", None, [[1, 2000], [3, -4]]),
        ("a;b\n1,5;2\n", ["a", "b"], [[1.5, 2]]),
        ("1,5;2,5\n3;4\n", None, [[1.5, 2.5], [3, 4]]),
        ("1;2\n" * 60 + "1,5;2\n", None, [[1, 2]] * 60 + [[1.5, 2]]),
        ("a;b\n1.5;2\n", ["a", "b"], [[1.5, 2]]),
        ("a\tb\n1\t2\n", ["a", "b"], [[1, 2]]),
        ("a|b\n1|2\n", ["a", "b"], [[1, 2]]),
        ("price;kind,x\n1;2\n", ["price", "kind,x"], [[1, 2]]),
        ("a,b;c\n1,2\n", ["a", "b;c"], [[1, 2]]),
    ],
)
def test_texts(tmp_path, content, names, rows):
    (tmp_path / "x.csv").write_text(content, encoding="utf-8", newline="")
    with open_source(tmp_path / "x.csv") as source:
        assert source.feature_names == names
        assert_same_bits(joined(source, 100, "f8"), np.array(rows, float))


def test_header_by_order(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("2020,2021\n1,2\n")
    with open_source(path, header=True) as source:
        assert source.feature_names == ["2020", "2021"]
        assert source.n_samples == 1
    with open_source(path, header=True, columns=["2021"]) as source:
        assert_same_bits(joined(source, 9, "f8"), np.array([[2.0]]))
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"row 0 .*column 0 is 'a', not a number"):
        open_source(path, header=False)


def test_text_in_many_blocks(tmp_path, monkeypatch):
    from gmm_fast.sources import arrowcsv

    monkeypatch.setattr(arrowcsv, "_BLOCK_BYTES", 64)
    X = table(n=500)
    with open_source(text(tmp_path, X)) as source:
        check_reads(source, X)
    lines = text_of(X).split("\n")
    for i, bad in ((400, "1,x,3"), (300, "1,2"), (200, "1,,3"), (100, "1,inf,2")):
        lines[i + 1] = bad
        (tmp_path / "x.csv").write_text("\n".join(lines))
        with pytest.raises(DataError, match=rf"x\.csv: row {i} "):
            open_source(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "holds only empty lines"),
        ("a,b\n", "has no rows"),
        ("a,b\n1,2\n3\n", "row 1 (counting from 0) has 1 cells (line 3 of the file), the f"),
        ("1,2\n3,4,5\n", "row 1 (counting from 0) has 3 cells"),
        ("a,b\n1,2\n3,x\n", "row 1 (counting from 0), column 1 ('b') is 'x', not a number"),
        ("1,2\n3,x\n", "row 1 (counting from 0), column 1 is 'x', not a number"),
        ("a,b\n1,\n", "column 1 ('b') is missing (line 2 of the file); remove or fill"),
        ("a,b\n1,2\nNA,2\n", "row 1 (counting from 0), column 0 ('a') is missing"),
        ("a,b\n1,2\n1,inf\n", "row 1 (counting from 0), column 1 ('b') is inf"),
        ("a,b,c\n1,x,2\n", "choose other columns with columns= (--columns); numeric are 'a', 'c'"),
        ("1,2\n2,y\n3,y\n", "numeric are 0"),
        ("\n\na,b\n\n1,2\n\n1,x", "row 1 (counting from 0), column 1 ('b') is 'x'"),
        ("\x00\x01\x02", "is not text in UTF-8"),
    ],
)
def test_texts_refused(tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text(content)
    with pytest.raises(DataError) as caught:
        open_source("x.csv")
    assert str(caught.value).startswith("x.csv: ")
    assert message in str(caught.value)


def test_genes_have_names(tmp_path):
    X = table()
    path = hdf5(tmp_path, X, "data.h5ad")
    with h5py.File(path, "a") as file:
        file["var/gene"] = ["a", "b", "c"]
        file["var"].attrs["_index"] = "gene"
    with open_source(path, columns=["c", "b"]) as source:
        check_reads(source, np.ascontiguousarray(X[:, [2, 1]]))


@pytest.mark.parametrize("kind", ["S1", h5py.string_dtype()])
def test_genes_have_names_in_old_files(tmp_path, kind):
    """AnnData up to 0.6 wrote records."""
    path = hdf5(tmp_path, table(), "data.h5ad")
    with h5py.File(path, "a") as file:
        rows = np.array([(b"a", 1), (b"b", 2), (b"c", 3)], [("index", kind), ("n", "i4")])
        file.create_dataset("var", data=rows)
    with open_source(path) as source:
        assert source.feature_names == ["a", "b", "c"]


@pytest.mark.parametrize("userblock", [0, 1024])
@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_data_sets_in_one_piece_are_read_directly(tmp_path, userblock, libver):
    X = table()
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=userblock, libver=libver) as file:
        file["before"] = np.zeros(7)
        file["X"] = X
    with open_source(tmp_path / "x.h5") as source:
        assert isinstance(source, NpySource)
        check_reads(source, X)


def test_data_sets_never_written(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("X", (20, 3), "f8", fillvalue=2.5)
        file.create_dataset("yes", data=np.eye(20, 3) > 0)
    with open_source(f"{tmp_path}/x.h5:X") as source:
        check_reads(source, np.full((20, 3), 2.5))
    with open_source(f"{tmp_path}/x.h5:yes") as source:
        check_reads(source, np.eye(20, 3) > 0)


# Memory

MEASURE = """
import gc, sys, threading
import numpy as np
import pyarrow.csv, pyarrow.parquet
from gmm_fast.sources import chunks, open_source, take

def anonymous():
    with open("/proc/self/status") as file:
        return int(next(line for line in file if line.startswith("RssAnon")).split()[1]) / 1024

def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous())

start = peak = anonymous()
done = threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
source = open_source(sys.argv[1])
assert sum(len(chunk) for chunk in chunks(source, 65536, "f8")) == source.n_samples
take(source, np.arange(0, source.n_samples, 1000), "f8")
done.set()
watcher.join()
print(peak - start)
"""


@pytest.fixture(scope="module", params=["parquet", "csv"])
def big_file(request, tmp_path_factory):
    """96 MB in one row group; 130 MB of text, that are 56 MB of rows."""
    path = tmp_path_factory.mktemp("big") / f"big.{request.param}"
    x = np.random.default_rng(0).normal(size=100_000)
    if request.param == "parquet":
        columns = {f"c{j}": np.tile(np.roll(x, j), 15) for j in range(8)}
        plain = {"use_dictionary": False, "row_group_size": 2_000_000}
        pq.write_table(pa.table(columns), path, **plain)
    else:
        lines = "\n".join(",".join(row) for row in x.astype(str).reshape(-1, 10)) + "\n"
        path.write_text(lines * 70)
    yield path
    path.unlink()


@pytest.mark.serial
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc to measure")
def test_memory_stays_bounded(big_file):
    """In MiB, of which two buffers of chunks take 8 to 10; Arrow's pool grows in steps of 4."""
    root = os.path.dirname(os.path.dirname(os.path.abspath(gmm_fast.__file__)))
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(big_file)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert 4 < float(result.stdout) < 70


def test_links_to_folders_are_followed_once(tmp_path):
    inside, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    inside.mkdir()
    elsewhere.mkdir()
    np.save(inside / "a.npy", table(n=2))
    np.save(elsewhere / "b.npy", table(n=3))
    (inside / "link").symlink_to(elsewhere)
    (inside / "loop").symlink_to(inside)
    (elsewhere / "back").symlink_to(inside)
    with open_source(inside) as source:
        assert source.n_samples == 5


def test_what_commands_write_is_no_data(tmp_path):
    np.save(tmp_path / "a.npy", table(n=2))
    np.save(tmp_path / "a.labels.npy", np.zeros(2, np.int32))
    np.save(tmp_path / "a.proba.npy", np.zeros((2, 9)))
    (tmp_path / "a.gmm.npz").touch()
    for data in (tmp_path, tmp_path / "*.npy"):
        with open_source(data) as source:
            assert source.n_samples == 2


def test_text_that_is_held_is_no_work_to_read(tmp_path):
    (tmp_path / "a.csv").write_text("1,2\n3,4\n")
    for keep, decoded in ((0, True), (100, False)):
        for data in (tmp_path, tmp_path / "a.csv"):
            with open_source(data, keep_bytes=keep) as source:
                assert source.decoded == decoded
                assert boundaries_of(source) == [0]


def test_column_numbers_as_names_are_asked_about(tmp_path):
    """What pandas writes above columns without names would be a row of its own."""
    path = tmp_path / "a.csv"
    pd.DataFrame(table(n=2)).to_csv(path, index=False)
    with pytest.raises(
        DataError, match=r"a\.csv: the first line reads 0,1,2\.\.\.: column names, or a row"
    ):
        open_source(path)
    for header, rows in ((True, 2), (False, 3)):
        with open_source(path, header=header) as source:
            assert source.n_samples == rows


# Zarr


def test_arrays_of_a_group_and_missing_chunks(tmp_path):
    import zarr

    X = table()
    group = zarr.open_group(str(tmp_path / "x.zarr"), mode="w")
    group["obsm/X_pca"] = X
    group["n"] = np.arange(9)
    for name in (tmp_path / "x.zarr", f"{tmp_path}/x.zarr:/obsm/X_pca"):
        with open_source(name) as source:
            assert source.notes == ()
            check_reads(source, X)
    with open_source(f"{tmp_path}/x.zarr:n", one_feature=True) as source:
        check_reads(source, np.arange(9).reshape(-1, 1))
    half = zarr.create_array(str(tmp_path / "y.zarr"), shape=(20, 2), chunks=(5, 2), dtype="f8")
    half[:10] = 1.5
    with open_source(tmp_path / "y.zarr") as source:
        assert source.notes == ("2 of its 4 chunks are missing and read as the fill value, 0.0",)


def test_damaged_chunks_of_zarr(tmp_path):
    path = WAYS["zarr"](tmp_path, table())
    chunk = path / "c" / "1" / "0"
    chunk.write_bytes(chunk.read_bytes()[:7])
    with open_source(path) as source, pytest.raises(DataError, match=r"data\.zarr: cannot be read"):
        joined(source, 5, "f8")


@pytest.mark.parametrize(
    ("way", "what"), [("zarr", "rows of chunks"), ("feather", "batches of rows")]
)
def test_large_pieces_are_told_of(tmp_path, monkeypatch, way, what):
    monkeypatch.setattr(stream, "_LARGE_BYTES", 100)
    with open_source(WAYS[way](tmp_path, table())) as source:
        assert len(source.notes) == 1
        assert source.notes[0].startswith(
            f"{what} take up to {5 * 3 * 8 if way == 'zarr' else 216}"
        )
