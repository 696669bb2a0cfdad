"""Options that commands share; imports nothing heavy."""

import click

from ..names import CRITERIA, INITS
from .values import AtLeast, AutoOr, Duration, Inches, Names, NotNegative, Scale, Size, Steps

KINDS = ("clusters", "uncertainty", "silhouette", "loglik", "criteria")


def _join_lists(ctx, param, lists):
    """All that an option of lists names, however often it is given; None where it is not."""
    return [name for names in lists for name in names] if lists else None


def each_once(ctx, param, lists):
    """As `_join_lists`, each name once."""
    return list(dict.fromkeys(_join_lists(ctx, param, lists)))


# Of options that take lists: the second time does not replace the first.
_NAMES = {"type": Names(), "multiple": True, "callback": _join_lists}


def _transform_by_column(ctx, param, scales):
    """The `transform` of `open_source`: one for all columns, or one per column."""
    found = {}
    for transform, columns in scales:
        if columns is None and len(scales) > 1:
            raise click.BadParameter(
                f"{transform} is for all columns, but a column takes only one transform; name the "
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


def several(*decorators):
    """Combine several option decorators into one."""

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
    "--seed", default=0, show_default=True, type=not_negative, help="Seed of all random numbers."
)
dtype_option = click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "float64"]),
    default="auto",
    show_default=True,
    help="Compute in this type; auto is float32 for float32 data, else float64.",
)
columns_option = click.option(
    "--columns",
    **_NAMES,
    help="Use only these columns, in this order: names, or numbers from 0. Quote names with "
    "commas: '\"CD4, PE\",x'. May be repeated.",
)
transform_option = click.option(
    "--transform",
    type=Scale(),
    multiple=True,
    callback=_transform_by_column,
    help="Fit on another scale: arcsinh:150 for asinh(x / 150), or logicle (logicle:T,W,M,A). For "
    "some columns only: 'arcsinh:150=CD3,CD4', named as for --columns. May be repeated.",
)
# the format of files; named like the parameters of `open_source`
dialect_options = several(
    click.option(
        "--header/--no-header",
        default=None,
        help="Whether the first line of text holds names.  [default: detect]",
    ),
    click.option("--delimiter", help="Delimiter of text: ';', tab, blanks ...  [default: detect]"),
    click.option("--decimal", help="Decimal sign of text: . or ,  [default: detect]"),
    click.option("--thousands", help="Thousands separator of text; '' for none.  [default: none]"),
    click.option("--encoding", help="Encoding of text, such as latin-1.  [default: detect]"),
    click.option("--skip", type=not_negative, help="Skip the first N lines of text."),
    click.option(
        "--comment",
        help="Skip lines of text that begin with this; '' for none.  [default: detect # and %]",
    ),
    click.option(
        "--na",
        **_NAMES,
        help="Further marks of missing values in text: '?', or several separated by commas. May be "
        "repeated.",
    ),
    click.option(
        "--missing",
        type=click.Choice(["error", "drop"]),
        help="What to do with rows that have missing values.  [default: error]",
    ),
    click.option("--format", help="Format of a file whose name does not tell: csv, npy ..."),
)
one_feature_option = click.option(
    "--one-feature", is_flag=True, help="Take a 1-D array as samples of one feature."
)
memory_option = click.option(
    "--memory",
    type=Size(),
    help="Limit on the process's own memory, such as 500MB; data that does not fit is streamed.  "
    "[default: data may take half of the free memory]",
)
cluster_options = several(
    click.option("--workers", type=positive, help="Work in this many processes on this machine."),
    click.option("--scheduler", help="Work on the Dask cluster at this address: tcp://host:8786."),
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="Also tell how the data is held, and how fast it is read."
)
quiet_option = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
# how to open data, and how to work on it
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
        "--max-iter", default=100, show_default=True, type=positive, help="Limit on EM iterations."
    ),
    click.option(
        "--tol",
        default=1e-3,
        show_default=True,
        type=NotNegative(),
        help="Stop when the mean log-likelihood changes by less than this twice in a row.",
    ),
    click.option(
        "--reg-covar",
        default="auto",
        show_default=True,
        type=AutoOr(NotNegative()),
        help="Add this to every variance; auto is 1e-6, less for features with a variance below 1.",
    ),
    click.option(
        "--resolution",
        default="auto",
        show_default=True,
        type=Steps(),
        help="Step to which the data was rounded: one number, one per feature, or none; auto finds "
        "it. No component gains by being narrower.",
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
        type=NotNegative("; give 1 for the default, more for a longer search, 0 for none"),
        help="How far to search for the optimum; 0 only compares the starts.",
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
    help="Refuse to replace existing files; give it again with --resume.",
)
output_options = several(
    clobber_option,
    click.option(
        "-o",
        "--model",
        "model_path",
        type=click.Path(),
        help="Model file to write.  [default: DATA's name with .gmm.npz, for a search with "
        ".search.gmm.npz, in the current folder]",
    ),
    click.option(
        "--labels", "labels_path", type=click.Path(), help="Also write labels (.npy, .csv ...)."
    ),
    click.option("--no-model", is_flag=True, help="Write no model."),
    click.option(
        "--report",
        "report_path",
        type=click.Path(),
        help="Also write a report to pass on: one HTML page, with pictures.",
    ),
)
keep_option = click.option(
    "--keep",
    **_NAMES,
    help="Also write these columns of DATA (Parquet, Arrow, FCS, CSV, TSV) to the table: .csv ... "
    "May be repeated.",
)
plot_option = click.option(
    "--plot", type=click.Path(), help="Also draw the result (.png, .svg, .pdf)."
)
animate_option = click.option(
    "--animate",
    type=click.Path(),
    help="Also draw the components after every few iterations (.gif).",
)
# for the command `plot`
picture_options = several(
    click.option(
        "--kind",
        type=click.Choice(KINDS),
        default="clusters",
        show_default=True,
        help="What to draw; for criteria, MODEL is the JSON of a search.",
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
        help="Draw pairs of features, or the directions that separate components best; auto draws "
        "pairs of up to five features.",
    ),
    click.option(
        "--style",
        type=click.Choice(["auto", "points", "density"]),
        default="auto",
        show_default=True,
        help="Draw a sample of rows as points, or the density of all rows; auto draws the density "
        "of more than --rows.",
    ),
    click.option(
        "--rows",
        type=positive,
        default=10_000,
        show_default=True,
        help="Limit on the rows drawn as points.",
    ),
    click.option(
        "--criterion",
        type=click.Choice(CRITERIA),
        help="Criterion for --kind criteria.  [default: that of the search]",
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
        help="Save progress to this file, to resume after an interruption.",
    ),
    click.option("--overwrite", is_flag=True, help="Let --checkpoint replace that of another fit."),
    click.option(
        "--every",
        type=Duration(),
        help="Time between writes of the checkpoint: 30s, 5m, 1h.  [default: 60s]",
    ),
    click.option(
        "--resume",
        type=click.Path(),
        is_eager=True,  # it decides whether arguments may be omitted
        help="Resume from this checkpoint, and keep updating it; all else may be omitted.",
    ),
)
