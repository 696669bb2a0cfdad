"""What cannot be read is refused: the file is named, what is wrong, and what to do."""

import datetime
import gzip
import io
import os
import pickle
import sys
import zipfile

import h5py
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from formats import (
    arrow,
    fcs_bytes,
    feather,
    hdf5,
    ipc,
    npy,
    npz,
    parquet,
    parts,
    shrink_blocks,
    text,
    text_of,
    zarr_array,
)
from formats import fcs as fcs_file
from test_sources import joined

from gmm_fast import GaussianMixture
from gmm_fast.errors import ChangedError, DataError
from gmm_fast.sources import arrowcsv, load_resident, open_source, stamps, take

X = np.arange(4000.0).reshape(1000, 4) / 7


def write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


def damaged(path, at=slice(100, 200)):
    """Overwrite some bytes of a file."""
    content = bytearray(path.read_bytes())
    content[at] = bytes(len(content[at]))
    path.write_bytes(content)


def column(values, kind=None):
    return lambda path: pq.write_table(
        pa.table({"x": [1.0] * len(values), "odd": pa.array(values, kind)}), path
    )


def linked(path):
    """An HDF5 file in which links lead in a circle."""
    with h5py.File(path, "w") as file:
        for name, other in (("y", "/z"), ("z", "/y"), ("X", "/X")):
            file[name] = h5py.SoftLink(other)


def nameless(path):
    """A Parquet file whose footer has a name that is no text."""
    parquet(path.parent, X).rename(path)
    path.write_bytes(path.read_bytes().replace(b"c0", b"\xff\xfe"))


def cut(make, keep=0.5):
    """Only the head of what `make` writes."""

    def write_head(path):
        make(path)
        os.truncate(path, int(keep * os.path.getsize(path)))

    return write_head


def packed(change=lambda b: b):
    return lambda path: write(path, change(gzip.compress(text_of(X).encode())))


def h5(path, **items):
    with h5py.File(path, "w") as file:
        for name, item in items.items():
            file[name] = item


def sparse(form=None, shape=None):
    def make(path):
        h5(path, **{f"X/{name}": np.arange(3) for name in ("data", "indices", "indptr")})
        with h5py.File(path, "a") as file:
            given = {"encoding-type": form, "shape": shape}
            file["X"].attrs.update({name: v for name, v in given.items() if v is not None})

    return make


def fcs(cut=None, **keywords):
    return lambda path: write(path, fcs_bytes(X, **keywords)[:cut])


def zarr_group(**arrays):
    def make(path):
        group = zarr.open_group(str(path), mode="w")
        for name, array in arrays.items():
            group[name] = array

    return make


def model(path):
    np.savez(path, weights=np.ones(1), means=X[:1], covariances=X[:1], header=np.zeros(3, "u1"))


def forged_npz(shape=None, method=zipfile.ZIP_STORED, change=lambda content: content):
    """An archive of `X`, its header or the bytes of the archive changed."""

    def make(path):
        file = io.BytesIO()
        np.save(file, X)
        member = file.getvalue()
        if shape is not None:
            # as many bytes, taken from the padding
            before = b"(1000, 4), }" + b" " * (len(shape) - len("(1000, 4)"))
            assert before in member
            member = member.replace(before, shape.encode() + b", }")
        with zipfile.ZipFile(file := io.BytesIO(), "w", method) as archive:
            archive.writestr("X.npy", member)
        write(path, change(file.getvalue()))

    return make


def cut_in_front(content):
    """The beginning is missing, so the list at the end tells of places before the file."""
    return content[200:]


def folder(**files):
    def make(path):
        path.mkdir()
        for name, array in files.items():
            np.save(path / f"{name}.npy", array)

    return make


def tables(*columns):
    def make(path):
        path.mkdir()
        for i, names in enumerate(columns):
            pq.write_table(arrow(X[:, : len(names)], list(names)), path / f"{i}.parquet")

    return make


