"""Guess the layout of a text table, as far as the user did not give it, rule by rule.

`RULES` run in order; each may use what those before it found. A rule returns its guess in words
and whether it is the plain case, or None if it guessed nothing.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import DataError
from .dialect import BLANKS, COMMA_NUMBER, MISSING, is_number
from .firstpass import DecimalWatch
from .headers import guess_header, guess_index
from .layout import BOOLEANS, HEAD_BYTES, Guess, Look, is_text, is_value
from .lines import Comments, WithoutEnd, split_lines
from .unpack import read_end

# Rows of the head that are examined.
_HEAD_ROWS = 50
# In order of preference among equals.
_DELIMITERS = ",;\t|" + BLANKS
# A first line that tells Excel the delimiter.
_SEP = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)
_COMMENTS = ("#", "%")
_RARE_COMMENTS = ("!", "//")
# Most rows of text before the numbers: units, types, repeated names.
_TEXT_ROWS = 5
# First bytes of files that are not text: what the file is, its ending, the command to unpack it.
_MAGIC = {
    b"\x1f\x8b": ("compressed by gzip", ".gz", "gzip -dc"),
    b"BZh": ("compressed by bzip2", ".bz2", "bzip2 -dc"),
    b"\xfd7zXZ\0": ("compressed by xz", ".xz", "xz -dc"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", ".zst", "zstd -dc"),
    b"PAR1": ("a Parquet file", ".parquet", ""),
    b"PK\3\4": ("a zip archive, as spreadsheets and .npz are", "", ""),
    b"\x93NUMPY": ("a file of numpy.save", ".npy", ""),
    b"\x89HDF": ("an HDF5 file", ".h5", ""),
    b"ARROW1": ("an Arrow file", ".arrow", ""),
    b"%PDF-": ("a PDF", "", ""),
}


@dataclass(frozen=True)
class Rule:
    """One guess, and the option that overrides it."""

    name: str
    option: str
    guess: Callable


def find_layout(path, name, given):
    """Guess the layout of a text table from its first lines.

    Parameters
    ----------
    path, name : str
        The path of the file, and its name in messages.
    given : Dialect
        What the user says.

    Returns
    -------
    Layout

    Raises
    ------
    DataError
        The file is empty, not text, or not compressed as its name says; lines before the table
        are not comments; the first line may hold names or numbers.
    """
    look = Look(path, name, given)
    for rule in RULES:
        found = rule.guess(look)
        if found is not None:
            text, plain = found
            look.guesses[rule.name] = Guess(text, plain, rule.option)
    look.blank_end = _may_end_blank(look, path)
    return look.layout()


def _may_end_blank(look, path):
    end = read_end(path, HEAD_BYTES) if look.encoding == "utf-8" else None
    if end is None:
        return True
    return WithoutEnd(look.delimiter).has_work(end, look.n_columns > 1)


# Rules -----------------------------------------------------------------------------------------

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# Encodings that write a byte order mark, and the same ones without it.
_WITHOUT_MARK = {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}


def _guess_encoding(look):
    """By the byte order mark; else UTF-8 if the head is valid, else Windows' form of Latin-1."""
    given, head = look.given.encoding, look.head
    _refuse_magic(look)
    bom, found = next(((b, e) for b, e in _BOMS if head.startswith(b)), (b"", None))
    if given is not None:
        kind = codecs.lookup(given).name
        kind = _WITHOUT_MARK.get(kind, kind)
        if found is None or found[:6] != kind[:6]:  # utf-16 alone does not tell the byte order
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
            look.encoding, text = kind, _decode(body, kind, look.whole)
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


