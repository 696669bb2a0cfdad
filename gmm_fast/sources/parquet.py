"""Parquet files, decoded batch by batch."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DataError, FitError
from .arrow import choose_fields, dtype_of, numpy_dtype, values
from .base import NoRowsError
from .boundaries import Listed
from .columns import choose
from .npy import changed_error, open_regular
from .stream import StreamSource, block_rows, read_error, report_damage

_KIND = "a Parquet file"
# Read-ahead of one column, and of all columns together.
_BUFFER_BYTES = 256 << 10
_ALL_BUFFERS_BYTES = 8 << 20


class ParquetSource(StreamSource):
    """A Parquet file; one batch is in memory at a time.

    It can be pickled: the copy opens the file again. Nothing stays open between passes.

    Parameters
    ----------
    path : str, bytes or os.PathLike
    columns : list of str or int, optional
        Only these columns are read.

    Raises
    ------
    DataError
        If there is no such file, or it is not a complete Parquet file of numeric columns.
    """

    _has_twins = True

    def __init__(self, path, *, columns=None):
        super().__init__(path, "Parquet")
        with report_damage(self.name, _KIND), self._open_file() as file:
            schema, metadata = file.schema_arrow, file.metadata
            self._columns, self.notes = choose_fields(schema, columns, self.name)
            self._read_names = _names_to_read(schema.names, self._columns)
            self.feature_names = [schema.names[i] for i in self._columns]
            self.n_samples, self.n_features = metadata.num_rows, len(self._columns)
            if self.n_samples < 1:
                raise NoRowsError(f"{self.name}: has no rows; at least one row is needed")
            self.dtype = _dtype(file, self._columns)
            self._starts = _group_starts(metadata)
            # groups may be empty, even the last one
            self.boundaries = Listed(np.unique(self._starts[self._starts < self.n_samples]))
        width = sum(dtype_of(schema.field(i).type).itemsize for i in self._columns)
        self._batch_rows = block_rows(1, width)

    def _open_file(self):
        # Opened here first, for messages of our own. The file is not mapped: pages of a map count
        # as memory, and a file that shrinks would kill the process.
        open_regular(self.path, self.name, "Parquet").close()
        if os.path.getsize(self.path) == 0:
            raise DataError(f"{self.name}: the file is empty; write the Parquet file again")
        buffer = _ALL_BUFFERS_BYTES // max(1, getattr(self, "n_features", 1))
        buffer = max(1 << 14, min(_BUFFER_BYTES, buffer))
        with report_damage(self.name, _KIND):
            return pq.ParquetFile(self.path, memory_map=False, pre_buffer=False, buffer_size=buffer)

    def _blocks(self, row):
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        first = int(self._starts[group])
        with self._open_file() as file:
            try:
                same = np.array_equal(_group_starts(file.metadata), self._starts)
                if not same or file.metadata.num_rows != self.n_samples:
                    raise changed_error(self.name)
                batches = file.iter_batches(
                    self._batch_rows,
                    row_groups=range(group, file.num_row_groups),
                    columns=self._read_names,
                    use_threads=False,  # less processor time, which the kernels need
                )
                for batch in batches:
                    if len(batch):
                        yield first, self._columns_of(batch)
                    first += len(batch)
            except (DataError, FitError):
                raise
            except Exception as error:  # from pyarrow, or from Python over names that are not text
                raise read_error(self.name, error) from error

    def columns_of(self, names):
        """Batches of any columns of the file, as lists of Arrow arrays."""
        with self._open_file() as file:
            found = file.schema_arrow.names
            columns = choose(names, found, len(found), self.name)
        return self._batches_of([found[j] for j in columns])

    def _batches_of(self, names):
        with self._open_file() as file:
            try:
                for batch in file.iter_batches(self._batch_rows, columns=names, use_threads=False):
                    yield [batch.column(name) for name in names]
            except (pa.ArrowException, OSError) as error:
                raise read_error(self.name, error) from error

    def _columns_of(self, batch):
        if self._read_names is None:
            return [values(batch.column(i)) for i in self._columns]
        return [values(batch.column(name)) for name in self.feature_names]


def _names_to_read(names, columns):
    """Names of the columns to read; None, for all, if names are not unique."""
    if columns == list(range(len(names))):
        return None
    wanted = [names[i] for i in columns]
    return None if any(names.count(n) > 1 for n in wanted) else wanted


def _group_starts(metadata):
    """Row numbers at which groups begin; ValueError if they do not add up to the table."""
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    if min(rows, default=0) < 0 or sum(rows) != metadata.num_rows:
        raise ValueError(f"{metadata.num_rows} rows in groups of {rows[:10]}")
    return np.cumsum([0, *rows[:-1]], dtype=np.int64)


def _dtype(file, columns):
    schema, metadata = file.schema_arrow, file.metadata
    leaves = {metadata.schema.column(j).path: j for j in range(metadata.num_columns)}
    kinds = []
    for i in columns:
        field = schema.field(i)
        floating = pa.types.is_floating(field.type)
        missing = not floating and field.nullable and _may_miss(file, field.name, leaves)
        kinds.append((field.type, missing))
    return numpy_dtype(kinds)


def _may_miss(file, name, leaves):
    """Whether a column may hold nulls, by the statistics in the file."""
    for i in range(file.num_row_groups):
        # In a damaged file, asking for statistics can kill the process; reading first raises.
        for _ in file.iter_batches(1, row_groups=[i], columns=[name], use_threads=False):
            break
        statistics = file.metadata.row_group(i).column(leaves[name]).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count:
            return True
    return False
