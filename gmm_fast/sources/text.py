"""Tables in text, packed or not: CSV, TSV, numbers between blanks.

All cells are read as float64. A text must be parsed to know how many rows it has; that first
look checks every cell, and keeps the rows if there are not too many of them.
"""

import copy
import lzma
import re
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

from ..errors import DataError
from .array import ArraySource
from .arrow import values
from .base import NoRowsError, check_range
from .boundaries import Listed
from .cells import EMPTY, TEXT, Cells
from .columns import choose, listed
from .dialect import BLANKS, MISSING, Dialect
from .layout import BOOLEANS, COMMA_NUMBER, Said
from .lines import FilteredLines, one_tab, without_comments
from .sniff import decimal_said, find_layout
from .stream import StreamSource
from .unpack import open_stream, stream_error

_BLOCK_BYTES = 256 << 10
# Messages of Arrow's parser.
_BAD_CELL = re.compile(r"In CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", re.DOTALL)
_RAGGED = re.compile(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+)")

# Rows among which lines before the table are to be expected.
_FIRST_ROWS = 5
_COMMENT_SIGNS = ("#", "%", "//", "!")
# A number in groups of three.
_GROUPS = re.compile(r"\s*[+-]?\d{1,3}([., '\xa0]\d{3})+([.,]\d+)?\s*")


class _DecimalComma(DataError):
    """A cell is a number only if its comma is a decimal sign."""

    cell = ""


