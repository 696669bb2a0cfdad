"""Passes of `DaskBackend` on processes of this machine, beside what `scale_model.py` computes."""

import statistics
import time
from collections import Counter
from contextlib import ExitStack
from itertools import pairwise

import numba
import numpy as np
import psutil
from scale_constants import (
    Constants,
    fetching,
    hop,
    loopback_bytes,
    pieces,
    rate_and_part,
    scheduling,
    side_by_side,
    sizes_of_kernel,
)
from scale_time import Job, Parts, Site, predict

from gmm_fast.backends import DaskBackend, cluster, workers
from gmm_fast.em import Settings, step
from gmm_fast.families import get_family
from gmm_fast.forms import make_form
from gmm_fast.rescue import Rescue
from gmm_fast.sources import DaskSource, open_path
from gmm_fast.threads import serial_blas

# A prediction that is off by more is said loudly.
TOLERANCE = 0.25


class Run:
    """EM on some workers, an iteration at a time."""

    def __init__(self, client, source, params, n_workers, label):
        self.label, self.n_workers = label, n_workers
        before = _parts_held(client)
        self.backend = DaskBackend(client, source, threads=1)
        if not self.backend.in_memory:
            raise SystemExit("--check-rows: the workers cannot keep that many rows in memory")
        self.backend.warm_up(get_family(params.covariance_type))
        self.parts = Parts.of(self.backend.edges)
        self.rescue = Rescue(self.backend, params.covariance_type)
        self.settings = Settings().for_data(self.backend, params.covariance_type)
        self.params, self.stats = params, self.backend.stats(params)
        self.shares = sorted((_parts_held(client) - before).values(), reverse=True)
        self.seconds, self.sent = [], []

    def iterate(self):
        """One iteration, timed."""
        sent, began = loopback_bytes(), time.perf_counter()
        with serial_blas():
            self.params, self.stats = step(
                self.backend, self.stats, self.params, self.settings, self.rescue, 1
            )
        self.seconds.append(time.perf_counter() - began)
        self.sent.append(loopback_bytes() - sent)

    def result(self, job, constants, site):
        """Predicted, measured, ratio, as JSON values."""
        n = self.backend.n_samples
        given = job, constants, site, n, self.n_workers, self.parts
        computed, dealt = predict(*given), predict(*given, self.shares[0])
        measured = min(self.seconds)
        ratios = [measured / found.seconds for found in (computed, dealt)]
        n_bytes = computed.scheduler_bytes + computed.merge_bytes
        return {
            "what": self.label,
            "n": n,
            "workers": self.n_workers,
            "parts": self.parts.count,
            "parts_of_each_worker": self.shares,
            "predicted": computed.seconds,
            "measured": measured,
            "median": statistics.median(self.seconds),
            "seconds": self.seconds,
            "ratio": ratios[0],
            "predicted_as_dealt": dealt.seconds,
            "ratio_as_dealt": ratios[1],
            "off": max(abs(ratio - 1) for ratio in ratios) > TOLERANCE,
            "predicted_bytes": n_bytes,
            "measured_bytes": min(self.sent),
            "computed": computed.as_json(),
        }


def _parts_held(client):
    """How many parts each worker holds."""
    held = client.has_what()
    return Counter(
        {w: sum(str(key).startswith("gmm-open") for key in keys) for w, keys in held.items()}
    )


def _rows_of(path, start, stop):
    return np.array(np.load(path, mmap_mode="r")[start:stop])


def blocks_source(path, shape, dtype, count):
    """The file as a Dask array of so many blocks: parts as small as one likes."""
    import dask.array as da
    from dask import delayed

    edges = np.linspace(0, shape[0], count + 1).astype(int)
    read = delayed(_rows_of, pure=True)
    blocks = [
        da.from_delayed(read(path, int(a), int(b)), (int(b - a), shape[1]), dtype)
        for a, b in pairwise(edges)
    ]
    return DaskSource(da.concatenate(blocks))


def measure(path, k, family, *, worker_counts, blocks, counts, rounds):
    """Constants of this machine, and runs beside what they make one expect.

    Parameters
    ----------
    path : str
        Of a .npy file that every worker sees.
    k : int
    family : str
    worker_counts : sequence of int
        Begins with 1.
    blocks : int
        Of the runs with many small parts.
    counts : sequence of int
        Tasks of the passes that tell what one costs.
    rounds : int
        Of everything that is measured in turn.

    Returns
    -------
    Job, Constants, list of dict
        Of the runs: predicted, measured, ratio.
    """
    source = open_path(path)
    n, d = source.n_samples, source.n_features
    parts = Parts.of(workers.part_edges(n, d))
    thing = pieces(path, parts.rows, k, family)
    lanes = make_form(thing.params, source.dtype).shapes
    lane_bytes = 8 * sum(int(np.prod(shape)) for shape in lanes)
    job = Job(d, k, np.dtype(source.dtype), family, lane_bytes)
    with ExitStack() as stack:
        clients = {}
        for w in worker_counts:
            threads = min(w, numba.config.NUMBA_NUM_THREADS)
            clients[w] = stack.enter_context(cluster(workers=w, threads=threads))
        print("measuring what a task costs ...", flush=True)
        fetched = fetching(clients[max(clients)], thing.stats, rounds)
        known = {
            "sent": scheduling(clients[1], thing.params, counts[:3], False, rounds),
            "held": scheduling(clients[1], thing.params, counts, True, rounds),
            "hop": hop(clients[1], rounds),
            "fetch_once": fetched[0],
            "fetch": fetched[1],
            "merge": thing.merge,
            "m_step": thing.m_step,
            "stats_bytes": thing.stats_bytes,
            "params_bytes": thing.params_bytes,
        }
        print("measuring kernels and passes in turn ...", flush=True)
        runs = []
        for w, client in clients.items():
            runs.append(Run(client, source, thing.params, w, "file"))
            if blocks:
                small = blocks_source(path, (n, d), source.dtype, blocks)
                runs.append(Run(client, small, thing.params, w, "many blocks"))
        sizes = sizes_of_kernel(parts.rows)
        kernels = {(w, rows): [] for w in clients for rows in sizes}
        for _ in range(rounds):
            for (w, rows), found in kernels.items():
                found.append(side_by_side(clients[w], path, rows, thing.params))
            for run in runs:
                run.iterate()
    by_workers = {}
    for w in worker_counts:
        large, small = (min(kernels[w, rows]) for rows in sizes)
        rate, part = rate_and_part(large, small, parts.rows)
        by_workers[w] = Constants(rate=rate, part=part, **known)
    cores = psutil.cpu_count() or 1
    site = Site(threads=1, memory=2**62, disk=1.0, cores=cores)
    results = [run.result(job, by_workers[run.n_workers], site) for run in runs]
    # in a cluster every core is busy
    full = max((w for w in worker_counts if w <= cores), default=1)
    return job, by_workers[full], results
