"""From data to a backend over it: opened, kernels compiled, within the memory that there is."""

import time

import numpy as np

from ..backends import (
    DaskBackend,
    LocalBackend,
    count_positive,
    current_client,
    default_dtype,
    n_lanes,
    warm_up,
)
from ..backends.local import CHUNK_BYTES, LANES_BYTES, MIN_LANES
from ..backends.memory import anonymous_bytes, free_bytes, free_share, room_for_data
from ..backends.threads import check_threads, wait_quietly
from ..em.rescue import is_of_needed_rows, needed_rows_events
from ..errors import DataError, number_list
from ..mixture.families import get_family
from ..sources import (
    ArraySource,
    DaskSource,
    is_reading_note,
    notes_of,
    open_source,
)
from ..starts import (
    optimum,
    seeding,
)
from ..text import show_size

# What Python, the allocator and the threads' stacks hold besides.
SLACK = 24 * 2**20
# What is left for kernels, buffers and samples when rows of text are kept while they are counted.
TEXT_RESERVE = 160 * 2**20


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
    beside=0,
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
    beside : int
        Bytes that what is done with the fits is going to hold, silhouettes for instance.
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
    working = working_bytes(source.n_features, max(numbers), at_once) + beside
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


def working_bytes(n_features, n_components, at_once=1):
    """Bytes that fits hold beside the data, at most, for any number of rows.

    Chunks under way, accumulators, the sample that starts are found on with its transforms, what
    the allocator keeps. `at_once` fits run on samples at a time, each with accumulators of its own.
    """
    moments = 8 * n_features**2 * n_components
    lanes = 2 * max(LANES_BYTES, MIN_LANES * moments) + 8 * moments
    rows = optimum.sample_rows(n_components, n_features)
    sample = (6 * n_features + 8) * 8 * rows
    lanes += 2 * (at_once - 1) * n_lanes(rows, moments) * moments
    return 4 * CHUNK_BYTES + lanes + sample + SLACK


def _warnings(backend, families, numbers):
    constant = backend.survey().constant_features
    rows = backend.n_samples if backend.weights is None else count_positive(backend.weights)
    found = needed_rows_events(families, numbers, backend.n_features, rows)
    if len(constant) == 0:
        return found
    are, tell = ("is", "it tells") if len(constant) == 1 else ("are", "they tell")
    names = number_list(constant, "feature")
    return [f"{names} (counting from 0) {are} constant: {tell} {_NOTHING}", *found]


# What `_warnings` says of constant features.
_NOTHING = "nothing apart"


def is_of_data(event):
    """Whether an event tells of the data and the call alone, not of what a fit found."""
    return _NOTHING in event or is_of_needed_rows(event) or is_reading_note(event)
