"""What the user says about the format of a text table; `sniff` guesses the rest."""

import re
from contextlib import suppress
from dataclasses import dataclass, fields
from numbers import Real

from ..errors import DataError

# Cells that stand for a missing value.
MISSING = ("", "NA", "N/A", "#N/A", "#NV", "na", "n/a", "NaN", "nan", "-nan", "-NaN", "NULL",
           "null", "None", "<NA>")  # fmt: skip
# What Excel writes for a value that it cannot compute, in several languages.
EXCEL_ERRORS = ("#N/A", "#NV", "#DIV/0!", "#VALUE!", "#WERT!", "#VALEUR!", "#REF!", "#BEZUG!",
                "#NAME?", "#NOM?", "#NUM!", "#ZAHL!", "#NOMBRE!", "#NULL!")  # fmt: skip
# Stands for runs of spaces and tabs, as in tables of fixed width.
BLANKS = " "
COMMA_NUMBER = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
# Thousands separators that are taken for one another; the first is on keyboards.
ALIKE = (" \xa0\u2009\u202f", "'\u2019")
# Words for signs that are hard to type.
_WORDS = {
    "tab": "\t",
    "\\t": "\t",
    "blank": BLANKS,
    "blanks": BLANKS,
    "space": BLANKS,
    "comma": ",",
    "point": ".",
    "semicolon": ";",
    "bar": "|",
}


@dataclass(frozen=True)
class Dialect:
    """What a user says about a file; None means guess.

    Parameters
    ----------
    delimiter : str, optional
        One character, or "tab", or "blanks" for runs of spaces and tabs.
    decimal, thousands : str, optional
        Decimal sign and thousands separator; "" for no separator.
    encoding : str, optional
    skip : int, optional
        Lines at the beginning that are not part of the table.
    comment : str, optional
        Lines that begin with it are left out; "" if no line is a comment.
    header : bool, optional
        Whether the first line holds names.
    na : str, number or sequence of them, optional
        Further cells that stand for a missing value.
    missing : {'error', 'drop'}, optional
        What to do with rows that miss a value. For every format.
    format : str, optional
        What the file is, whatever its name; see `paths`. For every format.

    Raises
    ------
    DataError
    """

    delimiter: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    skip: int | None = None
    comment: str | None = None
    header: bool | None = None
    na: tuple[str, ...] = ()
    missing: str | None = None
    format: str | None = None

    def __post_init__(self):
        for name in ("delimiter", "decimal", "thousands"):
            self._set(name, _sign(name, getattr(self, name)))
        na = () if self.na is None else self.na
        na = (na,) if isinstance(na, (str, Real)) else tuple(na)
        if not all(isinstance(token, (str, Real)) for token in na):
            raise DataError(f"na must be one or more words or numbers, not {self.na!r}")
        self._set("na", tuple(str(token) for token in na))
        self._check()

    def na_numbers(self):
        """The entries of `na` that are numbers, as floats."""
        found = []
        for token in self.na:
            with suppress(ValueError):
                found.append(float(token.replace(",", ".")))
        return found

    def given(self):
        """The options that may hold for other files, too, as JSON values."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value not in (None, ()) and name not in _OF_ONE_FILE
        }

    def grouping(self):
        """All characters accepted between thousands, as some look alike; "" if none is."""
        sign = self.thousands or ""
        return next((signs for signs in ALIKE if sign and sign in signs), sign)

    def _set(self, name, value):
        object.__setattr__(self, name, value)

    def _check(self):
        if self.decimal is not None and self.decimal == self.thousands:
            raise DataError(f"decimal and thousands are both {self.decimal!r}; they must differ")
        if self.decimal not in (None, ".", ","):
            raise DataError(f"decimal must be '.' or ',', not {self.decimal!r}")
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, TypeError, ValueError):
                raise DataError(
                    f"encoding {self.encoding!r} is not known; give one such as utf-8, latin-1, "
                    "cp1252 or utf-16"
                ) from None
        if self.skip is not None and not (type(self.skip) is int and self.skip >= 0):
            raise DataError(f"skip must be a number of lines, 0 or more, not {self.skip!r}")
        if self.comment is not None and not isinstance(self.comment, str):
            raise DataError(f"comment must be a sign such as '#', not {self.comment!r}")
        if self.missing not in (None, "error", "drop"):
            raise DataError(f"missing must be 'error' or 'drop', not {self.missing!r}")

    def text_only(self):
        """The given options that apply to text only."""
        both = ("missing", "format", "header")  # --header is accepted for any file
        given = [f.name for f in fields(self) if getattr(self, f.name) not in (None, ())]
        return [name for name in given if name not in both]


# Options that hold for one file only.
_OF_ONE_FILE = ("format",)
OPTIONS = tuple(field.name for field in fields(Dialect))


def _sign(name, value):
    if value is None or (value == "" and name == "thousands"):
        return None
    sign = _WORDS.get(value, value) if isinstance(value, str) else ""
    if len(sign) != 1 or sign in '"\r\n' or (name == "delimiter" and ord(sign) > 127):
        raise DataError(f"{name} must be one sign such as ';' or the word tab, not {value!r}")
    if sign.isalnum():
        raise DataError(f"{name} must not be a letter or a digit: {value!r}")
    return sign


def is_number(cell, decimal):
    """Whether a cell of a text is a number with that decimal sign."""
    if decimal == ",":
        if "." in cell or ("," in cell and not COMMA_NUMBER.fullmatch(cell)):
            return False
        cell = cell.replace(",", ".")
    try:
        float(cell)
    except ValueError:
        return False
    return cell.isascii() and "_" not in cell
