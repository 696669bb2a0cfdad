"""The commands: their numbers against scikit-learn and SciPy, their files, their manners."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest
from invoking import run
from pages import Page
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from gmm_fast.cli import inputs, progress
from gmm_fast.files import archive, outputs
from gmm_fast.files.modelfile import read_model
from gmm_fast.fitting.checkpoint import read_checkpoint
from gmm_fast.names import CRITERIA, FAMILIES
from gmm_fast.selection import criteria
from gmm_fast.starts import starting

FIT_KEYS = {
    "n_components", "covariance_type", "log_likelihood", "n_parameters", "bic", "aic", "icl",
    "silhouette", "n_iter", "converged", "stop_reason", "effort", "moves", "events",
}  # fmt: skip
FIT_KEYS |= {"rounded", "excess"}
CANDIDATE_KEYS = FIT_KEYS | {"cv", "cv_se", "failure", "unsound"}
SEARCH_KEYS = {
    "criterion", "best", "candidates", "margin", "runner_up", "warnings", "folds", "early_stop",
}  # fmt: skip
FIT_KEYS |= {
    "n_samples", "n_features", "silhouette_samples", "warnings", "seed", "threads", "dtype",
    "seconds", "features", "transforms", "resolution", "weights", "means", "model", "labels",
    "report", "plot", "animation", "checkpoint",
}  # fmt: skip


def blobs(n=240, d=2, spread=5.0):
    """Three overlapping clouds of different shapes, and which row belongs to which."""
    rng = np.random.default_rng(1)
    labels = np.arange(n) % 3
    centres = spread * rng.normal(size=(3, d))
    shapes = rng.normal(size=(3, d, d)) + np.eye(d)
    return centres[labels] + np.einsum(
        "ij,ikj->ik", rng.normal(size=(n, d)), shapes[labels]
    ), labels


@pytest.fixture
def x(tmp_path, monkeypatch):
    """(240, 2) data, which lies as data.npy in the current folder."""
    monkeypatch.chdir(tmp_path)
    found, _ = blobs()
    np.save("data.npy", found)
    return found


def run_json(line):
    return json.loads(run(f"{line} --json --threads 1").stdout)


def log_densities(path, x):
    """ln w_k N(x; mu_k, Sigma_k), (n, K), from the file alone."""
    with np.load(path) as model:
        weights, means, covariances = (model[n] for n in ("weights", "means", "covariances"))
    return np.stack(
        [
            np.log(w) + multivariate_normal(m, c).logpdf(x)
            for w, m, c in zip(weights, means, covariances, strict=True)
        ],
        axis=1,
    )


def as_sklearn(path):
    """scikit-learn's mixture with the parameters of a model file."""
    params, _ = read_model(path)
    model = GaussianMixture(params.n_components, covariance_type=params.covariance_type)
    model.weights_, model.means_ = params.weights, params.means
    model.covariances_ = params.covariances
    precisions = (
        np.linalg.inv(params.covariances) if params.covariance_type in ("full", "tied") else None
    )
    model.precisions_cholesky_ = (
        1 / np.sqrt(params.covariances) if precisions is None else np.linalg.cholesky(precisions)
    )
    return model


# fit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_fit_tells_the_truth(x, family):
    facts = run_json(f"fit -k 3 data.npy -c {family} --labels labels.npy")
    assert set(facts) == FIT_KEYS
    assert set(facts["seconds"]) == {"read", "compile", "init", "em", "total"}
    theirs = as_sklearn("data.gmm.npz")
    log_likelihood = theirs.score_samples(x).sum()
    resp = theirs.predict_proba(x)
    labels = np.load("labels.npy")
    expected = {
        "n_samples": 240,
        "n_features": 2,
        "n_components": 3,
        "covariance_type": family,
        "log_likelihood": log_likelihood,
        "n_parameters": theirs._n_parameters(),
        "bic": theirs.bic(x),
        "aic": theirs.aic(x),
        "icl": theirs.bic(x) - 2 * np.log(resp.max(axis=1)).sum(),
        "silhouette": silhouette_score(x, labels),
        "silhouette_samples": 240,
        "seed": 0,
        "threads": 1,
        "dtype": "float64",
        "converged": True,
        "stop_reason": "tolerance",
        "events": [],
        "model": "data.gmm.npz",
        "labels": "labels.npy",
    }
    for name, value in expected.items():
        wanted = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        assert facts[name] == wanted, name
    np.testing.assert_array_equal(labels, resp.argmax(axis=1))
    params, saved = read_model("data.gmm.npz")
    assert facts["weights"] == params.weights.tolist()
    assert facts["means"] == params.means.tolist()
    assert 1 <= facts["n_iter"] <= 100
    assert saved["log_likelihood"] == facts["log_likelihood"]
    assert (saved["data"], saved["seed"], saved["dtype"]) == ("data.npy", 0, "float64")
    parts = facts["seconds"]
    assert 0 < sum(v for k, v in parts.items() if k != "total") <= parts["total"] < 100
    assert sorted(os.listdir()) == ["data.gmm.npz", "data.npy", "labels.npy"]


