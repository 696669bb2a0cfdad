"""What is known of a text table, and its head while it is looked at."""

import csv
import re
from dataclasses import dataclass, field

from ..errors import DataError
from .dialect import BLANKS, EXCEL_ERRORS, MISSING
from .lines import one_tab, split_lines
from .passed import DecimalWatch
from .unpack import read_start, without_packing

# As much of the head of a file as is looked at.
HEAD_BYTES = 1 << 16
# Rules whose guesses do not count where columns are chosen.
INDEXES = ("index", "counters")
COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
# What is meant as a number: of Fortran, complex, bounds, money, in groups of three.
_NEAR_NUMBER = re.compile(
    r"[<>≤≥~$€£]?\s*[+−-]?(\d+([.,]\d*)?|[.,]\d+)([dDeE][+−-]?\d+)?([+-][\d.,]+[ij]|\s*[€£])?"
    r"|[+-]?\d{1,3}([., '’\xa0\u2009\u202f]\d{3})+([.,]\d*)?"
)
BOOLEANS = {"TRUE": True, "True": True, "true": True, "FALSE": False, "False": False,
            "false": False}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """A guess in words, whether it is the plain case, and the option that overrules it."""

    text: str
    plain: bool
    option: str


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
    head_bytes, head_lines : int
        What stands before the first row of numbers.
    line_bytes : int
        Of the longest line that was seen.
    index : int
        How many columns at the beginning name or count the rows.
    empty_last : bool
        Every row ends with a delimiter.
    booleans : list of int
        Columns of TRUE and FALSE.
    numeric : list
        Names, or numbers, of columns that hold numbers only, in the first rows.
    mixed : list
        Of those that hold numbers in half of them.
    table_line : int
        Where the first rows are text above numbers: the line from which on they are numbers; or 0.
    blank_end : bool
        There are, or may be, blank lines to be left out at the end.
    watch : DecimalWatch or None
        Where the decimal sign was guessed, and may be one of thousands.
    newlines : bool
        There are line breaks within cells; found out by reading, as are the next two.
    padded : bool
        There are blanks around words that are no numbers.
    row_bytes : int
        That a row may take, where that is much.
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
    head_lines: int = 0
    line_bytes: int = 0
    index: int = 0
    empty_last: bool = False
    booleans: list[int] = field(default_factory=list)
    numeric: list = field(default_factory=list)
    mixed: list = field(default_factory=list)
    table_line: int = 0
    blank_end: bool = False
    watch: DecimalWatch | None = None
    newlines: bool = False
    padded: bool = False
    row_bytes: int = 0
    said: dict = field(default_factory=dict)

    def columns(self):
        """The numbers of the columns that are read where nobody chooses."""
        return range(self.index, self.n_columns - self.empty_last)

    def note(self, chosen):
        """What was guessed that is not the plain case, or None; `chosen` columns need no guess."""
        said = {rule: s for rule, s in self.said.items() if not (chosen and rule in INDEXES)}
        if all(s.plain for s in said.values()):
            return None
        shown = [rule for rule, s in said.items() if not s.plain]
        if {"delimiter", "decimal"} & set(shown):  # how the others were read depends on them
            shown = [r for r in said if r in shown or r in ("delimiter", "decimal", "header")]
        options = dict.fromkeys(said[rule].option for rule in shown)
        verb = "says" if len(options) == 1 else "say"
        return f"{', '.join(said[r].text for r in shown)}; {', '.join(options)} {verb} otherwise"


class Look(Layout):
    """The head of a file while it is looked at."""

    def __init__(self, path, name, given):
        super().__init__()
        self.name, self.given = name, given
        self.tabbed = without_packing(path).lower().endswith((".tsv", ".tab"))
        self.tabbed |= given.format == "tsv"
        self.head = read_start(path, name, HEAD_BYTES)
        self.whole = len(self.head) < HEAD_BYTES
        if not self.head:
            raise DataError(f"{name}: the file is empty; write a table of numbers to it")
        self.bom = b""
        self.told_delimiter = None  # by the file
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
            texts = split_lines(one_tab("".join(texts).encode()).decode())
            sign = "\t"
        if not any(sign in text or '"' in text for text in texts):
            return [[text.strip()] for text in texts], list(range(1, len(texts) + 1))
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


def is_value(cell, look):
    """Whether a cell is what can be read, or missing."""
    for sign in look.given.grouping():
        cell = cell.replace(sign, "")
    known = cell in MISSING or cell in BOOLEANS or cell in look.given.na
    return known or is_number(cell, look.decimal)


def is_text(cell, look):
    """Whether a cell is a word, and no sign of a missing value such as "?"."""
    if is_value(cell, look) or cell in EXCEL_ERRORS or _NEAR_NUMBER.fullmatch(cell):
        return False
    return any(sign.isalnum() for sign in cell)


def is_number(cell, decimal):
    if decimal == ",":
        if "." in cell or ("," in cell and not COMMA_NUMBER.fullmatch(cell)):
            return False
        cell = cell.replace(",", ".")
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell
