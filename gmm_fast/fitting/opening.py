"""Opens data, compiles kernels, and makes a backend that stays within the available memory."""

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
from ..sources import ArraySource, DaskSource, is_reading_note, notes_of, open_source
from ..starts import optimum, seeding
from ..text import show_size

# Bytes for Python itself, the allocator and the threads' stacks.
SLACK = 24 * 2**20
# Bytes left for kernels, buffers and samples if rows of text are kept while they are counted.
TEXT_RESERVE = 160 * 2**20


def open_data(data, memory=None, **options):
    """Open data to work on within `memory` bytes; see `open_source`."""
    if isinstance(data, np.ndarray):  # nothing to keep, and finding free memory takes 1 ms
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
    """A backend with compiled kernels and surveyed data.

    Parameters
    ----------
    source : Source
    covariance_types : sequence of str
        Families to fit.
    numbers : sequence of int
        Numbers of components to fit in each.
    dtype, weights, threads
        As for `LocalBackend`.
    memory : int, optional
        Limit on the anonymous memory of the process, in bytes; data that does not fit is streamed.
        By default data may take a share of the free memory.
    client : distributed.Client, optional
        Its workers run the passes. By default the current client if `source` is a Dask array.
    room : int, optional
        Bytes of data that the workers may keep.
    beside : int
        Bytes needed for other work with the fits, silhouettes for instance.
    search : bool
        Whether fits may run side by side.
    folds : int, optional
        Number of folds of a cross-validation.

    Returns
    -------
    backend : Backend
    seconds : dict
        Times of "read" and "compile".
    events : list of str
        Guesses made in reading the data, warnings about it, and whether it has fewer rows than
        the fits need.

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
    # after the kernels are loaded: their memory is measured, not guessed
    working = working_bytes(source.n_features, max(numbers), at_once) + beside
    working += 2 * source.n_samples if folds else 0  # the fold of each row
    backend = _backend(source, dtype, weights, threads, memory, client, room, working)
    backend.survey(families[0].name)
    looked = time.perf_counter()
    seconds = {"read": looked - compiled, "compile": compiled - started}
    return backend, seconds, notes_of(source) + _warnings(backend, families, numbers)


def scoring_backend(
    source, *, dtype=None, weights=None, threads=None, memory=None, client=None, room=None
):
    """A backend for one or two passes over the data; parameters as for `open_backend`."""
    working = 4 * CHUNK_BYTES + SLACK
    return _backend(source, dtype, weights, threads, memory, client, room, working)


def _client(client, source):
    """`client`, or the current one for Dask arrays; None if this process does the work."""
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
    if memory is not None or not isinstance(source, ArraySource):  # an array is in memory already
        room = _beside_reading(source, room_for_data(memory, working), memory)
    return LocalBackend(source, dtype=dtype, weights=weights, threads=threads, room=room)


def _beside_reading(source, room, memory, processes=1):
    """Bytes of `room` left for data while `processes` read the source at the same time.

    Raises
    ------
    DataError
        Nothing is left of the promised memory, or reading alone takes more than is free.
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
    """Most bytes that fits hold besides the data, for any number of rows.

    Chunks being read, accumulators, the sample for starts and its transforms, the allocator's
    reserve. `at_once` fits run on samples at the same time, each with its own accumulators.
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
    are, do = ("is", "it does") if len(constant) == 1 else ("are", "they do")
    names = number_list(constant, "feature")
    return [f"{names} (counting from 0) {are} constant: {do} {_NO_HELP}", *found]


# What `_warnings` says about constant features.
_NO_HELP = "not separate components"


def is_of_data(event):
    """Whether an event is about the data and the call alone, not about what a fit found."""
    return _NO_HELP in event or is_of_needed_rows(event) or is_reading_note(event)
