"""Advice on a cell of text that is not a number: what it may mean, and which option helps."""

import re
import unicodedata

from .columns import quote_list
from .dialect import ALIKE, EXCEL_ERRORS
from .layout import BOOLEANS

# Among so many first rows there may be lines that come before the table.
_FIRST_ROWS = 5
_LONGEST_WORD = 20
_COMMENT_SIGNS = ("#", "%", "//", "!")
# Numbers with digits in groups of three; captures the separator.
_GROUPS = re.compile(
    r"\s*[+-]?\d{1,3}(?:([., '\xa0\u2009\u202f\u2019])\d{3})(?:\1\d{3})*([.,]\d*)?\s*"
)
# A number, whatever its decimal sign.
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def on_cell(cell, row, label, layout):
    """Say what to do about text in a column of numbers, as a clause.

    Parameters
    ----------
    cell : str
    row : int
    label : str or int
        The name of the column, or its number.
    layout : Layout
    """
    good, advice = layout.numeric, []
    groups = _GROUPS.fullmatch(cell)
    if groups:
        advice.append(_on_groups(groups, layout))
    elif _NUMBER.fullmatch(cell):
        other = "," if layout.decimal == "." else "."
        if other in cell:
            advice.append(f"the decimal sign is {layout.decimal!r} here (--decimal '{other}')")
    elif odd := _odd_sign(cell):
        advice.append(f"the character {odd!r} (U+{ord(odd):04X}) is not part of a number")
    elif cell.strip() in EXCEL_ERRORS:
        advice.append(
            "it stands for a value that could not be computed: if that means missing, say "
            f"--na '{cell.strip()}' and --missing drop"
        )
    elif layout.comment and cell.startswith(layout.comment):
        advice.append("a comment must be a line of its own")
    elif cell.startswith(_COMMENT_SIGNS):
        advice.append("say which lines are comments (--comment)")
    elif cell.strip() in BOOLEANS:
        advice.append("a column holds numbers, or TRUE and FALSE, not both")
    elif cell == label:
        advice.append("the names are repeated there")
    elif _is_word(cell) and (label in {*good, *layout.mixed} or not any(map(str.isalnum, cell))):
        advice.append(f"if that means missing, say --na '{cell}' and --missing drop")
    if layout.table_line and row < _FIRST_ROWS:
        n = layout.table_line - 1
        advice.append(f"if the table begins in line {n + 1}, leave out what is before (--skip {n})")
    if good and len(good) < layout.n_columns:
        numeric = quote_list(good)
        advice.append(f"choose other columns with columns= (--columns); numeric are {numeric}")
    return "; ".join([*advice, "correct or remove such rows"])


def _on_groups(groups, layout):
    """Say what to do about a number in groups of three."""
    sign, decimal = groups[1], (groups[2] or "")[:1]
    option = next((signs[0] for signs in ALIKE if sign in signs), sign)
    shown = "" if sign.isascii() else f", U+{ord(sign):04X}"
    options = f'--thousands "{option}"' if option == "'" else f"--thousands '{option}'"
    if decimal and decimal != layout.decimal and sign not in ".,":  # these imply the decimal sign
        options += f" --decimal '{decimal}'"
    return f"name the thousands separator{shown} ({options})"


def _odd_sign(cell):
    """A character that only looks like part of a number, or None."""
    plain = unicodedata.normalize("NFKC", cell).replace("\u2212", "-").replace("\u2013", "-")
    odd = next((sign for sign in cell if not sign.isascii()), None)
    return odd if _NUMBER.fullmatch(plain) else None


def _is_word(cell):
    """Whether a cell may stand for a missing value: short, no digit at either end."""
    cell = cell.strip()
    return len(cell) <= _LONGEST_WORD and not (cell[:1].isdigit() or cell[-1:].isdigit())
