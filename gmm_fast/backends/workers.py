"""Run the kernels on the workers of a Dask cluster.

Parts depend on the data alone and are merged in a fixed tree, so the result does not depend on
how many workers there are, nor on which of them die.
"""

import pickle
import time
import uuid
from concurrent.futures import CancelledError
from itertools import pairwise

import numpy as np

from ..errors import DataError, FitError
from ..kernels.tiles import BLOCK
from ..sources import DaskSource
from . import tasks
from .base import Backend, default_dtype, needs_origin, rough_centre
from .local import chunk_rows
from .threads import check_threads

# Chunks of a part, roughly: enough work that the scheduler's millisecond does not matter.
PART_CHUNKS = 16
# Numbers of parts that several numbers of workers share evenly; beyond, multiples of the last.
EVEN = (1, 2, 4, 6, 12)
# Most parts; larger data has larger parts, as the scheduler would become the bottleneck.
MAX_PARTS = 4096 // EVEN[-1] * EVEN[-1]
# Bytes of `Stats` that one task merges, and how many of them at most.
MERGED_BYTES = 64 * 2**20
MOST_MERGED = 32
# Up to this many parts, and this many bytes per pass, parameters are sent with every task; beyond,
# a task holds them, and workers fetch them from one another.
SENT_PARTS = 64
SENT_BYTES = 4 * 2**20
# Share of the workers' memory that data may take; more is read again in every pass.
SHARE = 0.4
# Seconds without any worker before giving up, and between two checks.
DESERTED = 60
LOOK = 10


