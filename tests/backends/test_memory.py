"""Memory: sizes as people write them, limits of containers, and a promise that is kept."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from gmm_fast import GaussianMixture, fitting
from gmm_fast.backends import local, memory
from gmm_fast.backends.workers import part_edges
from gmm_fast.cli.main import main
from gmm_fast.errors import DataError
from gmm_fast.fitting import opening
from gmm_fast.sources import ArraySource, open_source, take
from gmm_fast.sources.boundaries import Even, Joined, Listed

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("500MB", 500 * 10**6),
        ("500 mb", 500 * 10**6),
        ("2G", 2 * 10**9),
        ("1.5GiB", 3 * 2**29),
        ("64kib", 2**16),
        ("1e9", 10**9),
        ("123456", 123456),
        (10**9, 10**9),
    ],
)
def test_sizes(text, want):
    assert memory.parse_size(text) == want


@pytest.mark.parametrize("text", ["", "MB", "500XB", "-1GB", "0", "five", "1e99GB", True, "nan"])
def test_what_is_no_size(text):
    with pytest.raises(DataError, match="is not a size; write 500MB"):
        memory.parse_size(text)


def test_sizes_for_people():
    shown = [memory.show_size(n) for n in (999, 64_000, 300 * 10**6, 1.6e9, 2e12)]
    assert shown == ["999 bytes", "64 kB", "300 MB", "1.6 GB", "2 TB"]


def group(folder, limit, used, cache, names):
    folder.mkdir(parents=True)
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cache}\n")


def test_limits_of_control_groups(tmp_path):
    """Version 2: the group's limit and those above hold; what the page cache holds is free."""
    names = ("memory.max", "memory.current")
    root = tmp_path / "cgroup"
    group(root / "a", 1000, 700, 100, names)
    group(root / "a" / "b", "max", 600, 0, names)
    group(root / "a" / "b" / "c", 500, 450, 0, names)
    membership = tmp_path / "self"
    membership.write_text("0::/a/b/c\n")
    assert sorted(memory._left_in_groups(root, membership)) == [50, 400]
    assert memory._left_in_groups(root, tmp_path / "missing") == []


def test_limits_of_control_groups_of_version_1(tmp_path):
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    group(tmp_path / "memory" / "a", 1000, 700, 100, names)
    membership = tmp_path / "self"
    membership.write_text("3:cpu,cpuacct:/a\n4:memory:/a\n")
    assert memory._left_in_groups(tmp_path, membership) == [400]


def test_data_takes_a_share_of_what_is_free(monkeypatch):
    monkeypatch.setattr(memory, "free_bytes", lambda: 1000)
    assert memory.free_share() == 500
    assert memory.room_for_data(None, 200) == 300
    assert memory.room_for_data(None, 900) == 0
    monkeypatch.setattr(memory, "anonymous_bytes", lambda: 300)
    assert memory.room_for_data(1000, 200) == 500
    with pytest.raises(DataError, match="memory: 400 bytes is too little"):
        memory.room_for_data(400, 200)


def test_same_bits_kept_or_streamed(monkeypatch, tmp_path):
    """The promise decides how data is held, and nothing else."""
    x = np.random.default_rng(0).normal(5, 2, size=(20_000, 3))
    np.save(tmp_path / "x.npy", x)
    source = open_source(tmp_path / "x.npy")
    found = []
    for room in (0, 2**40):
        monkeypatch.setattr(opening, "room_for_data", lambda promise, working, room=room: room)
        backend, _, _ = fitting.open_backend(source, ["full"], [3])
        assert backend.in_memory == (room > 0)
        model = GaussianMixture(3, random_state=0).fit(tmp_path / "x.npy")
        found.append((model.means_.tobytes(), model.lower_bounds_))
    assert found[0] == found[1]


