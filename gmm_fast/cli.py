"""The command line: parse, call, print. Heavy imports happen inside commands."""

import functools
import math
import signal
import sys
import threading
from contextlib import contextmanager

import click
from click.core import ParameterSource

from . import __version__
from .errors import DataError, FitError

FAMILIES = ("full", "tied", "diag", "spherical")
INITS = ("auto", "k-means++", "kmeans", "random", "random_from_data")
CRITERIA = ("bic", "aic", "icl", "silhouette")


class Refusal(click.ClickException):
    """The call or the data is wrong: exit status 2."""

    exit_code = 2


class AtLeast(click.IntRange):
    """An integer that is not too small; in messages an integer, not an "integer range"."""

    name = "integer"


class NotNegative(click.ParamType):
    """A finite number, 0 or more."""

    name = "float"

    def convert(self, value, param, ctx):
        number = click.FLOAT.convert(value, param, ctx)
        if not (math.isfinite(number) and number >= 0):
            self.fail(f"{value} is not a finite number of 0 or more.", param, ctx)
        return number


class Size(click.ParamType):
    """A size in memory, such as 500MB; bytes."""

    name = "size"

    def convert(self, value, param, ctx):
        from .memory import parse_size

        try:
            return parse_size(value)
        except DataError as error:
            self.fail(str(error).removeprefix("memory: "), param, ctx)


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


