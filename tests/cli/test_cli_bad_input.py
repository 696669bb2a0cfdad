"""Bad input: exit status 2, a message that says which and what to do, and nothing written."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gmm_fast.cli.main import main
from gmm_fast.files.modelfile import read_model, write_model

N = 60


def blobs(n=N):
    rng = np.random.default_rng(0)
    return np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]])[np.arange(n) % 3] + rng.normal(
        size=(n, 2)
    )


def write_data(folder):
    """Every kind of data file that can be wrong, and a few that are right."""
    x = blobs()
    rows = np.arange(N)

    def changed(row, column, value):
        y = x.copy()
        y[row, column] = value
        return y

    arrays = {
        "x": x,
        "one": x[:, 0],
        "three": x.reshape(10, 6, 2),
        "scalar": np.float64(3),
        "norows": np.empty((0, 2)),
        "nocolumns": np.empty((5, 0)),
        "objects": np.array([[{}, 1]], object),
        "complex": x + 1j,
        "text": np.array([["a", "b"]] * 9),
        "dates": np.array([["2020-01-01"]] * 9, "datetime64[D]"),
        "records": np.array([(1, 2.0)] * 9, "i4,f8"),
        "nan": changed(7, 1, np.nan),
        "inf": changed(9, 0, -np.inf),
        "huge": x * 1e200,
        "columns1": x[:, :1],
        "columns3": np.c_[x, x[:, 0]],
        "w_short": np.ones(N - 1),
        "w_negative": np.where(rows == 5, -1.0, 1.0),
        "w_nan": np.where(rows == 6, np.nan, 1.0),
        "w_zero": np.zeros(N),
        "w_wide": np.ones((N, 2)),
        "w_text": np.array(["a"] * N),
        "l": rows % 3,
        "l_short": rows[:-1] % 3,
        "l_high": rows % 4,
        "l_low": rows % 3 - 1,
        "l_float": rows % 3 + 0.0,
        "l_empty": rows % 2,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=name == "objects")
    whole = (folder / "x.npy").read_bytes()
    (folder / "cut.npy").write_bytes(whole[:-100])
    (folder / "cut_header.npy").write_bytes(whole[:40])
    (folder / "longer.npy").write_bytes(whole + whole)
    (folder / "csv.npy").write_text("a,b\n1,2\n3,4\n")
    (folder / "bad.csv").write_text("a,b\n1,2\n3,x\n")
    (folder / "names.csv").write_text("a,b\n" + "1,2\n" * N)
    (folder / "w.h5").touch()
    (folder / "unknown.bin").write_text("1 2\n3 4\n")
    (folder / "empty.npy").touch()
    (folder / "pickle.npy").write_bytes(pickle.dumps(x))
    np.savez(folder / "two.npz", x=x, y=x)
    shutil.copy(folder / "two.npz", folder / "archive.npy")
    (folder / "dir.npy").mkdir()
    os.mkfifo(folder / "pipe.npy")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bad")
    write_data(path)
    arguments = ["fit", "-k", "3", str(path / "x.npy"), "-o", str(path / "m.npz")]
    result = CliRunner().invoke(main, [*arguments, "--threads", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    params, facts = read_model(path / "m.npz")
    whole = (path / "m.npz").read_bytes()
    middle = whole.index(params.means.tobytes())
    (path / "flipped.npz").write_bytes(
        whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    )
    (path / "half.npz").write_bytes(whole[: len(whole) // 2])
    write_model(path / "new.npz", params, facts)
    with np.load(path / "new.npz") as archive:
        arrays = dict(archive)
    header = arrays["header"].tobytes().replace(b'"version": 1', b'"version": 9')
    np.savez(path / "new.npz", **arrays | {"header": np.frombuffer(header, np.uint8)})
    return path


def state(folder):
    """Names and contents of all files."""
    return {p.name: p.read_bytes() if p.is_file() else None for p in Path(folder).rglob("*")}


def refused(folder, monkeypatch, line):
    """The message with which a command line is refused, after checks that all of them pass."""
    monkeypatch.chdir(folder)
    before = state(folder)
    result = CliRunner().invoke(main, line.split(), catch_exceptions=False)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert state(folder) == before
    message = result.stderr.splitlines()[-1]
    assert message.startswith("Error: ")
    return message.removeprefix("Error: ")


DATA = [
    ("none.npy", "none.npy: no such file; check the path"),
    ("csv.npy", "csv.npy: is not a .npy file; save the data with np.save"),
    ("bad.csv", "bad.csv: row 1 (counting from 0), column 1 ('b') is 'x', not a number"),
    ("unknown.bin", "unknown.bin: the ending is not that of a known format (.npy, .npz"),
    ("pickle.npy", "pickle.npy: is not a .npy file"),
    ("archive.npy", "archive.npy: is a .npz or zip archive, not a .npy file"),
    ("two.npz", "two.npz: holds 2 tables; name an array as two.npz:NAME, it holds 'x', 'y'"),
    ("m.npz", "m.npz: holds a model, not data; MODEL comes before DATA"),
    ("empty.npy", "empty.npy: the file is empty"),
    ("cut.npy", "cut.npy: the file is cut short: 960 bytes of data expected, 860 found (53 of 60"),
    ("cut_header.npy", "cut_header.npy: the .npy header is damaged"),
    ("longer.npy", "longer.npy: 1088 bytes follow the 960 that the header announces"),
    ("dir.npy", "dir.npy: is a directory; give the path of a .npy file"),
    ("pipe.npy", "pipe.npy: is not a regular file"),
    (".", ".: holds files of several formats"),
    ("/", "/: is the root directory"),
    ("objects.npy", "objects.npy: holds Python objects; convert to numbers first"),
    (
        "complex.npy",
        "complex.npy: Complex data not supported, its dtype is complex128; give real and",
    ),
    ("text.npy", "text.npy: dtype <U1 holds text; keep the numeric columns"),
    ("dates.npy", "dates.npy: dtype datetime64[D] holds dates; convert to numbers"),
    ("records.npy", "holds records; make a plain 2-D array first"),
    ("scalar.npy", "scalar.npy: has 0 dimensions, two (samples by features) are needed"),
    (
        "one.npy",
        "one.npy: has one dimension, samples by features are needed. Reshape your data: X.",
    ),
    ("one.npy", "--one-feature on the command line"),
    ("three.npy", "three.npy: has 3 dimensions, two (samples by features) are needed"),
    ("norows.npy", "norows.npy: has no rows: 0 sample(s) (shape=(0, 2)) while a minimum"),
    ("nocolumns.npy", "nocolumns.npy: has no columns: 0 feature(s) (shape=(5, 0))"),
    ("nan.npy", "nan.npy: row 7 (counting from 0), column 1 is NaN; remove or fill such rows"),
    ("inf.npy", "inf.npy: row 9 (counting from 0), column 0 is -inf; remove or fill"),
]


@pytest.mark.parametrize("command", ["fit -k 3", "search 2 3", "predict m.npz", "score m.npz"])
@pytest.mark.parametrize(("data", "message"), DATA)
def test_data(folder, monkeypatch, command, data, message):
    assert message in refused(folder, monkeypatch, f"{command} {data} --threads 1")


def test_data_whose_squares_overflow(folder, monkeypatch):
    message = refused(folder, monkeypatch, "fit -k 3 huge.npy --threads 1")
    assert "huge.npy: values are so large that their squares overflow float64; rescale" in message


FIT = [
    ("", "give the number of components: --k 4 (or let `gmm-fast search` choose)"),
    ("-k 0", "Invalid value for '-k' / '--k' / '--n-components': 0 is not in the range x>=1."),
    ("-k -3", "-3 is not in the range x>=1."),
    ("-k 2.5", "'2.5' is not a valid integer."),
    ("-k 61", "x.npy: 60 samples are fewer than 61 components; ask for at most 60"),
    ("-k 2 -c ful", "'-c' / '--covariance': 'ful' is not one of 'full', 'tied', 'diag', 'spheric"),
    ("-k 2 --init kmean", "Invalid value for '--init': 'kmean' is not one of 'auto', 'k-means++'"),
    ("-k 2 --tol -1", "Invalid value for '--tol': -1 is not a finite number of 0 or more."),
    ("-k 2 --tol nan", "Invalid value for '--tol': nan is not a finite number of 0 or more."),
    ("-k 2 --tol inf", "Invalid value for '--tol': inf is not a finite number of 0 or more."),
    ("-k 2 --tol x", "Invalid value for '--tol': 'x' is not a valid float."),
    ("-k 2 --reg-covar -1e-9", "Invalid value for '--reg-covar': -1e-9 is not a finite number"),
    ("-k 2 --max-iter 0", "Invalid value for '--max-iter': 0 is not in the range x>=1."),
    ("-k 2 --effort -1", "'--effort': -1 is not a finite number of 0 or more; give 1 for the def"),
    ("-k 2 --effort nan", "'--effort': nan is not a finite number of 0 or more; give 1"),
    ("-k 2 --effort much", "Invalid value for '--effort': 'much' is not a valid float."),
    ("-k 2 --n-init 0", "Invalid value for '--n-init': 0 is not in the range x>=1."),
    ("-k 2 --seed -1", "Invalid value for '--seed': -1 is not in the range x>=0."),
    ("-k 2 --silhouette-rows -1", "'--silhouette-rows': -1 is not in the range x>=0."),
    ("-k 2 --threads 0", "Invalid value for '--threads': 0 is not in the range x>=1."),
    ("-k 2 --threads 9999", "threads must lie between 1 and "),
    ("-k 2 --dtype f4", "Invalid value for '--dtype': 'f4' is not one of 'auto', 'float32', 'flo"),
    ("-k 2 --weights none.npy", "none.npy: no such file"),
    ("-k 2 --weights w_short.npy", "--weights w_short.npy: has 59 values for 60 rows of data"),
    ("-k 2 --weights w_negative.npy", "--weights w_negative.npy: row 5 (counting from 0) is -1.0"),
    ("-k 2 --weights w_nan.npy", "--weights w_nan.npy: row 6 (counting from 0) is NaN; weights mu"),
    ("-k 2 --weights w_zero.npy", "--weights w_zero.npy: all weights are zero"),
    ("-k 2 --weights w_wide.npy", "w_wide.npy: has 2 columns; one value per row is needed"),
    (
        "-k 2 --weights w.h5",
        "--weights w.h5: must be one of .npy, .npz, .csv, .tsv, .parq",
    ),
    ("-k 2 --weights two.npz", "two.npz: holds 2 tables"),
    ("-k 2 --weights names.csv", "names.csv: has 2 columns, none of them called 'weight'; one val"),
    ("-k 2 --weights .", ".: is a directory"),
    ("-k 2 --weights w_text.npy", "w_text.npy: dtype <U1 holds text"),
    ("-k 2 --weights three.npy", "three.npy: has 3 dimensions"),
    ("-k 3 --from-labels none.npy", "none.npy: no such file"),
    ("-k 3 --from-labels l_short.npy", "--from-labels l_short.npy: has 59 values for 60 rows"),
    ("-k 3 --from-labels l_high.npy", "l_high.npy: labels run from 0 to 3; for 3 components they"),
    ("-k 3 --from-labels l_low.npy", "--from-labels l_low.npy: labels run from -1 to 1; for 3"),
    ("-k 3 --from-labels l_float.npy", "l_float.npy: labels must be integers, not float64"),
    ("-k 3 --from-labels l_empty.npy", "l_empty.npy: labels leave component 2 without samples"),
    ("-k 3 --from-labels l.npy --init random", "--from-labels and --init contradict each other"),
    ("-k 4 --from m.npz", "m.npz has 3 components, but --k says 4; leave --k out"),
    ("--from m.npz -c diag", "--from and --covariance contradict each other; give one of them"),
    ("--from m.npz --init random", "--from and --init contradict each other; give one of them"),
    ("--from none.npz", "none.npz: no such file; check the path"),
    ("--from l.npy", "l.npy: holds data (.npy), not a model"),
    ("-k 2 -o m2 --no-model", "--model and --no-model contradict each other; give one of them"),
    ("-k 2 -o nowhere/m", "nowhere/m: there is no folder "),
    ("-k 2 --labels dir.npy", "dir.npy: is a directory; give the path of a file in it"),
    ("-k 2 --labels pipe.npy", "pipe.npy: is not a regular file; give another path"),
    ("-k 2 -o /dev/full", "/dev/full: is not a regular file; give another path"),
    (
        "-k 2 --labels x.npy",
        "--labels x.npy: would overwrite the input file of the same name; give another",
    ),
    ("-k 2 --labels ./x.npy", "--labels ./x.npy: would overwrite the input file"),
    ("-k 2 --labels x.npy", "--labels x.npy: would overwrite the input file"),
    ("-k 2 --weights l.npy --labels l.npy", "--labels l.npy: would overwrite the input file"),
    ("-k 3 --from-labels l.npy --labels l.npy", "--labels l.npy: would overwrite the input file"),
    ("-k 2 -o y --labels y", "--labels y: would overwrite the --model file of the same name"),
    ("-k 2 --labels nowhere/l.npy", "nowhere/l.npy: there is no folder "),
    ("-k 2 --max-itr 5", "No such option '--max-itr'. (Did you mean one of: "),
    (
        "-k 2 --covarience full",
        "No such option '--covarience'. (Did you mean one of: '--covariance'",
    ),
    ("-k 2 y.npy", "Got unexpected extra argument (y.npy)"),
]


@pytest.mark.parametrize(("options", "message"), FIT)
def test_fit_options(folder, monkeypatch, options, message):
    assert message in refused(folder, monkeypatch, f"fit x.npy {options}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fit -k 3", "Missing argument 'DATA'."),
        ("fit -k 3 columns3.npy --from m.npz", "columns3.npy has 3 columns, but m.npz has 2; give"),
        ("search 3 2 x.npy", "nothing to search: LO, 3, is above HI, 2; swap them"),
        ("search 0 2 x.npy", "Invalid value for 'LO': 0 is not in the range x>=1."),
        ("search 2 61 x.npy", "60 samples are fewer than 61 components; lower the highest K"),
        ("search x.npy 2 3", "Invalid value for 'LO': 'x.npy' is not a valid integer."),
        ("search 2 3", "Missing argument 'DATA'."),
        ("search 1 1 x.npy --criterion silhouette", "the silhouette is not defined for K = 1; sea"),
        (
            "search 2 3 x.npy --criterion silhouette --silhouette-rows 0",
            "--criterion silhouette needs --silhouette-rows above 0",
        ),
        ("search 2 3 x.npy --criterion bci", "'bci' is not one of 'bic', 'aic', 'icl', 'silhouett"),
        ("search 2 3 x.npy -c full,dia", "'dia' is not one of 'full', 'tied', 'diag', 'spherical'"),
        ("search 2 3 x.npy --folds 1", "Invalid value for '--folds': 1 is not in the range x>=2."),
        ("search 2 3 x.npy --folds 61", "61 folds are more than 60 samples; ask for at most 60"),
        (
            "search 2 31 x.npy --criterion cv --folds 2",
            "2 folds of 60 samples leave 30 to fit, fewer than 31 components; lower the",
        ),
        (
            "search 2 3 x.npy --criterion cv --workers 2",
            "cross-validation does not run on Dask workers; leave --workers and --scheduler out",
        ),
        ("search 2 3 x.npy -c ,", "no family is named; choose from 'full', 'tied'"),
        ("search 2 3 x.npy --labels x.npy", "--labels x.npy: would overwrite the input file"),
        ("search 2 3 x.npy -k 3", "No such option '-k'."),
        ("predict x.npy m.npz", "x.npy: holds data (.npy), not a model; MODEL comes before DATA"),
        ("predict none.npz x.npy", "none.npz: no such file; check the path"),
        ("predict csv.npy x.npy", "csv.npy: not a gmm-fast model file"),
        ("predict two.npz x.npy", "two.npz: not a gmm-fast model file, or is damaged"),
        ("predict dir.npy x.npy", "dir.npy: is not a file; give the model file that a fit wrote"),
        ("predict half.npz x.npy", "half.npz: not a gmm-fast model file, or is damaged"),
        ("predict flipped.npz x.npy", "flipped.npz: not a gmm-fast model file, or is damaged"),
        (
            "predict new.npz x.npy",
            "new.npz: a model file of version 9; this gmm-fast reads version",
        ),
        (
            "predict m.npz columns3.npy",
            "columns3.npy has 3 columns, but m.npz has 2; give data with",
        ),
        (
            "predict m.npz columns1.npy",
            "columns1.npy has 1 column, but m.npz has 2; give data with",
        ),
        ("predict m.npz x.npy -o x.npy", "--out x.npy: would overwrite the input file"),
        ("predict m.npz x.npy -o m.npz", "--out m.npz: would overwrite the input file"),
        ("predict m.npz x.npy -o nowhere/l", "nowhere/l: there is no folder "),
        ("predict m.npz x.npy --threads 9999", "threads must lie between 1 and "),
        ("predict m.npz", "Missing argument 'DATA'."),
        ("score new.npz x.npy", "version 9"),
        ("score m.npz columns3.npy", "columns3.npy has 3 columns, but m.npz has 2"),
        ("score m.npz x.npy --samples m.npz", "--samples m.npz: would overwrite the input file"),
        ("score m.npz x.npy --weights w_short.npy", "w_short.npy: has 59 values for 60 rows"),
        ("score m.npz x.npy --weights l.npy --samples l.npy", "--samples l.npy: would overwrite"),
        ("sample m.npz 0 -o s.npy", "Invalid value for 'N': 0 is not in the range x>=1."),
        ("sample m.npz 2.5 -o s.npy", "Invalid value for 'N': '2.5' is not a valid integer."),
        ("sample m.npz 5", "Missing option '-o' / '--out'."),
        ("sample m.npz 5 -o m.npz", "--out m.npz: would overwrite the input file"),
        ("sample m.npz 5 -o s --labels s", "--labels s: would overwrite the --out file"),
        ("sample new.npz 5 -o s.npy", "version 9"),
        ("info new.npz", "version 9"),
        ("info x.npy", "x.npy: holds data (.npy), not a model"),
        ("info", "Missing argument 'MODEL'."),
        ("fti x.npy", "No such command 'fti'. Did you mean 'fit'?"),
        ("--k 3 x.npy", "No such option '--k'."),
    ],
)
def test_other_calls(folder, monkeypatch, line, message):
    assert message in refused(folder, monkeypatch, line)


def test_an_empty_path(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for arguments, message in [
        (["fit", "-k", "2", ""], "DATA is empty; name a file"),
        (["predict", "m.npz", ""], "DATA is empty; name a file"),
        (["predict", "", "x.npy"], ": no such file"),
        (["fit", "-k", "2", "x.npy", "-o", ""], "--model is empty; give the path of a file"),
        (["predict", "m.npz", "x.npy", "-o", ""], "--out is empty; give the path of a file"),
        (["score", "m.npz", "x.npy", "--samples", ""], "--samples is empty"),
    ]:
        before = state(folder)
        result = CliRunner().invoke(main, arguments, catch_exceptions=False)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr
        assert state(folder) == before


def test_what_is_wrong_with_the_call_is_said_before_the_data_is_read(folder, monkeypatch):
    """An hour into a file is too late to hear of a misspelt family."""
    monkeypatch.chdir(folder)
    for line in [
        "fit none.npy -k 2 -c ful",
        "fit none.npy -k 2 --init kmean",
        "search 2 3 none.npy --criterion bci",
        "search 2 3 none.npy -c full,dia",
        "search 3 2 none.npy",
    ]:
        assert "none.npy: no such file" not in refused(folder, monkeypatch, line)


def test_one_feature_is_taken_when_said(folder, monkeypatch, tmp_path):
    """The way out that the message for 1-D data offers."""
    monkeypatch.chdir(tmp_path)
    line = f"fit -k 2 {folder / 'one.npy'} --one-feature --threads 1 -o m"
    result = CliRunner().invoke(main, line.split(), catch_exceptions=False)
    assert result.exit_code == 0
    assert read_model("m")[0].means.shape == (2, 1)
    line = f"predict m {folder / 'one.npy'} --one-feature --threads 1"
    assert CliRunner().invoke(main, line.split(), catch_exceptions=False).exit_code == 0
    assert np.load("one.labels.npy").shape == (N,)


def fit_of(tmp_path, monkeypatch, x, options):
    monkeypatch.chdir(tmp_path)
    np.save("data.npy", x)
    line = f"fit data.npy {options} --threads 1"
    return CliRunner().invoke(main, line.split(), catch_exceptions=False)


def test_a_constant_feature_is_a_note_and_a_fit(tmp_path, monkeypatch):
    x = np.c_[blobs(), np.full(N, 7.0)]
    result = fit_of(tmp_path, monkeypatch, x, "-k 3")
    assert result.exit_code == 0
    assert "note: feature 2 (counting from 0) is constant" in result.stderr
    params, facts = read_model("data.gmm.npz")
    assert any("constant" in event for event in facts["events"])
    np.testing.assert_allclose(params.means[:, 2], 7)
    # the feature changes nothing else
    plain = fit_of(tmp_path, monkeypatch, x[:, :2], "-k 3 -o plain")
    assert plain.stderr == ""
    np.testing.assert_allclose(
        np.sort(params.means[:, :2], axis=0),
        np.sort(read_model("plain")[0].means, axis=0),
        atol=0.05,
    )


@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_fewer_distinct_rows_than_components(tmp_path, monkeypatch, family):
    x = np.repeat(blobs()[:2], 20, axis=0)
    result = fit_of(tmp_path, monkeypatch, x, f"-k 4 -c {family}")
    assert result.exit_code == 0
    assert "note: only 2 distinct rows were found for 4 components" in result.stderr
    params, _ = read_model("data.gmm.npz")
    assert np.isfinite(params.covariances).all()
    np.testing.assert_allclose(params.weights @ params.means, x.mean(axis=0))


# The same through a real process: no traceback from anywhere, exit status as the shell sees it.
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("fit -k 3 nan.npy --threads 1", "nan.npy: row 7 (counting from 0), column 1 is NaN"),
        ("fit -k 3 x.npy -c ful", "'ful' is not one of"),
        ("predict new.npz x.npy", "version 9"),
    ],
)
def test_as_a_process(folder, line, message):
    before = state(folder)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "gmm_fast", *line.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert state(folder) == before
