"""Open data (arrays, tables, files, folders of files) and yield it in chunks.

A *source* knows its name, shape and stored dtype and can fill a buffer with any range of rows.
`chunks`, `load_resident`, `take` and `first_bad_row` need no more than that, so they work for
every source. A new data format is one file here, with one subclass of `Source` that has a
``read`` method, and one line in `paths` (files) or `open_source` (objects).

`base` holds the interface, checks and conversion; `stream` is the base of formats that are decoded
front to back; `reading` reads any source; `columns` chooses columns; `paths` finds the format of a
path; `files` joins many files; `part` is a range of rows; `wrapped` is the base of sources over
another one; `complete` leaves out rows with missing values; `transforms` puts columns on other
scales. One format each: `array`, `npy`, `npz`,
`parquet`, `text`, `hdf5`, `sparse` and `sparse_hdf5`, `fcs`, `zarr`, `ipc`, `arrow` (tables in
memory, which `tables` recognises), `dask`. For text, `dialect` holds what the user says, `sniff`
and `headers` guess the rest, `layout` holds the result, `firstpass` what only a full pass can show;
`unpack` and `lines` prepare its bytes, `arrowcsv` has Arrow parse them, `advice` says how to mend
a cell, `cells` types the columns that are passed on.

Other packages are imported only by the format that needs them.
"""

import os

from ..errors import DataError
from .array import ArraySource, as_array, choose_frame_columns
from .base import NotTextError, Source
from .columns import pick
from .complete import count_all_rows, drop_missing, fill_dropped, select_kept
from .dask import DaskSource, is_dask
from .dialect import OPTIONS, Dialect
from .npy import NpySource
from .part import ArrayPart, RowRange
from .paths import STDIN, open_path, require_package, stem_of
from .reading import (
    bad_value_error,
    check_columns,
    chunks,
    files_of,
    first_bad_row,
    is_reading_note,
    load_resident,
    notes_of,
    take,
    written_of,
)
from .sparse import SparseSource, is_sparse
from .tables import open_table
from .transforms import axis_labels, describe_transforms, parse_all, transform_source, untransform

__all__ = [
    "OPTIONS",
    "STDIN",
    "ArrayPart",
    "ArraySource",
    "DaskSource",
    "Dialect",
    "NotTextError",
    "NpySource",
    "RowRange",
    "Source",
    "axis_labels",
    "bad_value_error",
    "check_columns",
    "chunks",
    "count_all_rows",
    "describe_transforms",
    "files_of",
    "fill_dropped",
    "first_bad_row",
    "is_dask",
    "is_reading_note",
    "load_resident",
    "notes_of",
    "open_source",
    "parse_all",
    "require_package",
    "select_kept",
    "stem_of",
    "take",
    "transform_source",
    "untransform",
    "written_of",
]


def open_source(data, *, one_feature=False, columns=None, transform=None, keep_bytes=0, **dialect):
    """Open `data` for reading by chunks.

    Parameters
    ----------
    data : Source, path, array-like or table
        A `Source` is returned as it is. A str, bytes or `os.PathLike` names a file (``.npy``,
        ``.npz``, Parquet, text, HDF5, FCS, Arrow, Zarr; ``file:name`` an array within it), a
        folder of files or a pattern; "-" is standard input. Arrow tables, polars frames, sparse
        matrices, the X of AnnData, Dask arrays and frames are read piece by piece. Anything else
        (a pandas DataFrame, too) goes through `numpy.asarray`, which copies neither arrays nor
        memory maps.
    one_feature : bool
        Take 1-D data as one column instead of raising.
    columns : list of str or int, optional
        Only these columns, in that order: names, or numbers from 0 on.
    transform : str, mapping or list, optional
        For files: one scale for all columns, such as "arcsinh:150" for asinh(x / 150), or
        "logicle" (parameters T, W, M, A as in "logicle:262144,0.5,4.5,0"); a mapping from columns
        that are read, by name or number, ``{"CD3": "arcsinh:150"}``; or a list with a scale or
        None for each of them.
    keep_bytes : int
        Counting the rows of text means parsing it; the parsed rows are kept if they need no more
        memory than this.
    delimiter, decimal, thousands, encoding, comment : str, optional
        How text is written; by default guessed, except for `thousands`. A delimiter may be the
        word "tab", or "blanks" for runs of spaces and tabs. Lines that begin with `comment` are
        left out.
    skip : int, optional
        Lines at the beginning of text that are not part of the table.
    header : bool, optional
        Whether the first line of text holds names; by default guessed.
    na : str, number or sequence of them, optional
        What stands for a missing value in text, such as "?", besides NA, null and the like.
    missing : {'error', 'drop'}, optional
        Whether rows with missing values are an error (the default) or left out.
    format : str, optional
        The format of a file whose name does not tell it: "csv", "tsv", "npy", "parquet" ...

    Returns
    -------
    Source
        Its `notes` say what was guessed and what was left out.

    Raises
    ------
    DataError
        If the data is not a non-empty table of real numbers, or has no such columns; the message
        names the file (or ``X``) and says what to do.
    """
    known, transform = _dialect(data, dialect), _transforms(data, transform)
    source = _open(data, one_feature, columns, keep_bytes, known)
    if known.missing == "drop":
        if isinstance(source, DaskSource):
            raise DataError("X: missing='drop' does not work on Dask data; call its dropna() first")
        source = drop_missing(source)
    source = transform_source(source, transform)
    source.given = (dict(data.given) if isinstance(data, Source) else {}) | known.given()
    return source


def _dialect(data, options):
    """The `Dialect` that keyword options describe."""
    if wrong := set(options) - set(OPTIONS):
        raise TypeError(f"open_source() got an unexpected keyword argument {min(wrong)!r}")
    dialect = Dialect(**options)
    if not isinstance(data, (str, bytes, os.PathLike)):
        given = [*dialect.text_only(), *(["format"] if dialect.format else [])]
        if given:
            raise DataError(f"X: is not a file; {given[0]} is for files only")
    return dialect


def _transforms(data, given):
    """The parsed `transform` argument; raise `DataError` if the data is not a file."""
    transform = parse_all(given)
    if transform is not None and not isinstance(data, (str, bytes, os.PathLike)):
        raise DataError(
            "X: is not a file; transform is for files only: transform the data yourself, e.g. "
            "numpy.arcsinh(X / 150)"
        )
    return transform


def _open(data, one_feature, columns, keep_bytes, dialect):
    if isinstance(data, Source):
        return pick(data, columns)
    if isinstance(data, (str, bytes, os.PathLike)):
        options = {"columns": columns, "dialect": dialect, "keep_bytes": keep_bytes}
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