def _refuse_magic(look):
    """Raise `DataError` for the bytes of another format, and name it."""
    found = next((found for magic, found in _MAGIC.items() if look.head.startswith(magic)), None)
    if found is None:
        return
    what, end, unpack = found
    stdin = look.name == "standard input"
    if stdin and unpack:
        advice = f"unpack it first ({unpack} FILE | gmm-fast ...)"
    elif stdin:
        advice = "standard input is read as text; write the data to a file and name that"
    elif end:
        advice = f"rename it to end in {end}"
    else:
        advice = "export the table to CSV"
    raise DataError(f"{look.name}: is {what}, not text; {advice}")


def _refuse_arff(look):
    """Raise `DataError` for a Weka file: a list of attributes with rows after it."""
    is_data = [line.strip().lower() == "@data" for line, *_ in look.lines]
    first = next((line for line, *_ in look.lines if not line.startswith("%")), "")
    if not first.lower().startswith("@relation"):
        return
    where = f"--skip {look.lines[is_data.index(True)][2]}" if True in is_data else "--skip N"
    raise DataError(
        f"{look.name}: is a Weka ARFF file; skip its lines up to @data: {where} --no-header "
        "--na '?'"
    )


def _decode(body, encoding, whole):
    """The text of whole lines; the last line of a head that was cut off is left out."""
    text = codecs.getincrementaldecoder(encoding)().decode(body, final=whole)
    if whole:
        return text.removesuffix("\x1a")
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
            look.declared_delimiter = found[1]
        if number <= skip or found:
            look.head_bytes, look.head_lines = at, number
        elif line.strip(" \t\r\n\x1a"):
            look.lines.append((line, at, number))
    if skip >= len(lines) and skip and not look.whole:
        raise DataError(f"{look.name}: skip={skip} (--skip) goes beyond its first lines")
    if not look.lines:
        what = f"only {len(lines)} lines, which --skip leaves out" if skip else "only empty lines"
        raise DataError(f"{look.name}: holds {what}; write a table of numbers to it")
    _refuse_arff(look)


def _guess_comment(look):
    """If the first lines begin with a comment sign, all lines that do are comments."""
    sign, first = look.given.comment, look.lines[0][0].lstrip(" \t")
    guessed = sign is None
    if guessed:
        sign = next((s for s in _COMMENTS if first.startswith(s)), "")
        if first[1:2] in tuple(",;\t|") and not any(
            line[0].startswith(sign) for line in look.lines[1:]
        ):
            sign = ""  # "#" is the name of a column that counts the rows
        _refuse_other_comment(look, first)
    if sign:
        is_comment = Comments(sign, guessed, _DELIMITERS).is_comment
        flags = [is_comment(line[0].encode()) for line in look.lines]
        n = flags.index(False) if False in flags else len(flags)
        look.comments, rest = look.lines[:n], look.lines[n:]
        look.lines = [line for line, c in zip(rest, flags[n:], strict=True) if not c]
        if not look.lines:
            raise DataError(
                f"{look.name}: its first lines all begin with {sign!r}; say that they are not "
                "comments (comment='', --comment ''), or how many to skip (--skip)"
            )
        if n:
            look.comment, (_, look.head_bytes, look.head_lines) = sign, look.comments[-1]
        elif not guessed:
            look.comment = sign
    if len(look.lines) > _HEAD_ROWS:
        del look.lines[_HEAD_ROWS:]
        look.whole = False
    return None  # reported by the rule for the header, as a comment may hold the names


def _refuse_other_comment(look, first):
    """Raise `DataError` for a first line that begins like a comment of some languages."""
    sign = next((sign for sign in _RARE_COMMENTS if first.startswith(sign)), None)
    if sign is not None and look.given.header is None:
        raise DataError(
            f"{look.name}: line {look.lines[0][2]} ({first.strip()[:40]!r}) begins with {sign!r}; "
            f"leave out such lines (comment={sign!r}, --comment '{sign}'), or say whether it holds "
            "names (--header or --no-header)"
        )


