"""Write tables with one row per sample; the ending of the name decides the format."""

import os
import zipfile
from contextlib import ExitStack

import numpy as np
from numpy.lib import format as npy_format

from ..errors import DataError, FitError
from ..sources import require_package
from .outputs import NpyWriter, atomic_write

# Endings of array files; of tables with column types; of all tables with column names.
ARRAYS = (".npy", ".npz")
TYPED = (".parquet", ".arrow")
TABLES = (".csv", ".tsv", *TYPED)
# Rows of a table that are written at once.
_ROWS = 1 << 17


def check_table(option, path, keep=None):
    """Check the ending of an output and return it; no ending means ``.npy``.

    Parameters
    ----------
    option : str
        For messages.
    path : str, os.PathLike or None
    keep : list of str, optional
        Columns of the input to write as well.

    Raises
    ------
    DataError
        The ending is not supported, or the format cannot hold the columns or needs a package.
    """
    if path is None:
        return None
    ending = os.path.splitext(os.fspath(path))[1].lower() or ".npy"
    if ending not in ARRAYS + TABLES:
        known = ", ".join(ARRAYS + TABLES)
        raise DataError(f"{option} {path}: the ending decides the format; give one of {known}")
    if keep and ending not in TABLES:
        raise DataError(
            f"{option} {path}: an array holds no columns of --keep; give {', '.join(TABLES)}"
        )
    if ending in TABLES:
        with require_package(f"{option} {path}: writing {ending}", "pyarrow", "parquet"):
            import pyarrow  # noqa: F401 - checks that it is there
    return ending


def table_writer(path, shape, dtype, names, kept=None):
    """A writer of tables by blocks of rows, used like `outputs.NpyWriter`.

    Parameters
    ----------
    path : str or os.PathLike
        With an ending that `check_table` accepts.
    shape : tuple of int
        Of the whole array, (n,) or (n, m).
    dtype : dtype
    names : list of str
        Names of the columns; the first names the array in a ``.npz``.
    kept : Kept, optional
        Columns of the input to write as well.
    """
    ending = check_table("output", path)
    if ending == ".npy":
        return NpyWriter(path, shape, dtype)
    if ending == ".npz":
        return NpzWriter(path, shape, dtype, names[0])
    return TableWriter(path, shape, dtype, names, kept)


def save_table(path, array, names):
    """Write an array in memory, (n,) or (n, m)."""
    with table_writer(path, array.shape, array.dtype, names) as writer:
        writer.write(array)


class _Writer:
    """Context that writes blocks to a file; the file appears if all rows were written."""

    def __init__(self, path, shape, dtype):
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self._rows = 0

    def __enter__(self):
        with ExitStack() as stack:
            self._open(stack.enter_context(atomic_write(self.path)), stack)
            self._stack = stack.pop_all()
        return self

    def write(self, block):
        """Append `block`, shape (m, *shape[1:])."""
        block = np.ascontiguousarray(block, self.dtype)
        self._rows += len(block)
        if self._rows > self.shape[0]:
            raise self._wrong_count()
        self._put(block)

    def __exit__(self, kind, error, trace):
        if error is not None:
            return self._stack.__exit__(kind, error, trace)
        with self._stack:
            if self._rows != self.shape[0]:
                raise self._wrong_count()
            self._end()

    def _end(self):
        """Finish the file after the last block."""

    def _wrong_count(self):
        return FitError(
            f"{os.fsdecode(self.path)}: {self._rows} rows written of {self.shape[0]} announced; "
            "the file was not stored"
        )


class NpzWriter(_Writer):
    """Writes a ``.npz`` with one array."""

    def __init__(self, path, shape, dtype, name):
        super().__init__(path, shape, dtype)
        self._name = name

    def _open(self, file, stack):
        packed = stack.enter_context(zipfile.ZipFile(file, "w"))
        self._file = stack.enter_context(packed.open(f"{self._name}.npy", "w", force_zip64=True))
        descr = npy_format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": False, "shape": self.shape}
        npy_format.write_array_header_1_0(self._file, header)

    def _put(self, block):
        self._file.write(block.reshape(-1).view(np.uint8))