def test_the_silhouette_is_of_a_sample_where_asked(x):
    facts = run_json("fit -k 3 data.npy --silhouette-rows 100")
    assert facts["silhouette_samples"] == 100
    whole = run_json("fit -k 3 data.npy")["silhouette"]
    assert facts["silhouette"] != whole
    assert facts["silhouette"] == pytest.approx(whole, abs=0.1)
    for line in ["fit -k 3 data.npy --silhouette-rows 0", "fit -k 1 data.npy"]:
        facts = run_json(line)
        assert (facts["silhouette"], facts["silhouette_samples"]) == (None, 0)


def test_the_table_of_a_fit_says_what_the_json_says(x):
    facts = run_json("fit -k 3 data.npy")
    shown = run("fit -k 3 data.npy --threads 1 --labels l.npy")
    assert shown.stderr == "note: --model data.gmm.npz: the existing file is replaced\n"
    lines = shown.stdout.splitlines()
    assert lines[0] == "data.npy"
    rows = dict(line.strip().split("  ", 1) for line in lines[1:11])
    rows = {name: value.strip() for name, value in rows.items()}
    ll = facts["log_likelihood"]
    assert rows["samples x features"] == "240 x 2"
    assert rows["components"] == "3, full covariance (VVV)"
    assert rows["log-likelihood"] == f"{ll:,.3f} ({ll / 240:.5f} a sample)"
    assert rows["parameters"] == "17"
    assert rows["BIC / AIC / ICL"] == " / ".join(
        f"{facts[name]:,.1f}" for name in ("bic", "aic", "icl")
    )
    assert rows["silhouette"] == f"{facts['silhouette']:.4f} (on 240 samples)"
    assert rows["stopped by"].startswith(f"tolerance after {facts['n_iter']} iteration")
    assert rows["model"] == "data.gmm.npz"
    assert rows["labels"] == "l.npy"
    table = [line.split() for line in lines if "±" in line and "mean" not in line]
    order = np.argsort(facts["weights"])[::-1]
    assert [int(row[0]) for row in table] == order.tolist()
    for row, k in zip(table, order, strict=True):
        assert float(row[1]) == pytest.approx(facts["weights"][k], abs=5.1e-5)
        assert float(row[2]) == pytest.approx(facts["means"][k][0], abs=0.051)
        assert float(row[5]) == pytest.approx(facts["means"][k][1], abs=0.051)
    assert all(line == line.rstrip() for line in lines)
    assert "\x1b" not in shown.stdout


def test_stopping_at_the_limit_is_a_warning(x):
    result = run("fit -k 3 data.npy --max-iter 2 --tol 0 --json --threads 1")
    facts = json.loads(result.stdout)
    assert (facts["converged"], facts["stop_reason"], facts["n_iter"]) == (False, "max_iter", 2)
    assert result.stderr == (
        "warning: EM did not converge in 2 iterations; raise --max-iter or --tol\n"
    )
    assert Path("data.gmm.npz").exists()
    shown = run("fit -k 3 data.npy --max-iter 2 --tol 0 --threads 1")
    assert "the iteration limit (not converged) after 2 iterations" in shown.stdout
    assert "not converged" in run("info data.gmm.npz").stdout


@pytest.fixture
def wide(tmp_path, monkeypatch):
    """As `x`, 30 rows in 12 features, one of them constant."""
    monkeypatch.chdir(tmp_path)
    found = np.random.default_rng(0).normal(size=(30, 12))
    found[:, 3] = 5
    np.save("data.npy", found)


def test_too_few_rows_are_told_before_and_after_a_fit(wide):
    result = run("fit -k 3 data.npy --json")
    facts, lines = json.loads(result.stdout), result.stderr.splitlines()
    assert len(lines) == len(set(lines))
    assert lines[0].startswith("note: feature 3 (counting from 0) is constant")
    assert lines[1].startswith(
        "note: in 12 dimensions the full covariances need at least 39 rows for 3 components, more "
        "than the data has (30); try "
    )
    assert "--covariance diag), a larger reg_covar (--reg-covar), fewer features or" in lines[1]
    assert "no more rows than" in lines[-1]
    assert [f"note: {event}" for event in facts["events"]] == lines
    assert facts["warnings"] == facts["events"][2:]
    assert facts["warnings"][-1].endswith(lines[1].partition("; ")[2])


