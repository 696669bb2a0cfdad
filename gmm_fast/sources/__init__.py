"""Open data (arrays, tables, files, folders of files) and yield it in chunks.

A *source* knows its name, shape and stored dtype and can fill a buffer with any range of rows.
`chunks`, `load_resident`, `take` and `first_bad_row` are written against that, and work for
every source. A new data format is one file here, with one subclass of `Source` that has a
``read`` method, and one line in `paths` (files) or `open_source` (objects).

`base` the interface, checks and conversion; `stream` what formats share that are decoded front
to back; `reading` what is done with a source; `columns` choosing columns; `paths` from a path to
a format; `files` many files as one; `part` a range of rows as a source. A format each: `array`,
`npy`, `npz`, `parquet`, `text` (with `dialect`), `hdf5`, `sparse` and `sparse_hdf5`, `fcs`, `zarr`,
`arrow` (tables in memory; `tables` says which), `ipc` (Arrow's files), `dask`.

Other packages are imported with the format that needs them, never before.
"""

import os

from .array import ArraySource, as_array, choose_frame_columns
from .base import Source
from .columns import pick
from .dask import DaskSource, is_dask
from .npy import NpySource
from .part import ArrayPart, RowRange
from .paths import open_path, stem_of
from .reading import (
    bad_value_error,
    check_columns,
    chunks,
    files_of,
    first_bad_row,
    is_of_reading,
    load_resident,
    notes_of,
    take,
)
from .sparse import SparseSource, is_sparse
from .tables import open_table

__all__ = [
    "ArrayPart",
    "ArraySource",
    "DaskSource",
    "NpySource",
    "RowRange",
    "Source",
    "bad_value_error",
    "check_columns",
    "chunks",
    "files_of",
    "first_bad_row",
    "is_dask",
    "is_of_reading",
    "load_resident",
    "notes_of",
    "open_source",
    "stem_of",
    "take",
]


def open_source(data, *, one_feature=False, columns=None, header=None, keep_bytes=0):
    """Open `data` for reading by chunks.

    Parameters
    ----------
    data : Source, path, array-like or table
        A `Source` is returned as it is. A str, bytes or `os.PathLike` names a file (``.npy``,
        ``.npz``, Parquet, Arrow, CSV, TSV, HDF5, Zarr, FCS; ``file:name`` an array within it), a
        folder of files or a pattern. Arrow tables, polars frames, sparse matrices, the X of
        AnnData, Dask arrays and frames are read piece by piece. Anything else (a pandas DataFrame,
        too) goes through `numpy.asarray`, which copies neither arrays nor memory maps.
    one_feature : bool
        Take 1-D data as one column instead of refusing it.
    columns : list of str or int, optional
        Only these columns, in that order: names, or numbers from 0 on.
    header : bool, optional
        Whether the first line of CSV and TSV holds names; found out by default.
    keep_bytes : int
        Text has to be parsed to be counted; rows are kept if they need no more memory than that.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        If the data is not a non-empty table of real numbers, or has no such columns; the message
        names the file (or ``X``) and says what to do.
    """
    if isinstance(data, Source):
        return pick(data, columns)
    if isinstance(data, (str, bytes, os.PathLike)):
        options = {"columns": columns, "header": header, "keep_bytes": keep_bytes}
        return open_path(data, one_feature=one_feature, **options)
    if is_dask(data):
        return DaskSource(data, columns=columns, one_feature=one_feature)
    if is_sparse(data):
        return SparseSource(data, columns=columns)
    table = open_table(data, columns)
    if table is not None:
        return table
    data, names, columns = choose_frame_columns(data, columns)
    source = ArraySource(as_array(data), one_feature=one_feature)
    source.feature_names = names
    return pick(source, columns)
