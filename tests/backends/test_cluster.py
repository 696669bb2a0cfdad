"""Dask: real workers in processes of their own give the same fit, whatever happens to them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from distributed import Client, LocalCluster

from gmm_fast import GaussianMixture, em, fitting, search
from gmm_fast.backends import DaskBackend, LocalBackend, chunk_rows, connect, local, workers
from gmm_fast.backends.connect import cluster
from gmm_fast.backends.workers import part_edges
from gmm_fast.cli.main import main
from gmm_fast.errors import ChangedError, DataError, FitError
from gmm_fast.files.modelfile import read_model
from gmm_fast.mixture.families import get_family
from gmm_fast.mixture.params import Params
from gmm_fast.sources import open_source
from gmm_fast.sources.boundaries import Listed
from gmm_fast.starts import starting

# Dask's own: sockets of a loop that is closed while a worker is killed
pytestmark = [
    pytest.mark.slow,
    pytest.mark.serial,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def blobs(n=60_000, d=3):
    rng = np.random.default_rng(5)
    centres = rng.normal(0, 6, (4, d))
    return centres[rng.integers(0, 4, n)] + rng.normal(size=(n, d))


@pytest.fixture(scope="module")
def x():
    return blobs()


@pytest.fixture(scope="module")
def file(x, tmp_path_factory):
    path = tmp_path_factory.mktemp("cluster") / "x.npy"
    np.save(path, x)
    return path


@pytest.fixture(scope="module")
def two():
    """A client of two workers with a thread each."""
    with cluster(workers=2, threads=2) as client:
        yield client


@pytest.fixture(scope="module")
def three():
    """A client of three workers with two threads each."""
    with (
        LocalCluster(n_workers=3, threads_per_worker=2, dashboard_address=":0") as three,
        Client(three, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture
def small_parts(monkeypatch):
    """Parts small enough for there to be several."""
    monkeypatch.setattr(local, "CHUNK_BYTES", 2**14)
    monkeypatch.setattr(workers, "PART_CHUNKS", 10)


def bits(result):
    p = result.params
    return tuple(result.trace), *(a.tobytes() for a in (p.weights, p.means, p.covariances))


def fitted(backend, family="full", callback=None):
    settings = em.Settings(0.0, 6, 1e-6)
    return fitting.fit(backend, 4, family, starting.Start(), settings, callback=callback)


# Parts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 3, 40])
@pytest.mark.parametrize("chunks", [0.01, 1, 9, 177, 1000, 10**6])
def test_parts_depend_on_the_shape_alone_and_cover_it(d, chunks):
    n = max(1, int(chunks * chunk_rows(d)))
    edges = part_edges(n, d)
    assert edges[0] == 0
    assert edges[-1] == n
    lengths = np.diff(edges)
    assert (lengths > 0).all()
    assert lengths.max() - lengths[:-1].min(initial=lengths.max()) == 0
    assert len(lengths) <= workers.MAX_PARTS
    if chunks >= 177:  # work for twelve, shared evenly
        assert len(lengths) % 12 in (0, 11)


def test_parts_begin_where_reading_can_begin():
    edges = part_edges(10**7, 8)
    groups = np.arange(0, 10**7, 300_000)
    moved = part_edges(10**7, 8, Listed(groups))
    assert set(moved[:-1]) <= set(groups)
    assert abs(len(moved) - len(edges)) <= 1
    np.testing.assert_array_equal(part_edges(10**7, 8, Listed()), [0, 10**7])


# The same fit ---------------------------------------------------------------------------------


def test_any_number_of_workers_gives_the_same_bits(two, three, x, file, small_parts):
    """Kept or streamed, file or array in memory with the same partitioning."""
    want = None
    for client in (two, three):
        for share in (workers.SHARE, 0):
            backend = on(client, open_source(file), share)
            assert backend.n_parts > 6
            found = bits(fitted(backend))
            want = want or found
            assert found == want
        lengths = tuple(np.diff(backend.edges).tolist())
        array = da.from_array(x, chunks=(lengths, 2))
        for share in (workers.SHARE, 0):
            assert bits(fitted(on(client, open_source(array), share))) == want


def on(client, source, share=workers.SHARE, **options):
    before, workers.SHARE = workers.SHARE, share
    try:
        return DaskBackend(client, source, **options)
    finally:
        workers.SHARE = before


OPTIONS = {
    "full": ("plain", "weights", "float32"),
    "tied": ("weights",),
    "diag": ("plain", "weights", "float32"),
    "spherical": ("float32",),
}


@pytest.mark.parametrize("family", OPTIONS)
def test_it_is_the_local_fit(two, x, file, family, small_parts):
    """But for the order of sums; with all options for one family of each kernel."""
    weights = np.random.default_rng(0).uniform(0, 2, len(x))
    said = {"plain": {}, "weights": {"weights": weights}, "float32": {"dtype": np.float32}}
    for options in map(said.get, OPTIONS[family]):
        here = LocalBackend(open_source(file), **options)
        there = on(two, open_source(file), **options)
        rtol = 1e-4 if there.dtype == np.float32 else 1e-9
        rows = np.arange(7, len(x), 501)
        np.testing.assert_allclose(there.take(rows), here.take(rows), rtol=1e-6)
        a, b = fitted(here, family), fitted(there, family)
        np.testing.assert_allclose(b.trace, a.trace, rtol=rtol)
        np.testing.assert_allclose(b.params.means, a.params.means, rtol=rtol, atol=10 * rtol)
        for what in ("log_prob", "labels", "resp"):
            ours, theirs = (scores(one, a.params, what) for one in (here, there))
            np.testing.assert_allclose(theirs, ours, rtol=rtol, atol=10 * rtol)


def test_rows_of_weight_zero_are_nowhere(two, x, tmp_path, small_parts):
    """Not in the origin of float32 either, which the workers are told."""
    far, weights = x.copy(), np.ones(len(x))
    far[::3], weights[::3] = 1e12, 0
    np.save(tmp_path / "far.npy", far)
    source = open_source(tmp_path / "far.npy")
    there = on(two, source, weights=weights, dtype=np.float32)
    here = LocalBackend(source, weights=weights, dtype=np.float32)
    np.testing.assert_allclose(there.origin, here.origin, rtol=1e-12)
    assert np.abs(there.origin).max() < 10
    without = LocalBackend(open_source(x[weights > 0]), dtype=np.float32)
    np.testing.assert_allclose(there.survey().variance, without.survey().variance, rtol=1e-4)


def scores(backend, params, what):
    """One output of all the samples."""
    found = [getattr(o, what).copy() for _, o in backend.score(params, **{what: True})]
    return np.concatenate(found)


def test_large_parameters_travel_apart(two, file, small_parts, monkeypatch):
    want = bits(fitted(on(two, open_source(file))))
    monkeypatch.setattr(workers, "SENT_BYTES", 0)
    monkeypatch.setattr(workers, "MERGED_BYTES", 0)  # two at a time: another tree
    result = fitted(on(two, open_source(file)))
    np.testing.assert_allclose(result.trace, want[0], rtol=1e-10)


def test_a_worker_uses_its_threads_and_no_more(three, file, small_parts):
    """One kernel at a time in each process, on that process's threads."""
    backend = on(three, open_source(file))
    backend.survey()
    seen = three.run(kernel_threads)
    assert len(seen) == 3
    assert all(n <= 2 for n in seen.values())