def two_formats(path):
    folder(a=X)(path)
    write(path / "b.csv", b"1,2\n")


CASES = [
    # Parquet
    ("x.parquet", lambda path: None, ["no such file; check the path"]),
    ("x.parquet", lambda path: path.touch(), ["the file is empty"]),
    ("x.parquet", lambda path: write(path, b"hello" * 99), ["is not a Parquet file", "again"]),
    ("x.pq", cut(lambda path: pq.write_table(arrow(X), path)), ["Parquet file, or is damaged"]),
    ("x.parquet", lambda path: pq.write_table(arrow(X[:0]), path), ["has no rows"]),
    ("x.parquet", column(["a", "b"]), ["'odd' (string) holds no real", "columns=", "are 'x'"]),
    ("x.parquet", column([[1], [2]]), ["'odd' (list<", "holds no real numbers"]),
    ("x.parquet", column([{"a": 1}]), ["'odd' (struct<a: int64>)"]),
    ("x.parquet", column([datetime.datetime(2020, 1, 1)]), ["'odd' (timestamp["]),
    ("x.parquet", column([None, None]), ["'odd' (null)"]),
    # Text
    ("x.csv", lambda path: None, ["no such file"]),
    ("x.csv.gz", lambda path: path.touch(), ["the file is empty"]),
    ("x.csv.gz", lambda path: write(path, b"a,b\n1,2\n"), ["is not a complete gzip", "remove .gz"]),
    ("x.csv.gz", packed(lambda b: b[:-500]), ["is not a complete gzip file"]),
    ("x.csv.gz", packed(lambda b: b[:-8] + b"abcd" + b[-4:]), ["is not a complete gzip file"]),
    ("x.csv.gz", packed(lambda b: b[:200] + bytes(50) + b[250:]), ["gzip"]),
    # .npz
    ("x.npz", lambda path: None, ["no such file"]),
    ("x.npz", lambda path: path.touch(), ["the file is empty; save the data with np.savez"]),
    ("x.npz", lambda path: write(path, b"hello"), ["is not a .npz file"]),
    ("x.npz", cut(lambda path: np.savez(path, X)), ["is not a .npz file, or is damaged"]),
    ("x.npz", lambda path: np.savez(path, A=X, B=X), ["2 tables", "x.npz:NAME", "'A', 'B'"]),
    ("x.npz", lambda path: np.savez(path, a=X[0], b=X[1]), ["no 2-D array", "'a', 'b'"]),
    ("x.npz", lambda path: np.savez(path, a=X[0]), ["has one dimension", "--one-feature"]),
    ("x.npz:Y", lambda path: np.savez(path, X=X), ["holds no array 'Y'; it holds 'X'"]),
    ("x.npz", model, ["holds a model, not data; MODEL comes before DATA"]),
    ("x.npz", lambda path: np.savez_compressed(path, X=X.T), ["column order", "ascontiguous"]),
    ("x.npz", forged_npz("(1000000000, 4)", zipfile.ZIP_DEFLATED), ["cut short: 32000000000"]),
    ("x.npz", forged_npz("(1, 1000000000000)", zipfile.ZIP_DEFLATED), ["cut short: 8000000000"]),
    ("x.npz", forged_npz("(10, 4)  ", zipfile.ZIP_DEFLATED), ["31680 bytes follow the 320"]),
    ("x.npz", forged_npz(change=cut_in_front), ["is not a .npz file, or is damaged", "again"]),
    ("x.npz:X", forged_npz(change=cut_in_front), ["is not a .npz file, or is damaged"]),
    ("x.npz:X", forged_npz(None, zipfile.ZIP_LZMA), ["NumPy does not use"]),
    ("x.npz:X", forged_npz(None, zipfile.ZIP_BZIP2), ["with np.savez_comp"]),
    ("x.parquet", nameless, ["is not a Parquet file, or is damaged", "copy it again"]),
    # HDF5
    ("x.h5", lambda path: None, ["no such file"]),
    ("x.h5", lambda path: path.mkdir(), ["is a directory; give the path of a HDF5 file"]),
    ("x.h5", lambda path: path.touch(), ["the file is empty"]),
    ("x.h5:/y", linked, ["is not an HDF5 file, or is damaged", "too many"]),
    ("x.h5ad", linked, ["or is damaged", "too many"]),
    ("x.h5", lambda path: write(path, b"hello"), ["is not an HDF5 file, or is damaged"]),
    ("x.h5", lambda path: h5(path, a=X, b=X), ["2 tables", "x.h5:/PATH", "'/a', '/b'"]),
    ("x.h5", lambda path: h5(path), ["no 2-D data set of numbers"]),
    ("x.h5:/b", lambda path: h5(path, a=X), ["holds no data set '/b'", "'/a'"]),
    ("x.h5:/g", lambda path: h5(path, **{"g/a": X}), ["/g is a group", "'/g/a'"]),
    ("x.h5:/s", lambda path: h5(path, s=["a", "b"]), ["holds"]),
    ("x.h5ad", sparse(), ["/X is not a complete sparse matrix", "write the file again"]),
    ("x.h5ad", sparse("csr_matrix", (5, 3)), ["/X is not a complete sparse matrix"]),
    ("x.h5ad", sparse("csr_matrix", (2, 2001)), ["of 2,001 columns", "TruncatedSVD", "--columns"]),
    ("x.h5ad", sparse("csc_matrix", (2, 3)), ["/X is a sparse matrix stored by columns", "tocsr"]),
    ("x.h5ad", lambda path: h5(path, Y=X), ["holds no data set '/X'", "'/Y'"]),
    ("x.h5ad", lambda path: h5(path, Y=X[0]), ["holds no data set '/X'; it holds no tables"]),
    # Arrow IPC
    ("x.arrow", lambda path: None, ["no such file"]),
    ("x.arrow", lambda path: path.touch(), ["the file is empty"]),
    ("x.arrow", lambda path: write(path, b"hello" * 99), ["is not an Arrow file, or is cut short"]),
    ("x.feather", lambda path: write(path, b"FEA1" * 99), ["Feather of version 1", "version 2"]),
    ("x.feather", cut(lambda path: feather(path.parent, X, path.name)), ["cut short", "again"]),
    ("x.ipc", cut(lambda path: ipc(path.parent, X, pa.ipc.new_stream, path.name)), ["again"]),
    ("x.arrow", lambda path: ipc(path.parent, X[:0], name=path.name), ["has no rows"]),
    # FCS
    ("x.fcs", lambda path: None, ["no such file"]),
    ("x.fcs", lambda path: path.touch(), ["the file is empty"]),
    ("x.fcs", lambda path: write(path, b"hello" * 99), ["not an FCS file", "HEADER segment"]),
    ("x.fcs", fcs(cut=100), ["HEADER or TEXT segment is damaged"]),
    ("x.fcs", fcs(cut=-1), ["the file ends within its DATA segment"]),
    ("x.fcs", fcs(BEGINDATA=0, ENDDATA=0), ["DATA segment has 1 bytes", "1,000 events of 4"]),
    ("x.fcs", fcs(BEGINDATA=0.5), ["HEADER or TEXT segment is damaged", "'0.5'"]),
    ("x.fcs", fcs(TOT=999), ["DATA segment has 32,000 bytes, but 999 events", "take 31,968"]),
    ("x.fcs", fcs(TOT=0), ["has no events"]),
    ("x.fcs", fcs(TOT=None), ["TEXT segment is damaged, or lacks a keyword (KeyError: 'tot')"]),
    ("x.fcs", fcs(PAR=5), ["announces 5 channels ($PAR), but names 4"]),
    ("x.fcs", fcs(P2B=10), ["channel 'c1' has 10 bits ($P2B) of type D"]),
    ("x.fcs", fcs(P2B=None), ["a keyword of a channel is missing", "p2b"]),
    ("x.fcs", fcs(DATATYPE="A"), ["is of type 'A' ($DATATYPE); export it as floats"]),
    ("x.fcs", fcs(MODE="C"), ["DATA segment holds histograms ($MODE C)"]),
    ("x.fcs", fcs(BYTEORD="3,4,1,2"), ["$BYTEORD '3,4,1,2'; export"]),
    ("x.fcs", fcs(P1N="Time", P2N="HDR-T", P3N="TIME", P4N="time"), ["only the time channel"]),
    ("x.fcs:2", fcs(), ["has no data set 2; it has 1, counted from 1"]),
    ("x.fcs:0", fcs(), ["has no data set '0'; count them from 1"]),
    # Zarr
    ("x.zarr", lambda path: None, ["no such file"]),
    ("x.zarr", lambda path: path.mkdir(), ["is not a Zarr array"]),
    ("x.zarr", lambda path: path.touch(), ["is not a Zarr array"]),
    ("x.zarr", zarr_group(), ["no 2-D array of numbers"]),
    ("x.zarr", zarr_group(a=X, b=X), ["2 tables", "x.zarr:/PATH", "'a'", "'b'"]),
    (
        "x.zarr:/X",
        zarr_group(**{f"X/{part}": X[0] for part in ("data", "indices", "indptr")}),
        ["/X is a sparse matrix, which is read from .h5ad only"],
    ),
    ("x.zarr:/c", zarr_group(a=X, b=X), ["holds no array '/c'; it holds"]),
    ("x.zarr:/a", lambda path: zarr_array(path.parent, X, path.name), ["one array; leave out :/a"]),
    ("x.zarr", lambda path: zarr_array(path.parent, X[0], path.name, (2,)), ["has one dimension"]),
    ("x.zarr", lambda path: zarr_array(path.parent, X + 1j, path.name), ["Complex data"]),
    # Not read
    ("x.xlsx", lambda path: write(path, b"PK"), ["is a spreadsheet; export the sheet to CSV"]),
    ("x.mat", lambda path: write(path, b"MATLAB"), ["a MATLAB file; export it to CSV", "loadmat"]),
    ("x.RData", lambda path: write(path, b"RDX3"), ["an R file; export it to CSV"]),
    ("x.pkl", lambda path: write(path, b"pickle"), ["is a pickle"]),
    ("x.xlsx", lambda path: None, ["no such file"]),
    # Folders, patterns, names
    ("x", lambda path: path.mkdir(), ["holds no data files; known are .npy, .npz, .parquet"]),
    ("*.npy", lambda path: None, ["no file matches; check the pattern"]),
    ("x", folder(a=X, b=X[:, :2]), ["b.npy: has 2 columns, but", "a.npy has 4"]),
    ("x", tables("ab", "ac"), ["1.parquet: column 1 is 'c', but in", "0.parquet it is 'b'"]),
    ("x", two_formats, ["a.npy and", "b.csv", "a pattern, e.g."]),
    ("x.bin", lambda path: write(path, b"hello"), ["not that of a known format (.npy"]),
    ("x.bin", lambda path: None, ["no such file"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "words"), CASES)
def test_refused(tmp_path, monkeypatch, name, make, words):
    monkeypatch.chdir(tmp_path)
    base = name.split(":")[0]
    if "*" not in name:
        make(tmp_path / base)
    with pytest.raises(DataError) as caught:
        open_source(name)
    message = str(caught.value)
    assert message.startswith(base), message
    for word in words:
        assert word in message, message


def test_an_empty_part_is_named(tmp_path):
    np.save(tmp_path / "a.npy", X)
    (tmp_path / "b.npy").touch()
    with pytest.raises(DataError, match=r"b\.npy: the file is empty"):
        open_source(tmp_path)


def test_near_names_are_suggested():
    wide = arrow(np.ones((2, 30)), [f"feature_{j}" for j in range(30)])
    message = r"X: has no column 'featur_7'; did you mean 'feature_7'\? it has 'feature_0', .*'fe"
    with pytest.raises(DataError, match=message + r"ature_9' and 20 more"):
        open_source(wide, columns=["featur_7"])
    with pytest.raises(DataError, match="X: columns is empty"):
        open_source(wide, columns=[])


def test_what_holds_no_data_yet(tmp_path):
    import pyarrow.dataset as ds

    with pytest.raises(DataError, match=r"LazyFrame.*collect\(\) it first"):
        open_source(pl.LazyFrame({"a": [1.0]}))
    with pytest.raises(DataError, match=r"collect\(\) it first"):  # without polars' warning
        GaussianMixture(1).fit(pl.LazyFrame({"a": [1.0]}))
    parquet(tmp_path, X)
    with pytest.raises(DataError, match=r"Dataset.*give the path.*X\.to_table\(\)"):
        open_source(ds.dataset(tmp_path))


# In the middle of the work


FILES = {
    "npy": npy,
    "npz": npz,
    "npz-packed": lambda p, X: npz(p, X, np.savez_compressed),
    "parquet": lambda p, X: parquet(p, X, compression="none", use_dictionary=False),
    "csv": text,
    "hdf5": hdf5,
    "hdf5-packed": lambda p, X: hdf5(p, X, chunks=(9, 4)),
    "fcs": fcs_file,
    "arrow": ipc,
    "folder": lambda p, X: parts(p, X, npy),
    "parquet-folder": lambda p, X: parts(p, X, parquet),
}
OTHER = np.random.default_rng(8).normal(size=X.shape).round(12)


def replaced(make, folder, path):
    """As many other rows in files that take the place of those at a path, written no earlier."""
    other = folder / "other"
    other.mkdir()
    made = make(other, OTHER)
    for new in sorted(made.rglob("*.*")) if made.is_dir() else [made]:
        old = path / new.relative_to(made) if made.is_dir() else path
        os.utime(new, ns=2 * (old.stat().st_mtime_ns,))
        new.rename(old)


def overwritten(make, folder, path):
    """Other rows, in place, some time after."""
    files = sorted(path.rglob("*.*")) if path.is_dir() else [path]
    later = files[-1].stat().st_mtime_ns + 10**9
    make(folder, OTHER)
    for file in files:
        os.utime(file, ns=(later, later))


def shortened(make, folder, path):
    make(folder, X[:500])


@pytest.mark.parametrize("change", [replaced, overwritten, shortened])
@pytest.mark.parametrize("way", FILES)
def test_files_that_change_between_passes(tmp_path, monkeypatch, way, change):
    shrink_blocks(monkeypatch, 3200)
    monkeypatch.setattr(arrowcsv, "_BLOCK_BYTES", 3200)
    path = FILES[way](tmp_path, X)
    with open_source(path) as source:
        copy = pickle.loads(pickle.dumps(source))
        np.testing.assert_array_equal(joined(source, 99, "f8"), X)
        change(FILES[way], tmp_path, path)
        uses = [
            lambda: joined(source, 99, "f8"),
            lambda: load_resident(source, "f8"),
            lambda: take(source, [3], "f8"),
            lambda: joined(copy, 99, "f8"),
        ]
        if change is replaced and way in ("npy", "npz", "hdf5"):
            # what is open stays what it was
            np.testing.assert_array_equal(joined(source, 99, "f8"), X)
            source.rest()
        for use in uses:
            with pytest.raises(ChangedError, match=r"data\.\w+: the file (changed while|became)"):
                use()


def test_what_changed_is_said(tmp_path):
    path = npy(tmp_path, X)
    with open_source(path) as source:
        before = path.stat()
        os.utime(path, ns=(0, 1))
        with pytest.raises(ChangedError, match="written to, though its size is the same; do n"):
            joined(source, 99, "f8")
        os.utime(path, ns=(0, before.st_mtime_ns))
        np.testing.assert_array_equal(joined(source, 99, "f8"), X)
        with open(path, "ab") as file:
            file.write(b"1234")
        size = before.st_size
        with pytest.raises(ChangedError, match=f"it has {size + 4:,} bytes and had {size:,}; do"):
            joined(source, 99, "f8")
        source.rest()
        path.unlink()
        with pytest.raises(ChangedError, match="no such file any longer"):
            source.check_unchanged()


def test_a_copy_on_another_machine(tmp_path, monkeypatch):
    """Its time and inode may be others, but stay what they are; its size is the same."""
    path = npy(tmp_path, X)
    with open_source(path) as source:
        pickled = pickle.dumps(source)
    replaced(npy, tmp_path, path)
    monkeypatch.setattr(stamps.platform, "node", lambda: "another")
    with pickle.loads(pickled) as copy:
        np.testing.assert_array_equal(joined(copy, 99, "f8"), OTHER)
        os.utime(path, ns=(0, 1))
        with pytest.raises(ChangedError, match="it was written to"):
            joined(copy, 99, "f8")
    shortened(npy, tmp_path, path)
    with pickle.loads(pickled) as copy, pytest.raises(ChangedError, match="bytes and had"):
        joined(copy, 99, "f8")


def test_files_that_vanish(tmp_path):
    path = parquet(tmp_path, X)
    with open_source(path) as source:
        path.unlink()
        with pytest.raises(DataError, match=r"data\.parquet: no such file"):
            take(source, [0], "f8")
        with (
            pickle.loads(pickle.dumps(source)) as copy,
            pytest.raises(DataError, match=r"data\.parquet: no such file"),
        ):
            take(copy, [0], "f8")


@pytest.mark.parametrize(
    "make",
    [
        lambda p: parquet(p, X, compression="snappy", use_dictionary=False),
        lambda p: parquet(p, X, compression="zstd", use_dictionary=False),
        lambda p: hdf5(p, X, chunks=(999, 4), compression="gzip"),
        lambda p: npz(p, X, np.savez_compressed),
    ],
)
def test_damage_inside_is_an_error(tmp_path, make):
    path = make(tmp_path)
    at = 9000 if path.suffix == ".h5" else 500
    damaged(path, slice(at, at + 300))
    with pytest.raises(DataError, match=r"data\.\w+: .*(cannot be read|damaged).*again"):
        joined(open_source(path), 99, "f8")


# Without the packages


PACKAGES = {
    "x.parquet": ("pyarrow", "parquet"),
    "x.csv": ("pyarrow", "parquet"),
    "x.h5": ("h5py", "hdf5"),
    "x.arrow": ("pyarrow", "parquet"),
    "x.fcs": ("flowio", "fcs"),
    "x.zarr": ("zarr", "zarr"),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_missing_packages(monkeypatch, name):
    package, extra = PACKAGES[name]
    for module in ("parquet", "text", "arrow", "ipc", "hdf5", "fcs", "zarr"):
        monkeypatch.delitem(sys.modules, f"gmm_fast.sources.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    message = rf"{name}: .* needs {package}: pip install 'gmm-fast\[{extra}\]'"
    with pytest.raises(DataError, match=message):
        open_source(name)


def test_polars_without_pyarrow(monkeypatch):
    monkeypatch.delitem(sys.modules, "gmm_fast.sources.arrow", raising=False)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    frame = pl.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"], "c": [3, 4]})
    source = open_source(frame, columns=["c", "a"])
    np.testing.assert_array_equal(joined(source, 9, "f8"), [[3, 1], [4, 2]])
    assert source.feature_names == ["c", "a"]
