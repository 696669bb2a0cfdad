"""Damaged and forged files: read as what they are, or refused by name; no crash, no full memory.

A case is one file. `make fuzz` makes 10 000 for each test here, `make test` a few, always the same.
"""

import io
import json
import struct
import tempfile
import tracemalloc
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr
from cases import random_params
from formats import fcs_bytes, feather, ipc
from fuzzing import cases, check_fitted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy_format

import gmm_fast
from gmm_fast import GaussianMixture
from gmm_fast.em.loop import FitResult, State
from gmm_fast.errors import DataError, FitError, ModelFileError
from gmm_fast.files import archive
from gmm_fast.files.modelfile import MODEL, write_model
from gmm_fast.fitting import checkpoint
from gmm_fast.fitting.checkpoint import (
    CHECKPOINT,
    Checkpoint,
    Job,
    read_checkpoint,
    write_checkpoint,
)
from gmm_fast.sources import load_resident, open_source

FAMILIES = ("full", "tied", "diag", "spherical")
# The files are of a few kB; what is read of them may take a few MB, but not what they announce.
MOST_BYTES = 40 * 2**20
few = settings(suppress_health_check=list(HealthCheck))


def fuzz(number):
    return settings(few, max_examples=cases(number))


def careful(call, *arguments):
    """What `call` returns or the DataError that it raised; no warnings, no large allocation."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tracemalloc.start()
        try:
            found = call(*arguments)
        except DataError as error:
            found = error
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    told = [f"{w.filename}:{w.lineno}: {w.message}" for w in caught]
    assert not told
    assert peak < MOST_BYTES
    return found


# Bytes -----------------------------------------------------------------------------------------

NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


@st.composite
def edited(draw, content, others=(b"",)):
    """`content` with a few bytes changed, put in, taken out, or cut off."""
    content = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        end = min(len(content), at + draw(st.integers(1, 12)))
        how = draw(st.integers(0, 8))
        if how == 0 and at < len(content):
            content[at] ^= 1 << draw(st.integers(0, 7))
        elif how == 1:
            content[at:end] = draw(st.binary(min_size=end - at, max_size=end - at))
        elif how == 2:
            content[at:at] = draw(st.binary(min_size=1, max_size=8))
        elif how == 3:
            del content[at:end]
        elif how == 4:
            del content[at:]
        elif how == 5:
            content[at:at] = content[at:end]
        elif how == 6:
            other = draw(st.sampled_from(others))
            content[at:] = other[draw(st.integers(0, len(other))) :]
        else:
            number, size = draw(st.sampled_from(NUMBERS)), draw(st.sampled_from([1, 2, 4, 8]))
            content[at : at + size] = (number % 256**size).to_bytes(size, "little")
    return bytes(content)


# Models and checkpoints ------------------------------------------------------------------------


def a_result(family):
    params = random_params(np.random.default_rng(1), family, 2, 2)
    return FitResult(
        params, -70.5, -1.25, 20.0, 20, [-80.0, -70.5], 1, True, "tolerance", ["naïve"]
    )


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz") / "fuzzed.npz"


def _bytes_of(write, *arguments):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder, "x"), *arguments)
        return Path(folder, "x").read_bytes()


def a_checkpoint():
    result = a_result("full")
    done = {Job("full", 2): (result.params, result.facts())}
    state = State(a_result("diag").params, (-9.0, -8.5), 1, ("x",), np.zeros(2, bool), {1: 2}, {})
    return Checkpoint("search", {"k": 2}, "here", {"n": 20}, {}, done, (Job("diag", 2), state))


def model_bytes(family):
    result = a_result(family)
    facts = result.facts() | {"features": ["a", "b"]}
    return _bytes_of(write_model, result.params, facts)


MODELS = {family: model_bytes(family) for family in FAMILIES}
CHECKPOINTS = {"checkpoint": _bytes_of(write_checkpoint, a_checkpoint())}


def contents(file):
    """All that a model or a checkpoint says."""
    with np.load(io.BytesIO(file)) as arrays:
        return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}


def same_model(model, family):
    params = a_result(family).params
    assert model.covariance_type == family
    for name in ("weights", "means", "covariances"):
        assert getattr(model, f"{name}_").tobytes() == getattr(params, name).tobytes()
    assert model.lower_bounds_ == [-4.0, -3.525]
    assert model.events_ == ["naïve"]


@fuzz(250)
@given(data=st.data(), family=st.sampled_from(FAMILIES))
def test_changed_bytes_of_a_model(path, data, family):
    changed = data.draw(edited(MODELS[family], [*MODELS.values(), *CHECKPOINTS.values()]))
    path.write_bytes(changed)
    found = careful(gmm_fast.load, path)
    if isinstance(found, DataError):
        assert isinstance(found, ModelFileError)
        assert str(found).startswith(f"{path}: ")
    else:  # the change is in nothing that counts, or in the kind of the file as a whole
        same_model(found, found.covariance_type)


@fuzz(120)
@given(data=st.data())
def test_changed_bytes_of_a_checkpoint(path, data):
    changed = data.draw(edited(CHECKPOINTS["checkpoint"], [*MODELS.values()]))
    path.write_bytes(changed)
    found = careful(read_checkpoint, path)
    if isinstance(found, DataError):
        assert str(found).startswith(f"{path}: ")
    else:
        assert _said(found) == _said(a_checkpoint())


def _said(found):
    """A checkpoint in values that compare."""
    (running, state), done = found.running, found.done
    params = [state.params, *(p for p, _ in done.values())]
    return (
        [getattr(found, name) for name in checkpoint._PLAIN],
        [(job, facts) for job, (_, facts) in done.items()],
        (running, state.trace, state.events, state.revivals, state.collapsed.tolist()),
        [getattr(p, name).tobytes() for p in params for name in ("weights", "means")],
    )


ODD = st.sampled_from(
    [
        None, True, 0, -1, 1, 3, 2.5, 1e308, float("nan"), float("inf"), 10**400, "", "x", "full",
        "diag", "gmm-fast model", [], [[]], ["x"], [1, 2], [None, 1], {}, {"a": 1}, {"full": []},
    ]
)  # fmt: skip


@st.composite
def changed_json(draw, value):
    """A JSON value with something in it replaced, removed or added."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        name = draw(st.sampled_from(sorted(value)))
        if draw(st.integers(0, 5)) == 0:
            return {n: v for n, v in value.items() if n != name}
        return value | {name: draw(changed_json(value[name]))}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        i = draw(st.integers(0, len(value) - 1))
        return [*value[:i], draw(changed_json(value[i])), *value[i + 1 :]]
    return draw(ODD)


