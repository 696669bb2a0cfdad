"""The layout of a text table, and the head of a file from which it is guessed."""

import csv
import re
from dataclasses import dataclass, field

from ..errors import DataError
from .dialect import BLANKS, EXCEL_ERRORS, MISSING, is_number
from .firstpass import DecimalWatch
from .lines import one_tab, split_lines
from .unpack import read_start, without_packing

# Bytes at the beginning of a file that are examined.
HEAD_BYTES = 1 << 16
# Rules whose guesses do not matter if columns are chosen.
INDEXES = ("index", "counters")
# Text that is meant as a number: Fortran, complex, a bound, money, digits in groups of three.
_NEAR_NUMBER = re.compile(
    r"[<>≤≥~$€£]?\s*[+−-]?(\d+([.,]\d*)?|[.,]\d+)([dDeE][+−-]?\d+)?([+-][\d.,]+[ij]|\s*[€£])?"
    r"|[+-]?\d{1,3}([., '’\xa0\u2009\u202f]\d{3})+([.,]\d*)?"
)
BOOLEANS = {"TRUE": True, "True": True, "true": True, "FALSE": False, "False": False,
            "false": False}  # fmt: skip


@dataclass(frozen=True)
class Guess:
    """A guess in words, whether it is the plain case, and the option that overrides it."""

    text: str
    plain: bool
    option: str


@dataclass
class Layout:
    """What is known about a text table once its head has been examined.

    Attributes
    ----------
    delimiter, decimal, encoding : str
    comment : str
        "" if no line is a comment.
    names : list of str or None
    n_columns : int
        Of every row of numbers.
    head_bytes, head_lines : int
        Size of what comes before the first row of numbers.
    line_bytes : int
        Of the longest line seen.
    index : int
        How many columns at the beginning name or number the rows.
    empty_last : bool
        Every row ends with a delimiter.
    booleans : list of int
        Columns of TRUE and FALSE.
    numeric : list
        Names or numbers of the columns whose first cells are all numbers.
    mixed : list
        Names or numbers of the other columns of which at least half are numbers.
    table_line : int
        If the first rows are text above numbers, the line where the numbers begin; else 0.
    blank_end : bool
        There may be blank lines at the end, to be left out.
    watch : DecimalWatch or None
        Set while a guessed decimal sign may yet prove to be a thousands separator.
    newlines : bool
        Cells contain line breaks; found by reading, as are the next two.
    padded : bool
        Words that are not numbers have blanks around them.
    row_bytes : int
        Room that a long row needs, or 0.
    guesses : dict of str -> Guess
        The guess of each rule.
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
    guesses: dict = field(default_factory=dict)

    def columns(self):
        """The numbers of the columns that are read by default."""
        return range(self.index, self.n_columns - self.empty_last)

    def note(self, chosen):
        """The guesses that are not the plain case, or None; `chosen` columns need no guess."""
        guesses = {rule: s for rule, s in self.guesses.items() if not (chosen and rule in INDEXES)}
        if all(s.plain for s in guesses.values()):
            return None
        shown = [rule for rule, s in guesses.items() if not s.plain]
        if {"delimiter", "decimal"} & set(shown):  # the other guesses depend on them
            shown = [r for r in guesses if r in shown or r in ("delimiter", "decimal", "header")]
        options = dict.fromkeys(guesses[rule].option for rule in shown)
        verb = "says" if len(options) == 1 else "say"
        return f"{', '.join(guesses[r].text for r in shown)}; {', '.join(options)} {verb} otherwise"


class Look(Layout):
    """The head of a file while it is examined."""

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
        self.declared_delimiter = None  # by a first line "sep=;"
        self.lines = []  # of the table: text, and where it ends in the file, as bytes and number
        self.comments = []  # before the table, likewise
        self.rows = []  # lists of cells
        self.short_names = False  # one name too few, as R gives row names none

    def layout(self):
        found = {name: getattr(self, name) for name in Layout.__dataclass_fields__}
        return Layout(**found)

    def split(self, sign):
        """Rows of cells and, for each row, how many lines have been used up to its end."""
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
            del rows[-1], used[-1]  # a quoted cell may continue after the head
        return rows, used

    def below(self, j):
        """The cells of a column below the first row."""
        return [row[j] for row in self.rows[1:] if j < len(row)]


def is_value(cell, look):
    """Whether a cell can be read as a number or boolean, or stands for a missing value."""
    for sign in look.given.grouping():
        cell = cell.replace(sign, "")
    known = cell in MISSING or cell in BOOLEANS or cell in look.given.na
    return known or is_number(cell, look.decimal)


def is_text(cell, look):
    """Whether a cell is a word; not a number of any kind, nor a placeholder such as "?"."""
    if is_value(cell, look) or cell in EXCEL_ERRORS or _NEAR_NUMBER.fullmatch(cell):
        return False
    return any(sign.isalnum() for sign in cell)
