"""Open what commands work on: data, weights and labels, and backends over them."""

import tempfile
from contextlib import contextmanager

import numpy as np

from .. import fitting
from ..backends import check_weights, cluster, room_of_workers
from ..errors import DataError, FitError
from ..estimator.feature_names import names_differ
from ..estimator.recipe import Recipe, open_alike
from ..files.tablefiles import ARRAYS, TABLES
from ..selection.criteria import silhouette_bytes
from ..sources import OPTIONS, Dialect, check_columns, chunks, load_resident, notes_of, select_kept
from ..sources.columns import NoColumnError, quote_list
from ..sources.npy import open_regular
from ..sources.paths import family_of, open_path
from ..starts import initial
from . import printing
from .progress import Progress
from .resuming import moments_of

# Formats that may hold one value per row.
_COLUMN_FAMILIES = ("npy", "npz", "text", "parquet", "arrow", None)
# Values read at a time.
_ROWS = 1 << 17


def open_data(settings, recipe=None):
    """Open the data of a command.

    Parameters
    ----------
    settings : dict
        Options by parameter.
    recipe : Recipe, optional
        Recipe of a model. It fills in the options that were not given, and chooses the columns of
        the fit where the data has names.

    Returns
    -------
    Source
    """
    recipe = Recipe() if recipe is None else recipe
    data = settings["data"]
    if str(data) == "":
        raise DataError("DATA is empty; name a file")
    options = {name: settings[name] for name in OPTIONS if settings.get(name) is not None}
    options["one_feature"] = settings["one_feature"]
    if settings["columns"] is not None:
        options["columns"] = settings["columns"]
    if settings.get("transform") is not None:
        options["transform"] = _of_columns(settings["transform"], settings["columns"])
    progress = Progress(quiet=settings["quiet"])
    with progress.shown():
        progress.say(f"opening {data}")
        source = open_alike(data, recipe, settings["memory"], **options)
    if settings["columns"] is not None and names_differ(recipe.names, source):
        printing.note(
            f"--columns: {quote_list(source.feature_names)} are taken for the model's "
            f"{quote_list(recipe.names)}, one by one"
        )
    return source


def _of_columns(transform, columns):
    """--transform with places among --columns for what is named there, so that numbers are those
    of the file in both."""
    if columns is None or not isinstance(transform, dict):
        return transform
    for name in transform:
        if name not in columns and name.isdigit():
            raise DataError(f"--transform: column {name} is none of --columns; write it as there")
    places = {name: i for i, name in enumerate(columns)}
    return {places.get(name, name): text for name, text in transform.items()}


def open_for(settings, model, params, facts):
    """Open the data of a command, on the scale of a model.

    Parameters
    ----------
    settings : dict
        Options by parameter.
    model : str
        Path of the model, for messages.
    params : Params
    facts : dict
        As `read_model` returns them.

    Returns
    -------
    Source
    """
    recipe = Recipe.from_facts(facts)
    source = open_data(settings, recipe)
    check_columns(source, params.n_features, str(model))
    return recipe.apply(source)


@contextmanager
def workers(settings, progress):
    """The client of the cluster that a command works on, or None."""
    address, number = settings["scheduler"], settings["workers"]
    if address is not None and number is not None:
        raise DataError("--workers and --scheduler contradict each other; give one of them")
    if address is None and number is None:
        yield None
        return
    progress.say(f"starting {number} workers" if address is None else f"connecting to {address}")
    options = {"threads": settings["threads"], "memory": settings["memory"]}
    with cluster(address, number, **options) as client:
        yield client


def open_backend(source, families, numbers, kept, progress, client, **more):
    """Call `fitting.open_backend` with the options of a command; check the data of a checkpoint.

    Events are printed at once: they may be a reason not to wait for the work.
    """
    settings = kept.options
    options = _backend_options(settings, source, client)
    kept.check_input("--weights", settings["weights"])
    progress.say("reading the data")
    rows = settings["silhouette_rows"]
    options["beside"] = silhouette_bytes(rows, source.n_features, families, numbers)
    options |= more
    backend, seconds, events = fitting.open_backend(source, families, numbers, **options)
    kept.check_data(settings["data"], moments_of(backend))
    if settings["verbose"]:
        printing.print_holding(backend, settings["memory"], client)
    for event in events:
        printing.note(event)
    return backend, seconds, events


