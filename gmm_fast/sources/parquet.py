"""Parquet files, decoded batch after batch."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import DataError
from .arrow import choose_fields, dtype_of, numpy_dtype, values
from .base import NoRowsError
from .boundaries import Listed
from .npy import changed_error, open_regular
from .stream import StreamSource, block_rows, read_error

# Read-ahead of one column, and of all of them together.
_BUFFER_BYTES = 256 << 10
_ALL_BUFFERS_BYTES = 8 << 20


class ParquetSource(StreamSource):
    """A Parquet file; only what is decoded at the moment is in memory.

    It can be pickled: the copy opens the file again. Nothing is open between two passes.

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

    def __init__(self, path, *, columns=None):
        super().__init__(path, "Parquet")
        with self._opened() as file:
            schema, metadata = file.schema_arrow, file.metadata
            self._columns = choose_fields(schema, columns, self.name)
            self._read_names = _names_to_read(schema.names, self._columns)
            self.feature_names = [schema.names[i] for i in self._columns]
            self.n_samples, self.n_features = metadata.num_rows, len(self._columns)
            if self.n_samples < 1:
                raise NoRowsError(f"{self.name}: has no rows; at least one row is needed")
            self.dtype = _dtype(schema, self._columns, metadata)
            self._starts = _group_starts(metadata)
            self.boundaries = Listed(self._starts)
        width = sum(dtype_of(schema.field(i).type).itemsize for i in self._columns)
        self._batch_rows = block_rows(1, width)

    def _opened(self):
        # Opened by us: its messages are ours, and the file is not mapped, for pages of a map
        # count as memory and a file that shrinks would kill the process.
        open_regular(self.path, self.name, "Parquet").close()
        if os.path.getsize(self.path) == 0:
            raise DataError(f"{self.name}: the file is empty; write the Parquet file again")
        buffer = _ALL_BUFFERS_BYTES // max(1, getattr(self, "n_features", 1))
        buffer = max(1 << 14, min(_BUFFER_BYTES, buffer))
        try:
            return pq.ParquetFile(self.path, memory_map=False, pre_buffer=False, buffer_size=buffer)
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{self.name}: is not a Parquet file, or cut short ({reason}); write or copy it "
                "again"
            ) from error

    def _blocks(self, row):
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        first = int(self._starts[group])
        with self._opened() as file:
            same = np.array_equal(_group_starts(file.metadata), self._starts)
            if not same or file.metadata.num_rows != self.n_samples:
                raise changed_error(self.name)
            try:
                batches = file.iter_batches(
                    self._batch_rows,
                    row_groups=range(group, file.num_row_groups),
                    columns=self._read_names,
                    use_threads=False,  # costs less processor time, which others need
                )
                for batch in batches:
                    if len(batch):
                        yield first, self._columns_of(batch)
                    first += len(batch)
            except (pa.ArrowException, OSError) as error:
                raise read_error(self.name, error) from error

    def _columns_of(self, batch):
        if self._read_names is None:
            return [values(batch.column(i)) for i in self._columns]
        return [values(batch.column(name)) for name in self.feature_names]


def _names_to_read(names, columns):
    """The names by which to ask for some columns; None, for all, where names are not unique."""
    if columns == list(range(len(names))):
        return None
    wanted = [names[i] for i in columns]
    return None if any(names.count(n) > 1 for n in wanted) else wanted


def _group_starts(metadata):
    rows = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    starts = np.cumsum([0, *rows[:-1]], dtype=np.int64)
    return starts[np.array(rows) > 0] if 0 in rows else starts


def _dtype(schema, columns, metadata):
    leaves = {metadata.schema.column(j).path: j for j in range(metadata.num_columns)}
    kinds = []
    for i in columns:
        field = schema.field(i)
        floating = pa.types.is_floating(field.type)
        missing = not floating and field.nullable and _may_miss(metadata, leaves[field.name])
        kinds.append((field.type, missing))
    return numpy_dtype(kinds)


def _may_miss(metadata, leaf):
    """Whether a column may hold nulls, as far as the statistics in the file tell."""
    for i in range(metadata.num_row_groups):
        statistics = metadata.row_group(i).column(leaf).statistics
        if statistics is None or not statistics.has_null_count or statistics.null_count:
            return True
    return False