def test_what_is_doubtful_of_the_best_is_in_the_warnings(wide):
    """Each is said once, and those of other candidates stay with them."""
    result = run("search 3 4 data.npy --json --max-iter 1 --report report.html")
    facts, lines = json.loads(result.stdout), result.stderr.splitlines()
    best, warnings = facts["best"], facts["warnings"]
    assert len(lines) == len(set(lines))
    assert [line.removeprefix("warning: ") for line in lines if "warning" in line] == warnings
    said = [line.removeprefix("note: ") for line in lines if line.startswith("note: ")]
    assert sorted(best["events"]) == sorted(said + [w for w in warnings if w in best["events"]])
    assert any("no more rows than" in text for text in warnings)
    assert any("did not converge in 1 iteration;" in text for text in warnings) is (
        not best["converged"]
    )
    assert not any("is constant" in text for text in warnings)
    page = Page(Path("report.html").read_text("utf-8"))
    assert all(page.text.count(text) == 1 for text in warnings)


def test_effort_is_an_option(x):
    """It goes into the start, the checkpoint and the report."""
    run("fit -k 3 data.npy --effort 0 --checkpoint c --report r.html")
    assert read_checkpoint("c").options["effort"] == 0
    page = Page(Path("r.html").read_text("utf-8"))
    assert ["effort of the search for the optimum", "0"] in page.table("stopped by")
    assert "gmm-fast fit -k 3 data.npy --effort 0 --checkpoint" in page.text
    facts = run_json("search 2 3 data.npy --effort 0.5")
    assert all({"effort", "moves"} < row.keys() for row in facts["candidates"])


def without_seconds(facts):
    return {name: value for name, value in facts.items() if name not in ("seconds", "labels")}


def test_a_seed_settles_everything(x):
    line = "fit -k 3 data.npy --init random --max-iter 3 --tol 0 --silhouette-rows 50"
    first = run_json(f"{line} --seed 4")
    assert without_seconds(run_json(f"{line} --seed 4")) == without_seconds(first)
    other = run_json(f"{line} --seed 5")
    assert other["seed"] == 5
    assert other["log_likelihood"] != first["log_likelihood"]


def test_threads_change_nothing(x):
    one = json.loads(run("fit -k 3 data.npy --json --threads 1").stdout)
    most = json.loads(run("fit -k 3 data.npy --json").stdout)
    assert without_seconds(most) == without_seconds(one) | {"threads": most["threads"]}


@pytest.mark.parametrize("dtype", [">f8", "i4", "u1", "f2", "f4"])
def test_stored_dtypes(x, dtype):
    whole = np.clip(np.rint(8 * (x + 10)), 0, 255)
    np.save("whole.npy", whole)
    np.save("typed.npy", whole.astype(dtype))
    compute = " --dtype float64" if dtype in ("f2", "f4") else ""
    expected = run_json("fit -k 3 whole.npy -o m")
    found = run_json(f"fit -k 3 typed.npy -o m{compute}")
    assert without_seconds(found) == without_seconds(expected)


def test_float32_is_computed_in_float32(x):
    np.save("single.npy", x.astype("f4"))
    single = run_json("fit -k 3 single.npy")
    double = run_json("fit -k 3 data.npy")
    assert (single["dtype"], double["dtype"]) == ("float32", "float64")
    assert single["log_likelihood"] == pytest.approx(double["log_likelihood"], rel=1e-5)
    assert run_json("fit -k 3 data.npy --dtype float32")["dtype"] == "float32"
    run("predict single.gmm.npz single.npy --proba --threads 1")
    assert np.load("single.proba.npy").dtype == np.float32


def test_memory_order_changes_nothing(x):
    np.save("columns.npy", np.asfortranarray(x))
    expected = without_seconds(run_json("fit -k 3 data.npy -o m"))
    assert without_seconds(run_json("fit -k 3 columns.npy -o m")) == expected


def test_no_model(x):
    facts = run_json("fit -k 3 data.npy --no-model")
    assert (facts["model"], facts["labels"]) == (None, None)
    assert os.listdir() == ["data.npy"]
    assert run_json("search 2 3 data.npy --no-model")["best"]["model"] is None
    assert os.listdir() == ["data.npy"]