def kernel_threads():
    """Python threads of this process that run kernels, and how many a kernel may use."""
    import numba

    ours = [t for t in threading.enumerate() if t.name.startswith("gmm-fast-kernels")]
    assert len(ours) <= 1
    return min(2, numba.get_num_threads()) if ours else 0


def test_tasks_have_names(two, file, small_parts):
    """That a dashboard shows."""
    seen = two.run_on_scheduler(prefixes)
    backend = on(two, open_source(file))
    fitted(backend)
    seen = two.run_on_scheduler(prefixes)
    assert {"gmm-open", "gmm-rows", "gmm-stats", "gmm-merge"} <= set(seen)


def prefixes(dask_scheduler):
    return list(dask_scheduler.task_prefixes)


# What goes wrong ------------------------------------------------------------------------------


def test_a_killed_worker_costs_time_and_nothing_else(two, file, small_parts):
    want = bits(fitted(on(two, open_source(file))))  # workers that are left in peace
    with cluster(workers=2, threads=2) as client:
        backend = DaskBackend(client, open_source(file))
        killed = []

        def kill(iteration, *_):
            if iteration in (2, 4):
                pids = client.run(os.getpid)
                pid = pids[sorted(pids)[0]]
                killed.append(pid)
                threading.Timer(0.01, os.kill, (pid, signal.SIGKILL)).start()

        result = fitted(backend, callback=kill)
    assert len(set(killed)) == 2
    assert bits(result) == want


