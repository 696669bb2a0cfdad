"""From a source to a `FitResult`: read, compile, start, EM, each timed."""

import time

import numpy as np

from . import criteria, em, init, optimum, seeding, starting
from .backends import (
    DaskBackend,
    LocalBackend,
    check_means,
    count_positive,
    current_client,
    default_dtype,
    n_lanes,
    warm_up,
)
from .backends.local import CHUNK_BYTES, LANES_BYTES, MIN_LANES
from .checkpoint import Job, Keeper
from .errors import DataError, some
from .families import get_family
from .memory import anonymous_bytes, free_bytes, free_share, room_for_data, show_size
from .regularisation import check_reg_covar
from .rescue import is_of_needed_rows, needed_rows_events
from .resolution import check_resolution, excess, resolves, rounded_event, widened
from .sources import ArraySource, DaskSource, is_of_reading, notes_of, open_source
from .threads import check_threads, wait_quietly

# What Python, the allocator and the threads' stacks hold besides.
SLACK = 24 * 2**20
# What is left for kernels, buffers and samples when rows of text are kept while they are counted.
TEXT_RESERVE = 160 * 2**20


def check_settings(settings):
    """Raise DataError when a setting of `em.Settings` makes no sense."""
    if not (np.isfinite(settings.tol) and settings.tol >= 0):
        raise DataError(f"tol must be 0 or more, not {settings.tol}")
    if settings.max_iter < 0:
        raise DataError(f"max_iter must be at least 0, not {settings.max_iter}")
    check_reg_covar(settings.reg_covar)
    check_resolution(settings.resolution)


def open_data(data, memory=None, **options):
    """Open data that is going to be worked on within `memory` bytes; see `open_source`."""
    if isinstance(data, np.ndarray):  # nothing to keep; what is free takes a millisecond to find
        return open_source(data, **options)
    room = free_share() if memory is None else memory - anonymous_bytes() - TEXT_RESERVE
    return open_source(data, keep_bytes=max(0, room), **options)


def open_backend(
    source,
    covariance_types,
    numbers,
    *,
    dtype=None,
    weights=None,
    threads=None,
    memory=None,
    client=None,
    room=None,
    silhouette_rows=0,
    search=False,
    folds=None,
):
    """A backend with its kernels compiled and its data looked at.

    Parameters
    ----------
    source : Source
    covariance_types : sequence of str
        Families that are going to be fitted.
    numbers : sequence of int
        Numbers of components that are going to be fitted with each.
    dtype, weights, threads
        As for `LocalBackend`.
    memory : int, optional
        Anonymous memory in bytes that the process is to stay within; data that does not fit into
        it is streamed. By default data may take a share of the free memory.
    client : distributed.Client, optional
        Its workers do the passes. By default the current client does if `source` is a Dask array.
    room : int, optional
        Bytes of data that they may keep.
    silhouette_rows : int
        Rows of silhouettes to be measured.
    search : bool
        Whether fits may run side by side.
    folds : int, optional
        Of a cross-validation.

    Returns
    -------
    backend : Backend
    seconds : dict
        Of "read" and "compile".
    events : list of str
        What was guessed in reading the data, warnings about it, and that it has fewer rows than
        such fits need.

    Raises
    ------
    DataError
        The data holds NaN or infinity; `memory` is too little; folds on Dask workers.
    """
    client = _client(client, source)
    if client is not None and folds is not None:
        raise DataError(
            "cross-validation does not run on Dask workers; choose by bic, aic, icl or "
            "silhouette and without folds, or search without the cluster"
        )
    families = [get_family(name) for name in covariance_types]
    dtype = np.dtype(dtype or default_dtype(source.dtype))
    started = time.perf_counter()
    if source.decoded and source.n_samples * source.n_features * dtype.itemsize > (
        memory or free_share()
    ):
        wait_quietly()
    at_once = check_threads(threads) if search else 1
    for form in {family.form: family for family in families}.values():
        warm_up(form, source.n_features, dtype, threads, side_by_side=at_once > 1)
    seeding.warm_up(check_threads(threads))
    compiled = time.perf_counter()
    # after the kernels are loaded: what they take is seen, not guessed
    most, together = max(numbers), len(families) * sum(numbers)
    working = working_bytes(source.n_features, most, together, silhouette_rows, at_once)
    working += 2 * source.n_samples if folds else 0  # which of them each row is in
    backend = _backend(source, dtype, weights, threads, memory, client, room, working)
    backend.survey(families[0].name)
    looked = time.perf_counter()
    seconds = {"read": looked - compiled, "compile": compiled - started}
    return backend, seconds, notes_of(source) + _warnings(backend, families, numbers)