def test_outputs_go_where_they_are_told(x):
    os.mkdir("deep")
    os.mkdir("out")
    np.save("deep/my.data.npy", x)
    assert run_json("fit -k 2 deep/my.data.npy")["model"] == "my.data.gmm.npz"
    assert run_json("predict my.data.gmm.npz deep/my.data.npy")["out"] == "my.data.labels.npy"
    assert os.listdir("deep") == ["my.data.npy"]
    run("fit -k 2 deep/my.data.npy -o out/model --labels out/labels --threads 1")
    assert sorted(os.listdir("out")) == ["labels", "model"]


# How to start ---------------------------------------------------------------------------------


def test_from_goes_on_where_a_fit_stopped(x):
    line = "fit -k 3 data.npy --init random --tol 0"
    run_json(f"{line} --max-iter 2 -o two")
    run_json("fit --from two data.npy --tol 0 --max-iter 3 -o five")
    run_json(f"{line} --max-iter 5 -o straight")
    (five, facts), (straight, whole) = read_model("five"), read_model("straight")
    assert facts["trace"] == pytest.approx(whole["trace"][2:], rel=1e-12)
    np.testing.assert_allclose(five.means, straight.means, rtol=1e-9)
    np.testing.assert_allclose(five.covariances, straight.covariances, rtol=1e-9)
    # in place, and with the number of components said
    run("fit --from two -k 3 data.npy --tol 0 --max-iter 3 -o two --threads 1")
    assert read_model("two")[1]["trace"] == facts["trace"]


def test_from_keeps_the_family(x):
    run("fit -k 2 data.npy -c tied -o m --threads 1")
    assert run_json("fit --from m data.npy")["covariance_type"] == "tied"


def moments(x, resp, reg_covar=1e-6):
    """An M-step, by definition."""
    counts = resp.sum(axis=0)
    means = resp.T @ x / counts[:, None]
    covariances = [
        (r[:, None] * (x - m)).T @ (x - m) / c + reg_covar * np.eye(x.shape[1])
        for r, m, c in zip(resp.T, means, counts, strict=True)
    ]
    return counts / len(x), means, covariances


def test_from_labels_is_an_m_step_of_them(x):
    labels = np.arange(len(x)) % 3
    labels[:40] = 0
    np.save("labels.npy", labels)
    run("fit -k 3 data.npy --from-labels labels.npy --max-iter 1 --tol 0 --threads 1")
    weights, means, covariances = moments(x, np.eye(3)[labels])
    log_prob = np.stack(
        [multivariate_normal(m, c).logpdf(x) for m, c in zip(means, covariances, strict=True)], 1
    ) + np.log(weights)
    resp = np.exp(log_prob - logsumexp(log_prob, axis=1, keepdims=True))
    weights, means, covariances = moments(x, resp)
    found, facts = read_model("data.gmm.npz")
    assert facts["trace"][0] == pytest.approx(logsumexp(log_prob, axis=1).sum(), rel=1e-9)
    np.testing.assert_allclose(found.weights, weights, rtol=1e-8)
    np.testing.assert_allclose(found.means, means, rtol=1e-8)
    np.testing.assert_allclose(found.covariances, covariances, rtol=1e-8)


def test_labels_of_other_programs(x):
    """scikit-learn writes int64; bool and a column of them serve too."""
    labels = (x[:, 0] > x[:, 0].mean()).astype(int)
    np.save("int.npy", labels)
    expected = without_seconds(run_json("fit -k 2 data.npy --from-labels int.npy -o m"))
    for i, other in enumerate([labels.astype(bool), labels[:, None].astype("u1")]):
        np.save(f"{i}.npy", other)
        facts = run_json(f"fit -k 2 data.npy --from-labels {i}.npy -o m")
        assert without_seconds(facts) == expected


TABLES = {
    ".npz": lambda path, table: np.savez(path, **{table.columns[-1]: table.iloc[:, -1]}),
    ".csv": lambda path, table: table.to_csv(path, index=False),
    ".tsv": lambda path, table: table.to_csv(path, index=False, sep="\t"),
    ".parquet": lambda path, table: table.to_parquet(path, index=False),
    ".arrow": lambda path, table: table.to_feather(path),
}


@pytest.mark.parametrize("memory", ["", " --memory 1GB"])
@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("ending", TABLES)
def test_labels_and_weights_from_tables(x, ending, beside, memory):
    """The one column, or the one of that name."""
    labels, weights = np.arange(240) % 3, np.random.default_rng(0).uniform(0.1, 3, 240)
    np.save("labels.npy", labels)
    np.save("weights.npy", weights)
    for name, values in (("label", labels), ("weight", weights)):
        table = pd.DataFrame({name: values})
        if beside:
            table.insert(0, "id", [f"cell {i}" for i in range(240)])
        TABLES[ending](f"{name}s{ending}", table)
    line = "fit -k 3 data.npy --max-iter 3 --threads 1 --no-model"
    want, found = (
        run_json(f"{line} --from-labels labels{e} --weights weights{e}{memory}")
        for e in (".npy", ending)
    )
    assert without_seconds(found) == without_seconds(want)


