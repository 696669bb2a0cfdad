"""Model files: what was written comes back to the bit, and nothing else is taken for a model."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from cases import random_params

import gmm_fast
from gmm_fast.errors import ModelFileError
from gmm_fast.files import archive
from gmm_fast.files.modelfile import read_model, write_model
from gmm_fast.mixture.params import Params

FACTS = {"log_likelihood": -1 / 3, "events": ["naïve"], "seconds": {"em": 1e-9}, "n_iter": 7}


def some_params(family, k=3, d=2):
    return random_params(np.random.default_rng(5), family, k, d)


def contents(path):
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


def rewrite(path, **changes):
    """The model with arrays replaced and members of the header set, as a tamperer would."""
    arrays = contents(path)
    header = json.loads(arrays.pop("header").tobytes())
    for name, value in changes.items():
        (arrays if name in arrays else header)[name] = value
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(path, header=text, **arrays)
    os.replace(f"{path}.npz", path) if os.path.exists(f"{path}.npz") else None


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "m.npz"
    write_model(path, some_params("full"), FACTS)
    return path


@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize(("k", "d"), [(1, 1), (3, 2), (2, 5)])
def test_round_trip_is_exact(tmp_path, family, k, d):
    params = some_params(family, k, d)
    write_model(tmp_path / "m", params, FACTS)
    found, facts = read_model(tmp_path / "m")
    assert facts == FACTS
    assert found.covariance_type == family
    for name in ("weights", "means", "covariances"):
        assert getattr(found, name).tobytes() == getattr(params, name).tobytes()
        assert getattr(found, name).shape == getattr(params, name).shape
    assert os.listdir(tmp_path) == ["m"]  # no .npz is added to the name


def test_memory_order_and_dtype_do_not_matter(tmp_path):
    params = some_params("full")
    odd = Params(
        params.weights, np.asfortranarray(params.means), params.covariances[:, ::-1], "full"
    )
    even = Params(
        params.weights, params.means.copy(), np.ascontiguousarray(odd.covariances), "full"
    )
    write_model(tmp_path / "odd", odd, {})
    write_model(tmp_path / "even", even, {})
    assert contents(tmp_path / "odd").keys() == contents(tmp_path / "even").keys()
    for name, value in contents(tmp_path / "even").items():
        np.testing.assert_array_equal(contents(tmp_path / "odd")[name], value)


def test_numpy_alone_reads_it(model):
    arrays = contents(model)
    assert set(arrays) == {"header", "weights", "means", "covariances"}
    np.testing.assert_array_equal(arrays["means"], some_params("full").means)
    header = json.loads(arrays["header"].tobytes())
    assert header["format"] == "gmm-fast model"
    assert header["version"] == 1
    assert header["covariance_type"] == "full"
    assert header["facts"] == FACTS


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failed_write_leaves_the_old_model(model, monkeypatch, error):
    before = model.read_bytes()

    def fail(file, **arrays):
        file.write(b"PK half of a model")
        raise error

    monkeypatch.setattr(archive.np, "savez", fail)
    with pytest.raises(error):
        write_model(model, some_params("diag"), {})
    assert model.read_bytes() == before
    assert os.listdir(model.parent) == ["m.npz"]


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "m"
    params = some_params("spherical", 1, 1)
    write_model(path, params, {"n_iter": 3})
    arrays, whole = contents(path), path.read_bytes()
    harmless = []
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        with suppress(ModelFileError):
            found, facts = read_model(path)
            harmless.append(i)
            assert facts == {"n_iter": 3}
            assert found.covariance_type == "spherical"
            for name in ("weights", "means", "covariances"):
                assert getattr(found, name).tobytes() == getattr(params, name).tobytes()
    # dates, permissions and the like in the zip archive; never what the model says
    assert len(harmless) < 0.3 * len(whole)
    for value in arrays.values():
        start = whole.index(value.tobytes())
        assert not set(harmless) & set(range(start, start + value.nbytes))


def test_every_cut_is_noticed(model):
    whole = model.read_bytes()
    for length in [0, 1, 2, *range(3, len(whole), 61), len(whole) - 1]:
        model.write_bytes(whole[:length])
        with pytest.raises(ModelFileError, match="not a gmm-fast model file"):
            read_model(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"means": np.zeros((3, 2))}, "damaged or changed after it was written"),
        ({"weights": np.full(3, 1 / 3)}, "damaged or changed after it was written"),
        ({"means": some_params("full").means.astype("f4")}, "damaged or changed after"),
        ({"covariances": some_params("full").covariances[:2]}, "damaged or changed after"),
        ({"facts": FACTS | {"n_iter": 8}}, "damaged or changed after"),
        ({"sha256": "0" * 64}, "damaged or changed after"),
        ({"sha256": None}, "damaged or changed after"),
        ({"version": 2}, "version 2; this gmm-fast reads version 1; fit again"),
        ({"version": "1"}, "a model file of version 1; this"),
        ({"version": None}, "version None; this gmm-fast reads version 1"),
        ({"format": "other"}, "not a gmm-fast model file"),
        ({"covariance_type": "round"}, "header is not complete"),
        ({"covariance_type": ["full"]}, "header is not complete"),
        ({"facts": None}, "header is not complete"),
        ({"facts": [1]}, "header is not complete"),
    ],
)
def test_a_tampered_model(model, change, message):
    rewrite(model, **change)
    with pytest.raises(ModelFileError, match=message) as caught:
        read_model(model)
    assert str(caught.value).startswith(str(model))


def test_a_rewritten_model_that_says_the_same_is_read(model):
    """The tampering above is refused for what it changes, not for being written again."""
    rewrite(model)
    assert read_model(model)[1] == FACTS


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize("member", ["weights", "means", "covariances", "header"])
def test_pickles_are_never_opened(model, tmp_path, member):
    arrays = contents(model)
    mark = tmp_path / "mark"
    trap = np.empty(1, object)
    trap[0] = Trap(str(mark))
    np.savez(model, allow_pickle=True, **arrays | {member: trap})
    with pytest.raises(ModelFileError, match="not a gmm-fast model file"):
        read_model(model)
    assert not mark.exists()
    pickle.loads(pickle.dumps(trap))  # the trap works
    assert mark.exists()


@pytest.mark.parametrize(
    "member", ["weights.npy", "means.npy", "covariances.npy", "header.npy", "all"]
)
def test_a_missing_member(model, member):
    with zipfile.ZipFile(model) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if member not in (n, "all")}
    with zipfile.ZipFile(model, "w") as archive:
        for name, value in kept.items():
            archive.writestr(name, value)
    with pytest.raises(ModelFileError, match="not a gmm-fast model file"):
        read_model(model)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"\xff", b'"x"'])
def test_a_header_that_is_no_header(model, text):
    arrays = contents(model)
    np.savez(model, **arrays | {"header": np.frombuffer(text, np.uint8)})
    with pytest.raises(ModelFileError, match="not a gmm-fast model file"):
        read_model(model)


@pytest.mark.parametrize(
    ("covariances", "message"),
    [
        ([[[1, 2], [2, 1]]], "not positive definite"),
        ([[[1, 1], [1, 1]]], "not positive definite"),
        ([[[1, 0], [0.5, 1]]], "not symmetric"),
        ([[[1, 0], [0, -1]]], "variances that are not positive"),
        ([[[1, 0], [0, np.nan]]], "not finite"),
        ([[1, 0], [0, 1]], "shape"),
        ([[[1, 0], [0, 1e-310]]], "precisions overflow"),
    ],
)
def test_parameters_that_are_no_mixture(tmp_path, covariances, message):
    covariances = np.array(covariances, float)
    write_model(tmp_path / "m", Params(np.ones(1), np.zeros((1, 2)), covariances, "full"), {})
    with pytest.raises(ModelFileError, match=message) as caught:
        read_model(tmp_path / "m")
    assert str(caught.value).startswith(str(tmp_path / "m"))


def test_files_that_are_no_models(tmp_path):
    np.save(tmp_path / "data.npy", np.ones((3, 2)))
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    for name, message in [
        ("none", "no such file; check the path"),
        ("data.npy", r"holds data \(.npy\), not a model; MODEL comes before DATA"),
        ("other.npz", "not a gmm-fast model file, or is damaged"),
        ("text", "not a gmm-fast model file"),
        ("empty", "not a gmm-fast model file"),
        ("pipe", "is not a file; give the model file"),
        (".", "is not a file; give the model file"),
    ]:
        with pytest.raises(ModelFileError, match=message):
            read_model(tmp_path / name)


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_members(path, content, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, value in content.items():
            archive.writestr(name, value)


def test_no_room_is_made_for_what_a_header_announces(model):
    content = members(model)
    means = content["means.npy"]
    # as long as before, and 3.2 GB of numbers
    forged = means.replace(b"'shape': (3, 2), }        ", b"'shape': (200000000, 2), }")
    assert len(forged) == len(means)
    assert forged != means
    write_members(model, content | {"means.npy": forged})
    assert peak_of_refusal(model) < 2**20


def test_nothing_is_unpacked(model):
    """A few kB of zeros, compressed, may be gigabytes."""
    file = io.BytesIO()
    np.save(file, np.zeros(2**23, np.uint8))
    write_members(model, members(model) | {"header.npy": file.getvalue()}, zipfile.ZIP_DEFLATED)
    assert peak_of_refusal(model) < 2**20


def test_members_that_share_their_bytes(model):
    """Two names of one stretch of the file: many such names would fill the memory, too."""
    content = bytearray(model.read_bytes())
    with zipfile.ZipFile(model) as archive:
        first, *others = archive.infolist()
    for other in others:  # in the list at the end, all lie where the first lies, and are as long
        at = content.rindex(b"PK\x01\x02", 0, content.rindex(other.filename.encode()))
        content[at + 20 : at + 28] = 2 * struct.pack("<I", first.file_size)
        content[at + 42 : at + 46] = struct.pack("<I", first.header_offset)
    model.write_bytes(content)
    with pytest.raises(ModelFileError, match="not a gmm-fast model file"):
        read_model(model)


def peak_of_refusal(path):
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match="not a gmm-fast model file"):
            read_model(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


WHOLE = {
    "log_likelihood": -3.0,
    "log_max_resp": -0.5,
    "total_weight": 2.5,
    "n_samples": 3,
    "trace": [-4.0, -3.0],
    "n_iter": 1,
    "converged": True,
    "stop_reason": "tolerance",
    "events": [],
    "seconds": {"em": 0.1},
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"total_weight": 0}, "total_weight"),
        ({"log_likelihood": float("inf")}, "log_likelihood"),
        ({"log_likelihood": 10**400}, "log_likelihood"),
        ({"trace": [-4.0, "x"]}, "trace"),
        ({"trace": None}, "trace"),
        ({"trace": [-5.0, -4.0, -3.0]}, "trace"),
        ({"n_iter": True}, "n_iter"),
        ({"events": [1]}, "events"),
        ({"seconds": {"em": "1"}}, "seconds"),
        ({"n_samples": -1, "converged": 1}, "n_samples, converged"),
        ({"reg_covar": "auto"}, "reg_covar"),
        ({"effort": -1.0}, "effort"),
        ({"moves": 2.5}, "moves"),
        ({"reg_covar": [0.1]}, "reg_covar"),
        ({"reg_covar": [0.1, None]}, "reg_covar"),
    ],
)
def test_facts_that_tell_no_fit(tmp_path, change, named):
    """As somebody writes them who knows the format, the digest included."""
    path = tmp_path / "m"
    write_model(path, some_params("diag"), WHOLE)
    old = gmm_fast.load(path)
    assert old.lower_bounds_ == [-1.6, -1.2]
    assert (old.result_.effort, old.result_.moves) == (0, 0)
    write_model(path, some_params("diag"), WHOLE | change)
    with pytest.raises(ModelFileError, match=f": {named} of the fit cannot be used") as caught:
        gmm_fast.load(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("features", ["ab", ["a"], ["a", 2], {"a": 1, "b": 2}, 2])
def test_features_that_are_no_names(tmp_path, features):
    write_model(tmp_path / "m", some_params("diag"), {"features": features})
    with pytest.raises(ModelFileError, match="feature names are not valid"):
        read_model(tmp_path / "m")


@pytest.mark.parametrize("dtype", ["f4", "i8", "f2"])
def test_other_numbers_than_float64(tmp_path, dtype):
    params = some_params("spherical")
    other = Params(params.weights, params.means.astype(dtype), params.covariances, "spherical")
    write_model(tmp_path / "m", other, {})
    with pytest.raises(ModelFileError, match="means are .*, not float64"):
        read_model(tmp_path / "m")


def test_data_given_as_model_is_not_read_whole(tmp_path):
    path = tmp_path / "data.npy"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY")
        file.truncate(1 << 40)  # a terabyte of holes
    with pytest.raises(ModelFileError, match="holds data"):
        read_model(path)