def scoring_backend(
    source, *, dtype=None, weights=None, threads=None, memory=None, client=None, room=None
):
    """A backend for one or two looks at the data; parameters as for `open_backend`."""
    working = 4 * CHUNK_BYTES + SLACK
    return _backend(source, dtype, weights, threads, memory, client, room, working)


def _client(client, source):
    """`client`, or the current one for Dask's arrays; None where this process does the work."""
    if client is None and isinstance(source, DaskSource):
        return current_client()
    return client


def _backend(source, dtype, weights, threads, memory, client, room, working):
    client = _client(client, source)
    if client is not None:
        if room is not None:
            workers = len(client.scheduler_info(n_workers=-1)["workers"])
            room = _beside_reading(source, room, memory, workers)
        options = {"dtype": dtype, "weights": weights, "threads": threads, "room": room}
        return DaskBackend(client, source, **options)
    if memory is not None or not isinstance(source, ArraySource):  # which is in memory already
        room = _beside_reading(source, room_for_data(memory, working), memory)
    return LocalBackend(source, dtype=dtype, weights=weights, threads=threads, room=room)


def _beside_reading(source, room, memory, processes=1):
    """What is left for data of `room` bytes where `processes` read the source at a time.

    Raises
    ------
    DataError
        Nothing is left of what was promised, or reading alone takes more than is free.
    """
    needed = processes * source.reading_bytes
    if needed and needed > (free_bytes() if memory is None else room):
        enough = 10 * -(-((memory or 0) - room + needed) // 10**7)
        more = "" if memory is None else f"; or promise {enough}MB (--memory)"
        raise DataError(
            f"{source.name}: is stored in chunks so large that reading takes "
            f"{show_size(needed)} of memory, more than there is; {source.reading_advice}{more}"
        )
    return max(0, room - needed)


def working_bytes(n_features, n_components, all_components, silhouette_rows, at_once=1):
    """Bytes that fits hold beside the data, at most, for any number of rows.

    Chunks under way, accumulators, the sample that starts are found on with its transforms,
    silhouettes (of models with `all_components` components together), what the allocator keeps.
    `at_once` fits run on samples at a time, each with accumulators of its own.
    """
    moments = 8 * n_features**2 * n_components
    lanes = 2 * max(LANES_BYTES, MIN_LANES * moments) + 8 * moments
    rows = optimum.sample_rows(n_components, n_features)
    sample = (6 * n_features + 8) * 8 * rows
    lanes += 2 * (at_once - 1) * n_lanes(rows, moments) * moments
    measured = criteria.working_bytes(silhouette_rows, n_features, all_components)
    return 4 * CHUNK_BYTES + lanes + sample + measured + SLACK


def _warnings(backend, families, numbers):
    constant = backend.survey().constant_features
    rows = backend.n_samples if backend.weights is None else count_positive(backend.weights)
    found = needed_rows_events(families, numbers, backend.n_features, rows)
    if len(constant) == 0:
        return found
    are, tell = ("is", "it tells") if len(constant) == 1 else ("are", "they tell")
    names = some(constant, "feature")
    return [f"{names} (counting from 0) {are} constant: {tell} {_NOTHING}", *found]


# What `_warnings` says of constant features.
_NOTHING = "nothing apart"


def is_of_data(event):
    """Whether an event tells of the data and the call alone, not of what a fit found."""
    return _NOTHING in event or is_of_needed_rows(event) or is_of_reading(event)


def fit(
    backend,
    n_components,
    covariance_type,
    start,
    settings,
    *,
    callback=None,
    keeper=None,
    previous=None,
    seconds=0.0,
    on_state=None,
):
    """Start and run EM, or go on with it.

    Parameters
    ----------
    backend : Backend
    n_components : int
    covariance_type : str
    start : starting.Start, optimum.Found or Params
        What was found, or `Params`, to go on from.
    settings : em.Settings
    callback : callable, optional
        As for `em.fit`.
    keeper : checkpoint.Keeper, optional
        What it has of this fit is not done again; it is given every state and the result.
    previous : em.FitResult, optional
        The fit whose parameters `start` are.
    seconds : float
        What it took to find `start`.
    on_state : callable, optional
        Called with every `em.State`, as `em.fit` does.

    Returns
    -------
    em.FitResult
    """
    check_settings(settings)
    settings = settings.for_data(backend, covariance_type)
    if keeper is None:
        keeper = Keeper()
    job = Job(covariance_type, n_components)
    result = keeper.result(job)
    if result is not None:
        return result
    told = _both(keeper.listener(job), on_state)

    def run(params, settings, **more):
        return em.fit(
            backend,
            params,
            settings,
            callback=callback,
            on_state=told,
            previous=previous,
            **more,
        )

    def begin():
        params, how = _start(backend, job, start, settings)
        how["seconds"]["init"] += seconds
        return params, how

    result = _resolved(run, begin, settings, keeper.state(job))
    if result.resolution is not None:
        result.excess = excess(backend, result.params, np.asarray(result.resolution))
    check_means(result.params, backend.dtype)  # or nothing could be done with the model
    keeper.finish(job, result)
    return result


def _resolved(run, start, settings, state):
    """Plain EM where it ends in components that the data resolves, else EM aware of the rounding.

    Both begin at the start: what has shrunk onto a value that repeats does not find back. Where the
    second one ends in components that are wide enough, plain EM goes on from there.

    Parameters
    ----------
    run : callable
        run(params, settings, state=..., **more) is `em.fit` of the data.
    start : callable
        Returns the parameters of the start, and more arguments of `run`.
    settings : em.Settings
    state : em.State or None
        Of the run that had not ended.
    """
    hidden, aware = settings.hidden(), settings.aware()
    if state is not None and not state.rounded:
        plain = run(None, settings, state=state)
        if hidden is None or resolves(plain.params, hidden):
            return plain
        state = None
    if state is not None:
        result = run(None, aware, state=state)
    else:
        params, how = start()
        if hidden is None:
            return run(params, settings, **how)
        if resolves(params, hidden):
            plain = run(params, settings, **how)
            if resolves(plain.params, hidden):
                return plain
            how["seconds"] = plain.seconds
        result = run(widened(params, hidden), aware, **how)
    if resolves(result.params, hidden) and settings.max_iter:
        how = {"effort": result.effort, "moves": result.moves, "events": result.events}
        plain = run(result.params, settings, seconds=result.seconds, **how)
        if resolves(plain.params, hidden):
            return plain
        result.seconds = plain.seconds
    result.events.append(rounded_event(result.params, settings.resolution))
    return result


def _both(*listeners):
    """What calls each of the listeners that there are, or None."""
    listeners = [listener for listener in listeners if listener is not None]
    if len(listeners) < 2:
        return listeners[0] if listeners else None

    def tell(state):
        for listener in listeners:
            listener(state)

    return tell


def _start(backend, job, start, settings):
    """The parameters to start from, and what `em.fit` is to add to its result."""
    started = time.perf_counter()
    found = start
    if isinstance(start, starting.Start):
        found = init.initial_params(backend, job.n_components, job.covariance_type, start, settings)
    elif not isinstance(start, optimum.Found):
        init.check_counts(backend, job.n_components)
        found = optimum.Found(start, [])
    how = found._asdict()
    params = how.pop("params")
    return params, how | {"seconds": {"init": time.perf_counter() - started}}
