"""Outputs: the whole file or none, and no temporary name left behind."""

import os
import resource
import stat
from itertools import pairwise

import numpy as np
import pytest

from gmm_fast.errors import DataError, FitError
from gmm_fast.files import outputs
from gmm_fast.files.outputs import (
    NpyWriter,
    atomic_write,
    check_outputs,
    check_writable,
    forbid_replacing,
    save_npy,
)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def small_files():
    """No file may grow beyond 64 KiB, as on a disk that is almost full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_name_that_no_file_can_have():
    with pytest.raises(DataError, match=r"^'a\\x00b': cannot be written: .*check the path"):
        check_writable("a\0b")


def test_atomic_write_appears_at_the_end(tmp_path):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
        assert len(os.listdir(tmp_path)) == 2
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("existing", [False, True])
def test_an_exception_leaves_everything_as_it_was(tmp_path, error, existing):
    path = tmp_path / "out.bin"
    if existing:
        path.write_bytes(b"old")
    before = os.listdir(tmp_path)
    with pytest.raises(error), atomic_write(path) as file:
        file.write(b"half")
        raise error
    assert os.listdir(tmp_path) == before
    assert not existing or path.read_bytes() == b"old"


def test_permissions_are_those_of_open(tmp_path):
    old = os.umask(0o027)
    try:
        save_npy(tmp_path / "new.npy", np.ones(2))
        with open(tmp_path / "plain", "wb"):
            pass
    finally:
        os.umask(old)
    assert mode(tmp_path / "new.npy") == mode(tmp_path / "plain") == 0o640


def test_an_existing_mode_is_kept(tmp_path):
    path = tmp_path / "out.npy"
    save_npy(path, np.ones(2))
    path.chmod(0o604)
    save_npy(path, np.zeros(2))
    assert mode(path) == 0o604
    assert np.load(path).tolist() == [0, 0]


def test_a_symbolic_link_stays(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.npy"
    link.symlink_to(tmp_path / "real" / "out.npy")
    save_npy(link, np.ones(2))
    assert link.is_symlink()
    assert os.listdir(tmp_path / "real") == ["out.npy"]


@pytest.mark.parametrize("ends", [["a"], ["b", "a"]])
def test_links_in_a_circle(tmp_path, ends):
    names = ["a", *ends]
    for name, other in pairwise(names):
        (tmp_path / name).symlink_to(other)
    with pytest.raises(DataError, match="a: is a symbolic link in a loop; give anot"):
        check_outputs({"--labels": tmp_path / "a"}, [])
    with pytest.raises(DataError, match=r"there is no folder .*a; create it first"):
        check_outputs({"--labels": tmp_path / "a" / "x.npy"}, [])


def test_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_npy("out.npy", np.ones(2))
    assert os.listdir() == ["out.npy"]


def test_a_full_disk(tmp_path, small_files):
    with pytest.raises(FitError, match=r"out\.npy: could not be written: File too large"):
        save_npy(tmp_path / "out.npy", np.ones(100_000))
    assert os.listdir(tmp_path) == []


def test_a_full_disk_found_only_at_the_end(tmp_path, small_files):
    """The last bytes wait in Python's buffer: the error comes from the flush."""
    with pytest.raises(FitError, match="File too large"), atomic_write(tmp_path / "out") as file:
        file.write(bytes(1 << 16))
        file.write(b"x")
    assert os.listdir(tmp_path) == []


