"""Records how the data of a fit was read, so that the model reads the next file the same way."""

import os
import warnings
from dataclasses import dataclass, field

from .. import fitting
from ..errors import DataError
from ..sources import (
    NotTextError,
    axis_labels,
    describe_transforms,
    files_of,
    parse_all,
    transform_source,
    written_of,
)
from ..sources.columns import quote_list
from ..sources.dialect import is_number
from .feature_names import open_fitted, open_named

# Options of the fit's file that also apply to files that are not text.
_OF_ALL = ("missing",)
# Options whose absence cannot be detected in a file.
_SILENT = ("na", "thousands")
# How the properties of a text file are worded, by property and value.
_WORDS = {
    ("header", True): "names",
    ("header", False): "no names",
    ("index", True): "first column left out",
    ("index", False): "first column read",
}


@dataclass(frozen=True)
class Recipe:
    """How the data of a model's fit was read.

    Attributes
    ----------
    names : list of str or None
        Feature names.
    transforms : list of (str or None), or None
        Transform of each feature, as `sources.transforms` writes it.
    given : dict
        Options that the user gave for reading the file, as `Source.given`.
    written : dict of str -> list
        How the file was written, as `written_of` returns it.
    """

    names: list | None = None
    transforms: list | None = None
    given: dict = field(default_factory=dict)
    written: dict = field(default_factory=dict)

    @classmethod
    def of(cls, source):
        """The recipe of a source to fit."""
        return cls(source.feature_names, source.transforms, dict(source.given), written_of(source))

    @classmethod
    def from_facts(cls, facts):
        """The recipe from the facts in a model file; older files have only the names."""
        return cls(facts.get("features"), facts.get("transforms"), **(facts.get("reading") or {}))

    @property
    def labels(self):
        """Axis labels of the features, as `axis_labels`."""
        return axis_labels(self.names, self.transforms)

    def facts(self):
        """The inverse of `from_facts`, JSON values."""
        return {
            "features": None if self.names is None else [str(name) for name in self.names],
            "transforms": self.transforms,
            "reading": {"given": self.given, "written": self.written},
        }

    def apply(self, source):
        """`source` on the scale of the model: transforms files; arrays are on it already.

        Raises
        ------
        DataError
            It was opened with transforms other than those of the fit.
        """
        if self.transforms in (None, source.transforms):
            return source
        if source.transforms is not None:
            raise DataError(
                f"{source.name}: was opened with the transforms {quote_list(source.transforms)}, "
                f"the fit's data with {quote_list(self.transforms)}; open it without: the model "
                "applies its"
            )
        return transform_source(source, parse_all(self.transforms)) if files_of(source) else source

    def differences(self, source):
        """How `source` is written differently from the fit's data, except for options it was given.

        Returns
        -------
        list of str
        """
        found = []
        for what, values in written_of(source).items():
            before = self.written.get(what, values)
            if what not in source.given and not set(values) <= set(before):
                now, then = (
                    " and ".join(_value_text(what, v) for v in both) for both in (values, before)
                )
                name = "" if (what, values[0]) in _WORDS else f"{what} "
                found.append(f"{name}{now} (the fit's file: {then})")
        return found

    def taken_for_values(self, source):
        """What meant missing in the fit's text, and is a number of a file that is no text.

        Returns
        -------
        str
            In words; empty where there is none.
        """
        if written_of(source) or not files_of(source):
            return ""
        numbers = [token for token in self.given.get("na", ()) if is_number(token, ".")]
        return f"{_option_text('na', numbers)} is looked for in text only" if numbers else ""


def open_alike(data, recipe, memory, advice="", **options):
    """Open a file for a model like the file of its fit, unless options say otherwise.

    Parameters
    ----------
    data : path
    recipe : Recipe
    memory : int or None
        As for `fitting.open_data`.
    advice : str
        Ends the message if the name of a feature is missing.
    **options
        Options of `open_source` that were given for this file. Without ``columns``, the columns
        with the names of the features are chosen.

    Returns
    -------
    Source
        Not on the scale of the model yet. Its `remarks` say which options it took over from the
        fit, and what differs.
    """
    taken = {name: value for name, value in recipe.given.items() if name not in options}
    try:
        source = _open(data, recipe, memory, advice, taken, options)
    except NotTextError:
        taken = {name: value for name, value in taken.items() if name in _OF_ALL}
        source = _open(data, recipe, memory, advice, taken, options)
    remarks = [_carried_over(taken)] if taken else []
    if found := recipe.differences(source):
        remarks.append(", ".join(found))
    if "na" not in options and (values := recipe.taken_for_values(source)):
        remarks.append(f"{values}: here such values count; --na '' says that this is meant")
    source.remarks = tuple(remarks)
    return source


def _open(data, recipe, memory, advice, taken, options):
    options, taken = taken | options, {k: v for k, v in taken.items() if k not in _OF_ALL}
    try:
        if recipe.names is None or options.get("columns") is not None:
            return fitting.open_data(data, memory, **options)
        options.pop("columns", None)
        return open_named(data, recipe.names, memory, advice=advice, **options)
    except NotTextError:
        raise
    except DataError as error:
        if not taken:
            raise
        raise type(error)(f"{error} (read with {_carried_over(taken)})") from error


def open_known(X, recipe, memory, advice=""):
    """The source of data for a fitted model: `open_alike` for a path, else `open_fitted`."""
    if isinstance(X, str | bytes | os.PathLike):
        return open_alike(X, recipe, memory, advice)
    return open_fitted(X, recipe.names, memory, advice)


def warn_of_reading(recipe, source):
    """Warn if a file is written or was opened differently from the fit's file."""
    found = recipe.differences(source)
    lost = {k: v for k, v in recipe.given.items() if k in _SILENT and k not in source.given}
    if lost and written_of(source):
        said = ", ".join(_option_text(name, value) for name, value in lost.items())
        found.append(f"without {said}, which was said of the fit's file")
    if values := recipe.taken_for_values(source):
        found.append(f"{values}, where it was said of the fit's file; here such values count")
    if recipe.transforms is None and source.transforms is not None:
        how = describe_transforms(source.transforms, source.feature_names)
        found.append(f"{how}, while the model knows of no transform")
    if found:
        warnings.warn(f"{source.name}: {', '.join(found)}", stacklevel=6)


def _carried_over(taken):
    """The options that were taken over from the fit, as text."""
    values = ", ".join(_option_text(name, value) for name, value in taken.items())
    options, verb = ", ".join(f"--{name}" for name in taken), "says" if len(taken) == 1 else "say"
    return f"{values}, as was said of the fit's file; {options} {verb} otherwise"


def _option_text(name, value):
    """An option with its value, as text."""
    values = value if isinstance(value, list) else [value]
    return f"{name} {', '.join(_value_text(name, v) for v in values)}"


def _value_text(what, value):
    return _WORDS.get((what, value), repr(value))
