"""What test_processes.py runs in a process of its own: fits in its children and from its threads.

`processes.main(path, *names)` writes {name: {where: digests of what came out there}} as JSON.
Children of any kind import this module, so its settings hold in all of them.
"""

import hashlib
import json
import multiprocessing
import os
import tempfile
import threading
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import joblib
import numba
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from threadpoolctl import ThreadpoolController

from gmm_fast import GaussianMixture, open_source, search
from gmm_fast.backends import LocalBackend, local, threads
from gmm_fast.mixture.params import Params
from gmm_fast.selection import searching

# little data, many launches, each on all threads
threads.THREAD_WORK = 1
local.THREAD_WORK = 1
local.CHUNK_BYTES = 32 * 1024
searching.SIDE_BY_SIDE = 0

# One start of the many launches of "auto" (searches and grids have it, too), the others of few.
FITS = (
    ("full", 4, "auto"),
    ("tied", 3, "kmeans"),
    ("diag", 3, "k-means++"),
    ("spherical", 2, "kmeans"),
)
FILES = ("x.npy", "x.csv")


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(3000, 4)) + 3 * rng.integers(0, 3, size=(3000, 1))  # three chunks


def digest(*arrays):
    return hashlib.sha256(b"".join(np.asarray(a).tobytes() for a in arrays)).hexdigest()[:16]


def fit(which):
    """Digest of one fit and what it predicts."""
    covariance_type, k, init = FITS[which]
    model = GaussianMixture(
        k, covariance_type=covariance_type, init_params=init, max_iter=4, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data())
    return digest(
        model.means_, model.covariances_, model.predict(data()), model.predict_proba(data())
    )


def fits():
    return [fit(which) for which in range(len(FITS))]


def searches():
    """Digests of the models of a search, whose fits run side by side."""
    families = [family for family, *_ in FITS]
    found = search(data()[:500], range(1, 4), covariance=families, max_iter=4, random_state=0)
    return [digest(model.means_, model.covariances_) for model in found.models]


def stream(folder):
    """Digests of passes over files that are read anew in each."""
    found = []
    for name in FILES:
        backend = LocalBackend(open_source(Path(folder, name)), room=0)
        assert not backend.in_memory
        found += [one_pass(backend) for _ in range(2)]
    return found


def one_pass(backend):
    params = Params(np.full(3, 1 / 3), data()[:3], np.stack([np.eye(4)] * 3), "full")
    stats = backend.stats(params)
    return digest(stats.log_likelihood, stats.n_k, stats.s1, stats.s2)


def shared_source(folder):
    """Whether a child and its parent can read the same source, opened and begun before the fork."""
    long = np.tile(data(), (20, 1))  # several decoded blocks
    np.savetxt(Path(folder, "long.csv"), long, delimiter=",", fmt="%.17g")
    np.savez_compressed(Path(folder, "long.npz"), x=long)
    found = []
    for name in ("long.csv", "long.npz"):
        backend = LocalBackend(open_source(Path(folder, name), keep_bytes=0), room=0)
        expected = one_pass(backend)
        begun = backend.chunks()
        next(begun)
        found += [in_fork(one_pass, backend) == expected, one_pass(backend) == expected]
        begun.close()
    return found


def write_files(folder):
    np.save(Path(folder, "x.npy"), data())
    np.savetxt(Path(folder, "x.csv"), data(), delimiter=",", fmt="%.17g")


