"""Tables in text, compressed or not: CSV, TSV, numbers between blanks.

All cells are read as float64. Counting the rows means parsing the text; that first pass checks
every cell, and keeps the rows if there are not too many.
"""

import copy
import lzma
import re

import numpy as np
import pyarrow as pa

from ..errors import DataError
from . import advice, arrowcsv
from .array import ArraySource
from .arrow import values
from .base import NoRowsError, check_range
from .boundaries import Listed
from .cells import EMPTY, TEXT, Cells
from .columns import choose
from .dialect import BLANKS, COMMA_NUMBER, MISSING, Dialect
from .firstpass import DecimalWatch, RowCounters
from .layout import BOOLEANS, Guess
from .lines import Comments, FilteredLines, OneTab, WithoutEnd, line_of_row, whole_lines
from .sniff import describe_decimal, find_layout
from .stream import StreamSource
from .unpack import open_stream, stream_error

# Messages of Arrow's parser.
_BAD_CELL = re.compile(r"In CSV column #(\d+): Row #(\d+): .*invalid value '(.*)'", re.DOTALL)
_RAGGED = re.compile(r"CSV parse error: Row #(\d+): Expected (\d+) columns, got (\d+)")
# A row this long means that the text is not read as it should be.
_LONGEST_ROW = 64 << 20


class _ReadAgain(DataError):
    """The text differs from what its first lines suggest; `change` adapts the layout."""

    def __init__(self, change):
        super().__init__("the text differs from what its first lines suggest")
        self.change = change


def _set(**found):
    """A function that sets attributes of a layout."""
    return lambda layout: vars(layout).update(found)