@contextmanager
def scoring(source, settings):
    """A context for scoring data by the options of a command; yields a backend and a `Progress`."""
    progress = Progress(source.n_samples, quiet=settings["quiet"])
    with progress.shown(), workers(settings, progress) as client:
        options = _backend_options(settings, source, client)
        for text in notes_of(source):
            printing.note(text)
        progress.say("scoring")
        backend = fitting.scoring_backend(source, **options)
        if settings["verbose"]:
            printing.print_holding(backend, settings["memory"], client)
        yield backend, progress


def _backend_options(settings, source, client):
    """Options of every backend."""
    memory, number = settings["memory"], settings["workers"]
    return {
        "dtype": None if settings["dtype"] == "auto" else settings["dtype"],
        "weights": read_weights(settings, source),
        "threads": settings["threads"],
        "memory": memory,
        "client": client,
        "room": None if number is None else room_of_workers(memory, number),
    }


def read_labels(kept, source, k):
    """The labels of --from-labels."""
    path = kept.options["from_labels"]
    labels = _read_column("--from-labels", path, "label")
    if labels.dtype.kind == "f" and family_of(path) == "text":  # which is read as floats
        with np.errstate(invalid="ignore"):
            whole = labels.astype(np.int64)
        gone = np.isnan(labels)  # of dropped rows; refused for others
        labels = np.where(gone, -1, whole) if (gone | (whole == labels)).all() else labels
    kept.check_input("--from-labels", path)
    return _check_values(f"--from-labels {path}", initial.check_labels, labels, source, k)


def read_weights(settings, source):
    """The weights of --weights, or None."""
    path = settings.get("weights")
    if path is None:
        return None
    # --memory is a promise for any number of rows; without it, a map is not worth its danger: a
    # file that shrinks kills the process
    values = _read_column("--weights", path, "weight", mapped=settings["memory"] is not None)
    return _check_values(f"--weights {path}", check_weights, values, source)


def _read_column(option, path, name, mapped=False):
    """Read one value per row: int64 for integers, else float64; a memory map if `mapped`.

    Of a table with several columns, read the one called `name`.
    """
    open_regular(path, path).close()
    if family_of(path) not in _COLUMN_FAMILIES:
        known = ", ".join(ARRAYS + TABLES)
        raise DataError(f"{option} {path}: must be one of {known}")
    # a value may be missing where the row was dropped; elsewhere it is refused later
    how = {"one_feature": True, "dialect": Dialect(missing="drop")}
    try:
        source = open_path(path, columns=[name], **how)
    except NoColumnError:
        source = open_path(path, **how)
    with source:
        if source.n_features != 1:
            called = f", none of them called {name!r}" if source.feature_names else ""
            raise DataError(
                f"{path}: has {source.n_features} columns{called}; one value per row is needed"
            )
        if mapped:
            return _map_values(source, path)
        dtype = np.float64 if source.dtype.kind == "f" else np.int64
        return load_resident(source, np.float64).array[:, 0].astype(dtype, copy=False)


def _map_values(source, path):
    """A float64 memory map of the values of a source with one column."""
    if family_of(path) in ("npy", None) and source.dtype == np.float64:
        return np.load(path, mmap_mode="r", allow_pickle=False).reshape(-1)
    try:
        with tempfile.TemporaryFile() as file:
            for chunk in chunks(source, _ROWS, np.float64):
                file.write(chunk)
            file.flush()
            return np.memmap(file, np.float64, "r", shape=(source.n_samples,))
    except OSError as error:
        raise FitError(f"{path}: its values cannot be kept in a temporary file: {error}") from error


def _check_values(what, check, values, source, *rest):
    """Return `check(values, n_samples, *rest)`; errors name the option and the file.

    Values of dropped rows may be among them.
    """
    values, n_samples = select_kept(source, values), source.n_samples
    if len(values) != n_samples:
        raise DataError(
            f"{what}: has {len(values):,} values for {n_samples:,} rows of data; one value per "
            "row is needed"
        )
    try:
        return check(values, n_samples, *rest)
    except DataError as error:
        raise DataError(f"{what}: {str(error).removeprefix('sample_weight: ')}") from None
