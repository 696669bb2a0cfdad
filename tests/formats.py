"""Ways to give a table to `open_source`: one writer for each format."""

import gzip

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import zarr

from gmm_fast.sources import stream

zarr.zeros(1)  # starts its loop of events, which stays, with descriptors


def shrink_blocks(patch, n_bytes):
    """Make decoded blocks so small that little data has many."""
    patch.setattr(stream, "BLOCK_BYTES", n_bytes)
    patch.setattr(stream, "WIDE_BLOCK_ROWS", 1)


def arrow(X, names=None):
    names = names or [f"c{j}" for j in range(X.shape[1])]
    return pa.table({n: np.ascontiguousarray(X[:, j]) for j, n in enumerate(names)})


def parquet(folder, X, **options):
    path = folder / "data.parquet"
    pq.write_table(arrow(X), path, **{"row_group_size": 7, **options})
    return path


def text_of(X, sign=",", header=True, decimal="."):
    lines = [sign.join(f"c{j}" for j in range(X.shape[1]))] if header else []
    lines += [sign.join(repr(float(v)) for v in row).replace(".", decimal) for row in X]
    return "\n".join(lines) + "\n"


def text(folder, X, name="data.csv", **options):
    path = folder / name
    content = text_of(X, **options).encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def hdf5(folder, X, name="data.h5", **options):
    path = folder / name
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=X, **options)
    return path


def npz(folder, X, save=np.savez):
    path = folder / "data.npz"
    save(path, X=np.ascontiguousarray(X))
    return path


def ipc(folder, X, start=pa.ipc.new_file, name="data.arrow"):
    path = folder / name
    table = arrow(X)
    with start(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    return path


def feather(folder, X, name="data.feather", **options):
    path = folder / name
    pyarrow.feather.write_feather(arrow(X), path, **{"chunksize": 9, **options})
    return path


def fcs_bytes(X, names=None, **keywords):
    """A data set as FCS 3.1, from an array or from records; `keywords` change those of TEXT."""
    columns = X.dtype.names or range(X.shape[1])
    names = names or [f"c{j}" for j in range(len(columns))]
    sizes = [(X.dtype[j] if X.dtype.names else X.dtype).itemsize for j in columns]
    kind = X.dtype[columns[0]] if X.dtype.names else X.dtype
    data = X.tobytes()
    text = {
        "$BEGINDATA": 4096, "$ENDDATA": 4096 + len(data) - 1, "$NEXTDATA": 0, "$MODE": "L",
        "$BYTEORD": "4,3,2,1" if kind.byteorder == ">" else "1,2,3,4", "$PAR": len(columns),
        "$DATATYPE": {"f4": "F", "f8": "D"}.get(kind.str[1:], "I"), "$TOT": len(X),
    }  # fmt: skip
    for j, (name, size) in enumerate(zip(names, sizes, strict=True), 1):
        text |= {f"$P{j}N": name, f"$P{j}B": 8 * size, f"$P{j}R": 2 ** (8 * size), f"$P{j}E": "0,0"}
    text |= {f"${word}": value for word, value in keywords.items()}
    stored = "".join(f"/{word}/{v}" for word, v in text.items() if v is not None) + "/"
    places = (256, 255 + len(stored), text["$BEGINDATA"], text["$ENDDATA"], 0, 0)
    header = b"FCS3.1    " + b"".join(b"%8d" % (p if type(p) is int else 0) for p in places)
    return header.ljust(256) + stored.encode().ljust(4096 - 256) + data


def fcs(folder, X, name="data.fcs"):
    path = folder / name
    path.write_bytes(fcs_bytes(X))
    return path


def zarr_array(folder, X, name="data.zarr", chunks=(5, 2), **options):
    path = folder / name
    if name.endswith(".zip"):
        with zarr.storage.ZipStore(path, mode="w") as store:
            zarr.create_array(store, data=X, chunks=chunks, **options)
    else:
        zarr.create_array(str(path), data=X, chunks=chunks, overwrite=True, **options)
    return path


def parts(folder, X, write):
    """A folder of three files, the middle one the longest."""
    n = len(X)
    place = folder / "parts"
    for i, rows in enumerate([X[: n // 4], X[n // 4 : n - 1], X[n - 1 :]]):
        inside = place / str(i + 9)  # "9" before "10"
        inside.mkdir(parents=True, exist_ok=True)
        write(inside, rows)
    return place


def npy(folder, X):
    path = folder / "data.npy"
    np.save(path, X)
    return path


def dask_array(folder, X):
    import dask.array as da

    return da.from_array(X, chunks=(max(1, len(X) // 3), 2))


def dask_frame(folder, X):
    import dask.dataframe as dd

    return dd.from_pandas(pd.DataFrame(X, columns=[f"c{j}" for j in range(X.shape[1])]), 3)


def chunked_table(folder, X):
    table = arrow(X)
    return pa.concat_tables([table.slice(0, 5), table.slice(5, 0), table.slice(5)])


# Every way keeps float32 and float64 as they are.
WAYS = {
    "npy": npy,
    "npz": npz,
    "npz-packed": lambda folder, X: npz(folder, X, np.savez_compressed),
    "parquet": parquet,
    "parquet-plain": lambda folder, X: parquet(folder, X, compression="none", use_dictionary=False),
    "hdf5": hdf5,
    "hdf5-big-endian": lambda folder, X: hdf5(folder, X, dtype=X.dtype.newbyteorder(">")),
    "hdf5-chunks": lambda folder, X: hdf5(folder, X, chunks=(4, 2)),
    "hdf5-packed": lambda folder, X: hdf5(folder, X, chunks=(5, 1), compression="gzip"),
    "h5ad": lambda folder, X: hdf5(folder, X, "data.h5ad"),
    "arrow": ipc,
    "arrow-stream": lambda folder, X: ipc(folder, X, pa.ipc.new_stream),
    "feather": feather,
    "fcs": fcs,
    "fcs-big-endian": lambda folder, X: fcs(folder, X.astype(X.dtype.newbyteorder(">"))),
    "fcs-folder": lambda folder, X: parts(folder, X, fcs),
    "zarr": zarr_array,
    "zarr-2": lambda folder, X: zarr_array(folder, X, zarr_format=2),
    "zarr-zip": lambda folder, X: zarr_array(folder, X, "data.zarr.zip"),
    "zarr-folder": lambda folder, X: parts(folder, X, zarr_array),
    "table": lambda folder, X: arrow(X),
    "table-chunks": chunked_table,
    "batch": lambda folder, X: arrow(X).combine_chunks().to_batches()[0],
    "polars": lambda folder, X: pl.DataFrame(arrow(X)),
    "pandas": lambda folder, X: pd.DataFrame(X),
    "dask": dask_array,
    "dask-frame": dask_frame,
    "npy-folder": lambda folder, X: parts(folder, X, npy),
    "parquet-folder": lambda folder, X: parts(folder, X, parquet),
    "hdf5-glob": lambda folder, X: f"{parts(folder, X, hdf5)}/**/*.h5:/X",
}
# Text holds float64.
TEXTS = {
    "csv": text,
    "csv-bare": lambda folder, X: text(folder, X, header=False),
    "tsv": lambda folder, X: text(folder, X, "data.tsv", sign="\t"),
    "csv-gz": lambda folder, X: text(folder, X, "data.csv.gz"),
    "semicolon": lambda folder, X: text(folder, X, sign=";"),
    "decimal-comma": lambda folder, X: text(folder, X, sign=";", decimal=","),
    "bar": lambda folder, X: text(folder, X, sign="|"),
    "csv-folder": lambda folder, X: parts(folder, X, text),
}