def _guess_delimiter(look):
    """The delimiter splits all lines into equally many cells, most of them numbers."""
    given = look.given.delimiter or look.declared_delimiter
    signs = _DELIMITERS if given is None else given
    if look.tabbed:
        signs = "\t" + signs.replace("\t", "") if given is None else given
    split = {sign: look.split(sign) for sign in signs}
    if given is None and any(_is_even(split[sign][0]) for sign in ";\t|"):
        # then blanks are inside cells, unless the cells are rows of numbers beside a text
        _, is_clear, *_ = _evenness(split[BLANKS][0], BLANKS)
        if not is_clear or any(_count_numbers(split[sign][0][1:]) for sign in ";\t|,"):
            signs = signs.replace(BLANKS, "")
    best = max(signs, key=lambda sign: _evenness(split[sign][0], sign))
    look.delimiter = best
    look.rows, look.used = split[best]
    if given is not None:
        return None
    plain = best == ("\t" if look.tabbed else ",")
    one = max(len(row) for row in look.rows) == 1
    return "delimiter " + ("blanks" if best == BLANKS else repr(best)), plain or one


def _is_even(rows):
    """Whether all lines, including the first, have the same number of cells, and several."""
    return len(rows[0]) > 1 and {len(row) for row in rows} == {len(rows[0])}


def _evenness(rows, sign):
    """A key that is larger for a sign that is more likely the delimiter."""
    width = _width(rows)
    lead = next(i for i, row in enumerate(rows) if len(row) == width)
    even = all(len(row) == width for row in rows[lead:])
    # A decimal comma splits as evenly as a comma between cells, so other signs come first.
    cells = [cell for row in rows[lead + 1 :] or rows[lead:] for cell in row]
    numbers = _count_numbers([cells])
    clear = sign != "," and even and numbers * 2 > len(cells)
    if sign == BLANKS:  # words and dates contain blanks, too, unless those are in quotes
        quoted = even and any(" " in cell and '"' not in cell for row in rows for cell in row)
        return width > 1 and even and numbers > 0, clear, False, quoted, 0
    # beside text there are few numbers: then the delimiter splits the first line evenly, too
    return width > 1, clear, _is_even(rows), even, width, sign != ","


def _count_numbers(rows):
    cells = (cell for row in rows for cell in row)
    return sum(is_number(c, ",") or is_number(c, ".") or c in BOOLEANS for c in cells)


def _width(rows):
    """The most common number of cells in a row; of equals the first."""
    return Counter(len(row) for row in rows).most_common(1)[0][0]


def _guess_decimal(look):
    """The decimal sign is a comma if a cell is a number only then."""
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
    if look.given.thousands is not None or look.delimiter == ",":
        return f"decimal {look.decimal!r}", look.decimal == "."  # commas separate cells
    look.watch = DecimalWatch(look.decimal, look.delimiter)
    for cell in cells:
        look.watch(cell.encode())
    return describe_decimal(look.decimal, look.watch)


def describe_decimal(sign, watch):
    """A decimal sign in words; with an example if it may be a thousands separator."""
    text = f"decimal {sign!r}"
    if watch.clear or watch.doubtful is None:
        return text, sign == "."
    read = float(watch.doubtful.replace(",", "."))
    return f"{text} ({watch.doubtful!r} is {read:.6g}, not thousands)", False