SHAPES = ((), (0,), (1,), (2,), (2, 2), (4, 1), (2, 2, 2), (0, 2), (2, 0), (1, 2, 2), (2, 2, 1, 1))
TYPES = ("f8", ">f8", "f4", "i8", "u1", "?", "c16", "U3", "S8", "M8[s]", "f8,f8", "f2", "g")


@st.composite
def changed_array(draw, array):
    how = draw(st.integers(0, 4))
    if how == 0:
        dtype = draw(st.sampled_from(TYPES))
        with np.errstate(all="ignore"), warnings.catch_warnings(), suppress(Exception):
            warnings.simplefilter("ignore")
            return array.astype(dtype)
    if how == 1:
        return np.resize(array, draw(st.sampled_from(SHAPES)))
    if how == 2 and array.ndim > 1:
        return np.asfortranarray(array)
    if array.size and array.dtype.kind in "fiub":
        array = array.copy()
        value = draw(st.sampled_from([0, 1, -1, np.nan, np.inf, 1e300, 1e-320, -1e-300]))
        with np.errstate(all="ignore"):
            array.flat[draw(st.integers(0, array.size - 1))] = np.array(value).astype(array.dtype)
    return array


def npy_bytes(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def announcing(shape):
    """A `.npy` file of one number whose header tells of others."""
    file = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    npy_format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(8)


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


@st.composite
def forged(draw, content, kind):
    """The file as somebody would write it who knows the format, and mostly the digest.

    Returns
    -------
    content : bytes
    another : bool
        Whether it says something else than before under the digest of before.
    """
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    header = json.loads(arrays.pop("header").tobytes())
    before = header.pop("sha256")
    for _ in range(draw(st.integers(0, 2))):
        header = draw(changed_json(header))
    for _ in range(draw(st.integers(0, 2))):
        name = draw(st.sampled_from(sorted(arrays)))
        arrays[name] = draw(changed_array(arrays[name]))
    another = False
    if isinstance(header, dict):
        with suppress(TypeError, KeyError):
            digest = archive._digest(header, arrays, kind)
            another = digest != before and draw(st.integers(0, 3)) == 0
            header = header | {"sha256": before if another else digest}
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    members = {name: npy_bytes(array) for name, array in {"header": text, **arrays}.items()}
    method, extra = zipfile.ZIP_STORED, draw(st.integers(0, 9))
    if extra == 0:
        method = draw(st.sampled_from(METHODS))
    elif extra == 1:
        name = draw(st.sampled_from(sorted(members)))
        members[name] = draw(npy_files())[0]
    elif extra == 4:
        name = draw(st.sampled_from(sorted(members)))
        members[name] = announcing(draw(st.sampled_from([(10**7, 1), (2**25,), (2, 10**7)])))
    elif extra == 2:
        members[draw(st.sampled_from(["more", "../x", ""]))] = draw(st.sampled_from([b"", b"x"]))
    elif extra == 3:
        members.pop(draw(st.sampled_from(sorted(members))))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as out:
        for name, member in members.items():
            out.writestr(f"{name}.npy", member)
    return file.getvalue(), another


@fuzz(200)
@given(data=st.data(), family=st.sampled_from(FAMILIES))
def test_forged_models(path, data, family):
    content, another = data.draw(forged(MODELS[family], MODEL))
    path.write_bytes(content)
    found = careful(gmm_fast.load, path)
    assert isinstance(found, DataError) or not another
    if isinstance(found, DataError):
        assert isinstance(found, ModelFileError)
        assert str(found).startswith(f"{path}: ")
        return
    check_fitted(found, rounding=1e-6, told=False)  # what is asked of a model that others wrote
    x = np.zeros((3, found.n_features_in_))
    if (names := getattr(found, "feature_names_in_", None)) is not None:
        x = pd.DataFrame(x, columns=names)
    for use in (found.predict, found.score, found.bic):
        assert not isinstance(careful(use, x), ModelFileError)
    careful(found.sample)
    if data.draw(st.integers(0, 4)) == 0:
        gmm_fast.save(found, path)
        assert gmm_fast.load(path).means_.tobytes() == found.means_.tobytes()


@fuzz(200)
@given(data=st.data())
def test_forged_checkpoints(path, data):
    content, another = data.draw(forged(CHECKPOINTS["checkpoint"], CHECKPOINT))
    path.write_bytes(content)
    found = careful(read_checkpoint, path)
    assert isinstance(found, DataError) or not another
    if isinstance(found, DataError):
        assert str(found).startswith(f"{path}: ")
        return
    write_checkpoint(path, found)
    for job, (params, facts) in found.done.items():
        model = GaussianMixture.from_result(FitResult.from_facts(params, facts))
        check_fitted(model, rounding=1e-6, told=False)
        assert (params.covariance_type, params.n_components) == job
    if found.running is not None:
        job, state = found.running
        assert (state.params.covariance_type, state.params.n_components) == job
        assert state.params.covariances.shape == (state.params.means.shape)  # it is diagonal
        assert state.trace
        assert all(type(value) is float and np.isfinite(value) for value in state.trace)
        assert state.collapsed.shape == state.params.weights.shape
        assert all(np.isfinite(getattr(state.params, name)).all() for name in MODEL.names)


# Data ------------------------------------------------------------------------------------------

DESCRS = (
    "'<f8'", "'<f4'", "'<f2'", "'>f8'", "'<i4'", "'|u1'", "'|b1'", "'<g'", "'<f16'", "'|O'", "'O'",
    "'<c16'", "'<U3'", "'|S0'", "'|V0'", "'|V8'", "'<M8[s]'", "'<m8'", "'f8,f8'", "'f'", "'='",
    "[('a', '<f8')]", "[('a', '<f8'), ('b', '<f8')]", "[('a', '<f8', (2,))]", "('<f8', (2,))", "[]",
    "[('a', 'O')]", "[('', '<f8')]", "{'names': ['a']}", "None", "8", "b'<f8'", "'<f8' ", "'\\d'",
    "'<f3'", "'<i999999999'", "'|S2147483647'", "'<f8\\n'", "('<f8', (1000000,))", "'x' 'y'", "()",
    "''", "'a' * 9", "__import__('os').abort()", "(lambda: '<f8')()", "'é'", "'datetime64'",
    "'4<f8'", "'(2,)f8'", "((((((((('<f8',),),),),),),),),)", "'<f8',", "float",
    "'float'", "'int'", "'?'",
)  # fmt: skip
LENGTHS = (0, 1, 2, 3, 4, 6, 12, 24, -1, -3, 10**6, 10**9, 10**12, 2**31, 2**63, 2**64, 10**30)
ODD_SHAPES = (
    "()", "3", "None", "(3,)", "(2, 3, 2)", "[4, 3]", "(4, 3.0)", "(4, '3')", "(True, 12)",
    "(4L, 3L)", "(4, 3,)", "((4, 3))", "((4,), 3)", "(4, 3j)", "(0x4, 3)", "(4, -3)", "(-4, -3)",
    "(04, 3)", "(4 , 3) ", "(None, 3)", "(1e1, 3)", "(4, 3) # x", "4, 3", "{4, 3}", "(-0, 3)",
    "(1_2, 1)",
    "(4, 3)if 1else 0", "(12, 1 is 1)", "f'{4}'", "(" * 300 + ")" * 300, "-" * 9000 + "1",
)  # fmt: skip


@st.composite
def npy_files(draw):
    """A `.npy` file, perhaps in name only, and whether it is likely to be whole."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    rows, columns = draw(st.sampled_from([(4, 3), (12, 1), (1, 12), (3, 4), (6, 2)]))
    data = rng.normal(size=rows * columns) * 9
    if draw(st.integers(0, 1)):
        plain = data.astype(draw(st.sampled_from(DESCRS[:8])).strip("'"))
        descr = repr(plain.dtype.str)
    else:
        plain, descr = data, draw(st.sampled_from(DESCRS))
    shape = repr((rows, columns))
    odd = draw(st.integers(0, 9))
    if odd < 2:
        shape = repr((draw(st.sampled_from(LENGTHS)), draw(st.sampled_from(LENGTHS))))
    elif odd == 2:
        shape = draw(st.sampled_from(ODD_SHAPES))
    order = draw(st.sampled_from(["False", "True", "False", "True", "0", "1", "None", "'x'", "{}"]))
    fields = {"descr": descr, "fortran_order": order, "shape": shape}
    change = draw(st.integers(0, 14))
    if change == 0:
        del fields[draw(st.sampled_from(sorted(fields)))]
    elif change == 1:
        fields[draw(st.sampled_from(["more", "é", "x" * 70_000, "descr ", "0"]))] = "1"
    text = "{" + ", ".join(f"'{name}': {value}" for name, value in fields.items()) + ", }"
    if change == 2:
        text = draw(st.sampled_from(["", "[]", "{", "{}", "x" * 99, "1", "\0" * 60, text[1:-1]]))
    header = text.encode("utf8" if draw(st.booleans()) else "latin1", "replace")
    version = draw(st.sampled_from([(1, 0)] * 8 + [(2, 0), (3, 0)] * 3 + [(0, 0), (4, 0), (1, 1)]))
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    if change == 3:
        header += b" " * draw(st.sampled_from([1, 9_000, 60_000]))
    length = len(header)
    if change == 4:
        length = draw(st.sampled_from([0, 1, length - 1, length + 1, 2**16 - 1, 2**32 - 1, 2**31]))
    code = "<H" if version == (1, 0) else "<I"
    length = struct.pack(code, min(length, 256 ** struct.calcsize(code) - 1))
    data = plain.tobytes()
    if change == 5:
        data = data[: draw(st.integers(0, len(data)))] + draw(st.binary(max_size=3))
    whole = npy_format.MAGIC_PREFIX + bytes(version) + length + header + data
    if change == 6:
        whole = draw(edited(whole))
    return whole, change > 6


def is_table(array):
    return array.ndim == 2 and array.dtype.kind in "biuf" and array.size


def as_numpy_reads(file, name=None):
    """What NumPy makes of it; None where it makes nothing, or where bytes are left over.

    Returns
    -------
    array : ndarray or None
    doubtful : bool
        Whether NumPy took tokens out of the header first, as if Python 2 had written it.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        array = None
        with suppress(Exception), open(file, "rb") as stream:
            found = np.load(stream)
            if name is not None:
                found = found[name]
            if name is not None or not stream.read(1):
                array = found
    return array, any("Python 2" in str(warning.message) for warning in caught)


def read_all(path):
    """Rows as stored, and as float64."""
    with open_source(path) as source:
        assert type(source.n_samples) is int
        return source, load_resident(source, np.float64).array.copy()


def check_data(found, path, expected, doubtful):
    """`found` is what NumPy reads, or says what is wrong with a file that holds no table."""
    if isinstance(found, DataError):
        assert str(found).startswith(str(path)), found
        # NumPy makes plain numbers of records without names, and reads (0x4, 3), too
        ours = ("too large for float64", "holds records", "goes on as a name")
        if not any(text in str(found) for text in ours):
            assert expected is None or doubtful or not is_table(expected), found
        return
    source, rows = found
    assert expected is not None
    assert source.dtype == expected.dtype
    np.testing.assert_array_equal(rows, expected.astype(np.float64))


def careful_fit(path):
    """A fit to whatever it is: only what is documented."""
    model = GaussianMixture(1, covariance_type="diag", threads=1, tol=1e9)
    found = None
    with suppress(FitError):
        found = careful(lambda: model.fit(path))
    if isinstance(found, DataError):
        assert str(found).startswith(str(path)), found


@fuzz(400)
@given(data=st.data())
def test_npy_headers(path, data):
    path = path.with_name("fuzzed.npy")
    content, _ = data.draw(npy_files())
    path.write_bytes(content)
    check_data(careful(read_all, path), path, *as_numpy_reads(path))
    if data.draw(st.integers(0, 9)) == 0:
        careful_fit(path)


@st.composite
def npz_files(draw):
    """An archive of arrays, damaged or not, and the name of the first."""
    file = io.BytesIO()
    method = draw(st.sampled_from(METHODS))
    with zipfile.ZipFile(file, "w", method) as out:
        out.writestr("X.npy", draw(npy_files())[0])
        for name in draw(st.sampled_from([(), (), ("y.npy",), ("z",), ("naïve.npy",)])):
            out.writestr(name, npy_bytes(np.arange(3.0)))
    content = file.getvalue()
    return draw(edited(content)) if draw(st.booleans()) else content


@fuzz(200)
@given(data=st.data(), named=st.booleans())
def test_npz_archives(path, data, named):
    path.write_bytes(data.draw(npz_files()))
    name = f"{path}:X" if named else path
    found = careful(read_all, name)
    if isinstance(found, DataError):
        assert str(found).startswith(str(path)), found
    else:
        expected, _ = as_numpy_reads(path, "X")
        if expected is None:  # a byte was changed that NumPy minds
            with suppress(Exception), zipfile.ZipFile(path) as stored:
                assert stored.testzip() is not None
        else:
            np.testing.assert_array_equal(found[1], expected.astype(np.float64))
    if data.draw(st.integers(0, 9)) == 0:
        careful_fit(path)


# Formats of others -----------------------------------------------------------------------------

SMALL = np.arange(24.0).reshape(8, 3)


def _of_two_sets():
    first = fcs_bytes(SMALL, ["FSC", "Time", "FL1"], P3S="CD4", NEXTDATA=4096 + SMALL.nbytes)
    return first + fcs_bytes(SMALL.astype("u2"), P1E="4,1")


def _arrow_bytes(write):
    with tempfile.TemporaryDirectory() as folder:
        return Path(write(Path(folder), SMALL)).read_bytes()


OTHERS = {
    ".fcs": (fcs_bytes(SMALL.astype("f4")), _of_two_sets()),
    ".arrow": tuple(
        map(_arrow_bytes, (ipc, feather, lambda folder, X: ipc(folder, X, pa.ipc.new_stream)))
    ),
}


@fuzz(300)
@given(data=st.data(), ending=st.sampled_from(sorted(OTHERS)))
def test_changed_bytes_of_other_formats(path, data, ending):
    path = path.with_name(f"fuzzed{ending}")
    content = data.draw(st.sampled_from(OTHERS[ending]))
    if ending == ".fcs" and data.draw(st.booleans()):  # not in the blanks
        at = data.draw(st.sampled_from([0, 256]))
        head = data.draw(edited(content[at : at + (58 if at == 0 else 700)]))
        content = content[:at] + head + content[at + len(head) :]
    else:
        content = data.draw(edited(content, OTHERS[ending]))
    path.write_bytes(content)
    name = f"{path}:2" if ending == ".fcs" and data.draw(st.integers(0, 4)) == 0 else path
    found = careful(read_all, name)
    if isinstance(found, DataError):
        assert str(found).startswith(f"{path}: "), found
    else:
        source, rows = found
        assert rows.shape == (source.n_samples, source.n_features)
        assert rows.size <= len(content)


TABLE = np.random.default_rng(0).normal(size=(40, 3))


def hdf5_bytes(X=TABLE, **options):
    def write(path):
        with h5py.File(path, "w", **options.pop("file", {})) as file:
            file.create_dataset("X", data=X, **options)
            file["more/link"] = h5py.SoftLink("/X")
            file["ids"] = np.array([b"a", b"b"])

    return _bytes_of(write)


def parquet_bytes(X=TABLE, **options):
    table = pa.table({f"c{j}": column for j, column in enumerate(X.T)})
    return _bytes_of(lambda path: pq.write_table(table, path, **options))


HDF5 = [
    hdf5_bytes(),
    hdf5_bytes(chunks=(7, 2)),
    hdf5_bytes(chunks=(40, 3), compression="gzip", shuffle=True),
    hdf5_bytes(chunks=(16, 1), compression="lzf", fletcher32=True, file={"libver": "latest"}),
]
PARQUET = [
    parquet_bytes(),
    parquet_bytes(row_group_size=9, compression="none", use_dictionary=False),
    parquet_bytes(np.round(TABLE), compression="zstd", data_page_version="2.0"),
]


def check_bytes(path, data, contents):
    """Bytes of a file are changed: it is refused by name, or a table is read."""
    content = data.draw(st.sampled_from(contents))
    path.write_bytes(data.draw(edited(content, contents)))
    found = careful(read_all, path)
    if isinstance(found, DataError):
        assert str(found).startswith(str(path)), found
    else:
        assert found[1].shape == (found[0].n_samples, found[0].n_features)
    if data.draw(st.integers(0, 9)) == 0:
        careful_fit(path)


@fuzz(300)
@given(data=st.data())
def test_bytes_of_hdf5(path, data):
    check_bytes(path.with_name("fuzzed.h5"), data, HDF5)


@fuzz(300)
@given(data=st.data())
def test_bytes_of_parquet(path, data):
    check_bytes(path.with_name("fuzzed.parquet"), data, PARQUET)


def zarr_files(write):
    """The files of an array or a group in Zarr's format, by path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.zarr")
        write(path)
        if path.is_file():
            return {"": path.read_bytes()}
        files = sorted(p for p in path.rglob("*") if p.is_file())
        return {str(p.relative_to(path)): p.read_bytes() for p in files}


def zarr_group(path):
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group["X"] = TABLE
    group["obs/n"] = np.arange(40)
    zarr.consolidate_metadata(str(path))


ZARR = [
    zarr_files(lambda path: zarr.create_array(str(path), data=TABLE, chunks=(16, 2))),
    zarr_files(
        lambda path: zarr.create_array(str(path), data=TABLE, chunks=(8, 3), shards=(16, 3))
    ),
    zarr_files(
        lambda path: zarr.create_array(str(path), data=TABLE, chunks=(16, 3), zarr_format=2)
    ),
    zarr_files(zarr_group),
]


@fuzz(200)
@given(data=st.data())
def test_bytes_of_zarr(path, data):
    """Of metadata, in JSON, or of a chunk; numbers in the metadata by others, too."""
    files = dict(data.draw(st.sampled_from(ZARR)))
    told = sorted(name for name in files if name.endswith((".json", ".zarray", ".zgroup")))
    name = data.draw(st.sampled_from(told if data.draw(st.booleans()) else sorted(files)))
    if name in told and data.draw(st.booleans()):
        files[name] = data.draw(with_other_values(files[name]))
    else:
        files[name] = data.draw(edited(files[name], list(files.values())))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        place = Path(folder, "fuzzed.zarr")
        for inside, content in files.items():
            (place / inside).parent.mkdir(parents=True, exist_ok=True)
            (place / inside).write_bytes(content)
        found = careful(read_all, place)
        if isinstance(found, DataError):
            assert str(found).startswith(str(place)), found
        else:
            assert found[1].shape == (found[0].n_samples, found[0].n_features)


VALUES = (None, True, 0, 1, -1, 7, 1.5, 2**31, 2**63, 2**64, 1e400, "", "float32", "|O", [], {})


@st.composite
def with_other_values(draw, content):
    """JSON in which one value is another, or is not there."""
    root = json.loads(content)
    where, places = root, []
    while isinstance(where, dict | list) and where:
        key = draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
        places.append((where, key))
        where = where[key]
    where, key = draw(st.sampled_from(places))
    if draw(st.integers(0, 3)):
        where[key] = draw(st.sampled_from(VALUES))
    else:
        del where[key]
    return json.dumps(root).encode()