def test_decoders_side_by_side_are_within_the_promise(tmp_path, monkeypatch):
    """As many as there is memory for beside the data, and no more than threads."""
    x = np.random.default_rng(0).normal(size=(30, 2))
    pq.write_table(pa.table({"a": x[:, 0], "b": x[:, 1]}), tmp_path / "x.parquet", row_group_size=5)
    asked = []
    monkeypatch.setattr(
        local, "load_resident", lambda *a, **how: asked.append(how["readers"]) or ArraySource(x)
    )
    monkeypatch.setattr(local, "check_threads", lambda threads: threads)
    source = open_source(tmp_path / "x.parquet")
    for spare in (0, 2, 17, 10**6):
        local.LocalBackend(source, threads=4, room=x.nbytes + spare * local.COLUMN_BYTES)
    assert asked == [1, 2, 4, 4]


def test_too_small_a_promise_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.random.default_rng(0).normal(size=(100, 2)))
    result = CliRunner().invoke(main, ["fit", "-k", "2", "x.npy", "--memory", "1MB"])
    assert result.exit_code == 2
    assert "1 MB is too little; the program and its buffers take about" in result.stderr
    result = CliRunner().invoke(main, ["fit", "-k", "2", "x.npy", "--memory", "many"])
    assert result.exit_code == 2
    assert "'many' is not a size; write 500MB" in result.stderr
    with pytest.raises(DataError, match="is not a size"):
        GaussianMixture(2, memory="many").fit(np.zeros((3, 1)))


def peak_of(command, folder):
    """Standard output, standard error and the peak of RssAnon of a command."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=folder, text=True, **pipes) as process:
        peak = 0
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                break
            lines = [line for line in status.splitlines() if line.startswith("RssAnon:")]
            peak = max([peak, *(int(line.split()[1]) * 1024 for line in lines)])
            time.sleep(0.005)
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    return output, errors, peak


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Folder of a file larger than what `test_the_promise_is_kept` promises, and weights for it."""
    folder = tmp_path_factory.mktemp("large")
    n, d = 4_000_000, 8
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float64, (n, d))
    rows = np.random.default_rng(0).normal(size=(200_000, d))
    for start in range(0, n, len(rows)):
        x[start : start + len(rows)] = rows
    del x
    np.save(folder / "w.npy", np.ones(n))
    pq.write_table(pa.table({"weight": np.ones(n)}), folder / "w.parquet")
    yield folder
    for path in folder.iterdir():
        path.unlink()


@linux
@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.parametrize(
    "options",
    ["-k 8", "-k 2 --dtype float32", "-k 2 --weights w.npy", "-k 2 --weights w.parquet"],
    ids=["plain", "cast", "weights", "weights in a table"],
)
def test_the_promise_is_kept(large, tmp_path, options):
    """By a process of its own, on a file larger than what it may hold."""
    promise = 240 * 10**6
    for path in large.iterdir():
        os.link(path, tmp_path / path.name)
    command = [sys.executable, "-m", "gmm_fast", "fit", "x.npy", *options.split(), "--json", "-v"]
    command += ["--memory", "240MB", "--max-iter", "2", "--labels", "labels.npy"]
    output, errors, peak = peak_of(command, tmp_path)
    assert os.path.getsize(large / "x.npy") > promise > peak > 0
    assert json.loads(output)["n_samples"] == 4_000_000
    assert "does not fit into memory (240 MB): streamed in every pass" in errors
    assert "and waited for data" in errors


def chunked(path, shape, chunks, **options):
    """An HDF5 file of about a kilobyte, whatever it announces."""
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("X", shape=shape, dtype="f8", chunks=chunks, **options)
    assert path.stat().st_size < 10_000
    return path


