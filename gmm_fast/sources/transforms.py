"""Put columns on another scale, so that data over decades or below zero looks more Gaussian.

Transforms have a text form, which `parse` reads and model files keep.
"""

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np

from ..errors import DataError
from .base import check_range, convert, piece_rows
from .columns import choose, quote_list
from .paths import require_package
from .wrapped import WrappedSource

KNOWN = "arcsinh:COFACTOR (150 for fluorescence, 5 for mass cytometry) or logicle[:T,W,M,A]"
# What flowutils returns if it finds no value.
_LOST = -1.0


@dataclass(frozen=True)
class Arcsinh:
    """asinh(x / cofactor)."""

    cofactor: float

    def __post_init__(self):
        if not 0 < self.cofactor < np.inf:
            raise DataError(f"the cofactor must be above 0, not {_shortest(self.cofactor)}")

    def __str__(self):
        return f"arcsinh:{_shortest(self.cofactor)}"

    def words(self, x="x"):
        """The formula, for a column named `x`."""
        return f"arcsinh({x} / {_shortest(self.cofactor)})"

    def label(self, name):
        """A short label for a column of that name."""
        return self.words(name)

    def check(self):
        """Raise `DataError` if a package is missing."""

    def forward(self, values):
        return np.arcsinh(values / self.cofactor)

    def inverse(self, values):
        return np.sinh(values) * self.cofactor


@dataclass(frozen=True)
class Logicle:
    """The logicle scale of Moore and Parks (2012), Cytometry A 81A(4), 273-277.

    `T` is the value at the top of the scale, 1; `M` is its width in decades, of which `W` are
    linear; `A` adds decades for negative values.
    """

    T: float = 262144.0
    W: float = 0.5
    M: float = 4.5
    A: float = 0.0

    def __post_init__(self):
        for holds, what in (
            (0 < self.T < np.inf and 0 < self.M < np.inf, "T and M must be above 0"),
            (0 <= self.W <= self.M / 2, "W must lie between 0 and M / 2"),
            (-self.W <= self.A <= self.M - 2 * self.W, "A must lie between -W and M - 2 W"),
        ):
            if not holds:
                raise DataError(what)

    def __str__(self):
        return f"logicle:{','.join(map(_shortest, astuple(self)))}"

    def words(self, x="x"):
        """As of `Arcsinh`."""
        return f"logicle({x}; {', '.join(f'{k}={_shortest(v)}' for k, v in vars(self).items())})"

    def label(self, name):
        """As of `Arcsinh`."""
        return f"logicle({name})"

    def check(self):
        """As of `Arcsinh`."""
        with require_package("the logicle scale", "flowutils", "fcs"):
            import flowutils.transforms  # noqa: F401 - checks that it is there

    def forward(self, values):
        from flowutils.transforms import logicle

        scaled = self._each(logicle, values)
        # flowutils maps NaN, infinity and values out of range to the same number; keep NaN and
        # infinity, and make the others infinite, which is refused with the row
        doubtful = scaled == _LOST
        if doubtful.any():
            x = values[doubtful]
            back = self.inverse(scaled[doubtful])
            lost = np.where(np.isfinite(x), np.copysign(np.inf, x), x)
            scaled[doubtful] = np.where(np.isclose(back, x), _LOST, lost)
        return scaled

    def inverse(self, values):
        from flowutils.transforms import logicle_inverse

        return self._each(logicle_inverse, values)

    def _each(self, function, values):
        flat = function(np.ravel(values), None, t=self.T, m=self.M, w=self.W, a=self.A)
        return flat.reshape(np.shape(values))


_KINDS = {"arcsinh": Arcsinh, "logicle": Logicle}


def parse(text):
    """A transform from its text, such as ``arcsinh:150`` or ``logicle:262144,0.5,4.5,0``.

    Raises
    ------
    DataError
        There is no such transform, or its parameters make no sense.
    """
    name, _, numbers = text.partition(":") if isinstance(text, str) else ("", "", "")
    kind = _KINDS.get(name.strip().lower())
    if kind is None:
        raise DataError(f"transform {text!r} is not known; give {KNOWN}")
    try:
        return kind(*(float(number) for number in numbers.split(",") if numbers.strip()))
    except (TypeError, ValueError) as error:
        why = error if isinstance(error, DataError) else "parameters must be numbers and commas"
        raise DataError(f"transform {text!r}: {why}; give {KNOWN}") from None