def _guess_width(look):
    """Find an empty last column and missing names; raise for lines before the table."""
    rows, width = look.rows, _width(look.rows)
    lead = next(i for i, row in enumerate(rows) if len(row) == width)
    look.n_columns = width
    short = lead == 1 and width > 1 and len(rows[0]) == width - 1
    if short and not all(is_value(c, look) for c in rows[0]):
        last = [row[-1] for row in rows[1:] if len(row) == width]
        if any(last):  # as R writes row names
            _refuse_comma(look)
            look.short_names = True
        else:
            look.empty_last = True
    elif lead == 1 and len(rows[0]) == width + 1 and rows[0][-1] == "":
        rows[0].pop()  # only the line of names ends with a delimiter
        return "empty last name left out", False
    elif lead:
        before, number = look.lines[0][0].strip()[:40], look.lines[look.used[lead - 1]][2]
        advice = (
            f"leave out what comes before the table with skip={number - 1} (--skip {number - 1})"
        )
        other = _even_delimiter(look)
        if any(len(look.split(sign)[0][0]) == width > 1 for sign in _DELIMITERS if sign != other):
            advice = f"use the same delimiter in it as in the other lines, or {advice}"
        if other is not None:
            advice = f"if {other!r} is the delimiter, say so (--delimiter {other!r}); else {advice}"
        raise DataError(
            f"{look.name}: line {look.lines[0][2]} ({before!r}) has {len(rows[0])} cells, lines "
            f"from {number} on have {width}; {advice}"
        )
    elif width > 1 and not any(row[width - 1] for row in rows if len(row) == width):
        look.empty_last = True
    if look.empty_last:
        return "empty last column left out", False
    return None


def _even_delimiter(look):
    """Another sign that splits all lines evenly, or None."""
    others = _DELIMITERS.replace(look.delimiter, "").replace(BLANKS, "")
    return next((sign for sign in others if _is_even(look.split(sign)[0])), None)


def _refuse_comma(look):
    """Raise `DataError` for one name above two cells: row names, or decimal commas?"""
    cells = [",".join(row) for row in look.rows[1:]]
    if look.delimiter == "," and all(c in MISSING or is_number(c, ",") for c in cells):
        example = next(c for c in cells if COMMA_NUMBER.fullmatch(c))
        raise DataError(
            f"{look.name}: line {look.lines[0][2]} has one cell, others have two, e.g. "
            f"{example!r}; is that a number (--delimiter ';' --decimal ',') or two (--skip "
            f"{look.lines[0][2]})?"
        )


def _guess_kinds(look):
    """Find columns of TRUE and FALSE, and columns of numbers."""
    for j in range(look.n_columns):
        cells = [row[j] for row in look.rows if j < len(row)]
        full = [c for c in cells if c not in MISSING and c not in look.given.na]
        if full and all(c in BOOLEANS for c in full):
            look.booleans.append(j)
        values = sum(is_value(c, look) for c in full)
        label = j if look.names is None else look.names[j]
        if values == len(full):
            look.numeric.append(label)
        elif values * 2 >= len(full):
            look.mixed.append(label)
    look.table_line = _table_line(look)
    return None


def _table_line(look):
    """The line where numbers begin in columns whose first rows are text; or 0."""
    rows = look.rows
    best, before = 0, _numeric(look, rows)
    for i in range(1, min(_TEXT_ROWS, len(rows) - 1) + 1):
        found = _numeric(look, rows[i:])
        above = [
            row[j] for j in found for row in rows[:i] if j < len(row) and row[j] not in MISSING
        ]
        texts = [is_text(cell, look) for cell in above]
        if len(found) > len(before) and texts and all(texts):
            best, before = i, found
    if not best:
        return 0
    while all(rows[best][j] in MISSING for j in before):  # ends: the columns have values
        best += 1
    header = len(look.used) - len(rows)
    return look.lines[look.used[best + header - 1]][2]


def _numeric(look, rows):
    """Columns that hold at least one value, and only numbers."""
    columns = ([row[j] for row in rows if j < len(row)] for j in range(look.n_columns))
    values = ([c for c in column if c not in MISSING] for column in columns)
    return [j for j, cells in enumerate(values) if cells and all(is_value(c, look) for c in cells)]


RULES = (
    Rule("encoding", "--encoding", _guess_encoding),
    Rule("comment", "--comment", _guess_comment),
    Rule("delimiter", "--delimiter", _guess_delimiter),
    Rule("decimal", "--decimal", _guess_decimal),
    Rule("width", "--columns", _guess_width),
    Rule("header", "--header", guess_header),
    Rule("index", "--columns", guess_index),
    Rule("kinds", "--columns", _guess_kinds),
)
