"""Options that commands of `cli` share, and the types of their values. Imports nothing heavy."""

import csv
import math
from typing import ClassVar

import click

from ..errors import DataError
from ..names import CRITERIA, FAMILIES, INITS

KINDS = ("clusters", "uncertainty", "silhouette", "loglik", "criteria")


class AtLeast(click.IntRange):
    """An integer that is not too small; in messages an integer, not an "integer range"."""

    name = "integer"


class NotNegative(click.ParamType):
    """A finite number, 0 or more; `hint` says in messages what to give."""

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
    """auto, none, a number, or numbers with commas between; a str, None, a float or a list."""

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
    """A size in memory, such as 500MB; bytes."""

    name = "size"

    def convert(self, value, param, ctx):
        from ..backends.memory import parse_size

        try:
            return parse_size(value)
        except DataError as error:
            self.fail(str(error).removeprefix("memory: ") + ".", param, ctx)


class Inches(click.ParamType):
    """Width and height of a picture in inches, such as 6.4x4.8; two floats."""

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
    """Names with commas between, as in a line of CSV: '"CD4, PE",x'; a list."""

    name = "names"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        try:
            names = [
                name.strip() for name in next(csv.reader([value], skipinitialspace=True), [""])
            ]
        except csv.Error as error:
            self.fail(f"{value!r} is no list of names: {error}.", param, ctx)
        if not all(names) and '""' not in value:  # a name may be empty if that is written
            self.fail(f"{value!r} has an empty name.", param, ctx)
        return names


def _listed(ctx, param, lists):
    """What an option of lists names in all, however often it is said; None where it is not."""
    return [name for names in lists for name in names] if lists else None


# Of options that take lists: the second time does not replace the first.
_NAMES = {"type": Names(), "multiple": True, "callback": _listed}


class Scale(click.ParamType):
    """A transform, and the columns that it is of, as `Names`: arcsinh:150=CD3,CD4; both, or one."""

    name = "transform"

    def convert(self, value, param, ctx):
        if not isinstance(value, str):
            return value
        transform, sign, names = value.partition("=")
        columns = Names().convert(names, param, ctx) if sign else None
        if sign and not columns:
            self.fail(f"{value!r} names no column behind =.", param, ctx)
        return transform.strip(), columns


def _of_columns(ctx, param, scales):
    """What `open_source` takes as `transform`: one for all columns, or one by column."""
    found = {}
    for transform, columns in scales:
        if columns is None and len(scales) > 1:
            raise click.BadParameter(
                f"{transform} is for all columns, and a column takes one transform; name its "
                f"columns: {transform}=CD3,CD4.",
                ctx,
                param,
            )
        for name in columns or ():
            if name in found:
                raise click.BadParameter(
                    f"column {name!r} is given two transforms, {found[name]} and {transform}.",
                    ctx,
                    param,
                )
            found[name] = transform
    return found or (scales[0][0] if scales else None)


class Families(click.ParamType):
    """Names of covariance families with commas between, or "all"; a list."""

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


def each_once(ctx, param, lists):
    """As `_listed`, each name once."""
    return list(dict.fromkeys(_listed(ctx, param, lists)))


class Duration(click.ParamType):
    """A time such as 30s, 5m or 1h, or a number of seconds; a float, in seconds."""

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
    """An argument that may be left out with --resume: the checkpoint has it."""

    def process_value(self, ctx, value):
        if isinstance(ctx.params.get("resume"), str) and self.value_is_missing(value):
            return None
        return super().process_value(ctx, value)


def several(*decorators):
    """Several option decorators as one."""

    def apply(command):
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