def grid(n_jobs):
    """Digest of the scores of a grid search."""
    search = GridSearchCV(
        GaussianMixture(max_iter=3, random_state=0), {"n_components": [2, 3]}, cv=2, n_jobs=n_jobs
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(data())
    return [digest(search.cv_results_["mean_test_score"])]


def blas_threads():
    return [
        library["num_threads"] for library in ThreadpoolController().select(user_api="blas").info()
    ]


def in_fork(function, *args):
    """What a function returns in a child of `os.fork`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writer, json.dumps(function(*args)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status != 0:
        raise SystemExit(f"the child of {function.__name__} ended with {status}")
    return json.loads(said)


def in_pool(method):
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2 if method == "fork" else 1, mp_context=context) as pool:
        return list(pool.map(fit, range(len(FITS))))


def in_joblib(backend):
    with joblib.parallel_config(backend=backend):
        return joblib.Parallel(n_jobs=2)(joblib.delayed(fit)(i) for i in range(len(FITS)))


def reference():
    """On one thread, one fit after the other; every other process must find the same."""
    with tempfile.TemporaryDirectory() as folder:
        write_files(folder)
        found = {"fits": fits(), "stream": stream(folder), "grid": grid(None)}
        return found | {"search": searches()}


def fork_after_fits():
    """Children of a process in which Numba's threads run."""
    found = {"fits": fits()}
    with tempfile.TemporaryDirectory() as folder:
        write_files(folder)
        found |= {"stream: parent": stream(folder), "stream: child": in_fork(stream, folder)}
        found["shared"] = shared_source(folder)
    found["fits: os.fork"] = in_fork(fits)
    found |= {"search: parent": searches(), "search: os.fork": in_fork(searches)}
    found["fits: child of a child"] = in_fork(in_fork, fits)
    found["fits: fork pool"] = in_pool("fork")
    found["fits: joblib multiprocessing"] = in_joblib("multiprocessing")
    with joblib.parallel_config(backend="multiprocessing"):
        found["grid: multiprocessing"] = grid(2)
    found["lost"] = [threads.numba_threads_lost(), in_fork(threads.numba_threads_lost)]
    found["fits: parent afterwards"] = fits()
    return found


def fork_during_fits():
    """Children of a process of which another thread is in a fit, whatever it holds just then."""
    before = blas_threads()
    stop = threading.Event()
    found = {}
    forked = []

    def keep_fitting():
        while not stop.is_set():
            found["fits: thread"] = fits()

    def fork_often():
        for which in range(len(FITS)):
            forked.append(in_fork(lambda i: [fit(i % len(FITS)), blas_threads()], which))

    with ThreadPoolExecutor(1) as pool:
        fitting = pool.submit(keep_fitting)
        try:
            fork_often()  # from the main thread: the first of them before the thread has a layer
        finally:
            stop.set()
        fitting.result()
    stop.clear()
    with ThreadPoolExecutor(1) as pool:
        forking = pool.submit(fork_often)  # and from another one
        while not forking.done():
            found["fits: main thread"] = fits()
        forking.result()
    for turn in range(0, len(forked), len(FITS)):
        found[f"fits: children from {turn}"] = [d for d, _ in forked[turn : turn + len(FITS)]]
    found["blas"] = [before, blas_threads(), *(b for _, b in forked)]
    return found


def fork_before_fits():
    """Children of a process that has imported everything and run nothing: they have threads."""
    found = {"fits: fork pool": in_pool("fork"), "fits: os.fork": in_fork(fits)}
    found["lost"] = [in_fork(lambda: [fits() and None, threads.numba_threads_lost()][1])]
    found["fits: child of a child"] = in_fork(lambda: [fits(), in_fork(fits)][1])
    found["fits: parent afterwards"] = fits()
    return found


def new_processes():
    """Processes that begin anew."""
    found = {"fits: spawn": in_pool("spawn")}
    if "forkserver" in multiprocessing.get_all_start_methods():
        found["fits: forkserver"] = in_pool("forkserver")
    found["fits: loky"] = in_joblib("loky")
    found["grid: loky"] = grid(2)
    return found


def many_threads():
    """Fits at the same time in one process; the first kernels it ever runs are among them."""
    before = blas_threads()
    with ThreadPoolExecutor(4) as pool:
        found = {"fits": list(pool.map(fit, range(len(FITS))))}
        again = list(pool.map(fit, 2 * list(range(len(FITS)))))
    for turn in range(0, len(again), len(FITS)):
        found[f"fits: turn {turn}"] = again[turn : turn + len(FITS)]
    with ThreadPoolExecutor(2) as pool:  # beside another one, and beside fits
        twice = [pool.submit(searches) for _ in range(2)]
        found["fits: beside searches"] = fits()
        found |= {f"search: {turn}": one.result() for turn, one in enumerate(twice)}
    found["fits: joblib threading"] = in_joblib("threading")
    with joblib.parallel_config(backend="threading"):
        found["grid: threading"] = grid(2)
    found["blas"] = [before, blas_threads()]
    return found


def main(path, *names):
    """Run scenarios one after the other."""
    found = {name: globals()[name]() for name in names}
    numba.get_num_threads()  # who has only had children has no layer yet
    Path(path).write_text(json.dumps(found | {"layer": numba.threading_layer()}))