@pytest.mark.parametrize("ending", [".npy", *TABLES])
def test_what_is_written_is_read_again(x, model, ending):
    """Labels of rows that were left out, -1, are those of rows that are left out."""
    gaps = np.where(np.arange(240)[:, None] % 7 == 3, np.nan, x)
    pd.DataFrame(gaps, columns=list("abcdefgh")[: x.shape[1]]).to_csv("gaps.csv", index=False)
    run(f"predict {model} gaps.csv --missing drop --threads 1 -o l{ending}")
    run(f"score {model} gaps.csv --missing drop --threads 1 --samples w{ending}")
    line = "fit -k 3 gaps.csv --missing drop --threads 1 --max-iter 1 --no-model"
    run(f"{line} --from-labels l{ending}")
    error = run(f"{line} --weights w{ending}", 2).stderr  # one value for every row of the file
    assert f"--weights w{ending}: row 0 (counting from 0) is -" in error
    error = run(f"fit -k 3 data.npy --from-labels l{ending}", 2).stderr
    assert f"--from-labels l{ending}: labels run from -1 to 2; for 3 components they" in error
    error = run(f"fit -k 3 data.npy --weights w{ending}", 2).stderr
    assert f"--weights w{ending}: row 0 (counting from 0) is -" in error


def test_weights_equal_repetition(x):
    counts = 1 + np.arange(len(x)) % 3
    np.save("counts.npy", counts)
    np.save("repeated.npy", np.repeat(x, counts, axis=0))
    run("fit -k 3 data.npy --init random --max-iter 1 --tol 0 -o start --threads 1")
    line = "fit --from start --tol 0 --max-iter 5"
    weighted = run_json(f"{line} data.npy --weights counts.npy -o a")
    repeated = run_json(f"{line} repeated.npy -o b")
    for name in ("log_likelihood", "bic", "aic", "icl"):
        assert weighted[name] == pytest.approx(repeated[name], rel=1e-10)
    assert weighted["n_samples"] == 240
    np.testing.assert_allclose(
        read_model("a")[0].covariances, read_model("b")[0].covariances, rtol=1e-9
    )
    scored = run_json("score a data.npy --weights counts.npy")
    assert scored["log_likelihood"] == weighted["log_likelihood"]


def test_ways_to_start(x):
    """Each starts elsewhere, and more rounds elsewhere again."""
    starts = []
    for init in ["k-means++", "kmeans", "random", "random_from_data", "auto --n-init 3"]:
        run(f"fit -k 8 data.npy --max-iter 1 --init {init} -o m --threads 1")
        starts.append(read_model("m")[1]["trace"][0])
    assert len(set(starts)) == 5
    assert max(starts) == starts[-1]


def test_underscores_and_familiar_names_do_too(x):
    expected = without_seconds(run_json("fit -k 3 data.npy --max-iter 2 --init random_from_data"))
    line = "fit --n_components 3 data.npy --max_iter 2 --init random-from-data"
    assert without_seconds(run_json(line)) == expected


# search ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("criterion", CRITERIA)
def test_search_finds_the_best(x, criterion):
    found = run_json(f"search 1 4 data.npy -c full,spherical --criterion {criterion}")
    assert set(found) == SEARCH_KEYS
    assert found["criterion"] == criterion
    assert found["folds"] == (5 if criterion == "cv" else None)
    assert found["early_stop"] is None
    assert set(found["best"]) == FIT_KEYS | {"cv", "cv_se"}
    table = found["candidates"]
    assert [set(row) for row in table] == 8 * [CANDIDATE_KEYS]
    assert [(row["covariance_type"], row["n_components"]) for row in table] == [
        (family, k) for family in ("full", "spherical") for k in (1, 2, 3, 4)
    ]
    values = [row[criterion] for row in table]
    sign = -1 if criterion in criteria.HIGHER else 1
    ranked = sorted((sign * v, i) for i, v in enumerate(values) if v is not None)
    row, other = (table[i] for _, i in ranked[:2])
    of_a_row_alone = {"failure", "unsound"}
    assert {name: found["best"][name] for name in row.keys() - of_a_row_alone} == {
        name: value for name, value in row.items() if name not in of_a_row_alone
    }
    assert found["runner_up"] == [other["n_components"], other["covariance_type"]]
    assert found["margin"] == pytest.approx(ranked[1][0] - ranked[0][0])
    theirs = as_sklearn("data.search.gmm.npz")
    assert theirs.covariance_type == row["covariance_type"]
    assert theirs.bic(x) == pytest.approx(row["bic"], rel=1e-9)
    labels = theirs.predict(x)
    assert row["silhouette"] == pytest.approx(silhouette_score(x, labels), rel=1e-9)
    assert [row["silhouette"] for row in table if row["n_components"] == 1] == [None, None]


