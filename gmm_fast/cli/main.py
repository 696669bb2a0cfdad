"""Parse the command line and call the commands, which do the heavy imports."""

import functools
import os
import shlex
import signal
import sys
import threading
from contextlib import contextmanager

import click
from click.core import ParameterSource

from .. import __version__
from ..errors import DataError, FitError, Interrupted
from ..names import CRITERIA, FAMILIES, FAMILY
from .options import (
    animate_option,
    checkpoint_options,
    clobber_option,
    data_options,
    each_once,
    em_options,
    json_option,
    keep_option,
    output_options,
    picture_options,
    plot_option,
    positive,
    reading_options,
    seed_option,
    several_folds,
    transform_option,
)
from .values import Families, UnlessResumed


class Refusal(click.ClickException):
    """An error of the call or the data: exit status 2."""

    exit_code = 2


def refusing(command):
    """Turn the errors of a command into messages and exit statuses."""

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
        except Interrupted as stop:
            click.echo(str(stop), err=True)
            raise click.exceptions.Exit(stop.status) from None

    return run


@contextmanager
def _terminable():
    """Turn SIGTERM and SIGHUP into exceptions, so that no half-written file stays."""
    names = ("SIGTERM", "SIGHUP")
    kinds = [getattr(signal, name) for name in names if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        kinds = []
    # nohup ignores SIGHUP, and it must stay ignored
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
    """Raise DataError if more than one of `options`, parameter -> option, was given."""
    found = given()
    both = [text for name, text in options.items() if name in found]
    if len(both) > 1:
        raise DataError(f"{' and '.join(both)} contradict each other; give one of them")


def given():
    """What was given on the command line: parameter -> its name for messages."""
    context = click.get_current_context()
    return {
        parameter.name: next(
            (name for name in parameter.opts if name.startswith("--")),
            parameter.human_readable_name,
        )
        for parameter in context.command.params
        if context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    }


def open_closed_streams():
    """Open the null device for standard streams that were closed, as by `2>&-`.

    Otherwise the next file opened would get the number of the stream, and libraries would write
    their messages into it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            # nobody reads it, but every character must be encodable
            how = {"encoding": "utf-8", "closefd": False}
            stream = open(number, mode, **how)  # noqa: SIM115 - open until the process ends
            setattr(sys, name, stream)


class Group(click.Group):
    """A group that keeps the words of the call for `command_line`."""

    def main(self, *args, **kwargs):
        open_closed_streams()
        return super().main(*args, **kwargs)

    def make_context(self, info_name, args, parent=None, **extra):
        words = list(args)  # parsing consumes them
        context = super().make_context(info_name, args, parent, **extra)
        context.meta[_WORDS] = words
        return context


_WORDS = "gmm_fast.words"


def command_line():
    """The command line, quoted for a shell."""
    return shlex.join(["gmm-fast", *click.get_current_context().meta.get(_WORDS, ())])


@click.group(
    cls=Group,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        # --max_iter is --max-iter
        "token_normalize_func": lambda token: token.replace("_", "-"),
    },
)
@click.version_option(__version__, "-V", "--version", prog_name="gmm-fast")
def main():
    """Gaussian mixtures for large data: fit, choose, use.

    DATA holds samples in rows and features in columns: a .npy, .npz, Parquet, Arrow, CSV, TSV,
    HDF5, Zarr or FCS file (file.h5:/path), a folder of such files, or a quoted pattern.

    \b
    gmm-fast fit --k 4 data.npy              fit 4 components
    gmm-fast search 2 10 data.npy            choose the number of components
    gmm-fast predict data.gmm.npz data.npy   a label for every sample
    gmm-fast plot data.gmm.npz data.npy      a picture of the components
    """


@main.command()
@click.argument("data", type=click.Path(), cls=UnlessResumed)
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
    help="Start from the components of this model file, in its family.",
)
@click.option(
    "--from-labels",
    type=click.Path(),
    help="Start from the labels 0..K-1 in this file (or in its column label).",
)
@em_options
@transform_option
@data_options
@output_options
@plot_option
@animate_option
@checkpoint_options
@json_option
@refusing
def fit(as_json, **settings):
    """Fit a mixture of K Gaussians to DATA and write the model.

    \b
    gmm-fast fit --k 4 data.npy
    gmm-fast fit --k 4 data.npy --covariance tied --labels labels.npy
    gmm-fast fit --from data.gmm.npz data.npy --max-iter 500
    gmm-fast fit --k 4 data.npy --checkpoint fit.ckpt
    gmm-fast fit --resume fit.ckpt
    gmm-fast fit --k 4 data.npy --report report.html
    """
    refuse_together(from_model="--from", from_labels="--from-labels", init="--init")
    refuse_together(from_model="--from", covariance="--covariance")
    refuse_together(model_path="--model", no_model="--no-model")
    refuse_together(checkpoint="--checkpoint", resume="--resume")
    if all(settings[name] is None for name in ("k", "from_model", "resume")):
        raise DataError("give the number of components: --k 4 (or let `gmm-fast search` choose)")
    from . import commands

    commands.fit(settings, given(), as_json, command_line())


@main.command()
@click.argument("lo", type=positive, cls=UnlessResumed)
@click.argument("hi", type=positive, cls=UnlessResumed)
@click.argument("data", type=click.Path(), cls=UnlessResumed)
@click.option(
    "-c",
    "--covariance",
    "families",
    type=Families(),
    multiple=True,
    callback=each_once,
    default=[FAMILY],
    show_default=True,
    help="Families to try, separated by commas: "
    + ",".join(FAMILIES)
    + "; or all. May be repeated.",
)
@click.option(
    "--criterion",
    type=click.Choice(CRITERIA, case_sensitive=False),
    default="bic",
    show_default=True,
    help="Choose the best by this; cv is the log-likelihood of held-out samples.",
)
@click.option(
    "--folds",
    type=several_folds,
    help="Folds of a cross-validation; each adds a fit of every candidate.  [default: 5 for "
    "--criterion cv, else none]",
)
@click.option(
    "--early-stop",
    is_flag=True,
    help="Stop after 3 values of K in a row that do not improve on the best.",
)
@em_options
@transform_option
@data_options
@output_options
@plot_option
@checkpoint_options
@json_option
@refusing
def search(as_json, **settings):
    """Fit every number of components from LO to HI and keep the best model.

    \b
    gmm-fast search 2 10 data.npy
    gmm-fast search 2 10 data.npy --covariance full,tied,diag,spherical
    gmm-fast search 2 10 data.npy --criterion cv --folds 5
    gmm-fast search 2 50 data.npy --early-stop
    gmm-fast search 2 10 data.npy --checkpoint search.ckpt
    gmm-fast search --resume search.ckpt
    gmm-fast search 2 10 data.npy --report report.html
    """
    refuse_together(model_path="--model", no_model="--no-model")
    refuse_together(checkpoint="--checkpoint", resume="--resume")
    lo, hi = settings["lo"], settings["hi"]
    if None not in (lo, hi) and lo > hi:
        raise DataError(f"nothing to search: LO, {lo}, is above HI, {hi}; swap them")
    if settings["criterion"] == "silhouette" and settings["silhouette_rows"] == 0:
        raise DataError("--criterion silhouette needs --silhouette-rows above 0")
    from . import commands

    commands.search(settings, given(), as_json, command_line())


@main.command()
@click.argument("model", type=click.Path())
@click.argument("data", type=click.Path())
@click.option(
    "-o",
    "--out",
    type=click.Path(),
    help="Output file (.npy, .npz, .csv, .tsv, .parquet, .arrow).  [default: DATA's name with "
    ".labels.npy or .proba.npy, in the current folder]",
)
@click.option("--proba", is_flag=True, help="Write responsibilities, samples x components.")
@keep_option
@clobber_option
@reading_options
@json_option
@refusing
def predict(model, out, proba, keep, as_json, **settings):
    """Write the component of every sample of DATA under MODEL.

    DATA is read like the data of the fit, with the same --transform.

    \b
    gmm-fast predict data.gmm.npz data.npy
    gmm-fast predict data.gmm.npz data.npy --proba --out proba.npy
    gmm-fast predict cells.gmm.npz cells.parquet --keep id,time --out labels.csv
    """
    from . import models

    models.predict(model, out, proba, keep, as_json, settings)


@main.command()
@click.argument("model", type=click.Path())
@click.argument("data", type=click.Path())
@click.option(
    "--samples", "out", type=click.Path(), help="Write ln p(x) of every sample (.npy, .csv ...)."
)
@clobber_option
@data_options
@json_option
@refusing
def score(model, out, as_json, **settings):
    """Print how well MODEL describes DATA: log-likelihood, BIC, AIC, ICL.

    \b
    gmm-fast score data.gmm.npz other.npy
    """
    from . import models

    models.score(model, out, as_json, settings)


@main.command()
@click.argument("model", type=click.Path())
@click.argument("data", type=click.Path(), required=False)
@click.option(
    "-o",
    "--out",
    type=click.Path(),
    help="Output file (.png, .svg, .pdf).  [default: DATA's name with .png, in the current folder]",
)
@clobber_option
@picture_options
@reading_options
@json_option
@refusing
def plot(model, out, kind, as_json, **settings):
    """Draw DATA with the components of MODEL, or another --kind of picture.

    Needs matplotlib: pip install 'gmm-fast[plot]'. The kinds loglik and criteria need no DATA.

    \b
    gmm-fast plot data.gmm.npz data.npy
    gmm-fast plot data.gmm.npz data.npy --features 0,3 -o two.svg
    gmm-fast plot data.gmm.npz data.npy --kind uncertainty
    gmm-fast plot data.gmm.npz --kind loglik
    gmm-fast search 2 10 data.npy --json > search.json
    gmm-fast plot search.json --kind criteria
    """
    from . import plotting

    plotting.plot(model, out, kind, as_json, settings)


@main.command()
@click.argument("model", type=click.Path())
@click.argument("n", type=positive)
@click.option("-o", "--out", type=click.Path(), required=True, help="Output file (.npy, .csv ...).")
@click.option(
    "--labels", "labels_path", type=click.Path(), help="Also write labels (.npy, .csv ...)."
)
@seed_option
@clobber_option
@json_option
@refusing
def sample(model, n, out, labels_path, seed, no_clobber, as_json):
    """Draw N samples from MODEL, in the units of its data.

    \b
    gmm-fast sample data.gmm.npz 1000 --out new.npy
    """
    from . import models

    models.sample(model, n, out, labels_path, seed, no_clobber, as_json)


@main.command()
@click.argument("model", type=click.Path())
@json_option
@refusing
def info(model, as_json):
    """Print what MODEL holds."""
    from . import models

    models.info(model, as_json)