def part_edges(n_samples, n_features, boundaries=None):
    """Row numbers between which parts lie: they depend on the data alone.

    Parameters
    ----------
    n_samples, n_features : int
    boundaries : optional
        The boundaries of a `Source`; edges are moved to the nearest ones.

    Returns
    -------
    (p + 1,) int64
    """
    wanted = min(-(-n_samples // (PART_CHUNKS * chunk_rows(n_features))), MAX_PARTS)
    n_parts = next((n for n in EVEN if n >= wanted), EVEN[-1] * -(-wanted // EVEN[-1]))
    step = BLOCK * -(-n_samples // (BLOCK * n_parts))
    starts = np.arange(0, n_samples, step)
    if boundaries is not None:
        starts = np.unique([_nearest(boundaries, start) for start in starts.tolist()])
    return np.append(starts, n_samples)


def _nearest(boundaries, row):
    before, after = boundaries.before(row), boundaries.after(row)
    return before if after is None or row - before < after - row else after


def send_with_tasks(n_bytes, n_parts):
    """Whether to send parameters of that size with the task of each part."""
    return n_parts <= SENT_PARTS and n_bytes * n_parts <= SENT_BYTES


class DaskBackend(Backend):
    """Runs the kernels on the workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
    source : Source
        A `DaskSource`, whose blocks are the parts, or one that can be pickled (a path that every
        worker sees).
    dtype, weights
        As for `LocalBackend`.
    threads : int, optional
        For work in this process, on samples of the data.
    room : int, optional
        Bytes of data that the workers may keep; by default a share of their memory.

    Attributes
    ----------
    in_memory : bool
        Whether the workers keep the data.
    edges : (p + 1,) int64
        Row numbers between which the parts lie.

    Raises
    ------
    DataError
        A worker cannot read the data.
    FitError
        The cluster fails.
    """

    def __init__(self, client, source, *, dtype=None, weights=None, threads=None, room=None):
        self.client = client
        self.name = source.name
        self.n_samples = source.n_samples
        self.n_features = source.n_features
        self.dtype = np.dtype(dtype or default_dtype(source.dtype))
        self.threads = check_threads(threads)
        self.weights = weights
        self.opened = self.source = source
        nbytes = self.n_samples * self.n_features * self.dtype.itemsize
        room = SHARE * _workers_memory(client) if room is None else room
        self.in_memory = nbytes <= room
        self._data = self._kind()(client, source)
        self.edges = self._data.edges
        self.n_parts = len(self.edges) - 1
        self.origin = self._find_origin()
        self._data.open(self._options())

    @property
    def source_dtype(self):
        return self.source.dtype

    def _kind(self):
        if not isinstance(self.source, DaskSource):
            return _Rows
        return _Blocks if self.in_memory else _StreamedBlocks

    def _options(self):
        """Options of the `LocalBackend` of each part."""
        room = 2**62 if self.in_memory else 0
        options = {"dtype": self.dtype, "origin": self.origin, "room": room}
        if self.weights is None:
            return [options] * self.n_parts
        slices = pairwise(self.edges)
        return [options | {"weights": self.weights[start:stop]} for start, stop in slices]

    def _find_origin(self):
        if not needs_origin(self.source.dtype, self.dtype):
            return None
        with np.errstate(all="ignore"):
            return rough_centre(
                lambda rows: self._take(self._data.raw, rows), self.n_samples, self.weights
            )

    def warm_up(self, family):
        """Compile the kernel of `family` on every worker."""
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"])
        self.gather(
            [
                self.client.submit(
                    tasks.warm,
                    family.name,
                    self.n_features,
                    self.dtype,
                    key=_key("gmm-compile"),
                    workers=[worker],
                    allow_other_workers=True,
                )
                for worker in workers
            ]
        )

    def take(self, indices):
        return self._take(lambda i, rows: self._data.run("gmm-rows", tasks.rows, i, rows), indices)

    def _take(self, ask, indices):
        """Rows of all parts; ask(part, row numbers within it) requests those of one part."""
        indices = np.asarray(indices)
        ends = np.searchsorted(indices, self.edges)
        asked = [
            ask(i, indices[first:last] - self.edges[i])
            for i, (first, last) in enumerate(pairwise(ends))
            if last > first
        ]
        return np.concatenate(self.gather(asked))

    def data_chunks(self):
        for i, start in enumerate(self.edges[:-1]):
            rows = np.arange(self.edges[i + 1] - start)
            yield int(start), self.gather([self._data.run("gmm-rows", tasks.rows, i, rows)])[0]

    def stats(self, params):
        parts = self._data.run_all("gmm-stats", tasks.stats, self._shared(params))
        fan_in = max(2, min(MOST_MERGED, MERGED_BYTES // _stats_bytes(params)))
        while len(parts) > 1:
            groups = [parts[i : i + fan_in] for i in range(0, len(parts), fan_in)]
            parts = [self.client.submit(tasks.merge_all, g, key=_key("gmm-merge")) for g in groups]
        return self.gather(parts)[0]

    def _shared(self, params):
        """`params` for the tasks of one pass: as they are, or as a future."""
        if send_with_tasks(2 * _stats_bytes(params), self.n_parts):
            return params
        # a task, not scattered data: it can be recomputed if the worker that holds it dies
        return self.client.submit(tasks.hold, params, key=_key("gmm-params"))

    def score(self, params, *, log_prob=False, labels=False, resp=False):
        wanted = {"log_prob": log_prob, "labels": labels, "resp": resp}
        shared = self._shared(params)
        n_parts = self.n_parts
        # only a few parts ahead of the consumer: outputs are as long as the data
        ahead = 2 * max(1, len(self.client.scheduler_info(n_workers=-1)["workers"]))
        pending = {}
        for i in range(n_parts):
            for j in range(i, min(i + ahead, n_parts)):
                if j not in pending:
                    pending[j] = self._data.run("gmm-score", tasks.score, j, shared, wanted)
            yield int(self.edges[i]), self.gather([pending[i]])[0]
            pending[i] = None

    def refuse_bad_values(self):
        self.gather(self._data.run_all("gmm-check", tasks.check_finite))
        raise DataError(
            f"{self.name}: values are so large that their squares overflow {self.dtype}; "
            "rescale the data"
        )

    def _wait(self, futures):
        """Wait for futures, but not for workers that do not come back."""
        from distributed import wait

        last_seen = time.monotonic()
        while True:
            try:
                with self.client.as_current():
                    wait(futures, timeout=LOOK)
                return
            except TimeoutError:
                if self.client.scheduler_info(n_workers=-1)["workers"]:
                    last_seen = time.monotonic()
                elif time.monotonic() - last_seen > DESERTED:
                    raise FitError(
                        f"{self.name}: there has been no worker for {DESERTED} s; start some, and "
                        "look into the logs of the old ones"
                    ) from None

    def gather(self, futures):
        """Results of futures; errors of the cluster become `FitError`."""
        from distributed import KilledWorker

        try:
            self._wait(futures)
            return self.client.gather(futures)
        except (DataError, FitError):
            raise
        except KilledWorker as error:
            raise FitError(
                f"{self.name}: several workers died one after another at the same task; give them "
                f"more memory, or look into their logs ({error})"
            ) from None
        except (CancelledError, OSError, TimeoutError) as error:
            raise FitError(
                f"the connection to the scheduler was lost ({type(error).__name__}); start the "
                "cluster again"
            ) from None
        except ImportError as error:
            raise FitError(
                f"a worker lacks a package: {error}; install the same gmm-fast on every worker"
            ) from None


def score_lazily(array, params, what, dtype=None, stored_as=None):
    """What `Backend.score` computes, for a Dask array and as a Dask array.

    Parameters
    ----------
    array : dask.array.Array, (n, d)
    params : Params
    what : {'log_prob', 'labels', 'resp'}
    dtype : dtype, optional
        In which kernels compute.
    stored_as : dtype, optional
        Dtype of the result; by default `dtype`.

    Returns
    -------
    dask.array.Array, (n,), or (n, K) for responsibilities
    """
    array = array.rechunk({1: -1})
    dtype = np.dtype(dtype or default_dtype(array.dtype))
    stored_as = np.dtype(stored_as or dtype)
    whole = what == "resp"
    shape = {"chunks": (array.chunks[0], (params.n_components,))} if whole else {"drop_axis": 1}
    found = array.map_blocks(
        tasks.score_block,
        params,
        dtype,
        what,
        dtype=stored_as,
        meta=np.empty((0, 0) if whole else 0, stored_as),
        token=f"gmm-{what}",
        **shape,
    )
    return found.astype(stored_as)


class _Parts:
    """Parts of the data on the workers, as futures."""

    def __init__(self, client, edges):
        self.client = client
        self.edges = edges
        self.parts = []

    def raw(self, i, indices):
        """Future of rows of part i as stored; works before `open`."""
        raise NotImplementedError

    def open(self, options):
        """Make the parts, with the options of each `LocalBackend`."""
        raise NotImplementedError

    def run(self, name, function, i, *args):
        """Future of function(part i, *args)."""
        return self.client.submit(function, self.parts[i], *args, key=_key(name))

    def run_all(self, name, function, *args):
        """Futures of function(part, *args) for all parts."""
        keys = [_key(name) for _ in self.parts]
        return self.client.map(function, self.parts, *([a] * len(keys) for a in args), key=keys)


class _Rows(_Parts):
    """Parts of a file that every worker reads; parts that are not kept are read in every pass."""

    def __init__(self, client, source):
        super().__init__(client, part_edges(source.n_samples, source.n_features, source.boundaries))
        path = str(getattr(source, "path", source.name))
        opener = uuid.uuid4().hex, pickle.dumps(source), path
        self.opener = client.submit(tasks.hold, opener, key=_key("gmm-source"))

    def _range(self, i):
        return self.opener, int(self.edges[i]), int(self.edges[i + 1])

    def raw(self, i, indices):
        key = _key("gmm-rows")
        return self.client.submit(tasks.raw_file_rows, *self._range(i), indices, key=key)

    def open(self, options):
        # We assign the parts: the scheduler does not know their size and gave four of six to one
        # of two workers.
        turns = _turns(self.client)
        self.parts = [
            self.client.submit(
                tasks.part_of_rows,
                *self._range(i),
                each,
                key=_key("gmm-open"),
                workers=[turns[i % len(turns)]],
                allow_other_workers=True,
            )
            for i, each in enumerate(options)
        ]


class _Blocks(_Parts):
    """Parts that are the blocks of a Dask array, kept by the workers."""

    def __init__(self, client, source):
        array = source.data.rechunk({1: -1})
        lengths = np.array(array.chunks[0])
        super().__init__(client, np.concatenate([[0], np.cumsum(lengths[lengths > 0])]))
        self.name = source.name
        blocks = array.to_delayed().reshape(-1)
        self.blocks = [b for b, length in zip(blocks, lengths, strict=True) if length > 0]
        self._begin()

    def _begin(self):
        self.blocks = self.client.compute(self.blocks)

    def _block(self, i):
        return self.blocks[i], self.name, int(self.edges[i])

    def raw(self, i, indices):
        key = _key("gmm-rows")
        return self.client.submit(tasks.raw_block_rows, *self._block(i), indices, key=key)

    def open(self, options):
        self.parts = [
            self.client.submit(tasks.part_of_block, *self._block(i), each, key=_key("gmm-open"))
            for i, each in enumerate(options)
        ]
        self.blocks = []  # the parts hold what they need


class _StreamedBlocks(_Blocks):
    """Parts that are the blocks of a Dask array, computed again in every pass."""

    def _begin(self):
        pass

    def raw(self, i, indices):
        return self._compute("gmm-rows", tasks.raw_block_rows, [i], [(indices,)])[0]

    def open(self, options):
        self.options = options

    def run(self, name, function, i, *args):
        return self._compute(name, tasks.on_block, [i], [(self.options[i], function, *args)])[0]

    def run_all(self, name, function, *args):
        rest = [(options, function, *args) for options in self.options]
        return self._compute(name, tasks.on_block, range(len(rest)), rest)

    def _compute(self, name, function, numbers, rest):
        """Futures of function(block, name, start, *rest), each a graph on top of the block's."""
        from dask import delayed

        work = delayed(function, pure=False)
        return self.client.compute(
            [
                work(*self._block(i), *more, dask_key_name=_key(name))
                for i, more in zip(numbers, rest, strict=True)
            ]
        )


def _key(name):
    """A key that no other task has; dashboards show `name`."""
    return f"{name}-{uuid.uuid4().hex}"


def _turns(client):
    """Addresses of workers, each once per thread, interleaved."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    turns = [
        (turn / worker["nthreads"], address)
        for address, worker in workers.items()
        for turn in range(worker["nthreads"])
    ]
    return [address for _, address in sorted(turns)]


def _stats_bytes(params):
    """Rough size of `Stats`; parameters have the same."""
    return 8 * (params.means.size + params.covariances.size + params.n_components)


def _workers_memory(client):
    """Bytes that all workers may hold; practically unlimited if one has no limit."""
    limits = [w["memory_limit"] for w in client.scheduler_info(n_workers=-1)["workers"].values()]
    return sum(limit or 2**62 for limit in limits)