class TextSource(StreamSource):
    """A text table, parsed anew in every pass unless its rows fit into `keep_bytes`.

    Parameters
    ----------
    path : str, bytes or os.PathLike
        The ending may say that the file is compressed: see `unpack`.
    columns : list of str or int, optional
        Only these columns are converted.
    dialect : Dialect, optional
        How the text is written, as far as that is known; `sniff` guesses the rest.
    keep_bytes : int
        Rows are kept in memory if they take no more than this.
    name : str, optional
        What messages call the file; by default its path.

    Raises
    ------
    DataError
        There is no such file, or it is not a table of finite numbers.

    Attributes
    ----------
    missing_rows : (m,) int64 array
        Rows with missing values, if the dialect allows them.
    """

    dtype = np.dtype("f8")
    # Even while rows are held, as workers hold none and their parts begin at boundaries.
    boundaries = Listed()
    _held = None
    _comments = None

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
        while True:
            try:
                self._held = self._first_pass(keep_bytes)
                break
            except _ReadAgain as error:
                error.change(self._layout)
        self.held_bytes = 0 if self._held is None else self._held.array.nbytes

    @property
    def notes(self):
        guessed = self._layout.note(self._is_chosen)
        return () if guessed is None else (guessed,)

    @property
    def written(self):
        """How the text is written, for `written_of`."""
        layout = self._layout
        found = {
            "delimiter": [layout.delimiter],
            "decimal": [layout.decimal],
            "header": [layout.names is not None],
        }
        return found if self._is_chosen else found | {"index": [layout.index > 0]}

    @property
    def decoded(self):
        return self._held is None

    def check_unchanged(self, start=0, stop=None):
        if self._held is None:
            super().check_unchanged()

    def __getstate__(self):
        return super().__getstate__() | {"_held": None, "held_bytes": 0}

    def _first_pass(self, keep_bytes):
        """Count and check the rows; return them if they fit into `keep_bytes`, else None."""
        most = keep_bytes // (8 * self.n_features)
        kept = np.empty((0, self.n_features))
        count, missing = 0, [np.zeros(0, np.int64)]
        counters, self._comments = RowCounters(self.n_features), self._new_comments()
        for first, block in self._blocks(0):
            missing.append(first + self._check_values(first, block))
            counters.look(block)
            count = first + len(block[0])
            if kept is None or count > most:
                kept = None
                continue
            if count > len(kept):  # large blocks of memory can grow in place
                rows = min(max(count, 2 * len(kept)), most)
                kept.resize((rows, self.n_features), refcheck=False)
            for j, column in enumerate(block):
                kept[first:count, j] = column
        self.check_unchanged()
        if count < 1:
            raise NoRowsError(
                f"{self.name}: has no rows; at least one row is needed{self._guess_note()}"
            )
        self.n_samples, self.missing_rows = count, np.concatenate(missing)
        self._report_findings(counters)
        if kept is None:
            return None
        kept.resize((count, self.n_features), refcheck=False)
        return ArraySource(kept, self.name)

    def _report_findings(self, counters):
        """Report what the first pass showed."""
        layout, guesses = self._layout, self._layout.guesses
        if layout.watch is not None:
            guesses["decimal"] = Guess(*describe_decimal(layout.decimal, layout.watch), "--decimal")
            layout.watch = None
        comments, self._comments = self._comments, None
        if comments is not None and comments.count and self._dialect.comment is None:
            first = _shorten(comments.first.decode(errors="replace").strip())
            lines = "one line" if comments.count == 1 else f"{comments.count:,} lines"
            text = f"{lines} with {layout.comment!r} between rows left out (first {first})"
            guesses["comments"] = Guess(text, False, "--comment")
        found = [self._file_label(self._columns[j]) for j in counters.found()]
        if found:
            what = "counts rows, but is kept" if len(found) == 1 else "count rows, but are kept"
            text = f"{', '.join(found)} {what}"
            guesses["counters"] = Guess(text, False, "--columns")

    def _check_values(self, first, block):
        """The rows of a block that miss a value; raise `DataError` if that is not allowed."""
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
        cure = "remove or fill such rows first"
        what = str(block[j][row])
        if missing[j][row]:
            what = "missing"
            cure += ", or leave them out: open_source(..., missing='drop'), --missing drop"
        line, blank = self._line_of(first + row)
        if blank:
            what += ", a blank line"
        raise DataError(f"{self.name}: {where} is {what}{line}; {cure}")

    def _line_of(self, row):
        """The line of the file that holds a row, for messages, and whether it is blank."""
        layout = self._layout
        with self._decoded_input() as stream:
            found = line_of_row(
                whole_lines(stream),
                row,
                delimiter=layout.delimiter,
                comments=self._new_comments(),
                blank_rows=layout.n_columns == 1,
            )
        if found is None:
            return "", False
        number, line = found
        return f" (line {layout.head_lines + number:,} of the file)", not line.strip()

    def _file_label(self, number):
        """A column of the file, for messages."""
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
            with self._input() as stream, self._parse(stream) as reader:
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
        """The rows as a stream of UTF-8, without comments and what lies before and after them."""
        layout = self._layout
        changes = [layout.watch, self._comments or self._new_comments()]
        changes += [WithoutEnd(layout.delimiter)] if layout.blank_end else []
        changes += [OneTab()] if layout.delimiter == BLANKS else []
        changes = [change for change in changes if change is not None]
        stream = self._decoded_input()
        if not changes:  # without Python in between it is faster
            return stream
        return pa.PythonFile(FilteredLines(stream, changes), mode="r")

    def _decoded_input(self):
        """What follows the head, as UTF-8."""
        layout, stream = self._layout, open_stream(self.path)
        stream.read(layout.head_bytes)
        if layout.encoding != "utf-8":
            stream = pa.transcoding_input_stream(stream, layout.encoding, "utf-8")
        return stream

    def _new_comments(self):
        layout = self._layout
        if not layout.comment:
            return None
        return Comments(layout.comment, self._dialect.comment is None, layout.delimiter)

    def columns_of(self, names, kinds=None):
        """Batches of any columns, as lists of Arrow arrays: text, or numbers if `kinds` say so."""
        batches = self._cells(self._numbers_of(names))
        if kinds is None:
            return batches
        how = self._how_written()
        return (
            [how.read(column, kind) for column, kind in zip(batch, kinds, strict=True)]
            for batch in batches
        )

    def kinds_of(self, names):
        """The kinds of columns, see `cells`; takes a pass over the file."""
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
            with other._input() as stream, other._parse(stream, pa.string()) as reader:
                for batch in reader:
                    yield batch.columns
        except pa.ArrowInvalid as error:
            raise self._parse_error(str(error)) from error

    def _parse(self, stream, kind=None):
        return arrowcsv.open_reader(stream, self._layout, self._dialect, self._columns, kind)

    def _columns_of(self, first, batch):
        columns = [batch.column(i) for i in range(self.n_features)]
        found = [
            values(c if c.type != pa.string() else self._numbers(first, j, c))
            for j, c in zip(self._columns, columns, strict=True)
        ]
        # a number that stands for a missing value has several spellings: -999, -999.0
        gone = self._dialect.na_numbers()
        return [np.where(np.isin(x, gone), np.nan, x) for x in found] if gone else found

    def _numbers(self, first, j, cells):
        """The numbers of cells with thousands separators or blanks around words."""
        from pyarrow import compute  # megabytes that few tables need

        dialect, decimal = self._dialect, self._layout.decimal
        cells = compute.utf8_trim_whitespace(cells)
        gone = compute.is_in(cells, pa.array(sorted({*MISSING, *dialect.na})))
        cells = compute.if_else(gone, None, cells)
        if j in self._layout.booleans:
            return self._booleans(first, j, cells)
        part, point = f"[{re.escape(dialect.grouping())}]", re.escape(decimal)
        groups = rf"|\d{{1,3}}({part}\d{{3}})+" if dialect.thousands else ""
        plain = rf"^[+-]?((\d+{groups})?({point}\d*)?([eE][+-]?\d+)?|(?i:inf(inity)?|nan))$"
        good = compute.match_substring_regex(cells, plain)
        good = compute.and_(good, compute.match_substring_regex(cells, r"\d|(?i:inf|nan)"))
        self._refuse_bad(first, j, cells, good)
        if dialect.thousands:
            cells = compute.replace_substring_regex(cells, part, "")
        return compute.replace_substring(cells, decimal, ".").cast(pa.float64())

    def _refuse_bad(self, first, j, cells, good):
        good = good.fill_null(True).to_numpy(zero_copy_only=False)
        if not good.all():
            row = int(np.argmin(good))
            raise self._bad_cell(first + row, j, cells[row].as_py())

    def _booleans(self, first, j, cells):
        """The TRUE and FALSE of cells, of which some have blanks around them."""
        from pyarrow import compute

        known = [pa.array([w for w, v in BOOLEANS.items() if v == is_true]) for is_true in (0, 1)]
        is_false, is_true = (compute.is_in(cells, words) for words in known)
        good = compute.or_(is_false, is_true)
        self._refuse_bad(first, j, cells, compute.or_(good, cells.is_null()))
        return compute.if_else(cells.is_null(), None, is_true)

    def _parse_error(self, message):
        layout = self._layout
        found = _RAGGED.search(message)
        if not layout.newlines and (found or "newlines_in_values" in message):
            return _ReadAgain(_set(newlines=True))
        if found:
            row, expected, got = (int(x) for x in found.groups())
            line, _ = self._line_of(row - 1)
            return DataError(
                f"{self.name}: row {row - 1} (counting from 0) has {got} cells{line}, the "
                f"first line has {expected}; every row needs the same number{self._guess_note()}"
            )
        if "block size" in message or "newlines_in_values" in message:
            room = arrowcsv.block_bytes(layout)
            if room < _LONGEST_ROW:
                return _ReadAgain(_set(row_bytes=4 * room))
            return DataError(
                f"{self.name}: cannot be read as a table: a row takes more than "
                f"{_LONGEST_ROW >> 20} MB; a double quote may lack its closing one"
            )
        found = _BAD_CELL.search(message)
        if not found:
            return DataError(f"{self.name}: cannot be read as a table ({message})")
        return self._bad_cell(int(found[2]) - 1, int(found[1]), found[3])

    def _bad_cell(self, row, position, cell):
        """The error for a cell that is not a number; `position` is its column in the file."""
        j, layout, dialect = position, self._layout, self._dialect
        what = "not a number"
        if layout.empty_last and j == layout.n_columns - 1 and j not in self._columns:
            what = "though the column is empty in the first rows; give the last column a name"
        elif cell.strip() in {*MISSING, *dialect.na, *BOOLEANS} and not layout.padded:
            if j in layout.booleans or cell.strip() not in BOOLEANS:
                return _ReadAgain(_set(padded=True))
        elif j in layout.booleans:
            what = "neither TRUE nor FALSE, as the first rows are"
        comma = layout.delimiter != "," and layout.decimal == "." and dialect.decimal is None
        if comma and COMMA_NUMBER.fullmatch(cell):
            return _ReadAgain(lambda layout: _use_comma(layout, cell))
        line, _ = self._line_of(row)
        label = j if layout.names is None else layout.names[j]
        return DataError(
            f"{self.name}: row {row} (counting from 0), {self._file_label(j)} is {_shorten(cell)}, "
            f"{what}{line}; {advice.on_cell(cell, row, label, layout)}{self._guess_note()}"
        )

    def _guess_note(self):
        """What was guessed, for errors that a wrong guess may have caused."""
        guessed = self._layout.note(self._is_chosen)
        return "" if guessed is None else f" (read with {guessed})"


def _shorten(text):
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _use_comma(layout, cell):
    """Switch the layout to a decimal comma, as in `cell`."""
    layout.decimal, layout.watch = ",", DecimalWatch(",", layout.delimiter)
    layout.watch(cell.encode())
    layout.guesses["decimal"] = Guess(*describe_decimal(",", layout.watch), "--decimal")
