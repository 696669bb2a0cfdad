"""Tables in text: CSV, TSV, and either of them compressed with gzip.

All cells are read as float64. A text must be parsed to know how many rows it has; that first
look checks every cell, and keeps the rows if there are not too many of them.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from ..errors import DataError, FitError
from .array import ArraySource
from .arrow import values
from .base import NoRowsError, check_range
from .boundaries import Listed
from .columns import choose, listed
from .dialect import COMMA_NUMBER, MISSING, find_dialect, gzip_error
from .stream import StreamSource

_BLOCK_BYTES = 256 << 10
# Messages of Arrow's parser.
_BAD_CELL = re.compile(r"In CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", re.DOTALL)
_RAGGED = re.compile(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+)")


class _DecimalComma(DataError):
    """A cell is a number only if its comma is a decimal sign."""


class TextSource(StreamSource):
    """A text table, parsed anew in every pass unless its rows fit into `keep_bytes`.

    Parameters
    ----------
    path : str, bytes or os.PathLike
        Files that end with ``.csv`` may be delimited by comma, semicolon, tab or bar, others by
        tab; ``.gz`` behind it says that the file is compressed.
    columns : list of str or int, optional
        Only these columns are converted.
    header : bool, optional
        Whether the first line holds names; by default it does if a cell of it is no number.
    keep_bytes : int
        Rows are kept in memory if they take no more than that.

    Raises
    ------
    DataError
        If there is no such file, or it is not a table of finite numbers.
    """

    dtype = np.dtype("f8")
    # Also while rows are held: workers, whose parts begin here, hold none.
    boundaries = Listed()
    _held = None

    def __init__(self, path, *, columns=None, header=None, keep_bytes=0):
        super().__init__(path, "CSV or TSV")
        self._dialect = find_dialect(self.path, self.name, header)
        names = self._dialect.names
        n = self._dialect.n_columns
        chosen = range(n) if columns is None else choose(columns, names, n, self.name)
        self._columns = list(chosen)
        self.n_features = len(self._columns)
        self.feature_names = None if names is None else [names[j] for j in self._columns]
        try:
            self._held = self._look(keep_bytes)
        except _DecimalComma:  # the first lines did not show it
            self._dialect.decimal = ","
            self._held = self._look(keep_bytes)
        self.held_bytes = 0 if self._held is None else self._held.array.nbytes

    @property
    def decoded(self):
        return self._held is None

    def check_unchanged(self, start=0, stop=None):
        if self._held is None:
            super().check_unchanged()

    def __getstate__(self):
        return super().__getstate__() | {"_held": None, "held_bytes": 0}

    def _look(self, keep_bytes):
        """Count and check the rows; return them all if they are to be kept."""
        most = keep_bytes // (8 * self.n_features)
        kept = np.empty((0, self.n_features))
        count = 0
        for first, block in self._blocks(0):
            self._check_values(first, block)
            count = first + len(block[0])
            if kept is None or count > most:
                kept = None
                continue
            if count > len(kept):  # in place, as large blocks of memory grow
                rows = min(max(count, 2 * len(kept)), most)
                kept.resize((rows, self.n_features), refcheck=False)
            for j, column in enumerate(block):
                kept[first:count, j] = column
        self.check_unchanged()
        if count < 1:
            raise NoRowsError(f"{self.name}: has no rows; at least one row is needed")
        self.n_samples = count
        if kept is None:
            return None
        kept.resize((count, self.n_features), refcheck=False)
        return ArraySource(kept, self.name)

    def _check_values(self, first, block):
        finite = [np.isfinite(column) for column in block]
        bad = [(int(np.argmin(good)), j) for j, good in enumerate(finite) if not good.all()]
        if not bad:
            return
        row, j = min(bad)
        value = block[j][row]
        what = "missing" if np.isnan(value) else str(value)
        where = f"row {first + row} (counting from 0), {self._file_label(self._columns[j])}"
        raise DataError(f"{self.name}: {where} is {what}; remove or fill such rows first")

    def _file_label(self, number):
        """What messages call a column of the file."""
        names = self._dialect.names
        return f"column {number}" + ("" if names is None else f" ({names[number]!r})")

    def read(self, start, stop, out, *, origin=None):
        if self._held is None:
            return super().read(start, stop, out, origin=origin)
        check_range(self, start, stop, out)
        return self._held.read(start, stop, out, origin=origin)

    def gather(self, indices, out, *, origin=None):
        source = super() if self._held is None else self._held
        source.gather(indices, out, origin=origin)

    def view(self, start, stop, dtype):
        return None if self._held is None else self._held.view(start, stop, dtype)

    def close(self):
        super().close()
        self._held, self.held_bytes = None, 0

    def _blocks(self, row):
        first = 0
        try:
            with self._input() as stream, self._reader(stream) as reader:
                for batch in reader:
                    if len(batch):
                        yield first, [values(column) for column in batch.columns]
                    first += len(batch)
        except pa.ArrowInvalid as error:
            if str(error).startswith("Empty CSV"):
                return
            raise self._parse_error(str(error)) from error
        except OSError as error:
            if error.errno:
                raise FitError(f"{self.name}: reading failed: {error}") from error
            raise gzip_error(self.name, error) from error

    def _input(self):
        packed = self.path.lower().endswith(".gz")
        return pa.input_stream(self.path, compression="gzip" if packed else None)

    def _reader(self, stream):
        dialect = self._dialect
        # Names of our own: those of the file may be there twice, or nowhere.
        names = [str(j) for j in range(dialect.n_columns)]
        wanted = [names[j] for j in self._columns]
        return pc.open_csv(
            stream,
            read_options=pc.ReadOptions(
                use_threads=False,  # only then messages tell the row
                block_size=max(_BLOCK_BYTES, 16 * dialect.line_bytes),
                column_names=names,
                skip_rows=dialect.blank,
                skip_rows_after_names=int(dialect.has_header),
            ),
            parse_options=pc.ParseOptions(delimiter=dialect.delimiter),
            convert_options=pc.ConvertOptions(
                check_utf8=False,
                column_types=dict.fromkeys(wanted, pa.float64()),
                include_columns=wanted,
                null_values=MISSING,
                decimal_point=dialect.decimal,
            ),
        )

    def _parse_error(self, message):
        # Arrow counts from 1, and counts what comes before the rows
        head = 1 + self._dialect.blank + self._dialect.has_header
        found = _RAGGED.search(message)
        if found:
            row, expected, got = (int(x) for x in found.groups())
            return DataError(
                f"{self.name}: row {row - head} (counting from 0) has {got} cells, the first line "
                f"has {expected}; every row needs the same number"
            )
        found = _BAD_CELL.search(message)
        if not found:
            return DataError(f"{self.name}: cannot be read as a table ({message})")
        j, row = int(found[1]), int(found[2])
        dialect = self._dialect
        comma = dialect.delimiter != "," and dialect.decimal == "."
        kind = _DecimalComma if comma and COMMA_NUMBER.fullmatch(found[3]) else DataError
        cell = found[3] if len(found[3]) <= 40 else found[3][:40] + "..."
        return kind(
            f"{self.name}: row {row - head} (counting from 0), {self._file_label(j)} is {cell!r}, "
            f"not a number; {self._advice()}"
        )

    def _advice(self):
        """What to do about text in a column: leave the column out, or correct the cell."""
        good = self._dialect.numeric
        if not good or len(good) == self._dialect.n_columns:
            return "correct or remove such rows"
        return f"choose other columns with columns= (--columns); numeric are {listed(good)}"
