"""What a text table looks like: what a user did not say is guessed here, rule by rule.

`RULES` are asked in order, each may use what those before it found. A rule returns what is to be
said of its guess, or None where nothing was guessed.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from ..errors import DataError
from .dialect import BLANKS, MISSING
from .lines import one_tab, split_lines
from .unpack import read_start, without_packing

# As much of the head of a file as is looked at, and rows of it.
_HEAD_BYTES = 1 << 16
_HEAD_ROWS = 50
# In the order in which equals are taken.
_DELIMITERS = ",;\t|" + BLANKS
_COMMENTS = ("#", "%")
COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
_GROUPED = re.compile(r"[+-]?\d{1,3}([.,])\d{3}")
BOOLEANS = {"TRUE": True, "True": True, "true": True, "FALSE": False, "False": False,
            "false": False}  # fmt: skip
# Names that pandas gives to a column without one.
_NAMELESS = ("", "Unnamed: 0")


@dataclass
class Layout:
    """What is known of a text table once its head was looked at.

    Attributes
    ----------
    delimiter, decimal, encoding : str
    comment : str
        "" where no line is a comment.
    names : list of str or None
    n_columns : int
        In every row of numbers.
    head_bytes : int
        What stands before the first row of numbers.
    line_bytes : int
        Of the longest line that was seen.
    index : bool
        The first column names or counts the rows.
    empty_last : bool
        Every row ends with a delimiter.
    booleans : list of int
        Columns of TRUE and FALSE.
    numeric : list
        Names, or numbers, of columns that hold numbers only, in the first rows.
    said : dict of str -> Said
        By rule, what was guessed.
    """

    delimiter: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    comment: str = ""
    names: list[str] | None = None
    n_columns: int = 0
    head_bytes: int = 0
    line_bytes: int = 0
    index: bool = False
    empty_last: bool = False
    booleans: list[int] = field(default_factory=list)
    numeric: list = field(default_factory=list)
    said: dict = field(default_factory=dict)

    def columns(self):
        """The numbers of the columns that are read where nobody chooses."""
        return range(int(self.index), self.n_columns - self.empty_last)

    def note(self, chosen):
        """What was guessed that is not the plain case, or None; `chosen` columns need no guess."""
        said = {rule: s for rule, s in self.said.items() if not (chosen and rule == "index")}
        if all(s.plain for s in said.values()):
            return None
        shown = [rule for rule, s in said.items() if not s.plain]
        if {"delimiter", "decimal"} & set(shown):  # how the others were read depends on them
            shown = [r for r in said if r in shown or r in ("delimiter", "decimal", "header")]
        options = dict.fromkeys(said[rule].option for rule in shown)
        verb = "says" if len(options) == 1 else "say"
        return f"{', '.join(said[r].text for r in shown)}; {', '.join(options)} {verb} otherwise"


@dataclass(frozen=True)
class Said:
    """A guess in words, whether it is the plain case, and the option that overrules it."""

    text: str
    plain: bool
    option: str


@dataclass(frozen=True)
class Rule:
    """One thing that is guessed."""

    name: str
    option: str
    guess: Callable


class _Look(Layout):
    """The head of a file while it is looked at."""

    def __init__(self, path, name, given):
        super().__init__()
        self.name, self.given = name, given
        self.tabbed = without_packing(path).lower().endswith((".tsv", ".tab"))
        self.tabbed |= given.format == "tsv"
        self.head = read_start(path, name, _HEAD_BYTES)
        self.whole = len(self.head) < _HEAD_BYTES
        if not self.head:
            raise DataError(f"{name}: the file is empty; write a table of numbers to it")
        self.bom = b""
        self.lines = []  # of the table; text, and where in the file it ends: bytes, number
        self.comments = []  # before the table, likewise
        self.rows = []  # lists of cells
        self.short_names = False  # one name less than columns: those of R's rows have none

    def layout(self):
        found = {name: getattr(self, name) for name in Layout.__dataclass_fields__}
        return Layout(**found)

    def split(self, sign):
        """Rows of cells and, for each, the lines that were used up with it."""
        texts = [text for text, *_ in self.lines]
        if sign == BLANKS:
            texts = [one_tab(text.encode()).decode() for text in texts]
            sign = "\t"
        rows, used = [], []
        reader = csv.reader(texts, delimiter=sign, skipinitialspace=True)
        try:
            for row in reader:
                rows.append([cell.strip() for cell in row])
                used.append(reader.line_num)
        except csv.Error as error:
            raise DataError(f"{self.name}: cannot be read as a table ({error})") from error
        if len(rows) > 1 and not self.whole and used[-1] == len(texts):
            del rows[-1], used[-1]  # a quoted cell may go on behind the head
        return rows, used

    def below(self, j):
        """The cells of a column but for the first row."""
        return [row[j] for row in self.rows[1:] if j < len(row)]


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
    look = _Look(path, name, given)
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
        if number <= skip:
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
    given = look.given.delimiter
    signs = _DELIMITERS if given is None else given
    if look.tabbed:
        signs = "\t" + signs.replace("\t", "") if given is None else given
    split = {sign: look.split(sign) for sign in signs}
    best = max(signs, key=lambda sign: _evenness(split[sign][0], sign))
    look.delimiter = best
    look.rows, look.used = split[best]
    if given is not None:
        return None
    plain = best == ("\t" if look.tabbed else ",")
    one = max(len(row) for row in look.rows) == 1
    return "delimiter " + ("blanks" if best == BLANKS else repr(best)), plain or one


def _evenness(rows, sign):
    width = _width(rows)
    lead = next(i for i, row in enumerate(rows) if len(row) == width)
    even = all(len(row) == width for row in rows[lead:])
    # A decimal comma splits as evenly as a comma between cells: other signs come first.
    cells = [cell for row in rows[lead + 1 :] or rows[lead:] for cell in row]
    numbers = sum(_is_number(c, ",") or _is_number(c, ".") or c in BOOLEANS for c in cells)
    clear = sign != "," and even and numbers * 2 > len(cells)
    if sign == BLANKS:  # words and dates have blanks, too
        return width > 1 and even and numbers > 0, clear, False, 0
    return width > 1, clear, even, width


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
    numbers = [c for c in cells if sign in c and _is_number(c, sign)]
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
    if short and not all(_is_value(c, look) for c in rows[0]):
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


def _header(look):
    """The first line holds names if a cell of it is text above numbers."""
    rows, given = look.rows, look.given.header
    first, width = rows[0], look.n_columns
    is_header = _is_header(look) if given is None else given
    said = None
    if given is None:
        said = _header_said(look, is_header)
    names = _names_in_comments(look) if given is not False and not _texts_above(look) else None
    if names is not None:
        look.names = names
        n_lines = 0
        said = ("names in a comment", True) if given is None else None
        if len(look.comments) > 1:
            said = f"names in a comment, other lines with {look.comment!r} left out", False
    elif is_header:
        look.names = [""] * look.short_names + first
        look.names += [""] * (width - len(look.names))
        n_lines = look.used[0]
    else:
        n_lines = 0
    if names is None and look.comments and look.given.comment is None:
        comments = f"lines with {look.comment!r} left out"
        said = (comments if said is None else f"{comments}, {said[0]}"), False
    if n_lines:
        look.head_bytes = look.lines[n_lines - 1][1]
        del rows[0]
    return said


def _header_said(look, is_header):
    number = look.lines[0][2]
    if not is_header:
        return "no names in line 1" if number == 1 else "no names", False
    odd = next((c for c in look.rows[0] if _is_value(c, look) and c not in MISSING), None)
    text = f"names in line {number}"
    return (text if odd is None else f"{text} ({odd!r} is one)"), odd is None


def _is_header(look):
    first, rest = look.rows[0], look.rows[1:]
    if look.short_names:
        return True
    numbers = [str(j) for j in range(len(first))]
    if len(first) > 2 and first[0] == "" and first[1:] == numbers[:-1]:
        return True  # as pandas writes an index before columns without names
    if len(first) > 1 and first == numbers:
        _ask_header(look)
    texts = [j for j, cell in enumerate(first) if not _is_value(cell, look)]
    if not rest or not texts:
        return bool(texts)
    if _texts_above(look):
        return True
    if len(texts) == len([c for c in first if c not in MISSING]):
        # nothing but text: names, unless one of them comes again
        return not any(first[j] in look.below(j) for j in texts)
    if any(first[j] in look.below(j) for j in texts):
        return False
    others = [c for j, c in enumerate(first) if j not in texts and c not in MISSING]
    years = [int(c) for c in others if c.isascii() and c.isdigit() and 1000 <= int(c) <= 3000]
    if len(years) == len(others) > 1 and {b - a for a, b in pairwise(years)} == {1}:
        _ask_header(look)
    return False


def _ask_header(look):
    # a row, or what pandas writes above columns without names: a guess may spoil the fit
    shown = ("\t" if look.delimiter == BLANKS else look.delimiter).join(look.rows[0][:4])
    raise DataError(
        f"{look.name}: the first line reads {shown}...: names of columns, or a row? Say "
        "header=True or header=False (--header or --no-header)"
    )


def _texts_above(look):
    """Columns whose first cell is text, and those below are not."""
    found = []
    for j, cell in enumerate(look.rows[0]):
        below = [c for c in look.below(j + look.short_names) if c not in MISSING]
        if not _is_value(cell, look) and below and all(_is_value(c, look) for c in below):
            found.append(j)
    return found


def _names_in_comments(look):
    """Names in the first comment that splits as the rows do, as `numpy.savetxt` writes them."""
    sign = "\t" if look.delimiter == BLANKS else look.delimiter
    for text, *_ in look.comments:
        text = text.strip().removeprefix(look.comment).strip()
        if look.delimiter == BLANKS:
            text = one_tab(text.encode()).decode()
        cells = [cell.strip() for cell in next(csv.reader([text], delimiter=sign), [])]
        wide = len(cells) == look.n_columns - look.empty_last and all(cells)
        if wide and (len(cells) > 1 or (len(look.comments) == 1 and cells[0].isidentifier())):
            return cells + [""] * look.empty_last
    return None


def _index(look):
    """A first column without a name, which names or counts the rows."""
    names, n = look.names, look.n_columns - look.empty_last
    if names is None or n < 2 or names[0] not in _NAMELESS or not any(names[1:n]):
        return None
    cells = [row[0] for row in look.rows if row]
    if not cells:
        return None
    whole = all(c.isascii() and c.isdigit() for c in cells) and len(set(cells)) == len(cells)
    if not (whole or look.short_names or not any(_is_value(c, look) for c in cells)):
        return "first column kept, though it has no name", False
    look.index = True
    return f"first column left out (row {'numbers' if whole else 'names'})", False


def _kinds(look):
    """What columns hold: TRUE and FALSE, or numbers."""
    for j in range(look.n_columns):
        cells = [row[j] for row in look.rows if j < len(row)]
        full = [c for c in cells if c not in MISSING and c not in look.given.na]
        if full and all(c in BOOLEANS for c in full):
            look.booleans.append(j)
        elif not all(_is_value(c, look) for c in full):
            continue
        look.numeric.append(j if look.names is None else look.names[j])
    return None


RULES = (
    Rule("encoding", "--encoding", _encoding),
    Rule("comment", "--comment", _comment),
    Rule("delimiter", "--delimiter", _delimiter),
    Rule("decimal", "--decimal", _decimal),
    Rule("width", "--columns", _width_and_lead),
    Rule("header", "--header", _header),
    Rule("index", "--columns", _index),
    Rule("kinds", "--columns", _kinds),
)


def _is_value(cell, look):
    """Whether a cell is what can be read, or missing."""
    if look.given.thousands is not None:
        cell = cell.replace(look.given.thousands, "")
    known = cell in MISSING or cell in BOOLEANS or cell in look.given.na
    return known or _is_number(cell, look.decimal)


def _is_number(cell, decimal):
    if decimal == ",":
        if "." in cell or ("," in cell and not COMMA_NUMBER.fullmatch(cell)):
            return False
        cell = cell.replace(",", ".")
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