def refusing(command):
    """Turn the package's errors into messages and exit statuses."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        try:
            with _terminable():
                return command(*args, **kwargs)
        except DataError as error:
            raise Refusal(str(error)) from None
        except FitError as error:
            raise click.ClickException(str(error)) from None
        except MemoryError as error:
            what = f"out of memory ({error})" if str(error) else "out of memory"
            raise click.ClickException(
                f"{what}; ask for fewer components or samples, or --dtype float32"
            ) from None
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            raise click.exceptions.Exit(130) from None

    return run


@contextmanager
def _terminable():
    """Let a polite kill end the command as an exception does, so that no half file stays."""
    names = ("SIGTERM", "SIGHUP")
    kinds = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        kinds = []
    # under nohup SIGHUP is ignored, and has to stay so
    before = {kind: signal.getsignal(kind) for kind in kinds}
    before = {kind: old for kind, old in before.items() if old is signal.SIG_DFL}
    for kind in before:
        signal.signal(kind, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for kind, old in before.items():
            signal.signal(kind, old)


def refuse_together(**options):
    """Refuse a call that names more than one of `options`, parameter -> what users write."""
    context = click.get_current_context()
    given = [
        text
        for name, text in options.items()
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if len(given) > 1:
        raise DataError(f"{' and '.join(given)} contradict each other; give one of them")


def options(*decorators):
    """Several option decorators as one."""

    def apply(command):
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


positive = AtLeast(1)
not_negative = AtLeast(0)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
threads_option = click.option("--threads", type=positive, help="Threads to use.  [default: all]")
seed_option = click.option(
    "--seed", default=0, show_default=True, type=not_negative, help="Seed of all randomness."
)
memory_option = click.option(
    "--memory",
    type=Size(),
    help="Memory of its own to stay within, such as 500MB; what does not fit is streamed.  "
    "[default: data may take half of what is free]",
)
dtype_option = click.option(
    "--dtype",
    type=click.Choice(["auto", "float32", "float64"]),
    default="auto",
    show_default=True,
    help="What to compute in; auto is float32 for float32 data, else float64.",
)
one_feature_option = click.option(
    "--one-feature", is_flag=True, help="Take a 1-D array as samples of one feature."
)
data_options = options(
    dtype_option,
    one_feature_option,
    click.option("--weights", type=click.Path(), help="A .npy of sample weights, one per row."),
    threads_option,
    memory_option,
)
em_options = options(
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
        default=1e-6,
        show_default=True,
        type=NotNegative(),
        help="Added to every variance.",
    ),
    click.option(
        "--init",
        type=click.Choice(INITS),
        default="auto",
        show_default=True,
        help="How to start; auto tries several ways on a sample.",
    ),
    click.option("--n-init", default=1, show_default=True, type=positive, help="Rounds of starts."),
    seed_option,
    click.option(
        "--silhouette-rows",
        default=10_000,
        show_default=True,
        type=not_negative,
        help="Rows of the sample for the silhouette; 0 for none.",
    ),
)
output_options = options(
    click.option(
        "-o",
        "--model",
        "model_path",
        type=click.Path(),
        help="Where to write the model.  [default: DATA's name with .gmm.npz, in this folder]",
    ),
    click.option("--labels", "labels_path", type=click.Path(), help="Write labels (.npy) too."),
    click.option("--no-model", is_flag=True, help="Write no model."),
)


@click.group(
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        # --max_iter is --max-iter
        "token_normalize_func": lambda token: token.replace("_", "-"),
    }
)
@click.version_option(__version__, "-V", "--version", prog_name="gmm-fast")
def main():
    """Gaussian mixtures for large data: fit, choose, use.

    DATA is a .npy file of samples in rows and features in columns.

    \b
    gmm-fast fit --k 4 data.npy              fit 4 components
    gmm-fast search 2 10 data.npy            choose the number of components
    gmm-fast predict data.gmm.npz data.npy   a label for every sample
    """


@main.command()
@click.argument("data", type=click.Path())
@click.option("-k", "--k", "--n-components", "k", type=positive, help="Number of components.")
@click.option(
    "-c",
    "--covariance",
    type=click.Choice(FAMILIES),
    help="Covariance family.  [default: full]",
)
@click.option(
    "--from",
    "from_model",
    type=click.Path(),
    help="Start from this model file: its components, its family.",
)
@click.option(
    "--from-labels", type=click.Path(), help="Start from labels 0..K-1 in this .npy file."
)
@em_options
@data_options
@output_options
@json_option
@refusing
def fit(data, k, covariance, from_model, from_labels, as_json, **settings):
    """Fit a mixture of K Gaussians to DATA and write the model.

    \b
    gmm-fast fit --k 4 data.npy
    gmm-fast fit --k 4 data.npy --covariance tied --labels labels.npy
    gmm-fast fit --from data.gmm.npz data.npy --max-iter 500
    """
    refuse_together(from_model="--from", from_labels="--from-labels", init="--init")
    refuse_together(from_model="--from", covariance="--covariance")
    refuse_together(model_path="--model", no_model="--no-model")
    if k is None and from_model is None:
        raise DataError("say how many components: --k 4 (or let `gmm-fast search` choose)")
    from . import commands

    commands.fit(data, k, covariance or "full", from_model, from_labels, as_json, settings)


@main.command()
@click.argument("lo", type=positive)
@click.argument("hi", type=positive)
@click.argument("data", type=click.Path())
@click.option(
    "-c",
    "--covariance",
    "families",
    type=Families(),
    default="full",
    show_default=True,
    help="Families to try, with commas: " + ",".join(FAMILIES) + "; or all.",
)
@click.option(
    "--criterion",
    type=click.Choice(CRITERIA, case_sensitive=False),
    default="bic",
    show_default=True,
    help="What the best is judged by.",
)
@em_options
@data_options
@output_options
@json_option
@refusing
def search(lo, hi, data, families, criterion, as_json, **settings):
    """Fit every number of components from LO to HI and keep the best model.

    \b
    gmm-fast search 2 10 data.npy
    gmm-fast search 2 10 data.npy --covariance full,tied,diag,spherical
    """
    refuse_together(model_path="--model", no_model="--no-model")
    if lo > hi:
        raise DataError(f"nothing to search: LO, {lo}, is above HI, {hi}; swap them")
    if criterion == "silhouette" and settings["silhouette_rows"] == 0:
        raise DataError("--criterion silhouette needs --silhouette-rows above 0")
    from . import commands

    commands.search(lo, hi, data, families, criterion, as_json, settings)


@main.command()
@click.argument("model", type=click.Path())
@click.argument("data", type=click.Path())
@click.option(
    "-o",
    "--out",
    type=click.Path(),
    help="Where to write.  [default: DATA's name with .labels.npy or .proba.npy, in this folder]",
)
@click.option("--proba", is_flag=True, help="Write responsibilities, samples x components.")
@dtype_option
@one_feature_option
@threads_option
@memory_option
@json_option
@refusing
def predict(model, data, out, proba, as_json, **settings):
    """Write the component of every sample of DATA under MODEL.

    \b
    gmm-fast predict data.gmm.npz data.npy
    gmm-fast predict data.gmm.npz data.npy --proba --out proba.npy
    """
    from . import commands

    commands.predict(model, data, out, proba, as_json, settings)


@main.command()
@click.argument("model", type=click.Path())
@click.argument("data", type=click.Path())
@click.option("--samples", "out", type=click.Path(), help="Write ln p(x) of every sample (.npy).")
@data_options
@json_option
@refusing
def score(model, data, out, as_json, **settings):
    """Print how well MODEL describes DATA: log-likelihood, BIC, AIC, ICL.

    \b
    gmm-fast score data.gmm.npz other.npy
    """
    from . import commands

    commands.score(model, data, out, as_json, settings)


@main.command()
@click.argument("model", type=click.Path())
@click.argument("n", type=positive)
@click.option("-o", "--out", type=click.Path(), required=True, help="Where to write (.npy).")
@click.option("--labels", "labels_path", type=click.Path(), help="Write labels (.npy) too.")
@seed_option
@json_option
@refusing
def sample(model, n, out, labels_path, seed, as_json):
    """Draw N samples from MODEL.

    \b
    gmm-fast sample data.gmm.npz 1000 --out new.npy
    """
    from . import commands

    commands.sample(model, n, out, labels_path, seed, as_json)


@main.command()
@click.argument("model", type=click.Path())
@json_option
@refusing
def info(model, as_json):
    """Print what MODEL holds."""
    from . import commands

    commands.info(model, as_json)


if __name__ == "__main__":
    main(prog_name="gmm-fast")
