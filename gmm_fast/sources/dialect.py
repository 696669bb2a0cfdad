"""How a text table is written: its delimiter, its decimal sign, whether it has a header."""

import csv
import gzip
import re
import zlib
from dataclasses import dataclass

from ..errors import DataError

# As much of the head of a file as is looked at, and lines of it.
_HEAD_BYTES = 1 << 16
_HEAD_LINES = 50
_DELIMITERS = ",;\t|"
# What counts as a missing value, besides an empty cell.
MISSING = ("", "NA", "N/A", "#N/A", "na", "n/a", "NaN", "nan", "-nan", "-NaN", "NULL", "null",
           "None", "<NA>")  # fmt: skip
COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")


@dataclass
class Dialect:
    """What `find_dialect` finds."""

    delimiter: str
    decimal: str
    has_header: bool
    names: list[str] | None
    n_columns: int
    line_bytes: int
    blank: int  # empty lines before the first
    numeric: list  # names (or numbers) of columns that hold numbers only, in the first rows


def find_dialect(path, name, header):
    """Look at the first lines of a text table.

    Parameters
    ----------
    path, name : str
        Where the file is, and what messages call it.
    header : bool or None
        Whether the first line holds names; None: if a cell of it is neither a number nor missing.

    Raises
    ------
    DataError
        The file is empty, not text, or not the gzip file that its name announces; its first line
        may be names as well as numbers.
    """
    head = _head(path, name)
    if not head:
        raise DataError(f"{name}: the file is empty; write a table of numbers to it")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in head:
        raise DataError(f"{name}: is not text in UTF-8; save it as CSV in UTF-8")
    text = head.decode("utf-8-sig", errors="replace")
    lines = text.splitlines()[:_HEAD_LINES]
    blank = next((i for i, line in enumerate(lines) if line), len(lines))
    lines = [line for line in lines if line]
    if not lines:
        raise DataError(f"{name}: holds empty lines only; write a table of numbers to it")
    plain = re.sub(r"\.gz$", "", path, flags=re.IGNORECASE).lower()
    delimiter = _find_delimiter(lines) if plain.endswith(".csv") else "\t"
    rows = list(csv.reader(lines, delimiter=delimiter))
    decimal = "."
    if delimiter != "," and any(COMMA_NUMBER.fullmatch(c) for row in rows for c in row):
        decimal = ","
    first = [cell.strip() for cell in rows[0]]
    has_header = header
    if header is None and len(first) > 1 and first == [str(j) for j in range(len(first))]:
        # a row, or what pandas writes above columns without names: a guess may spoil the fit
        raise DataError(
            f"{name}: the first line reads {delimiter.join(first[:4])}...: names of columns, or "
            "a row? Say header=True or header=False (--header or --no-header)"
        )
    if header is None:
        has_header = not all(_is_number(c, decimal) or c in MISSING for c in first)
    names = None
    if has_header:
        names = [first[0].removeprefix("#").lstrip(), *first[1:]]  # as np.savetxt writes it
    numeric = _numeric_columns(rows[has_header:], len(first), decimal)
    numeric = [j if names is None else names[j] for j in numeric]
    return Dialect(delimiter, decimal, has_header, names, len(first), len(lines[0]), blank, numeric)


def _numeric_columns(rows, n_columns, decimal):
    cells = [[row[j].strip() for row in rows if j < len(row)] for j in range(n_columns)]
    return [
        j for j, column in enumerate(cells)
        if all(_is_number(c, decimal) or c in MISSING for c in column)
    ]  # fmt: skip


def _head(path, name):
    packed = path.lower().endswith(".gz")
    with open(path, "rb") as raw:
        if not packed:
            return _whole_lines(raw)
        if not raw.peek(1):
            return b""
        try:
            with gzip.GzipFile(fileobj=raw) as file:
                return _whole_lines(file)
        except (OSError, EOFError, zlib.error) as error:
            raise gzip_error(name, error) from error


def _whole_lines(file):
    head = file.read(_HEAD_BYTES)
    if len(head) == _HEAD_BYTES:  # the first line as a whole, and no half line
        while b"\n" not in head and len(head) < 1 << 27:
            more = file.read(len(head))
            if not more:
                return head
            head += more
        head = head[: head.rfind(b"\n") + 1] or head
    return head


def gzip_error(name, error):
    return DataError(
        f"{name}: is not a complete gzip file ({error}); write or copy it again, or take .gz off "
        "its name if it is plain text"
    )


def _find_delimiter(lines):
    """The sign that splits all lines into equally many cells, most of them numbers."""
    scores = {}
    for sign in _DELIMITERS:
        rows = list(csv.reader(lines, delimiter=sign))
        width = len(rows[0])
        # A decimal comma splits as evenly as a comma between cells: other signs come first.
        clear = sign != "," and _mostly_numbers(rows)
        even = all(len(row) == width for row in rows)
        scores[sign] = (width > 1, even and clear, even, width)
    return max(_DELIMITERS, key=scores.get)  # the first of equals: a comma


def _mostly_numbers(rows):
    cells = [cell for row in rows[1:] or rows for cell in row]
    return sum(_is_number(c, ",") or _is_number(c, ".") for c in cells) * 2 > len(cells)


def _is_number(cell, decimal):
    try:
        float(cell if decimal == "." else cell.replace(",", "."))
    except ValueError:
        return False
    return "_" not in cell
