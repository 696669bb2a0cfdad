"""The command `plot`, and the pictures of `fit --plot`, `fit --animate` and `search --plot`."""

import json
import os

from .. import em
from ..errors import DataError
from ..files.modelfile import check_facts, read_model
from ..plots import animation, canvas, composition, figures, views
from ..sources import axis_labels, files_of, stem_of
from . import inputs, printing
from .replacing import check_written, keeping

# Kinds that need no data.
WITHOUT_DATA = ("loglik", "criteria")
# Bytes. Larger files are not read as JSON: the table of a search is small.
MOST_JSON = 64 * 2**20


def plot(model, out, kind, as_json, settings):
    """`gmm-fast plot`.

    Parameters
    ----------
    model : str
        Path of a model file, or of the JSON of a search for kind "criteria".
    out : str or None
    kind : str
        One of `options.KINDS`.
    as_json : bool
    settings : dict
        Options by parameter.
    """
    data = settings["data"]
    if data is None and kind not in WITHOUT_DATA:
        raise DataError(f"DATA is missing: a plot of {kind} needs it; give it after MODEL")
    _refuse_unused(kind, settings)
    if out is None:
        out = _default_name(model, data, kind)
    canvas.check_picture(out, "--out")
    canvas.check_size(settings["size"], settings["dpi"])
    drawn = {"loglik": _draw_loglik, "criteria": _draw_criteria}.get(kind, _draw_data)
    ax, facts = drawn(model, out, kind, settings)
    with keeping({"--out": out}, settings["no_clobber"]):
        canvas.save(ax, out, dpi=settings["dpi"])
    facts = {"kind": kind, **facts, "out": str(out)}
    printing.print_answer(as_json, facts, f"{kind} of {model}", _fact_rows(facts))


def check_pictures(settings):
    """Check, before the work begins, that the requested pictures can be drawn.

    Parameters
    ----------
    settings : dict
        Options by parameter; "plot" and "animate" are paths or None.

    Raises
    ------
    DataError
        An ending is unknown, or matplotlib is missing.
    """
    if settings.get("plot") is not None:
        canvas.check_picture(settings["plot"], "--plot")
    if settings.get("animate") is not None:
        animation.check_animation(settings["animate"], "--animate")


def recorder_of(settings):
    """The recorder of frames for `fit --animate`, or None."""
    return None if settings.get("animate") is None else animation.Recorder()


def draw_fit(backend, result, recipe, settings, recorder, progress):
    """Write the pictures of `fit`; `recipe` has the names and scales of the data."""
    seed, names = settings["seed"], recipe.names
    if settings.get("plot") is not None:
        progress.say("drawing")
        view = views.view_of(result.params, recipe.names, labels=recipe.labels)
        ax, _ = composition.draw_clusters(backend, result.params, view, seed=seed)
        canvas.save(ax, settings["plot"])
    if recorder is not None:
        progress.say("drawing the frames")
        recorder.finish(result)
        animation.write_animation(
            settings["animate"],
            backend,
            recorder.frames,
            result.total_weight,
            names,
            labels=recipe.labels,
            seed=seed,
        )


def draw_search(rows, settings):
    """Write the picture of `search`: the criterion over the rows of its table."""
    if settings.get("plot") is not None:
        canvas.save(figures.criteria(rows, settings["criterion"]), settings["plot"])


def _default_name(model, data, kind):
    """The name of DATA or of the model, and the kind unless it is "clusters"."""
    stem = stem_of(model if data is None or kind in WITHOUT_DATA else data)
    return stem.removesuffix(".gmm") + (".png" if kind == "clusters" else f".{kind}.png")


def _refuse_unused(kind, settings):
    """Raise DataError for options that a kind does not use."""
    of = {
        "features": ("clusters", "uncertainty"),
        "view": ("clusters",),
        "style": ("clusters",),
        "criterion": ("criteria",),
    }
    for name, kinds in of.items():
        if settings[name] not in (None, "auto") and kind not in kinds:
            raise DataError(
                f"--{name} applies to --kind {' and '.join(kinds)}, not to {kind}; leave it out"
            )


def _draw_data(model, out, kind, settings):
    """Draw clusters, uncertainty or silhouettes."""
    params, facts = read_model(model)
    options = {name: settings[name] for name in ("rows", "seed", "size")}
    source = inputs.open_for(settings, model, params, facts)
    names = source.feature_names or facts.get("features")
    labels = axis_labels(names, source.transforms)
    view = _view_for(params, names, labels, kind, settings)  # checked before the data is read
    check_written({"--out": out}, [*files_of(source), model], settings)
    with inputs.scoring(source, settings) as (backend, progress):
        progress.say("drawing")
        if kind == "silhouette":
            return composition.draw_silhouette(backend, params, **options)
        if kind == "uncertainty":
            return composition.draw_uncertainty(backend, params, view, **options)
        return composition.draw_clusters(backend, params, view, style=settings["style"], **options)


def _view_for(params, names, labels, kind, settings):
    """The view for a kind; raises DataError where features and view do not fit it."""
    if kind == "silhouette":
        views.check_several(params)
        return None
    if kind == "uncertainty":
        return views.plane_of(params, names, settings["features"], labels)
    return views.view_of(params, names, settings["features"], settings["view"], labels)


def _draw_loglik(model, out, kind, settings):
    params, facts = read_model(model)
    check_facts(facts, params.n_features, model)
    result = em.FitResult.from_facts(params, facts)
    check_written({"--out": out}, [model], settings)
    ax = canvas.new_figure(settings["size"]).add_subplot()
    return figures.loglik(result, ax=ax), {
        "n_iter": result.n_iter,
        "log_likelihood": result.log_likelihood,
        "mean_log_likelihood": result.mean_log_likelihood,
    }


def _draw_criteria(model, out, kind, settings):
    rows, criterion = figures.table_of(read_table(model), settings["criterion"])
    check_written({"--out": out}, [model], settings)
    ax = canvas.new_figure(settings["size"]).add_subplot()
    return figures.criteria(rows, criterion, ax=ax), {"criterion": criterion, "fits": len(rows)}


def read_table(path):
    """Read a file with the output of `gmm-fast search --json`.

    Raises
    ------
    DataError
        There is no such file, or it holds something else.
    """
    need = "a plot of criteria needs a file with the output of `gmm-fast search --json`"
    try:
        if os.path.getsize(path) > MOST_JSON:
            raise ValueError
        with open(path, encoding="utf-8") as file:
            table = json.load(file)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file; {need}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; {need}") from None
    except (ValueError, RecursionError):  # neither text nor JSON
        raise DataError(f"{path}: is not JSON; {need}") from None
    if not (isinstance(table, dict) and isinstance(table.get("candidates"), list)):
        raise DataError(f"{path}: is not the table of a search; {need}")
    return table


def _fact_rows(facts):
    """Facts as rows of a table."""
    rows = []
    if "n_samples" in facts:
        how = " as density" if facts.get("style") == "density" else ""
        rows.append(("rows drawn", f"{facts['rows']:,} of {facts['n_samples']:,}{how}"))
    for name in ("features", "projection"):
        if facts.get(name):
            rows.append((name, ", ".join(facts[name])))
    if facts.get("outside"):
        rows.append(("outside the axes", f"{facts['outside']:,} rows"))
    if "silhouette" in facts:
        rows.append(("silhouette", printing.number(facts["silhouette"])))
    if "n_iter" in facts:
        rows.append(("iterations", facts["n_iter"]))
    if "criterion" in facts:
        rows += [("criterion", facts["criterion"]), ("fits", facts["fits"])]
    return [*rows, ("picture", facts["out"])]
