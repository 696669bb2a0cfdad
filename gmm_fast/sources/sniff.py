"""What a text table looks like: what a user did not say is guessed here, rule by rule.

`RULES` are asked in order, each may use what those before it found. A rule returns what is to be
said of its guess, or None where nothing was guessed.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import DataError
from .dialect import BLANKS, MISSING
from .headers import header, index
from .layout import BOOLEANS, COMMA_NUMBER, Look, Said, is_number, is_value
from .lines import split_lines

# Rows of the head that are looked at.
_HEAD_ROWS = 50
# In the order in which equals are taken.
_DELIMITERS = ",;\t|" + BLANKS
# A first line by which Excel is told the delimiter.
_SEP = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)
_COMMENTS = ("#", "%")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([.,])\d{3}")


@dataclass(frozen=True)
class Rule:
    """One thing that is guessed."""

    name: str
    option: str
    guess: Callable


def find_layout(path, name, given):
    """Look at the first lines of a text table.

    Parameters
    ----------
    path, name : str
        Where the file is, and what messages call it.
    given : Dialect
        What the user says.

    Returns
    -------
    Layout

    Raises
    ------
    DataError
        The file is empty, not text, or not packed as its name announces; lines before the table
        that are no comments; a first line that may be names as well as numbers.
    """
    look = Look(path, name, given)
    for rule in RULES:
        found = rule.guess(look)
        if found is not None:
            text, plain = found
            look.said[rule.name] = Said(text, plain, rule.option)
    return look.layout()


# Rules -----------------------------------------------------------------------------------------

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# Encodings that would write a mark before every piece of text.
_WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


def _encoding(look):
    """A byte order mark, else UTF-8 where the head is, else Latin-1 as Windows extends it."""
    given, head = look.given.encoding, look.head
    bom, found = next(((b, e) for b, e in _BOMS if head.startswith(b)), (b"", None))
    if given is not None:
        kind = codecs.lookup(given).name
        kind = _WITHOUT_MARK.get(kind, kind)
        if found is None or found[:6] != kind[:6]:  # utf-16 alone says not in which order
            bom, found = b"", kind
    if found is None and b"\0" in head:
        raise DataError(
            f"{look.name}: is not text in UTF-8; save it as CSV in UTF-8, or name its encoding "
            "(--encoding, e.g. utf-16)"
        )
    look.bom, body = bom, head[len(bom) :]
    kinds = [found] if found is not None else ["utf-8", "cp1252", "latin-1"]
    for kind in kinds:
        try:
            look.encoding, text = kind, _decoded(body, kind, look.whole)
            break
        except UnicodeError as error:
            if kind == kinds[-1]:
                raise DataError(
                    f"{look.name}: is not text in {kind} ({error}); name its encoding "
                    "(--encoding, e.g. latin-1)"
                ) from error
    _take_lines(look, text)
    if given is not None:
        return None
    shown = "latin-1" if look.encoding == "cp1252" else look.encoding
    return f"encoding {shown}", look.encoding == "utf-8"


def _decoded(body, encoding, whole):
    """The text of whole lines; the last line of a head that was cut is left out."""
    text = codecs.getincrementaldecoder(encoding)().decode(body, final=whole)
    if whole:
        return text
    cut = max(text.rfind("\n"), text.rfind("\r", 0, -1)) + 1
    return text[:cut] if cut else text


def _take_lines(look, text):
    at, skip = len(look.bom), look.given.skip or 0
    look.head_bytes = at
    lines = split_lines(text)
    for number, line in enumerate(lines, 1):
        size = len(line.encode(look.encoding))
        at += size
        look.line_bytes = max(look.line_bytes, size)
        found = _SEP.fullmatch(line.strip("\r\n")) if number == skip + 1 else None
        if found:
            look.told_delimiter = found[1]
        if number <= skip or found:
            look.head_bytes = at
        elif line.strip("\r\n"):
            look.lines.append((line, at, number))
    if skip >= len(lines) and skip and not look.whole:
        raise DataError(f"{look.name}: skip={skip} (--skip) goes beyond its first lines")
    if not look.lines:
        what = f"only {len(lines)} lines, which --skip leaves out" if skip else "empty lines only"
        raise DataError(f"{look.name}: holds {what}; write a table of numbers to it")


def _comment(look):
    """Lines that begin with the sign of a comment before the table, and everywhere then."""
    sign, first = look.given.comment, look.lines[0][0].lstrip(" \t")
    if sign is None:
        sign = next((s for s in _COMMENTS if first.startswith(s)), "")
        if first[1:2] in tuple(",;\t|") and not any(
            line[0].startswith(sign) for line in look.lines[1:]
        ):
            sign = ""  # the name of a column that counts the rows
    look.comment = sign
    if sign:
        is_comment = [line[0].lstrip(" \t").startswith(sign) for line in look.lines]
        n = is_comment.index(False) if False in is_comment else len(is_comment)
        look.comments, rest = look.lines[:n], look.lines[n:]
        look.lines = [line for line, c in zip(rest, is_comment[n:], strict=True) if not c]
        if not look.lines:
            raise DataError(
                f"{look.name}: its first lines all begin with {sign!r}; say that these are no "
                "comments (comment='', --comment ''), or how many to skip (--skip)"
            )
        look.head_bytes = look.comments[-1][1] if n else look.head_bytes
    del look.lines[_HEAD_ROWS:]
    return None  # `_header` says it, for a comment may hold the names


def _delimiter(look):
    """The sign that splits the lines into equally many cells, most of them numbers."""
    given = look.given.delimiter or look.told_delimiter
    signs = _DELIMITERS if given is None else given
    if look.tabbed:
        signs = "\t" + signs.replace("\t", "") if given is None else given
    split = {sign: look.split(sign) for sign in signs}
    if given is None and any(_is_even(split[sign][0]) for sign in ";\t|"):
        signs = signs.replace(BLANKS, "")  # blanks are within cells then
    best = max(signs, key=lambda sign: _evenness(split[sign][0], sign))
    look.delimiter = best
    look.rows, look.used = split[best]
    if given is not None:
        return None
    plain = best == ("\t" if look.tabbed else ",")
    one = max(len(row) for row in look.rows) == 1
    return "delimiter " + ("blanks" if best == BLANKS else repr(best)), plain or one


def _is_even(rows):
    """Whether all lines, the first one too, have as many cells, and several."""
    return len(rows[0]) > 1 and {len(row) for row in rows} == {len(rows[0])}


def _evenness(rows, sign):
    width = _width(rows)
    lead = next(i for i, row in enumerate(rows) if len(row) == width)
    even = all(len(row) == width for row in rows[lead:])
    # A decimal comma splits as evenly as a comma between cells: other signs come first.
    cells = [cell for row in rows[lead + 1 :] or rows[lead:] for cell in row]
    numbers = sum(is_number(c, ",") or is_number(c, ".") or c in BOOLEANS for c in cells)
    clear = sign != "," and even and numbers * 2 > len(cells)
    if sign == BLANKS:  # words and dates have blanks, too
        return width > 1 and even and numbers > 0, clear, False, False, 0
    # so they do beside text, which leaves few numbers: one sign splits the first line, too
    return width > 1, clear, _is_even(rows), even, width, sign != ","


def _width(rows):
    """How many cells most rows have; the first of equals."""
    return Counter(len(row) for row in rows).most_common(1)[0][0]


def _decimal(look):
    """A comma, where a cell is a number only then."""
    if look.given.decimal is not None:
        look.decimal = look.given.decimal
        return None
    cells = [cell for row in look.rows for cell in row]
    if look.given.thousands == ",":
        look.decimal = "."
    elif look.given.thousands == "." or (
        look.delimiter != "," and any(COMMA_NUMBER.fullmatch(cell) for cell in cells)
    ):
        look.decimal = ","
    return decimal_said(look.decimal, cells)


def decimal_said(sign, cells=()):
    """What is said of a decimal sign; that it is one, where it could be one of thousands."""
    numbers = [c for c in cells if sign in c and is_number(c, sign)]
    doubtful = numbers and all(_GROUPED.fullmatch(c) for c in numbers)
    text = f"decimal {sign!r}"
    if doubtful:
        read = numbers[0].replace(",", ".")
        text += f" ({numbers[0]!r} is {float(read):.6g}, not thousands)"
    return text, sign == "."


def _width_and_lead(look):
    """Lines before the table, which are asked about; empty last cells."""
    rows, width = look.rows, _width(look.rows)
    lead = next(i for i, row in enumerate(rows) if len(row) == width)
    look.n_columns = width
    short = lead == 1 and width > 1 and len(rows[0]) == width - 1
    if short and not all(is_value(c, look) for c in rows[0]):
        last = [row[-1] for row in rows[1:] if len(row) == width]
        if any(last):  # as R writes names of rows
            _refuse_comma(look)
            look.short_names = True
        else:
            look.empty_last = True
    elif lead:
        before, number = look.lines[0][0].strip()[:40], look.lines[look.used[lead - 1]][2]
        raise DataError(
            f"{look.name}: line {look.lines[0][2]} ({before!r}) has {len(rows[0])} cells, those "
            f"from line {number} on have {width}; leave out what stands before the table with "
            f"skip={number - 1} (--skip {number - 1})"
        )
    elif width > 1 and not any(row[width - 1] for row in rows if len(row) == width):
        look.empty_last = True
    if look.empty_last:
        return "empty last column left out", False
    return None


def _refuse_comma(look):
    """One name above two cells: names of rows, or decimal commas."""
    cells = [",".join(row) for row in look.rows[1:]]
    if look.delimiter == "," and all(COMMA_NUMBER.fullmatch(c) for c in cells):
        raise DataError(
            f"{look.name}: line {look.lines[0][2]} has one cell, the next have two, e.g. "
            f"{cells[0]!r}; is that a number (--delimiter ';' --decimal ',') or two (--skip "
            f"{look.lines[0][2]})?"
        )


def _kinds(look):
    """What columns hold: TRUE and FALSE, or numbers."""
    for j in range(look.n_columns):
        cells = [row[j] for row in look.rows if j < len(row)]
        full = [c for c in cells if c not in MISSING and c not in look.given.na]
        if full and all(c in BOOLEANS for c in full):
            look.booleans.append(j)
        elif not all(is_value(c, look) for c in full):
            continue
        look.numeric.append(j if look.names is None else look.names[j])
    return None


RULES = (
    Rule("encoding", "--encoding", _encoding),
    Rule("comment", "--comment", _comment),
    Rule("delimiter", "--delimiter", _delimiter),
    Rule("decimal", "--decimal", _decimal),
    Rule("width", "--columns", _width_and_lead),
    Rule("header", "--header", header),
    Rule("index", "--columns", index),
    Rule("kinds", "--columns", _kinds),
)
