"""Tables that commands write, one row per sample: the ending of the name decides the format."""

import os
import zipfile
from contextlib import ExitStack

import numpy as np
from numpy.lib import format as npy_format

from ..errors import DataError, FitError
from ..sources import require_package
from .outputs import NpyWriter, atomic_write

# Endings of NumPy's files, and of tables whose columns have names.
ARRAYS = (".npy", ".npz")
TYPED = (".parquet", ".arrow")
TABLES = (".csv", ".tsv", *TYPED)
# Rows of a table that are written at once.
_ROWS = 1 << 17


def check_table(option, path, keep=None):
    """The ending of an output, checked; a name without one is that of a ``.npy``.

    Parameters
    ----------
    option : str
        For messages.
    path : str, os.PathLike or None
    keep : list of str, optional
        Columns that are to be written beside.

    Raises
    ------
    DataError
        The ending is another, the format cannot hold the columns, or needs a package.
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
            import pyarrow  # noqa: F401 - whether it is there
    return ending


def table_writer(path, shape, dtype, names, kept=None):
    """What writes a table block of rows by block of rows, as `outputs.NpyWriter` does.

    Parameters
    ----------
    path : str or os.PathLike
        As `check_table` takes it.
    shape : tuple of int
        Of the whole array, (n,) or (n, m).
    dtype : dtype
    names : list of str
        Of the columns; the first is the name of the array in a ``.npz``.
    kept : Kept, optional
        Columns of the input to write beside.
    """
    ending = check_table("output", path)
    if ending == ".npy":
        return NpyWriter(path, shape, dtype)
    if ending == ".npz":
        return NpzWriter(path, shape, dtype, names[0])
    return TableWriter(path, shape, dtype, names, kept)


def save_table(path, array, names):
    """Write an array, (n,) or (n, m), that is in memory."""
    with table_writer(path, array.shape, array.dtype, names) as writer:
        writer.write(array)


class _Writer:
    """A context that writes blocks to a file, which appears if all rows were written."""

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
        """What is left to be written, after the last block."""

    def _wrong_count(self):
        return FitError(
            f"{os.fsdecode(self.path)}: {self._rows} rows written of {self.shape[0]} announced; "
            "the file was not stored"
        )


class NpzWriter(_Writer):
    """A ``.npz`` of one array of that name."""

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
    """CSV, TSV, Parquet or Arrow's file format (Feather), with names of columns."""

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
        except pa.ArrowException as error:  # columns of --keep that the format does not know
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
    """Columns of the input that are written beside what is computed.

    Parameters
    ----------
    source : Source
        Of files in one of the formats that have names of columns.
    names : list of str
        Of any of their columns, or numbers from 0.
    taken : list of str
        Names of the other columns of the output.
    path : str or os.PathLike
        Of the output. Text goes to text as it is; formats with types get numbers as numbers.

    Raises
    ------
    DataError
        There is no such column, the format is another, or a name is taken.
    """

    def __init__(self, source, names, taken, path):
        for name in set(names) & set(taken):
            raise DataError(f"--keep {name}: what is written has a column of that name; rename it")
        self.names = names
        typed = check_table("output", path) in TYPED
        self._batches = _batches(_parts(source), names, typed)
        self._rest = []

    def take(self, n_rows):
        """The next rows, a list of Arrow arrays."""
        import pyarrow as pa

        try:
            while sum(map(len, self._rest)) < n_rows:
                batch = next(self._batches, None)
                if batch is None:
                    raise FitError("--keep: the data has become shorter; run the command again")
                self._rest.append(pa.table(list(batch), self.names))
            table = pa.concat_tables(self._rest)
            self._rest = [table.slice(n_rows)]
            return [_plain(column) for column in table.slice(0, n_rows).columns]
        except pa.ArrowException as error:  # files of several types, or damaged ones
            named = ",".join(self.names)
            raise DataError(f"--keep {named}: cannot be passed on: {error}") from error


def _plain(column):
    """A column of categories as their values."""
    categories = hasattr(column.type, "value_type") and hasattr(column.type, "index_type")
    return column.cast(column.type.value_type) if categories else column


def _batches(parts, names, typed):
    """Lists of arrays of the columns, batch by batch; checked before the first is read."""
    readers = [part.columns_of(names) for part in parts]
    if typed and hasattr(parts[0], "kinds_of"):  # text, which the other parts are, too
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
        f"--keep passes on columns of Parquet, Arrow, FCS, CSV and TSV; {source.name} is of "
        "another format"
    )