def test_search_makes_the_fits_that_fit_makes(x):
    """With a named start, which nothing is compared with."""
    table = run_json("search 2 3 data.npy -c full,diag --init kmeans")["candidates"]
    for row in table:
        family, k = row["covariance_type"], row["n_components"]
        alone = run_json(f"fit -k {k} -c {family} data.npy --no-model --init kmeans")
        assert {name: alone[name] for name in row if name in FIT_KEYS} == {
            name: value for name, value in row.items() if name in FIT_KEYS
        }


def test_the_table_of_a_search_marks_the_best(x):
    line = "search 1 4 data.npy -c full,diag --threads 1"
    shown = run(line).stdout
    found = run_json(line.removesuffix(" --threads 1"))
    table, _, below = shown.partition("\n\n")
    header, *rows = table.splitlines()
    assert " ".join(header.split()) == (
        "K covariance log-likelihood parameters BIC AIC ICL silhouette effort iterations"
    )
    rows = [row for row in rows if row.lstrip(" *")[:1].isdigit()]
    assert len(rows) == 8
    for row, candidate in zip(rows, found["candidates"], strict=True):
        best = candidate["bic"] == found["best"]["bic"]
        assert row.startswith(" *") == best
        cells = row.replace("*", "").split()
        assert cells[:2] == [str(candidate["n_components"]), candidate["covariance_type"]]
        assert cells[2] == f"{candidate['log_likelihood']:,.1f}"
        assert cells[4] == f"{candidate['bic']:,.1f}"
        assert cells[8] == f"{candidate['effort']:g}"
        assert cells[9] == str(candidate["n_iter"])
    assert "* best: lowest BIC" in table
    assert below.startswith("data.npy\n")
    assert " for 8 fits (this one: read " in below
    assert f"{found['best']['n_components']}, " in below


def test_families_to_search(x):
    def families(option):
        table = run_json(f"search 2 2 data.npy --no-model -c {option}")["candidates"]
        return [row["covariance_type"] for row in table]

    assert families("all") == list(FAMILIES)
    assert families("tied,full,tied") == ["tied", "full"]
    assert families("Diag,") == ["diag"]


# predict, score, sample, info ---------------------------------------------------------------


@pytest.fixture
def model(x):
    run("fit -k 3 data.npy -o model --threads 1")
    return "model"


def test_predict(x, model):
    facts = run_json("predict model data.npy")
    labels = np.load("data.labels.npy")
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, log_densities(model, x).argmax(axis=1))
    assert facts == {
        "n_samples": 240,
        "n_components": 3,
        "counts": np.bincount(labels, minlength=3).tolist(),
        "notes": [],
        "out": "data.labels.npy",
    }
    shown = run("predict model data.npy -o other.npy --threads 1").stdout
    assert Path("other.npy").read_bytes() == Path("data.labels.npy").read_bytes()
    rows = [line.split() for line in shown.splitlines()]
    for k, n in enumerate(facts["counts"]):
        assert ["component", str(k), str(n), f"({n / 240:.1%})"] in rows


def test_predict_proba(x, model):
    facts = run_json("predict model data.npy --proba")
    assert (facts["out"], facts["counts"]) == ("data.proba.npy", None)
    resp = np.load("data.proba.npy")
    assert resp.dtype == np.float64
    np.testing.assert_allclose(resp.sum(axis=1), 1, rtol=1e-12)
    log_prob = log_densities(model, x)
    expected = np.exp(log_prob - logsumexp(log_prob, axis=1, keepdims=True))
    np.testing.assert_allclose(resp, expected, rtol=1e-8, atol=1e-12)


def test_score(x, model):
    other, _ = blobs(77)
    np.save("other.npy", other)
    facts = run_json("score model other.npy --samples log_prob.npy")
    log_prob = logsumexp(log_densities(model, other), axis=1)
    np.testing.assert_allclose(np.load("log_prob.npy"), log_prob, rtol=1e-9)
    theirs = as_sklearn(model)
    assert facts == {
        "n_samples": 77,
        "log_likelihood": pytest.approx(log_prob.sum(), rel=1e-10),
        "mean_log_likelihood": pytest.approx(log_prob.mean(), rel=1e-10),
        "n_parameters": 17,
        "bic": pytest.approx(theirs.bic(other), rel=1e-10),
        "aic": pytest.approx(theirs.aic(other), rel=1e-10),
        "icl": pytest.approx(
            theirs.bic(other) - 2 * np.log(theirs.predict_proba(other).max(axis=1)).sum(),
            rel=1e-9,
        ),
        "notes": [],
        "samples": "log_prob.npy",
    }
    shown = run("score model other.npy --threads 1").stdout
    assert f"{log_prob.sum():,.3f} ({log_prob.mean():.5f} a sample)" in shown


