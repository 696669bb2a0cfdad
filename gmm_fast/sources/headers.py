"""Rules for `sniff`: whether the first line holds names, the first column numbers of rows."""

import csv
from itertools import pairwise

from ..errors import DataError
from .dialect import BLANKS, MISSING
from .layout import is_value
from .lines import one_tab

# Names that pandas gives to a column without one.
_NAMELESS = ("", "Unnamed: 0")


def header(look):
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
    odd = next((c for c in look.rows[0] if is_value(c, look) and c not in MISSING), None)
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
    if len(first) > 1 and first[0] == "" and all(first[1:]) and _names_rows(look):
        return True  # as pandas writes an index above columns named by numbers
    texts = [j for j, cell in enumerate(first) if _is_text(cell, look)]
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
    if len(years) == len(others) > 1 and len({b - a for a, b in pairwise(years)}) == 1:
        _ask_header(look)
    return False


def _is_text(cell, look):
    """Whether a cell is a word, and no sign of a missing value such as "?"."""
    return not is_value(cell, look) and any(sign.isalnum() for sign in cell)


def _names_rows(look):
    """Whether the cells below the first one are text, or numbers of rows."""
    below = look.below(0)
    counts = [[str(i + start) for i in range(len(below))] for start in (0, 1)]
    return below in counts or (below and not any(is_value(c, look) for c in below))


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
        if _is_text(cell, look) and below and all(is_value(c, look) for c in below):
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


def index(look):
    """A first column without a name, which names or counts the rows."""
    names, n = look.names, look.n_columns - look.empty_last
    if names is None or n < 2 or names[0] not in _NAMELESS or not any(names[1:n]):
        return None
    cells = [row[0] for row in look.rows if row]
    if not cells:
        return None
    whole = all(c.isascii() and c.isdigit() for c in cells) and len(set(cells)) == len(cells)
    if not (whole or look.short_names or not any(is_value(c, look) for c in cells)):
        return "first column kept, though it has no name", False
    look.index = True
    return f"first column left out (row {'numbers' if whole else 'names'})", False
