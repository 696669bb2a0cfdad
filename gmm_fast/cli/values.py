"""The types of option values; imports nothing heavy."""

import csv
import math
from typing import ClassVar

import click

from ..errors import DataError
from ..names import FAMILIES


class AtLeast(click.IntRange):
    """An integer with a lower bound; messages call it an integer, not an "integer range"."""

    name = "integer"


class NotNegative(click.ParamType):
    """A finite number, 0 or more; `hint` tells in messages what to give."""

    name = "float"

    def __init__(self, hint=""):
        self.hint = hint

    def convert(self, value, param, ctx):
        number = click.FLOAT.convert(value, param, ctx)
        if not (math.isfinite(number) and number >= 0):
            self.fail(f"{value} is not a finite number of 0 or more{self.hint}.", param, ctx)
        return number


class AutoOr(click.ParamType):
    """The word auto, or a value of another type."""

    def __init__(self, other):
        self.other = other
        self.name = f"auto|{other.name}"

    def convert(self, value, param, ctx):
        return value if value == "auto" else self.other.convert(value, param, ctx)


class Steps(click.ParamType):
    """auto, none, a number, or several with commas; becomes "auto", None, a float or a list."""

    name = "auto|none|number,..."

    def convert(self, value, param, ctx):
        if not isinstance(value, str) or value == "auto":
            return value
        if value == "none":
            return None
        parts = [part.strip() for part in value.split(",")]
        hint = "; give the step to which values were rounded, or none"
        steps = [NotNegative(hint).convert(part, param, ctx) for part in parts]
        return steps[0] if len(steps) == 1 else steps


class Size(click.ParamType):
    """A size in memory, such as 500MB; becomes bytes."""

    name = "size"

    def convert(self, value, param, ctx):
        from ..backends.memory import parse_size

        try:
            return parse_size(value)
        except DataError as error:
            self.fail(str(error).removeprefix("memory: ") + ".", param, ctx)


class Inches(click.ParamType):
    """Width and height of a picture in inches, such as 6.4x4.8; becomes two floats."""

    name = "WxH"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            width, height = (float(part) for part in value.lower().split("x"))
        except ValueError:
            self.fail(f"{value!r} is not a size; write 6.4x4.8.", param, ctx)
        if not (math.isfinite(width) and math.isfinite(height)):
            self.fail(f"{value!r} is not a size; write 6.4x4.8.", param, ctx)
        return width, height


class Names(click.ParamType):
    """Names separated by commas, as in a line of CSV: '"CD4, PE",x'; becomes a list."""

    name = "names"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            names = [
                name.strip() for name in next(csv.reader([value], skipinitialspace=True), [""])
            ]
        except csv.Error as error:
            self.fail(f"{value!r} is not a list of names: {error}.", param, ctx)
        if not all(names) and '""' not in value:  # "" stands for an empty name
            self.fail(f"{value!r} has an empty name.", param, ctx)
        return names


class Scale(click.ParamType):
    """A transform, or one of some columns: arcsinh:150=CD3,CD4; becomes (transform, `Names`)."""

    name = "transform"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        transform, sign, names = value.partition("=")
        columns = Names().convert(names, param, ctx) if sign else None
        if sign and not columns:
            self.fail(f"{value!r} names no column after =.", param, ctx)
        return transform.strip(), columns


class Families(click.ParamType):
    """Names of covariance families separated by commas, or "all"; becomes a list."""

    name = "families"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        names = [name.strip().lower() for name in value.split(",") if name.strip()]
        known = ", ".join(repr(name) for name in FAMILIES)
        if not names:
            self.fail(f"no family is named; choose from {known}, or 'all'.", param, ctx)
        for name in names:
            if name not in (*FAMILIES, "all"):
                self.fail(f"{name!r} is not one of {known}, or 'all'.", param, ctx)
        return list(FAMILIES) if "all" in names else list(dict.fromkeys(names))


class Duration(click.ParamType):
    """A time such as 30s, 5m or 1h, or a number of seconds; becomes seconds, a float."""

    name = "duration"
    units: ClassVar = {"s": 1, "m": 60, "h": 3600}

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        text = value.strip().lower()
        unit = self.units.get(text[-1:])
        try:
            seconds = float(text if unit is None else text[:-1]) * (unit or 1)
        except ValueError:
            seconds = math.nan
        if not (math.isfinite(seconds) and seconds >= 0):
            self.fail(f"{value!r} is not a duration; write 30s, 5m or 1h.", param, ctx)
        return seconds


class UnlessResumed(click.Argument):
    """An argument that may be omitted with --resume: the checkpoint has it."""

    def process_value(self, ctx, value):
        if isinstance(ctx.params.get("resume"), str) and self.value_is_missing(value):
            return None
        return super().process_value(ctx, value)