def test_sample(x, model):
    n = 20_000
    line = f"sample model {n} --seed 3 --json"
    facts = json.loads(run(f"{line} -o drawn.npy --labels labels.npy").stdout)
    assert facts == {
        "n_samples": n,
        "n_features": 2,
        "seed": 3,
        "out": "drawn.npy",
        "labels": "labels.npy",
    }
    drawn, labels = np.load("drawn.npy"), np.load("labels.npy")
    params, _ = read_model(model)
    assert (drawn.shape, labels.shape, labels.dtype) == ((n, 2), (n,), np.int32)
    for k in range(3):
        mine = drawn[labels == k]
        error = 5 / np.sqrt(len(mine))
        scale = np.sqrt(np.diag(params.covariances[k]))
        assert abs(len(mine) / n - params.weights[k]) < 5 * np.sqrt(0.25 / n)
        assert (np.abs(mine.mean(axis=0) - params.means[k]) < error * scale).all()
        difference = np.cov(mine.T) - params.covariances[k]
        assert (np.abs(difference) < 2 * error * np.outer(scale, scale)).all()
    run(f"{line} -o again.npy")
    assert Path("again.npy").read_bytes() == Path("drawn.npy").read_bytes()
    run(f"sample model {n} --seed 4 -o other.npy")
    assert Path("other.npy").read_bytes() != Path("drawn.npy").read_bytes()


def test_info(x, model):
    facts = json.loads(run("info model --json").stdout)
    fitted = run_json("fit -k 3 data.npy --no-model")
    for name in fitted.keys() & facts.keys() - {"seconds", "threads", "model", "labels"}:
        assert facts[name] == fitted[name], name
    params, _ = read_model(model)
    assert facts["covariances"] == params.covariances.tolist()
    assert len(facts["trace"]) == fitted["n_iter"] + 1
    shown = run("info model").stdout
    assert "fitted to        data.npy (240 samples)" in shown
    ll = fitted["log_likelihood"]
    assert f"{ll:,.3f} ({ll / 240:.5f} a sample)" in shown


# Manners ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--help"], ["fit", "-h"], ["search", "--help"], ["plot", "--help"], ["-V"]]
)
def test_help_is_light(arguments):
    """Help must not wait for Numba: what is slow to import is imported by commands."""
    code = (
        "import sys; from gmm_fast.cli.main import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "heavy = {'numba', 'sklearn', 'scipy', 'numpy', 'rich', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "gmm-fast" in done.stdout


def test_help_names_every_family_and_criterion():
    shown = run("fit --help").output + run("search --help").output
    for name in (*FAMILIES, "bic", "aic", "icl", "silhouette"):
        assert name in shown


def test_choices_are_those_of_the_library():
    """`names` imports nothing; it must not drift apart."""
    from gmm_fast import names
    from gmm_fast.mixture import families

    assert tuple(families.FAMILIES) == names.FAMILIES
    assert starting.METHODS == names.INITS


@pytest.mark.parametrize(
    "line",
    [
        "fit -k 3 data.npy --labels out.npy",
        "search 2 3 data.npy --labels out.npy",
        "predict model data.npy",
        "predict model data.npy --proba",
        "score model data.npy --samples out.npy",
        "sample model 10 -o out.npy",
    ],
)
def test_a_disk_that_fills_up(x, model, monkeypatch, line):
    """Status 1: the call was right, the work failed. Old files stay, no half file appears."""
    Path("out.npy").write_bytes(b"old")
    before = {p.name: p.read_bytes() for p in Path().iterdir()}

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outputs.os, "fsync", full)
    result = run(line, code=1)
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert result.stderr.endswith("could not be written: No space left on device\n")
    assert {p.name: p.read_bytes() for p in Path().iterdir()} == before


def test_out_of_memory(x, model):
    result = run("sample model 1000000000000000 -o out.npy", code=1)
    assert "out of memory (Unable to allocate" in result.stderr
    assert not Path("out.npy").exists()


def test_interrupted_while_writing(x, monkeypatch):
    def interrupted(file, **_):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(archive.np, "savez", interrupted)
    result = run("fit -k 2 data.npy --threads 1", code=130)
    assert (result.stdout, result.stderr) == ("", "Interrupted.\n")
    assert os.listdir() == ["data.npy"]


def test_signals_are_as_before_afterwards(x, model):
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def command_line(line):
    return [sys.executable, "-W", "error", "-m", "gmm_fast", *line.split()]


def test_as_a_process(x):
    """stdout holds one JSON object and nothing else, though colours are forced."""
    done = subprocess.run(
        command_line("fit -k 3 data.npy --json --threads 1"),
        capture_output=True,
        timeout=300,
        env=os.environ | {"FORCE_COLOR": "1"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["n_samples"] == 240
    assert done.stdout.count(b"\n") == 1


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams(x, closed):
    """Nothing is said, or read, and all is done; files do not get what streams would."""
    shell = f'exec "$0" -m gmm_fast "$@" {closed}'
    line = "fit -k 2 data.npy -v --labels l.npy --threads 1"
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, *line.split()], capture_output=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (done.stdout == b"") == (">&- 2" in closed)
    assert len(np.load("l.npy")) == 240
    assert read_model("data.gmm.npz")[0].n_components == 2
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, "info"], capture_output=True, timeout=300
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


def test_stdout_that_is_full_or_gone(x, model):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command_line("info model"), stdout=full, stderr=subprocess.PIPE, timeout=300
        )
    assert done.returncode == 1
    assert done.stderr == b"Error: standard output could not be written: No space left on device\n"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        command_line("info model --json"), stdout=writer, stderr=subprocess.PIPE, timeout=300
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")  # as `| head` has it: in silence


