"""Rules for `sniff`: does the first line hold names, and does the first column number the rows?"""

import csv
import re
from itertools import pairwise

from ..errors import DataError
from .dialect import BLANKS, MISSING
from .layout import is_text, is_value
from .lines import one_tab

# Names that pandas, readr and R give to a column without a name, or to row names.
_NAMELESS = re.compile(r"|Unnamed: \d+(_level_\d+)?(\.\d+)*|\.\.\.1|row[._ ]?names?", re.IGNORECASE)
# From so many words on, text is a sentence and not a name.
_SENTENCE = 5


def guess_header(look):
    """Guess whether the first line holds names: it does if text stands above numbers."""
    rows, given = look.rows, look.given.header
    first, width = rows[0], look.n_columns
    names, guess, n_lines = _names_in_comments(look), None, 0
    is_header = given
    if given is None and names is None:
        is_header = _is_header(look)
        guess = _describe_header(look, is_header)
    if names is not None:
        look.names = names
        if given is None:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            guess = f"names in a comment ({shown})", False
    elif is_header:
        look.names = [""] * look.short_names + first
        look.names += [""] * (width - len(look.names))
        n_lines = look.used[0]
    if look.comments and look.given.comment is None and (names is None or len(look.comments) > 1):
        comments = f"lines with {look.comment!r} left out{_row_among(look)}"
        guess = (comments if guess is None else f"{comments}, {guess[0]}"), False
    if n_lines:
        _, look.head_bytes, look.head_lines = look.lines[n_lines - 1]
        del rows[0]
    return guess


def _row_among(look):
    """A remark on a comment before the table that may be a row of it, or ""."""
    for text, *_ in look.comments:
        text = text.strip()
        cells = _cells(text.removeprefix(look.comment).strip(), look)
        if len(cells) == look.n_columns > 1 and all(is_value(c, look) for c in cells):
            return f" (one is {text[:40]!r})"
    return ""


def _describe_header(look, is_header):
    number = look.lines[0][2]
    if not is_header:
        return "no names in line 1" if number == 1 else "no names", False
    odd = next((c for c in look.rows[0] if is_value(c, look) and c not in MISSING), None)
    text = f"names in line {number}" + ("" if odd is None else f" ({odd!r} is one)")
    padded = _padded_name(look)
    if padded is not None:
        text += f", without blanks at their ends ({padded!r})"
    return text, odd is None and padded is None


def _padded_name(look):
    """A name with blanks at either end, or None."""
    if look.delimiter == BLANKS:
        return None
    texts = [text.rstrip("\r\n") for text, *_ in look.lines[: look.used[0]]]
    names = next(csv.reader(texts, delimiter=look.delimiter, skipinitialspace=True))
    return next((name for name in names if name.strip() and name != name.strip()), None)


def _is_header(look):
    first, rest = look.rows[0], look.rows[1:]
    if look.short_names:
        return True
    numbers = [str(j) for j in range(len(first))]
    if len(first) > 2 and first[0] == "" and first[1:] == numbers[:-1]:
        return True  # as pandas writes an index before columns without names
    if len(first) > 1 and first == numbers:
        _ask_header(look)
    if len(first) > 1 and first[0] == "" and all(first[1:]) and _names_rows(look):
        return True  # as pandas writes an index above columns named by numbers
    texts = [j for j, cell in enumerate(first) if is_text(cell, look)]
    if not rest or not texts:
        return bool(texts)
    if _texts_above(look):
        if any(is_value(c, look) and not c.isalnum() and c not in MISSING for c in first):
            _ask_header(look)  # a name is hardly a fraction
        return True
    if len(texts) == len([c for c in first if c not in MISSING]):
        # only text: names, unless one of them occurs again below
        return not any(first[j] in look.below(j) for j in texts)
    if any(first[j] in look.below(j) for j in texts):
        return False
    others = [c for j, c in enumerate(first) if j not in texts and c not in MISSING]
    years = [int(c) for c in others if c.isascii() and c.isdigit() and 1000 <= int(c) <= 3000]
    if len(years) == len(others) > 1 and len({b - a for a, b in pairwise(years)}) == 1:
        _ask_header(look)
    return False