class TableWriter(_Writer):
    """Writes CSV, TSV, Parquet or Arrow's file format (Feather), with column names."""

    def __init__(self, path, shape, dtype, names, kept=None):
        super().__init__(path, shape, dtype)
        self._names, self._kept = names, kept
        self._waiting, self._sink = [], None

    def _open(self, file, stack):
        self._file, self._files = file, stack

    def _put(self, block):
        import pyarrow as pa

        columns = [] if self._kept is None else self._kept.take(len(block))
        names = [] if self._kept is None else self._kept.names
        columns += [pa.array(c) for c in block.reshape(len(block), len(self._names)).T]
        self._waiting.append(pa.table(columns, [*names, *self._names]))
        if sum(map(len, self._waiting)) >= _ROWS:
            self._flush()

    def _end(self):
        self._flush()
        self._sink.close()

    def _flush(self):
        import pyarrow as pa

        if not self._waiting:
            return
        try:
            table = pa.concat_tables(self._waiting)
            self._waiting = []
            if self._sink is None:
                self._sink = self._open_sink(table.schema)
            self._sink.write_table(table)
        except pa.ArrowException as error:  # columns of --keep that the format cannot hold
            raise DataError(f"{os.fsdecode(self.path)}: cannot be written: {error}") from error

    def _open_sink(self, schema):
        import pyarrow as pa

        ending = os.path.splitext(os.fspath(self.path))[1].lower()
        if ending == ".parquet":
            import pyarrow.parquet

            return pa.parquet.ParquetWriter(self._file, schema)
        if ending == ".arrow":
            return pa.ipc.new_file(self._file, schema)
        import pyarrow.csv

        options = pa.csv.WriteOptions(delimiter="\t" if ending == ".tsv" else ",")
        return pa.csv.CSVWriter(self._file, schema, write_options=options)


class Kept:
    """Columns of the input that are copied to the output.

    Parameters
    ----------
    source : Source
        Files in a format with column names.
    names : list of str
        Names of any of their columns, or numbers from 0.
    taken : list of str
        Names of the other columns of the output.
    path : str or os.PathLike
        The output. Text is copied to text unchanged; formats with types get numbers.

    Raises
    ------
    DataError
        There is no such column, a name is taken, or the format has no column names.
    """

    def __init__(self, source, names, taken, path):
        for name in set(names) & set(taken):
            raise DataError(f"--keep {name}: the output has its own column {name}; rename yours")
        self.names = names
        typed = check_table("output", path) in TYPED
        self._batches = _batches(_parts(source), names, typed)
        self._rest = []

    def take(self, n_rows):
        """The next rows, as a list of Arrow arrays."""
        import pyarrow as pa

        try:
            while sum(map(len, self._rest)) < n_rows:
                batch = next(self._batches, None)
                if batch is None:
                    raise FitError("--keep: the data became shorter; run the command again")
                self._rest.append(pa.table(list(batch), self.names))
            table = pa.concat_tables(self._rest)
            self._rest = [table.slice(n_rows)]
            return [_plain(column) for column in table.slice(0, n_rows).columns]
        except pa.ArrowException as error:  # files with different types, or damaged ones
            named = ",".join(self.names)
            raise DataError(f"--keep {named}: cannot be copied: {error}") from error


def _plain(column):
    """A column, with categories replaced by their values."""
    categories = hasattr(column.type, "value_type") and hasattr(column.type, "index_type")
    return column.cast(column.type.value_type) if categories else column


def _batches(parts, names, typed):
    """Lists of arrays of the columns, batch by batch; names are checked before reading begins."""
    readers = [part.columns_of(names) for part in parts]
    if typed and hasattr(parts[0], "kinds_of"):  # text, and so are the other parts
        kinds = [max(several) for several in zip(*(p.kinds_of(names) for p in parts), strict=True)]
        readers = [part.columns_of(names, kinds) for part in parts]
    return (batch for reader in readers for batch in reader)


def _parts(source):
    if hasattr(source, "parts"):
        return [leaf for part in source.parts for leaf in _parts(part)]
    if hasattr(source, "columns_of"):
        return [source]
    if hasattr(source, "source"):
        return _parts(source.source)
    raise DataError(
        f"--keep copies columns of Parquet, Arrow, FCS, CSV and TSV; {source.name} has another "
        "format"
    )