class TextSource(StreamSource):
    """A text table, parsed anew in every pass unless its rows fit into `keep_bytes`.

    Parameters
    ----------
    path : str, bytes or os.PathLike
        Its end may say that the file is packed: see `unpack`.
    columns : list of str or int, optional
        Only these columns are converted.
    dialect : Dialect, optional
        How it is written, as far as that is known; `sniff` guesses the rest.
    keep_bytes : int
        Rows are kept in memory if they take no more than that.

    Raises
    ------
    DataError
        If there is no such file, or it is not a table of finite numbers.

    Attributes
    ----------
    missing_rows : (m,) int64 array
        Rows that miss a value, which the dialect has to allow.
    """

    dtype = np.dtype("f8")
    # Also while rows are held: workers, whose parts begin here, hold none.
    boundaries = Listed()
    _held = None

    def __init__(self, path, *, columns=None, dialect=None, keep_bytes=0, name=None):
        super().__init__(path, "CSV or TSV")
        self.name = self.name if name is None else name
        self._dialect = dialect or Dialect()
        self._layout = find_layout(self.path, self.name, self._dialect)
        names, n = self._layout.names, self._layout.n_columns
        self._is_chosen = columns is not None
        chosen = choose(columns, names, n, self.name) if self._is_chosen else self._layout.columns()
        self._columns = list(chosen)
        self.n_features = len(self._columns)
        self.feature_names = None if names is None else [names[j] for j in self._columns]
        try:
            self._held = self._look(keep_bytes)
        except _DecimalComma as error:  # the first lines did not show it
            self._layout.decimal = ","
            self._layout.said["decimal"] = Said(*decimal_said(",", [error.cell]), "--decimal")
            self._held = self._look(keep_bytes)
        self.held_bytes = 0 if self._held is None else self._held.array.nbytes

    @property
    def notes(self):
        guessed = self._layout.note(self._is_chosen)
        return () if guessed is None else (guessed,)

    @property
    def written(self):
        """How it is written, as `written_of` tells it."""
        layout = self._layout
        found = {
            "delimiter": [layout.delimiter],
            "decimal": [layout.decimal],
            "header": [layout.names is not None],
        }
        return found if self._is_chosen else found | {"index": [layout.index]}

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
        count, missing = 0, [np.zeros(0, np.int64)]
        for first, block in self._blocks(0):
            missing.append(first + self._check_values(first, block))
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
            raise NoRowsError(
                f"{self.name}: has no rows; at least one row is needed{self._doubt()}"
            )
        self.n_samples, self.missing_rows = count, np.concatenate(missing)
        if kept is None:
            return None
        kept.resize((count, self.n_features), refcheck=False)
        return ArraySource(kept, self.name)

    def _check_values(self, first, block):
        """The rows of a block that miss a value; raise `DataError` if there must be none."""
        finite = [np.isfinite(column) for column in block]
        bad = [(int(np.argmin(good)), j) for j, good in enumerate(finite) if not good.all()]
        if not bad:
            return np.zeros(0, np.int64)
        missing = [np.isnan(column) for column in block]
        if self._dialect.missing == "drop":
            gone = np.any(missing, axis=0)
            finite = [good | gone for good in finite]
            bad = [(int(np.argmin(good)), j) for j, good in enumerate(finite) if not good.all()]
            if not bad:
                return np.flatnonzero(gone)
        row, j = min(bad)
        where = f"row {first + row} (counting from 0), {self._file_label(self._columns[j])}"
        advice = "remove or fill such rows first"
        what = str(block[j][row])
        if missing[j][row]:
            what = "missing"
            advice += ", or leave them out: open_source(..., missing='drop'), --missing drop"
        raise DataError(f"{self.name}: {where} is {what}; {advice}")

    def _file_label(self, number):
        """What messages call a column of the file."""
        names = self._layout.names
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
                    if batch.num_rows:
                        yield first, self._columns_of(first, batch)
                        first += batch.num_rows
        except pa.ArrowInvalid as error:
            if str(error).startswith("Empty CSV"):
                return
            raise self._parse_error(str(error)) from error
        except UnicodeError as error:
            raise DataError(
                f"{self.name}: is not text in {self._layout.encoding} throughout ({error}); name "
                "its encoding (--encoding, e.g. latin-1)"
            ) from error
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise stream_error(self.path, self.name, error) from error

    def _input(self):
        """The rows as a stream of UTF-8: without what is before them, and without comments."""
        layout, stream = self._layout, open_stream(self.path)
        stream.read(layout.head_bytes)
        if layout.encoding != "utf-8":
            stream = pa.transcoding_input_stream(stream, layout.encoding, "utf-8")
        if layout.comment:
            change = partial(without_comments, sign=layout.comment.encode())
            stream = pa.PythonFile(FilteredLines(stream, change), mode="r")
        if layout.delimiter == BLANKS:
            stream = pa.PythonFile(FilteredLines(stream, one_tab), mode="r")
        return stream

    def columns_of(self, names, kinds=None):
        """Batches of any columns of the file, lists of Arrow arrays, of text or by `kinds_of`."""
        batches = self._cells(self._numbers_of(names))
        if kinds is None:
            return batches
        how = self._how_written()
        return (
            [how.read(column, kind) for column, kind in zip(batch, kinds, strict=True)]
            for batch in batches
        )

    def kinds_of(self, names):
        """What the cells of columns are, of the kinds of `cells`: a look at all of the file."""
        found, how = [EMPTY] * len(names), self._how_written()
        for batch in self._cells(self._numbers_of(names)):
            found = [
                k if k == TEXT else max(k, how.kind(c)) for k, c in zip(found, batch, strict=True)
            ]
            if min(found) == TEXT:
                break
        return found

    def _numbers_of(self, names):
        return choose(names, self._layout.names, self._layout.n_columns, self.name)

    def _how_written(self):
        dialect = self._dialect
        return Cells(self._layout.decimal, dialect.thousands, {*MISSING, *dialect.na})

    def _cells(self, columns):
        other = copy.copy(self)
        other._columns = columns
        try:
            with other._input() as stream, other._reader(stream, pa.string()) as reader:
                for batch in reader:
                    yield batch.columns
        except pa.ArrowInvalid as error:
            raise self._parse_error(str(error)) from error

    def _reader(self, stream, kind=None):
        """The rows as Arrow reads them; cells of that kind, or numbers."""
        layout, dialect = self._layout, self._dialect
        # Names of our own: those of the file may be there twice, or nowhere.
        names = [str(j) for j in range(layout.n_columns)]
        number = pa.float64() if dialect.thousands is None else pa.string()
        types = {names[j]: number for j in self._columns}
        types |= {names[j]: pa.bool_() for j in self._columns if j in layout.booleans}
        if kind is not None:
            types = {names[j]: kind for j in self._columns}
        elif layout.empty_last and layout.n_columns - 1 not in self._columns:
            types[names[-1]] = pa.null()  # refuses what is not empty
        missing = {*MISSING, *dialect.na}
        return pc.open_csv(
            stream,
            read_options=pc.ReadOptions(
                use_threads=False,  # only then messages tell the row
                block_size=max(_BLOCK_BYTES, 16 * layout.line_bytes),
                column_names=names,
            ),
            parse_options=pc.ParseOptions(
                delimiter="\t" if layout.delimiter == BLANKS else layout.delimiter
            ),
            convert_options=pc.ConvertOptions(
                check_utf8=False,
                column_types=types,
                include_columns=list(types),
                null_values=sorted(missing | {f" {token}" for token in missing}),
                strings_can_be_null=kind is None,
                true_values=[word for word, value in BOOLEANS.items() if value],
                false_values=[word for word, value in BOOLEANS.items() if not value],
                decimal_point=layout.decimal,
            ),
        )

    def _columns_of(self, first, batch):
        columns = [batch.column(i) for i in range(self.n_features)]
        found = [
            values(c if c.type != pa.string() else self._without_thousands(first, j, c))
            for j, c in zip(self._columns, columns, strict=True)
        ]
        # a missing value may be a number, which is spelled in several ways: -999, -999.0
        gone = self._dialect.na_numbers()
        return [np.where(np.isin(x, gone), np.nan, x) for x in found] if gone else found

    def _without_thousands(self, first, j, cells):
        """The numbers of cells in which a sign parts thousands."""
        from pyarrow import compute  # megabytes, which few tables need

        dialect, decimal = self._dialect, self._layout.decimal
        cells = compute.utf8_trim_whitespace(cells)
        part, point = re.escape(dialect.thousands), re.escape(decimal)
        plain = rf"^[+-]?(\d+|\d{{1,3}}({part}\d{{3}})+)?({point}\d*)?([eE][+-]?\d+)?$"
        good = compute.match_substring_regex(cells, plain)
        good = compute.and_(good, compute.match_substring_regex(cells, r"\d"))
        good = good.fill_null(True).to_numpy(zero_copy_only=False)
        if not good.all():
            row = int(np.argmin(good))
            raise self._bad_cell(first + row, j, cells[row].as_py())
        cells = compute.replace_substring(cells, dialect.thousands, "")
        return compute.replace_substring(cells, decimal, ".").cast(pa.float64())

    def _parse_error(self, message):
        found = _RAGGED.search(message)
        if found:
            row, expected, got = (int(x) for x in found.groups())
            return DataError(
                f"{self.name}: row {row - 1} (counting from 0) has {got} cells, the first line "
                f"has {expected}; every row needs the same number{self._doubt()}"
            )
        found = _BAD_CELL.search(message)
        if not found:
            return DataError(f"{self.name}: cannot be read as a table ({message})")
        return self._bad_cell(int(found[2]) - 1, int(found[1]), found[3])

    def _bad_cell(self, row, position, cell):
        """The error for a cell that is no number; `position` is that of its column in the file."""
        j, layout, dialect = position, self._layout, self._dialect
        comma = layout.delimiter != "," and layout.decimal == "." and dialect.decimal is None
        kind = _DecimalComma if comma and COMMA_NUMBER.fullmatch(cell) else DataError
        shown = cell if len(cell) <= 40 else cell[:40] + "..."
        what = "not a number"
        if layout.empty_last and j == layout.n_columns - 1 and j not in self._columns:
            what = "though it is empty in the first rows; give the last column a name"
        elif j in layout.booleans:
            what = "neither TRUE nor FALSE, as the first rows are"
        error = kind(
            f"{self.name}: row {row} (counting from 0), {self._file_label(j)} is {shown!r}, "
            f"{what}; {self._advice(row, j, cell)}{self._doubt()}"
        )
        error.cell = cell
        return error

    def _advice(self, row, j, cell):
        """What to do about text in a column: leave the column out, or correct the cell."""
        good = self._layout.numeric
        label = j if self._layout.names is None else self._layout.names[j]
        advice = []
        if _GROUPS.fullmatch(cell):
            sign = "." if self._layout.decimal == "," or cell.count(".") > 1 else ","
            advice.append(f"name the sign of thousands (--thousands '{sign}')")
        elif cell.startswith(_COMMENT_SIGNS):
            advice.append("say which lines are comments (--comment)")
        elif cell.strip() in BOOLEANS:
            advice.append("a column holds numbers, or TRUE and FALSE, not both")
        elif (good and label in good) or not any(c.isalnum() for c in cell):
            advice.append(f"if that means missing, say --na '{cell[:40]}' and --missing drop")
        if good and len(good) < self._layout.n_columns:
            numeric = listed(good)
            advice.append(f"choose other columns with columns= (--columns); numeric are {numeric}")
        if row < _FIRST_ROWS and label not in good:
            advice.append("leave out lines before the table, if it is one (--skip N)")
        return "; ".join([*advice, "correct or remove such rows"])

    def _doubt(self):
        """What was guessed, for errors that a wrong guess may have made."""
        guessed = self._layout.note(self._is_chosen)
        return "" if guessed is None else f" (read with {guessed})"