def test_a_rename_that_fails(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(FitError, match=r"out\.npy: could not be written: Read-only"):
        save_npy(tmp_path / "out.npy", np.ones(3))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_came_during_the_work_is_not_replaced(tmp_path, monkeypatch, links):
    def fail(*_):
        raise OSError(1, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", fail)
    path = tmp_path / "out.bin"
    os.symlink(path, tmp_path / "link")
    with forbid_replacing([tmp_path / "link"]), atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    path.unlink()
    with (
        forbid_replacing([path]),
        pytest.raises(
            FitError, match=r"out\.bin: was written by another .* is in .*out\.\w{6}\.bin$"
        ),
        atomic_write(path) as file,
    ):
        file.write(b"new")
        path.write_bytes(b"of another")
    assert path.read_bytes() == b"of another"
    (kept,) = set(tmp_path.iterdir()) - {path, tmp_path / "link"}
    assert kept.read_bytes() == b"new"
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_check_writable_accepts_and_changes_nothing(tmp_path):
    check_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == []
    (tmp_path / "old").write_bytes(b"old")
    check_writable(tmp_path / "old")
    assert (tmp_path / "old").read_bytes() == b"old"


@pytest.mark.parametrize("call", [check_writable, lambda path: save_npy(path, np.ones(2))])
def test_paths_refused(tmp_path, call):
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for path, message in [
        (tmp_path / "none" / "out", "out: there is no folder .*none; create it first"),
        (tmp_path / "file" / "out", "out: there is no folder .*file; create it first"),
        (tmp_path, ": is a directory; give the path of a file in it"),
        (tmp_path / "pipe", "pipe: is not a regular file; give another path"),
    ]:
        with pytest.raises(DataError, match=message):
            call(path)
    assert sorted(os.listdir(tmp_path)) == ["file", "pipe"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.parametrize(
    ("locked", "message"),
    [("out", "out: the file exists and is not writable"), ("", "out: folder .* is not writable")],
)
def test_no_permission(tmp_path, monkeypatch, locked, message):
    (tmp_path / "out").touch()
    refused = os.path.realpath(tmp_path / locked)
    # By hand, for root may write everywhere.
    monkeypatch.setattr(outputs.os, "access", lambda path, mode: path != refused)
    with pytest.raises(DataError, match=message):
        check_writable(tmp_path / "out")


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i4", "?", "g"])
@pytest.mark.parametrize("shape", [(10,), (10, 3), (10, 2, 2)])
def test_blocks_make_the_array(tmp_path, dtype, shape):
    X = np.random.default_rng(0).integers(0, 9, shape).astype(dtype)
    with NpyWriter(tmp_path / "out.npy", shape, dtype) as writer:
        writer.write(X[:4])
        writer.write(X[4:4])
        writer.write(np.asfortranarray(X[4:]))
    found = np.load(tmp_path / "out.npy")
    assert found.dtype == X.dtype
    assert found.tobytes() == X.tobytes()
    save_npy(tmp_path / "whole.npy", np.asfortranarray(X))
    assert (tmp_path / "whole.npy").read_bytes() == (tmp_path / "out.npy").read_bytes()


def test_blocks_are_converted_within_their_kind(tmp_path):
    with NpyWriter(tmp_path / "out.npy", (2,), "f4") as writer:
        writer.write([1.5, 2.5])
    assert np.load(tmp_path / "out.npy").dtype == np.float32
    writer = NpyWriter(tmp_path / "int.npy", (2,), "i4")
    with pytest.raises(TypeError, match="Cannot cast"), writer:
        writer.write([1.5, 2.5])
    assert os.listdir(tmp_path) == ["out.npy"]


@pytest.mark.parametrize("rows", [[], [2], [2, 3], [5]])
def test_a_wrong_number_of_rows(tmp_path, rows):
    message = rf"out\.npy: {sum(rows)} rows written of 4 announced"
    writer = NpyWriter(tmp_path / "out.npy", (4, 2), "f8")
    with pytest.raises(FitError, match=message), writer:
        for count in rows:
            writer.write(np.ones((count, 2)))
    assert os.listdir(tmp_path) == []


def test_an_exception_between_blocks(tmp_path):
    with pytest.raises(KeyError), NpyWriter(tmp_path / "out.npy", (4, 2), "f8") as writer:
        writer.write(np.ones((4, 2)))
        raise KeyError("caller")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("block", [np.ones(2), np.ones((2, 3)), np.ones((1, 2, 2)), 1.0])
def test_a_block_of_the_wrong_shape(tmp_path, block):
    writer = NpyWriter(tmp_path / "out.npy", (4, 2), "f8")
    with pytest.raises(ValueError, match="for an array of shape"), writer:
        writer.write(block)
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_written_by_rows(tmp_path):
    for shape, dtype in [((), "f8"), ((2,), "O")]:
        with pytest.raises(ValueError, match="cannot write"):
            NpyWriter(tmp_path / "out.npy", shape, dtype)


def test_a_name_that_is_too_long_is_noticed_before_the_work(tmp_path):
    with pytest.raises(DataError, match="cannot be written: File name too long"):
        check_writable(tmp_path / ("n" * 300))


def test_outputs_must_not_destroy_each_other_or_an_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_npy("data.npy", np.ones(2))
    os.symlink("data.npy", "link.npy")
    check_outputs({"--model": "m", "--labels": None}, ["data.npy", None])
    for wanted, message in [
        ({"--model": "data.npy"}, "--model data.npy: would overwrite the input file"),
        ({"--model": "./data.npy"}, "--model ./data.npy: would overwrite the input file"),
        ({"--model": tmp_path / "data.npy"}, "would overwrite the input file of the same name"),
        ({"--model": "link.npy"}, "--model link.npy: would overwrite the input file"),
        ({"--model": "m", "--labels": "./m"}, "--labels ./m: would overwrite the --model file"),
        ({"--labels": ""}, "--labels is empty"),
        ({"--model": "m", "--labels": "no/l"}, "no/l: there is no folder"),
    ]:
        with pytest.raises(DataError, match=message):
            check_outputs(wanted, ["data.npy", None])
    assert sorted(os.listdir()) == ["data.npy", "link.npy"]