@pytest.mark.parametrize("share", [workers.SHARE, 0])
def test_bad_values_are_named(two, x, tmp_path, small_parts, share):
    wrong = x.copy()
    wrong[54_321, 1] = np.nan
    np.save(tmp_path / "wrong.npy", wrong)
    array = da.from_array(wrong, chunks=(9_000, 3))
    for data in (tmp_path / "wrong.npy", array):
        for dtype in (np.float64, np.float32):
            with pytest.raises(DataError, match=r"row 54321 \(counting from 0\), column 1 is NaN"):
                on(two, open_source(data), share, dtype=dtype).survey()
    wrong[54_321, 1] = 1e200
    with pytest.raises(DataError, match="so large that their squares overflow"):
        on(two, open_source(da.from_array(wrong, chunks=(9_000, 3))), share).survey()


def test_an_unreadable_path_names_the_worker_and_the_path(two, x, tmp_path):
    """The file is there when the command opens it, and not where the worker looks for it."""
    path = tmp_path / "elsewhere.npy"
    np.save(path, x)
    source = open_source(path)
    path.rename(tmp_path / "moved.npy")
    with pytest.raises(DataError, match=r"worker tcp://\S+ on \S+ cannot read .*elsewhere\.npy: "):
        DaskBackend(two, source).survey()


def test_a_file_that_was_replaced_is_read_anew(two, tmp_path):
    for k in range(2):
        np.save(tmp_path / "x.npy", np.full((100, 2), float(k)))
        assert DaskBackend(two, open_source(tmp_path / "x.npy")).take([3])[0, 0] == k


def test_a_file_that_changes_meanwhile(two, x, tmp_path, monkeypatch):
    """Seen by the workers, whether they have it open or not."""
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(workers, "SHARE", 0.0)  # streamed
    backend = DaskBackend(two, open_source(tmp_path / "x.npy"))
    backend.survey()
    os.utime(tmp_path / "x.npy", ns=(0, 1))
    with pytest.raises(ChangedError, match="x.npy: the file changed while it was used: it was wri"):
        backend.stats(unit(x))
    with pytest.raises(ChangedError, match="x.npy: the file changed while it was used"):
        DaskBackend(two, backend.source).survey()


def unit(x):
    """One standard component."""
    d = x.shape[1]
    return Params(np.ones(1), np.zeros((1, d)), np.ones((1, d)), "diag")


def test_a_worker_that_is_killed_while_it_starts(tmp_path, monkeypatch):
    """Another cluster is started."""
    once = f"if not os.path.exists('{tmp_path}/x'): open('{tmp_path}/x', 'x').close(); "
    killed = "os.kill(os.getpid(), 9)\n"
    monkeypatch.setattr(
        connect, "_IGNORE_INTERRUPTS", f"{connect._IGNORE_INTERRUPTS}import os\n{once}{killed}"
    )
    with cluster(workers=2, threads=2) as client:
        assert (tmp_path / "x").exists()
        assert client.submit(sum, [1, 2]).result() == 3
    monkeypatch.setattr(connect, "_IGNORE_INTERRUPTS", f"import os\n{killed}")
    monkeypatch.setattr(connect, "STARTS", 2)
    message = r"1 workers could not be started, 2 times \(.*\); try again, or with fewer workers"
    with pytest.raises(FitError, match=message), cluster(workers=1):
        pass