def _names_rows(look):
    """Whether the cells below the first one are text, or number the rows."""
    below = look.below(0)
    counts = [[str(i + start) for i in range(len(below))] for start in (0, 1)]
    return below in counts or (below and not any(is_value(c, look) for c in below))


def _ask_header(look):
    # a row, or what pandas writes above unnamed columns: a wrong guess would spoil the fit
    shown = ("\t" if look.delimiter == BLANKS else look.delimiter).join(look.rows[0][:4])
    raise DataError(
        f"{look.name}: the first line reads {shown}...: column names, or a row? Say header=True "
        "or header=False (--header or --no-header)"
    )


def _texts_above(look):
    """Columns whose first cell is text and whose other cells are values."""
    found = []
    for j, cell in enumerate(look.rows[0]):
        below = [c for c in look.below(j + look.short_names) if c not in MISSING]
        if is_text(cell, look) and below and all(is_value(c, look) for c in below):
            found.append(j)
    return found


def _names_in_comments(look):
    """Names in the comments before the table, as `numpy.savetxt` writes them, or None.

    They are in the last comment whose cells can be names; comments after it must split into as
    many cells, as units do.
    """
    given = look.given.header
    values = [c for c in look.rows[0] if is_value(c, look) and c not in MISSING]
    if given is False or (not values and (given or _texts_above(look))):
        return None
    for text, *_ in reversed(look.comments):
        text = text.strip().removeprefix(look.comment)
        cells = _cells(text.strip(), look)
        if len(cells) != look.n_columns - look.empty_last or not all(cells):
            return None
        if (given and len(cells) > 1) or _are_names(text, cells, look):
            return cells + [""] * look.empty_last
    return None


def _cells(text, look):
    if look.delimiter == BLANKS:
        text = one_tab(text.encode()).decode()
    sign = "\t" if look.delimiter == BLANKS else look.delimiter
    return [cell.strip() for cell in next(csv.reader([text], delimiter=sign), [])]


def _are_names(text, cells, look):
    """Whether the cells of a comment are column names, not words of a sentence."""
    if len(cells) == 1:
        return len(look.comments) == 1 and cells[0].isidentifier()
    if look.delimiter == "," and ", " in text and ", " not in look.lines[0][0]:
        return False
    words = all(
        any(sign.isalpha() for sign in c) and c[-1] not in ".:!?" and ": " not in c for c in cells
    ) and all(len(c.split()) < _SENTENCE for c in cells)
    return words and len(set(cells)) == len(cells) and not any(is_value(c, look) for c in cells)


def guess_index(look):
    """Guess whether unnamed columns at the beginning name or number the rows."""
    names, n = look.names, look.n_columns - look.empty_last
    if names is None:
        return None
    nameless = [_NAMELESS.fullmatch(name) is not None for name in names[:n]]
    lead = nameless.index(False) if False in nameless else n
    if not 0 < lead < n or not look.rows or not any(names[lead:n]):
        return None
    for m in range(lead, 0, -1):
        kind = _kind_of_index(look, m)
        if kind is not None:
            look.index = m
            which = "first column" if m == 1 else f"first {m} columns"
            more = ", another without a name kept" if m < lead else ""
            more += f", line {look.lines[0][2]} names one less" if look.short_names else ""
            return f"{which} left out ({kind}){more}", False
    return "first column kept, though it has no name", False


def _kind_of_index(look, m):
    """How the first `m` columns label the rows, in words, or None."""
    columns = [[row[j] for row in look.rows if j < len(row)] for j in range(m)]
    numbers = [all(c.isascii() and c.isdigit() for c in cells) for cells in columns]
    texts = [not any(is_value(c, look) for c in cells) for cells in columns]
    single = [len(set(cells)) == len(cells) for cells in columns]
    if all(n and s for n, s in zip(numbers, single, strict=True)):
        return "row numbers"
    if all(texts) or (m == 1 and look.short_names):
        return "row names"
    levels = all(n or t for n, t in zip(numbers, texts, strict=True))
    if m > 1 and levels and len(set(zip(*columns, strict=False))) == len(look.rows):
        return f"an index of {m} levels"
    return None