def parse_all(given):
    """Apply `parse` to every transform in the argument of `open_source`; columns are not checked.

    Parameters
    ----------
    given : str, mapping, sequence or None
        One for all columns; a mapping from columns; one or None for each column; or None.

    Raises
    ------
    DataError
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {column: parse(text) for column, text in given.items()}
    if isinstance(given, list | tuple):
        return [None if text is None else parse(text) for text in given]
    return parse(given)


def transform_source(source, given):
    """`source` with transformed columns.

    Parameters
    ----------
    source : Source
    given : transform, mapping, sequence or None
        From `parse_all`.

    Raises
    ------
    DataError
        There is no such column, one is given two transforms, or a package is missing.
    """
    each = _each_column(source, given)
    if all(transform is None for transform in each):
        return source
    for transform in dict.fromkeys(each):
        if transform is not None:
            transform.check()
    return TransformedSource(source, each)


def _each_column(source, given):
    """The transform of each column, or None."""
    d = source.n_features
    if isinstance(given, list):
        if len(given) != d:
            raise DataError(
                f"{source.name}: there are {len(given)} transforms for {d} columns; give one for "
                "each, or name columns"
            )
        return given
    if not isinstance(given, dict):
        return [given] * d
    each, asked = [None] * d, {}
    for column, transform in given.items():
        (j,) = choose([column], source.feature_names, d, f"{source.name}: transform")
        if j in asked:
            raise DataError(
                f"{source.name}: column {asked[j]!r} ({column!r}) is given two transforms, "
                f"{each[j]} and {transform}; give it one"
            )
        each[j], asked[j] = transform, column
    return each


def untransform(values, transforms):
    """Values on a model's scale, (n, d), converted back to the units of the data.

    Parameters
    ----------
    values : ndarray, shape (n, d), float64
    transforms : list of (str or None), or None
        One for each column.
    """
    if transforms is None:
        return values
    columns = [
        column if text is None else parse(text).inverse(column)
        for text, column in zip(transforms, values.T, strict=True)
    ]
    return np.stack(columns, axis=1)


def describe_transforms(transforms, names):
    """Say in words which columns went through which transform.

    Parameters
    ----------
    transforms : list of (str or None)
        One for each column.
    names : list of str or None
        Names of the columns.
    """
    if len(set(transforms)) == 1:
        return f"all columns through {parse(transforms[0]).words()}"
    parts = []
    for text in dict.fromkeys(t for t in transforms if t is not None):
        columns = [j for j, other in enumerate(transforms) if other == text]
        if names is None:
            which = f"column{'s' * (len(columns) > 1)} {quote_list(columns)}"
        else:
            which = quote_list(names[j] for j in columns)
        parts.append(f"{which} through {parse(text).words()}")
    return "; ".join(parts)


def axis_labels(names, transforms):
    """Axis labels of columns; None if `names` need no addition.

    Parameters
    ----------
    names : list of str or None
    transforms : list of (str or None), or None
        One for each column.
    """
    if transforms is None:
        return None
    names = [f"feature {j}" for j in range(len(transforms))] if names is None else names
    return [
        name if text is None else parse(text).label(name)
        for name, text in zip(names, transforms, strict=True)
    ]


def _shortest(number):
    """The shortest text that reads back as the same number."""
    return np.format_float_positional(number, trim="-")


class TransformedSource(WrappedSource):
    """A source with transformed columns, computed in float64.

    Parameters
    ----------
    source : Source
    each : list of (transform or None)
        One for each column.
    """

    def __init__(self, source, each):
        super().__init__(source)
        self.transforms = [None if t is None else str(t) for t in each]
        self._columns = {
            t: [j for j, other in enumerate(each) if other == t]
            for t in dict.fromkeys(each)
            if t is not None
        }
        # kernels compute in the same precision as without transforms
        narrow = source.dtype.kind == "f" and source.dtype.itemsize <= 4
        self.dtype = np.dtype("f4" if narrow else "f8")

    @property
    def notes(self):
        return *self.source.notes, describe_transforms(self.transforms, self.feature_names)

    @property
    def decoded(self):
        return True

    def read(self, start, stop, out, *, origin=None):
        check_range(self, start, stop, out)
        step = piece_rows(self, 8)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            rows = np.empty((last - first, self.n_features))
            self.source.read(first, last, rows)
            part = out[first - start : last - start]
            convert(self._transform(rows), part, origin, self.name, range(first, last))

    def gather(self, indices, out, *, origin=None):
        step = piece_rows(self, 8)
        for first in range(0, len(indices), step):
            part = indices[first : first + step]
            rows = np.empty((len(part), self.n_features))
            self.source.gather(part, rows)
            convert(self._transform(rows), out[first : first + step], origin, self.name, part)

    def _transform(self, rows):
        """Transform rows in float64, in place, and return them as `dtype`."""
        for transform, columns in self._columns.items():
            rows[:, columns] = transform.forward(rows[:, columns])
        return rows.astype(self.dtype, copy=False)