def start_on_a_terminal(line):
    """Start a command with stderr on a terminal; the process, and what reads the terminal."""
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        command_line(line),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=end,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(end)

    def read(until=None, seconds=120):
        """What is written up to `until`, or to the end."""
        text, deadline = b"", time.monotonic() + seconds
        while until is None or until not in text:
            assert select.select([terminal], [], [], deadline - time.monotonic())[0], text
            try:
                text += os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
        return text.decode()

    return process, read


@pytest.mark.serial
def test_progress_on_a_terminal(x):
    """Iteration, log-likelihood and rate while it runs; a clean line afterwards."""
    process, read = start_on_a_terminal(
        "fit -k 3 data.npy --init random --tol 0 --max-iter 3000 --json --threads 1"
    )
    text = read()
    out = process.communicate()[0]
    assert process.returncode == 0
    json.loads(out)
    progress = click.unstyle(text)
    assert "reading the data" in progress or "compiling kernels" in progress
    assert "K=3 full · iteration " in progress
    assert "/3000 · log-likelihood -" in progress
    assert " iterations/s" in progress
    # after the last erasure of the line only the warning follows
    last = click.unstyle(text.rpartition("\x1b[2K")[2]).strip()
    assert last == "warning: EM did not converge in 3,000 iterations; raise --max-iter or --tol"


@pytest.mark.serial
def test_quiet_shows_no_progress_on_a_terminal(x):
    process, read = start_on_a_terminal("search 2 4 data.npy --json --threads 1 --quiet")
    text = read()
    out = process.communicate()[0]
    assert process.returncode == 0
    json.loads(out)
    assert "\x1b" not in text


@pytest.mark.serial
@pytest.mark.parametrize(("kind", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_fit_can_be_stopped(x, kind, code):
    process, read = start_on_a_terminal(
        "fit -k 3 data.npy --init random --tol 0 --max-iter 100000000 --threads 1 --labels l.npy"
    )
    read(until=b"iteration ")
    process.send_signal(kind)
    text = click.unstyle(read())
    out = process.communicate(timeout=60)[0]
    assert process.returncode == code
    assert out == b""
    assert "Traceback" not in text
    assert ("Interrupted." in text) == (kind is signal.SIGINT)
    assert os.listdir() == ["data.npy"]


def test_no_progress_without_a_terminal(x, monkeypatch):
    """A log file gets no progress, even where colours are forced."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress, "Live", None)  # using it would fail
    assert run("fit -k 3 data.npy --threads 1").stderr == ""


def test_commands_hold_no_data_open(x, model):
    """Files of options are closed before the work begins."""
    np.save("w.npy", np.ones(240))
    np.savetxt("w.csv", np.ones(240))
    before = len(os.listdir("/proc/self/fd"))
    for mapped in (False, True):
        for name in ("w.npy", "w.csv"):
            inputs._read_column("--weights", name, "weight", mapped)
    assert len(os.listdir("/proc/self/fd")) == before