positive = AtLeast(1)
several_folds = AtLeast(2)
not_negative = AtLeast(0)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
threads_option = click.option("--threads", type=positive, help="Threads to use.  [default: all]")
seed_option = click.option(
    "--seed", default=0, show_default=True, type=not_negative, help="Seed of all randomness."
)
dtype_option = click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "float64"]),
    default="auto",
    show_default=True,
    help="What to compute in; auto is float32 for float32 data, else float64.",
)
columns_option = click.option(
    "--columns",
    **_NAMES,
    help="Only these columns, in this order: names, or numbers from 0. Quote names with commas: "
    "'\"CD4, PE\",x'. May be repeated.",
)
transform_option = click.option(
    "--transform",
    type=Scale(),
    multiple=True,
    callback=_of_columns,
    help="Fit on another scale: arcsinh:150 for asinh(x / 150), or logicle (logicle:T,W,M,A); of "
    "some columns: 'arcsinh:150=CD3,CD4', named as for --columns. May be repeated.",
)
# how files are written, named as the parameters of `open_source`
dialect_options = several(
    click.option(
        "--header/--no-header",
        default=None,
        help="Whether the first line of a text holds names.  [default: look]",
    ),
    click.option("--delimiter", help="Of text: ';', tab, blanks ...  [default: look]"),
    click.option("--decimal", help="Of text: the decimal sign, . or ,.  [default: look]"),
    click.option(
        "--thousands", help="Of text: a sign between thousands; '' for none.  [default: none]"
    ),
    click.option("--encoding", help="Of text, such as latin-1.  [default: look]"),
    click.option("--skip", type=not_negative, help="Leave out the first N lines of text."),
    click.option(
        "--comment",
        help="Leave out lines of text that begin so; '' for none.  [default: look for # and %]",
    ),
    click.option(
        "--na",
        **_NAMES,
        help="What else means missing in text: '?', or several with commas. May be repeated.",
    ),
    click.option(
        "--missing",
        type=click.Choice(["error", "drop"]),
        help="What to do with rows that miss a value.  [default: error]",
    ),
    click.option("--format", help="What a file is that its name does not tell: csv, npy ..."),
)
one_feature_option = click.option(
    "--one-feature", is_flag=True, help="Take a 1-D array as samples of one feature."
)
memory_option = click.option(
    "--memory",
    type=Size(),
    help="Memory of its own to stay within, such as 500MB; data that does not fit is streamed.  "
    "[default: data may take half of what is free]",
)
cluster_options = several(
    click.option("--workers", type=positive, help="Work in that many processes on this machine."),
    click.option("--scheduler", help="Work on the Dask cluster there, such as tcp://host:8786."),
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Say more: how data is held, and read how fast."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
# how to open data, and what to work with
reading_options = several(
    columns_option,
    dialect_options,
    one_feature_option,
    dtype_option,
    memory_option,
    threads_option,
    cluster_options,
    verbose_option,
    quiet_option,
)
data_options = several(
    click.option(
        "--weights",
        type=click.Path(),
        help="Sample weights, one per row: .npy, .csv, .parquet ... (or its column weight).",
    ),
    reading_options,
)
em_options = several(
    click.option(
        "--max-iter", default=100, show_default=True, type=positive, help="Most EM iterations."
    ),
    click.option(
        "--tol",
        default=1e-3,
        show_default=True,
        type=NotNegative(),
        help="Stop when the mean log-likelihood changes by less, twice in a row.",
    ),
    click.option(
        "--reg-covar",
        default="auto",
        show_default=True,
        type=AutoOr(NotNegative()),
        help="Added to every variance; auto is 1e-6, less for features whose variance is below 1.",
    ),
    click.option(
        "--resolution",
        default="auto",
        show_default=True,
        type=Steps(),
        help="Steps to which the data was rounded: one number, one for each feature, or none; auto "
        "finds them. Nothing is won below them.",
    ),
    click.option(
        "--init",
        type=click.Choice(INITS),
        default="auto",
        show_default=True,
        help="How to start; auto tries several ways on a sample.",
    ),
    click.option("--n-init", default=1, show_default=True, type=positive, help="Rounds of starts."),
    click.option(
        "--effort",
        default=1.0,
        show_default=True,
        type=NotNegative("; give 1 for the default, more for longer, 0 for the race alone"),
        help="How far to search for the optimum; 0 is the race of the starts alone.",
    ),
    seed_option,
    click.option(
        "--silhouette-rows",
        default=10_000,
        show_default=True,
        type=not_negative,
        help="Rows of the sample for the silhouette; 0 for none.",
    ),
)
clobber_option = click.option(
    "--no-clobber",
    is_flag=True,
    help="Refuse to replace files that are there; with --resume it is to be said again.",
)
output_options = several(
    clobber_option,
    click.option(
        "-o",
        "--model",
        "model_path",
        type=click.Path(),
        help="Where to write the model.  [default: DATA's name with .gmm.npz, of a search with "
        ".search.gmm.npz, in this folder]",
    ),
    click.option(
        "--labels", "labels_path", type=click.Path(), help="Write labels (.npy, .csv ...) too."
    ),
    click.option("--no-model", is_flag=True, help="Write no model."),
    click.option(
        "--report",
        "report_path",
        type=click.Path(),
        help="Write a report to pass on too: one HTML page, with pictures.",
    ),
)
keep_option = click.option(
    "--keep",
    **_NAMES,
    help="Write these columns of DATA (Parquet, Arrow, FCS, CSV, TSV) beside, in a table: "
    ".csv ... May be repeated.",
)
plot_option = click.option(
    "--plot", type=click.Path(), help="Draw the result, too (.png, .svg, .pdf)."
)
animate_option = click.option(
    "--animate",
    type=click.Path(),
    help="Draw the components after every few iterations, too (.gif).",
)
# of the command `plot`
picture_options = several(
    click.option(
        "--kind",
        type=click.Choice(KINDS),
        default="clusters",
        show_default=True,
        help="What to draw; criteria takes the JSON of a search for MODEL.",
    ),
    click.option(
        "--features",
        **_NAMES,
        help="Draw these features, at most five: names, or numbers from 0. May be repeated.",
    ),
    click.option(
        "--view",
        type=click.Choice(["auto", "pairs", "projection"]),
        default="auto",
        show_default=True,
        help="Pairs of features, or the directions that separate components best; auto draws "
        "pairs of up to five features.",
    ),
    click.option(
        "--style",
        type=click.Choice(["auto", "points", "density"]),
        default="auto",
        show_default=True,
        help="A sample of rows as points, or the density of all; auto draws more than --rows as "
        "density.",
    ),
    click.option(
        "--rows",
        type=positive,
        default=10_000,
        show_default=True,
        help="Rows drawn as points, at most: a sample.",
    ),
    click.option(
        "--criterion",
        type=click.Choice(CRITERIA),
        help="Of --kind criteria.  [default: that of the search]",
    ),
    seed_option,
    click.option(
        "--size",
        type=Inches(),
        default="6.4x4.8",
        show_default=True,
        help="Width and height in inches.",
    ),
    click.option("--dpi", type=AtLeast(10), default=150, show_default=True, help="Dots per inch."),
)
checkpoint_options = several(
    click.option(
        "--checkpoint",
        type=click.Path(),
        help="Keep here how far the work is, to go on after an interruption.",
    ),
    click.option("--overwrite", is_flag=True, help="Let --checkpoint replace that of another fit."),
    click.option(
        "--every",
        type=Duration(),
        help="Time between two writes of the checkpoint: 30s, 5m, 1h.  [default: 60s]",
    ),
    click.option(
        "--resume",
        type=click.Path(),
        is_eager=True,  # it decides whether arguments may be missing
        help="Go on from this checkpoint, and keep on keeping it; the rest may be left out.",
    ),
)