def test_a_scheduler_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(connect, "PATIENCE", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(DataError, match=f"scheduler {address}: no answer within"):
            connect_to(address)
        assert time.monotonic() - began < 5
    with pytest.raises(DataError, match="no answer within"):
        connect_to(address)  # nobody listens any more


def connect_to(address):
    with cluster(address):
        pass


@pytest.mark.parametrize("address", ["nonsense", "foo://a:1", "tcp://127.0.0.1:many"])
def test_what_is_no_address(address):
    with pytest.raises(DataError, match="is not an address .*; write tcp://host:8786"):
        connect_to(address)


def test_a_scheduler_without_workers(monkeypatch):
    monkeypatch.setattr(connect, "PATIENCE", 1)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as empty,
        pytest.raises(DataError, match=r"has no workers; start some with `dask worker tcp://"),
    ):
        connect_to(empty.scheduler_address)


def test_nobody_waits_for_workers_that_are_gone(file, monkeypatch):
    monkeypatch.setattr(workers, "DESERTED", 0.5)
    monkeypatch.setattr(workers, "LOOK", 0.2)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as one,
        Client(one, set_as_default=False) as client,
    ):
        backend = DaskBackend(client, open_source(file))
        backend.survey()
        one.scale(0)
        while client.scheduler_info()["workers"]:
            time.sleep(0.05)
        with pytest.raises(FitError, match="there has been no worker for 0.5 s"):
            backend.take([1])


def test_too_little_memory_for_workers_is_refused_before_they_start(folder):
    call = ["fit", "-k", "2", "x.npy", "--workers", "2", "--memory", "300MB"]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 2
    assert "300 MB is too little for 2 workers: they take about 200 MB each" in result.stderr
    assert connect.room_of_workers(10**9, 2) == 350 * 10**6
    assert connect.room_of_workers(None, 2) is None


def test_workers_keep_what_fits_their_room(two, file, small_parts):
    kept, streamed = (DaskBackend(two, open_source(file), room=room) for room in (2**40, 0))
    assert (kept.in_memory, streamed.in_memory) == (True, False)
    assert bits(fitted(kept)) == bits(fitted(streamed))


def test_parts_of_text_do_not_depend_on_memory(two, x, tmp_path, small_parts):
    """Whether rows were kept while they were counted is no matter of workers."""
    path = tmp_path / "x.csv"
    pd.DataFrame(x[:5000], columns=["u", "v", "w"]).to_csv(path, index=False)
    found = [
        DaskBackend(two, open_source(path, keep_bytes=keep)).edges.tolist() for keep in (0, 10**9)
    ]
    assert found == [[0, 5000]] * 2


# The estimator --------------------------------------------------------------------------------


def test_dask_arrays_in_the_estimator(two, x):
    """With a client its workers work; without, this process does; predictions stay lazy."""
    array = da.from_array(x, chunks=(17_000, 2))
    want = GaussianMixture(4, random_state=0).fit(x)
    alone = GaussianMixture(4, random_state=0).fit(array)
    assert alone.means_.tobytes() == want.means_.tobytes()
    with two.as_current():
        model = GaussianMixture(4, random_state=0).fit(array)
        np.testing.assert_allclose(model.means_, want.means_, rtol=1e-9)
        assert abs(model.score(array) - want.score(x)) < 1e-9
        labels = model.predict(array)
        assert isinstance(labels, da.Array)
        assert (labels.shape, labels.dtype, labels.chunks[0]) == ((60_000,), int, array.chunks[0])
        np.testing.assert_array_equal(labels.compute(), model.predict(x))
        for name in ("predict_proba", "score_samples"):
            lazy, now = getattr(model, name)(array), getattr(model, name)(x)
            assert (lazy.shape, lazy.dtype) == (now.shape, now.dtype)
            np.testing.assert_array_equal(lazy.compute(), now)
        np.testing.assert_array_equal(model.fit_predict(array), model.predict(x))
        wrong = x.copy()
        wrong[54_321, 1] = np.nan
        with pytest.raises(DataError, match="X: row 54321"):
            model.predict(da.from_array(wrong, chunks=(17_000, 2))).compute()
        found = search(array, range(3, 5))
        assert found.best.n_components == 4
        with pytest.raises(DataError, match="cross-validation does not run on Dask workers"):
            search(array, 4, criterion="cv")
        start = GaussianMixture(4).fit(array, labels=want.predict(x))
        assert start.n_iter_ <= 3
    np.testing.assert_array_equal(model.predict(array).compute(scheduler="threads"), labels)