@linux
@pytest.mark.parametrize(
    ("shape", "n_files"), [((10**8, 2), 1), ((10**8, 2), 2), ((10**12, 1000), 1)]
)
def test_short_chunks_are_never_listed(tmp_path, shape, n_files):
    """Neither when such files are opened, nor when they are read."""
    for i in range(n_files):
        chunked(tmp_path / "x" / f"{i}.h5", shape, (1, 2))
    before = memory.anonymous_bytes()
    with open_source(tmp_path / "x") as source:
        n = source.n_samples
        assert n == n_files * shape[0]
        np.testing.assert_array_equal(take(source, [0, 1, n - 1], "f8"), np.zeros((3, shape[1])))
        assert source.boundaries.before(n - 7) == n - 7 == source.boundaries.after(n - 7)
        edges = part_edges(n, shape[1], source.boundaries)
        assert (edges[0], edges[-1]) == (0, n)
        assert memory.anonymous_bytes() - before < 20 * 10**6


def test_edges_of_parts_lie_where_reading_begins():
    rows = [0, 200_000, 1_000_000]
    joined = Joined(np.array([0, 1_100_000, 3_000_000]), [Listed(rows), Even(10**6, 1_900_000)])
    edges = part_edges(3_000_000, 8, joined).tolist()
    assert edges == [0, 1_000_000, 1_100_000, 2_100_000, 3_000_000]


def test_a_chunk_is_decoded_once_a_pass(tmp_path, monkeypatch):
    """However many blocks it is read in: HDF5 finds it in its cache."""
    n = 300_000
    x = np.random.default_rng(0).integers(0, 9, (n, 4)).astype("f8")
    for chunks in ((n, 4), (100_001, 1), (99_999, 3)):
        with h5py.File(tmp_path / "x.h5", "w") as file:
            file.create_dataset("X", data=x, chunks=chunks, compression="gzip")
            stored = file["X"].id.get_storage_size()
        with open_source(tmp_path / "x.h5") as source:
            blocks = list(source._blocks(0))
            assert len(blocks) > 6
            np.testing.assert_array_equal(np.concatenate([b for _, b in blocks]), x)
            before = read_so_far()
            for _ in source._blocks(0):
                pass
            assert stored <= read_so_far() - before < 1.5 * stored


def read_so_far():
    """Bytes that this process has asked files for."""
    return int(re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text())[1])


def test_chunks_larger_than_the_promise(tmp_path, monkeypatch):
    path = chunked(tmp_path / "x y.h5", (3_000_000, 8), (3_000_000, 8), compression="lzf")
    monkeypatch.setattr(opening, "anonymous_bytes", lambda: 10**8)
    monkeypatch.setattr(memory, "anonymous_bytes", lambda: 10**8)
    for source in (open_source(path), open_source(path, columns=[1]), open_source(path.parent)):
        assert source.reading_bytes == 3 * 192 * 10**6
        with pytest.raises(DataError) as refused:
            fitting.scoring_backend(source, memory=2 * 10**8)
        message = str(refused.value)
        assert f"h5repack -l /X:CHUNK=16384x8 '{path}' NEW.h5; or promise 720MB" in message
        assert not fitting.scoring_backend(source, memory=72 * 10**7).in_memory
    monkeypatch.setattr(opening, "free_bytes", lambda: 5 * 10**8)
    with pytest.raises(DataError, match=r"takes 576 MB of memory, more than there is.*NEW\.h5$"):
        fitting.scoring_backend(source)


@linux
@pytest.mark.slow
@pytest.mark.serial
def test_the_promise_is_kept_with_large_chunks(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        x = np.random.default_rng(0).normal(size=(1_000_000, 8))
        file.create_dataset("X", data=x, chunks=x.shape, compression="lzf", shuffle=True)
    command = [sys.executable, "-m", "gmm_fast", "fit", "-k", "2", "x.h5", "--json", "-c", "diag"]
    command += ["--memory", "380MB", "--max-iter", "2", "--no-model"]
    output, _, peak = peak_of(command, tmp_path)
    assert 380 * 10**6 > peak > 64 * 10**6
    assert json.loads(output)["n_samples"] == len(x)
