"""Arrow IPC files and streams, including Feather, read batch by batch."""

from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from ..errors import DataError
from .arrow import choose_fields, dtype_of, misses_values, numpy_dtype, values
from .base import NoRowsError
from .boundaries import Listed
from .columns import choose
from .npy import changed_error, open_regular
from .stream import StreamSource, large_notes, read_error

# What Arrow raises for damaged files, including its own memory errors.
_DAMAGE = (pa.ArrowException, OSError, ValueError, KeyError)


class IpcSource(StreamSource):
    """A file of record batches; one batch is in memory at a time.

    Parameters
    ----------
    path : str
    columns : list of str or int, optional
        Only these columns are read.

    Raises
    ------
    DataError
        If there is no such file, or it is not a complete Arrow file of numeric columns.
    """

    _has_twins = True

    def __init__(self, path, *, columns=None):
        super().__init__(path, "Arrow")
        with self._open_file() as reader:
            self._schema = reader.schema
        self._columns, self.notes = choose_fields(self._schema, columns, self.name)
        fields = [self._schema.field(i) for i in self._columns]
        self.feature_names = [field.name for field in fields]
        self.n_features = len(fields)
        rows, missing = self._survey()
        if sum(rows) < 1:
            raise NoRowsError(f"{self.name}: has no rows; at least one row is needed")
        self.n_samples = sum(rows)
        kinds = [(f.type, i in missing) for i, f in zip(self._columns, fields, strict=True)]
        self.dtype = numpy_dtype(kinds)
        width = sum(dtype_of(field.type).itemsize for field in fields)
        self.notes = (*self.notes, *large_notes("batches of rows", max(rows) * width))
        self._starts = np.cumsum([0, *rows[:-1]], dtype=np.int64)
        self.boundaries = Listed()
        if self._is_file:
            self.boundaries = Listed(self._starts[np.array(rows) > 0])

    def _survey(self):
        """The rows of each batch, and the set of columns that miss values."""
        # floating columns have NaN for missing values, so they need not be read
        wanted = [
            i for i in self._columns if not pa.types.is_floating(self._schema.field(i).type)
        ] or self._columns[:1]
        rows, missing = [], set()
        try:
            with self._open_file(wanted) as reader:
                for batch in _batches(reader):
                    rows.append(batch.num_rows)
                    found = zip(sorted(wanted), batch.columns, strict=True)
                    missing |= {i for i, column in found if misses_values(column)}
        except _DAMAGE as error:
            if isinstance(error, DataError):
                raise
            raise read_error(self.name, error) from error
        return rows, missing

    @contextmanager
    def _open_file(self, wanted=None):
        """A reader of the batches, with the wanted columns in the order of the file."""
        with open_regular(self.path, self.name, "Arrow") as file:
            head = file.read(6)
        if not head:
            raise DataError(f"{self.name}: the file is empty; write the Arrow file again")
        if head[:4] == b"FEA1":
            raise DataError(
                f"{self.name}: is Feather of version 1; write it again as version 2, e.g. with "
                "pyarrow.feather.write_feather"
            )
        self._is_file = head == b"ARROW1"
        options = pa.ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
        with pa.OSFile(self.path) as file:
            try:
                start = pa.ipc.open_file if self._is_file else pa.ipc.open_stream
                reader = start(file, options=options)
            except _DAMAGE as error:
                reason = " ".join(str(error).split())[:200]
                raise DataError(
                    f"{self.name}: is not an Arrow file, or is cut short ({reason}); write or copy "
                    "it again"
                ) from error
            with reader:
                yield reader

    def _blocks(self, row):
        first = int(np.searchsorted(self._starts, row, side="right")) - 1 if self._is_file else 0
        at = int(self._starts[first])
        for columns in self._columns_from(first, self._columns, values):
            if len(columns[0]):
                yield at, columns
            at += len(columns[0])

    def columns_of(self, names):
        """Batches of any columns of the file, as lists of Arrow arrays."""
        found = self._schema.names
        columns = choose(names, found, len(found), self.name)
        return self._columns_from(0, columns, lambda column: column)

    def _columns_from(self, first, columns, form):
        """Yield lists of columns of the batches from number `first` on, each put through `form`."""
        order = sorted(columns)
        places = [order.index(i) for i in columns]
        try:
            with self._open_file(order) as reader:
                names = [self._schema.names[i] for i in order]
                if reader.schema.names != names:
                    raise changed_error(self.name)
                for batch in _batches(reader, first):
                    yield [form(batch.column(i)) for i in places]
        except _DAMAGE as error:
            if isinstance(error, DataError):
                raise
            raise read_error(self.name, error) from error


def _batches(reader, first=0):
    """Yield the batches from number `first` on (all batches of a stream), checked."""
    if isinstance(reader, pa.RecordBatchFileReader):
        found = (reader.get_batch(i) for i in range(first, reader.num_record_batches))
    else:
        found = iter(reader)
    for batch in found:
        batch.validate()
        yield batch
