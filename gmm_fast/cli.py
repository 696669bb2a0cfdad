"""The command line: parse, call, print. Heavy imports happen inside commands."""

import functools
import sys

import click

from . import __version__
from .errors import DataError, FitError

FAMILIES = ("full", "tied", "diag", "spherical")
INITS = ("auto", "k-means++", "kmeans", "random", "random_from_data")
CRITERIA = ("bic", "aic", "icl", "silhouette")


class Refusal(click.ClickException):
    """The call or the data is wrong: exit status 2."""

    exit_code = 2


def refusing(command):
    """Turn the package's errors into messages and exit statuses."""

    @functools.wraps(command)
    def run(*args, **kwargs):
        try:
            return command(*args, **kwargs)
        except DataError as error:
            raise Refusal(str(error)) from None
        except FitError as error:
            raise click.ClickException(str(error)) from None
        except MemoryError:
            raise click.ClickException("out of memory; use fewer components or float32") from None

    return run


def options(*decorators):
    """Several option decorators as one."""

    def apply(command):
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
threads_option = click.option("--threads", type=int, help="Threads to use.  [default: all]")
seed_option = click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of all randomness."
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
)
em_options = options(
    click.option("--max-iter", default=100, show_default=True, help="Most EM iterations."),
    click.option(
        "--tol",
        default=1e-3,
        show_default=True,
        help="Stop when the mean log-likelihood changes by less.",
    ),
    click.option("--reg-covar", default=1e-6, show_default=True, help="Added to every variance."),
    click.option(
        "--init",
        type=click.Choice(INITS),
        default="auto",
        show_default=True,
        help="How to start; auto tries several ways on a sample.",
    ),
    click.option("--n-init", default=1, show_default=True, help="Rounds of starts."),
    seed_option,
    click.option(
        "--silhouette-rows",
        default=10_000,
        show_default=True,
        type=click.IntRange(0),
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


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gmm-fast")
def main():
    """Gaussian mixtures for large data: fit, choose, use.

    DATA is a .npy file of samples in rows and features in columns.
    """


@main.command()
@click.argument("data", type=click.Path())
@click.option("-k", "--k", type=int, help="Number of components.")
@click.option(
    "-c",
    "--covariance",
    default="full",
    show_default=True,
    help="Covariance family: " + ", ".join(FAMILIES) + ".",
)
@click.option("--from", "from_model", type=click.Path(), help="Start from this model file.")
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
    """
    from . import commands

    commands.fit(data, k, covariance, from_model, from_labels, as_json, settings)


@main.command()
@click.argument("lo", type=int)
@click.argument("hi", type=int)
@click.argument("data", type=click.Path())
@click.option(
    "-c",
    "--covariance",
    default="full",
    show_default=True,
    help="Families to try, with commas: " + ",".join(FAMILIES) + ".",
)
@click.option(
    "--criterion",
    default="bic",
    show_default=True,
    help="What the best is judged by: " + ", ".join(CRITERIA) + ".",
)
@em_options
@data_options
@output_options
@json_option
@refusing
def search(lo, hi, data, covariance, criterion, as_json, **settings):
    """Fit every number of components from LO to HI and keep the best model.

    \b
    gmm-fast search 2 10 data.npy
    gmm-fast search 2 10 data.npy --covariance full,tied,diag,spherical
    """
    from . import commands

    families = [name.strip() for name in covariance.split(",") if name.strip()]
    commands.search(lo, hi, data, families, criterion, as_json, settings)


@main.command()
@click.argument("model", type=click.Path())
@click.argument("data", type=click.Path())
@click.option(
    "-o",
    "--out",
    type=click.Path(),
    help="Where to write.  [default: DATA's name with .labels.npy, in this folder]",
)
@click.option("--proba", is_flag=True, help="Write responsibilities, samples x components.")
@dtype_option
@one_feature_option
@threads_option
@json_option
@refusing
def predict(model, data, out, proba, as_json, **settings):
    """Write the component of every sample of DATA under MODEL."""
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
    """Print how well MODEL describes DATA: log-likelihood, BIC, AIC, ICL."""
    from . import commands

    commands.score(model, data, out, as_json, settings)


@main.command()
@click.argument("model", type=click.Path())
@click.argument("n", type=click.IntRange(1))
@click.option("-o", "--out", type=click.Path(), required=True, help="Where to write (.npy).")
@click.option("--labels", "labels_path", type=click.Path(), help="Write labels (.npy) too.")
@seed_option
@json_option
@refusing
def sample(model, n, out, labels_path, seed, as_json):
    """Draw N samples from MODEL."""
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
    sys.exit(main())