def test_dask_frames_in_the_estimator(two, x):
    frame = pd.DataFrame(x, columns=["u", "v", "w"])
    lazy = dd.from_pandas(frame, npartitions=4)
    with two.as_current():
        model = GaussianMixture(4, random_state=0).fit(lazy)
        assert list(model.feature_names_in_) == ["u", "v", "w"]
        np.testing.assert_array_equal(model.predict(lazy).compute(), model.predict(frame))
        turned = model.predict(lazy[["v", "u", "w"]])
        np.testing.assert_array_equal(turned.compute(), model.predict(frame))
        with pytest.raises(ValueError, match="The feature names should match"):
            model.predict(lazy[["v", "w"]])


# The command line -----------------------------------------------------------------------------


@pytest.fixture
def folder(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.link(file, tmp_path / "x.npy")
    return tmp_path


def invoke(*arguments):
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_commands_on_a_scheduler(two, folder, x):
    where = ("--scheduler", two.scheduler.address)
    invoke("fit", "-k", "4", "x.npy", "-o", "here.npz")
    shown = invoke("fit", "-k", "4", "x.npy", "-o", "there.npz", "-v", *where)
    assert "1 part on 2 workers with 2 threads, kept by them" in shown.stderr
    here, there = (read_model(f"{name}.npz")[0] for name in ("here", "there"))
    np.testing.assert_allclose(there.means, here.means, rtol=1e-9)
    invoke("predict", "there.npz", "x.npy", "-o", "a.npy")
    invoke("predict", "there.npz", "x.npy", "-o", "b.npy", *where)
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    facts = [
        json.loads(invoke("score", "there.npz", "x.npy", "--json", *more).stdout)
        for more in ((), where)
    ]
    assert facts[0]["bic"] == pytest.approx(facts[1]["bic"], rel=1e-12)
    shown = invoke("search", "3", "4", "x.npy", "--json", "--no-model", *where)
    assert json.loads(shown.stdout)["best"]["n_components"] == 4


def test_workers_of_ones_own(folder):
    """In a process of its own: its main module is imported by each worker."""
    command = [sys.executable, "-m", "gmm_fast", "fit", "-k", "4", "x.npy", "--workers", "2"]
    done = subprocess.run([*command, "--json", "-v"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["n_samples"] == 60_000
    assert "on 2 workers" in done.stderr
    assert "dashboard: http" in done.stderr


def test_ctrl_c_reaches_all_and_leaves_a_checkpoint(folder):
    """As a terminal sends it: to the command and to its workers."""
    command = [sys.executable, "-m", "gmm_fast", "fit", "-k", "4", "x.npy", "--workers", "2"]
    command += ["--tol", "0", "--max-iter", "100000", "--checkpoint", "c.ckpt", "--every", "0.1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not begun("c.ckpt"):
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()  # else one that does not hear would be waited for without end
    assert process.returncode == 130
    assert "go on with: gmm-fast fit --resume c.ckpt" in errors
    assert "Traceback" not in errors


def begun(path):
    from gmm_fast.fitting.checkpoint import read_checkpoint

    return os.path.exists(path) and read_checkpoint(path).begun


def test_two_places_to_work_are_refused(folder):
    call = ["fit", "-k", "2", "x.npy", "--workers", "2", "--scheduler", "tcp://h:1"]
    result = CliRunner().invoke(main, call)
    assert result.exit_code == 2
    assert "--workers and --scheduler contradict each other" in result.stderr


def test_keys_are_never_used_twice():
    assert workers._key("a") != workers._key("a")
    assert uuid.UUID(hex=workers._key("gmm-x").split("-")[-1])


def test_families_are_compiled_on_the_workers(two, file):
    backend = on(two, open_source(file))
    backend.warm_up(get_family("diag"))
    assert "gmm-compile" in two.run_on_scheduler(prefixes)
