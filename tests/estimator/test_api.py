"""`search`, `save`, `load`, and what importing the package costs."""

import doctest
import json
import re
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
from blobs import blobs
from click.testing import CliRunner
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import silhouette_score

import gmm_fast
import gmm_fast.cli.main
import gmm_fast.estimator
from gmm_fast import DataError, GaussianMixture, ModelFileError, load, save, search
from gmm_fast.errors import FitError
from gmm_fast.names import CRITERIA
from gmm_fast.selection.criteria import HIGHER

ALL = ("full", "tied", "diag", "spherical")


@pytest.fixture(scope="module")
def x():
    return blobs(seed=1, sizes=(90, 60, 50), d=2, apart=6)


@pytest.fixture(scope="module")
def found(x):
    return search(x, range(1, 5), covariance=ALL, random_state=1)


# -- search ----------------------------------------------------------------------------------------


def test_one_row_and_one_model_for_each_candidate(found):
    expected = [(family, k) for family in ALL for k in range(1, 5)]
    assert [(r["covariance_type"], r["n_components"]) for r in found.table] == expected
    assert [(m.covariance_type, m.n_components) for m in found.models] == expected
    for row, model in zip(found.table, found.models, strict=True):
        assert row["n_iter"] == model.n_iter_
        assert row["converged"] is model.converged_ is True
        assert row["stop_reason"] == model.stop_reason_ == "tolerance"
        assert row["events"] == model.events_ == []


def test_numbers_are_those_of_the_models(found, x):
    for row, model in zip(found.table, found.models, strict=True):
        assert row["log_likelihood"] == pytest.approx(model.score_samples(x).sum(), rel=1e-12)
        assert row["n_parameters"] == model._n_parameters()
        for criterion in ("bic", "aic", "icl"):
            assert row[criterion] == getattr(model, criterion)(x)
        if model.n_components == 1:
            assert np.isnan(row["silhouette"])
        else:
            assert row["silhouette"] == pytest.approx(silhouette_score(x, model.predict(x)))


def test_a_search_of_one_number_is_a_fit(x, family):
    """Same seed and settings: the same bits. Of several, starts learn from one another."""
    for k in (1, 3):
        (model,) = search(x, k, covariance=family, random_state=1).models
        again = GaussianMixture(**model.get_params()).fit(x)
        np.testing.assert_array_equal(again.means_, model.means_)
        np.testing.assert_array_equal(again.covariances_, model.covariances_)
        assert again.lower_bounds_ == model.lower_bounds_


def test_a_criterion_that_is_no_name(x):
    with pytest.raises(DataError, match="unknown criterion"):
        search(x, range(1, 3), criterion=np.array(["bic", "aic"]))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_best_by_each_criterion(x, found, criterion):
    result = search(x, range(1, 5), covariance=ALL, random_state=1, criterion=criterion)
    assert result.criterion == criterion
    values = np.array([row[criterion] for row in result.table])
    top = np.nanmax(values) if criterion in HIGHER else np.nanmin(values)
    # labels may be the same in several families: then it is the one of the fewest parameters
    level = [i for i, value in enumerate(values) if value == top]
    best = min(level, key=lambda i: result.table[i]["n_parameters"])
    assert result.best is result.models[best]
    assert result.best.n_components == found.table[best]["n_components"]
    if criterion != "aic":  # which asks for a component too many here
        assert result.best.n_components == 3
    np.testing.assert_array_equal(result.best.means_, found.models[best].means_)


def test_criteria_disagree_where_they_should():
    """A narrow component on a wide one: ICL merges what BIC tells apart."""
    rng = np.random.default_rng(0)
    data = np.concatenate([rng.normal(0, 3, (400, 1)), rng.normal(0, 1, (400, 1))])
    assert search(data, range(1, 3), criterion="bic").best.n_components == 2
    assert search(data, range(1, 3), criterion="icl").best.n_components == 1


@pytest.mark.parametrize("families", ["diag", ["diag"], ("tied", "diag"), iter(["full", "tied"])])
def test_families(x, families):
    if not isinstance(families, (str, list, tuple)):
        result, expected = search(x, 2, covariance=families), ["full", "tied"]
    else:
        result = search(x, 2, covariance=families)
        expected = [families] if isinstance(families, str) else list(families)
    assert [row["covariance_type"] for row in result.table] == expected


def test_a_family_named_twice_is_fitted_once(x):
    assert len(search(x, 2, covariance=["diag", "diag"]).table) == 1


def test_seeds(x):
    one, same = (search(x, range(2, 4), random_state=7) for _ in range(2))
    np.testing.assert_array_equal(one.best.means_, same.best.means_)
    assert one.table == same.table
    # a RandomState gives a seed, which is kept with the models
    drawn = search(x, range(2, 4), random_state=np.random.RandomState(0)).best.random_state
    assert drawn == search(x, range(2, 4), random_state=np.random.RandomState(0)).best.random_state
    assert drawn != search(x, range(2, 4), random_state=np.random.RandomState(1)).best.random_state


def test_settings_arrive(x):
    settings = {
        "tol": 0.0,
        "max_iter": 2,
        "reg_covar": 0.05,
        "n_init": 2,
        "effort": 0.5,
        "init_params": "random",
        "dtype": "float32",
        "threads": 1,
    }
    with pytest.warns(
        ConvergenceWarning, match="the best candidate did not .* in 2 iter"
    ) as caught:
        model = search(x, 3, **settings, random_state=4).best
    assert caught[0].filename == __file__
    assert {name: getattr(model, name) for name in settings} == settings
    assert model.n_iter_ == 2
    assert model.converged_ is False
    again = GaussianMixture(**model.get_params())
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        again.fit(x)
    np.testing.assert_array_equal(again.means_, model.means_)


def test_weights(x):
    counts = np.random.default_rng(0).integers(0, 3, len(x))
    weighted = search(x, range(1, 4), sample_weight=counts, init_params="k-means++")
    many = np.repeat(x, counts, axis=0)
    assert weighted.best.n_components == 3
    assert weighted.best.bic(many) == pytest.approx(weighted.table[2]["bic"], rel=1e-12)


def test_a_path(found, x, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, x)
    result = search(path, range(1, 5), covariance=ALL, random_state=1)
    for row, expected in zip(result.table, found.table, strict=True):
        assert repr(row) == repr(expected)


def test_events_about_the_data_reach_every_model(x):
    flat = np.column_stack([x, np.ones(len(x))])
    result = search(flat, range(1, 3))
    for row, model in zip(result.table, result.models, strict=True):
        assert "feature 2 (counting from 0) is constant" in row["events"][0]
        assert row["events"] == model.events_


def test_silhouette_of_a_sample(x):
    some = search(x, 3, silhouette_rows=60).table[0]["silhouette"]
    whole = search(x, 3).table[0]["silhouette"]
    assert some != whole
    assert some == pytest.approx(whole, abs=0.1)
    assert np.isnan(search(x, 3, silhouette_rows=0).table[0]["silhouette"])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"n_components": 0}, "number of components must be at least 1, not 0"),
        ({"n_components": range(0, 3)}, "number of components must be at least 1, not 0"),
        ({"n_components": range(3, -9, -1)}, "number of components must be at least 1, not -8"),
        ({"n_components": [1, 2.0]}, "number of components must be an integer, not 2.0"),
        ({"n_components": 2.0}, "n_components must be an integer or several, .* not 2.0"),
        ({"n_components": "24"}, "n_components must be an integer or several, .* not '24'"),
        ({"n_components": True}, "number of components must be an integer, not True"),
        ({"n_components": None}, "n_components must be an integer or several, .* not None"),
        ({"n_components": range(5, 5)}, r"nothing to search: range\(5, 5\) holds no number"),
        ({"n_components": []}, "nothing to search: .* holds no number of components"),
        ({"n_components": range(1, 501)}, "200 samples are fewer than 500 components"),
        ({"n_components": range(1, 10**15)}, "200 samples are fewer than 999999999999999"),
        ({"folds": 1}, "folds must be at least 2, not 1"),
        ({"folds": 2.0}, "folds must be an integer, not 2.0"),
        ({"folds": 201}, "201 folds are more than 200 samples; ask for at most 200"),
        ({"n_components": [2, 101], "folds": 2}, "folds of 200 samples leave 100 to fit, fewer"),
        ({"early_stop": 3}, "early_stop must be True or False, not 3"),
        ({"covariance": "round"}, "unknown covariance family 'round'"),
        ({"covariance": []}, "at least one covariance family"),
        ({"covariance": 3}, "covariance must be one or more names of families, not 3"),
        ({"covariance": ["full", 3]}, "covariance must be one or more names"),
        ({"criterion": "luck"}, "unknown criterion 'luck'; choose from bic"),
        ({"criterion": "silhouette", "n_components": 1}, "silhouette is not defined for K = 1"),
        ({"criterion": "silhouette", "silhouette_rows": 0}, "needs silhouette_rows above 0"),
        ({"silhouette_rows": -1}, "silhouette_rows must be at least 0"),
        ({"silhouette_rows": 2.5}, "silhouette_rows must be an integer"),
        ({"tol": -1}, "'tol' parameter of GaussianMixture must be a float in the"),
        ({"max_iter": -1}, "'max_iter' parameter of GaussianMixture must be an int"),
        ({"n_init": 0}, "'n_init' parameter of GaussianMixture must be an int"),
        ({"effort": -1}, "'effort' parameter of GaussianMixture must be a float"),
        ({"init_params": "luck"}, "'init_params' .* must be a str among {'auto', .* Got 'luck'"),
        ({"random_state": -1}, "'random_state' parameter .* Got -1 instead"),
        ({"dtype": "int8"}, "'dtype' parameter .* must be 'float32', 'float64' or None"),
        ({"threads": 0}, "'threads' parameter .* must be"),
        ({"sample_weight": [1.0]}, r"sample_weight has shape \(1,\)"),
        ({"X": "nowhere.npy"}, "nowhere.npy: no such file"),
    ],
)
def test_wrong_calls(x, monkeypatch, call, message):
    """A clear message before any work."""
    monkeypatch.setattr("gmm_fast.fitting.open_backend", None)
    with pytest.raises(DataError, match=message):
        search(**({"X": x, "n_components": range(1, 5)} | call))


def test_what_is_doubtful_of_the_best_is_in_the_warnings():
    few = np.random.default_rng(0).normal(size=(20, 9))
    found = search(few, 3)
    assert any("no more rows than" in text for text in found.warnings)
    assert found.warnings == [e for e in found.best.events_ if "more than the data has" not in e]
    row = found.table[0]
    assert row["events"] == found.best.events_
    assert (row["effort"], row["moves"]) == (found.best.result_.effort, found.best.result_.moves)


def test_max_iter_0_compares_starts(x):
    """Without a warning, as in the estimator."""
    found = search(x, range(2, 4), max_iter=0)
    assert [row["n_iter"] for row in found.table] == [0, 0]


def test_no_candidate_has_a_silhouette():
    """Both components take in all samples: one cluster, no silhouette."""
    data = np.zeros((50, 1))
    data[0] = 1
    with pytest.raises(FitError, match="no candidate has a silhouette"):
        search(data[1:], 2, criterion="silhouette")


def test_its_repr_is_short(found):
    assert repr(found) == f"SearchResult(best={found.best!r}, criterion='bic')"


# -- model files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ALL)
def test_save_and_load(found, x, tmp_path, family):
    model = found.models[4 * ALL.index(family) + 2]
    path = tmp_path / "model.npz"
    save(model, path)
    back = load(path)
    assert isinstance(back, GaussianMixture)
    assert (back.n_components, back.covariance_type) == (3, family)
    for method in ("predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl"):
        np.testing.assert_array_equal(getattr(back, method)(x), getattr(model, method)(x))
    for name in vars(model):
        if name.endswith("_") and name != "result_":
            np.testing.assert_array_equal(getattr(back, name), getattr(model, name), err_msg=name)
            assert type(getattr(back, name)) is type(getattr(model, name)), name
    back.set_params(random_state=1)
    np.testing.assert_array_equal(back.sample(9)[0], model.sample(9)[0])


def test_what_happened_survives(x, tmp_path):
    flat = np.column_stack([x, np.ones(len(x))])
    model = GaussianMixture(2, random_state=0, tol=np.float32(1e-4)).fit(flat)
    save(model, tmp_path / "model.npz")
    back = load(tmp_path / "model.npz")
    assert back.events_ == model.events_
    assert "constant" in back.events_[0]
    assert back.lower_bounds_ == model.lower_bounds_
    assert len(back.lower_bounds_) > 1
    assert back.result_.seconds == model.result_.seconds
    save(back, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").stat().st_size == (tmp_path / "model.npz").stat().st_size


def test_a_model_of_the_command_line(x, tmp_path):
    data, path = tmp_path / "x.npy", tmp_path / "model.npz"
    np.save(data, x)
    call = ["fit", "--k", "2", "--covariance", "diag", "--model", str(path), "--json", str(data)]
    ran = CliRunner().invoke(gmm_fast.cli.main.main, call)
    assert ran.exit_code == 0, ran.output
    facts = json.loads(ran.stdout)
    model = load(path)
    assert (model.n_components, model.covariance_type) == (2, "diag")
    for criterion in ("bic", "aic", "icl"):
        assert getattr(model, criterion)(x) == facts[criterion]
    assert model.converged_ is facts["converged"]
    assert model.n_iter_ == facts["n_iter"]
    assert len(model.lower_bounds_) == model.n_iter_ + 1
    assert model.score(x) == model.lower_bound_ == facts["log_likelihood"] / len(x)
    # and it is the model of the same call from Python
    again = GaussianMixture(2, covariance_type="diag", random_state=facts["seed"]).fit(x)
    np.testing.assert_array_equal(model.means_, again.means_)


def test_a_model_for_the_command_line(found, x, tmp_path):
    data, path = tmp_path / "x.npy", tmp_path / "model.npz"
    np.save(data, x)
    save(found.best, path)
    ran = CliRunner().invoke(gmm_fast.cli.main.main, ["score", "--json", str(path), str(data)])
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.stdout)["mean_log_likelihood"] == found.best.lower_bound_


def test_what_cannot_be_saved_or_loaded(found, tmp_path):
    with pytest.raises(NotFittedError):
        save(GaussianMixture(), tmp_path / "model.npz")
    with pytest.raises((DataError, FitError), match="folder"):
        save(found.best, tmp_path / "no" / "model.npz")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ModelFileError, match="no such file"):
        load(tmp_path / "model.npz")
    (tmp_path / "model.npz").write_bytes(b"PK nothing")
    with pytest.raises(ModelFileError, match="not a gmm-fast model"):
        load(tmp_path / "model.npz")


# -- the package -----------------------------------------------------------------------------------


def in_python(code):
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_import_is_light():
    heavy = in_python(
        "import sys, gmm_fast, gmm_fast.cli.main; dir(gmm_fast); gmm_fast.__version__\n"
        "print(*sys.modules)"
    )
    assert "gmm_fast.cli.main" in heavy
    assert not {"numba", "sklearn", "scipy", "matplotlib", "rich"} & set(heavy)


def test_names_are_functions_whatever_was_imported_before():
    found = in_python(
        "from gmm_fast import estimator, files, fitting, selection, starts\n"
        "import gmm_fast.estimator.search, gmm_fast.cli.commands\n"
        "import gmm_fast, inspect\n"
        "from gmm_fast import GaussianMixture, SearchResult, load, save, search\n"
        "print(*(inspect.isfunction(f) for f in (search, load, save)))\n"
        "print(*(inspect.isclass(c) for c in (GaussianMixture, SearchResult)))\n"
        "print(set(gmm_fast.__all__) <= set(dir(gmm_fast)))\n"
        "print(all(hasattr(gmm_fast, name) for name in gmm_fast.__all__))"
    )
    assert found == ["True"] * 7


def test_unknown_names():
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        gmm_fast.serach  # noqa: B018 - the look-up is what raises


@pytest.mark.parametrize("name", ["exchange", "gaussian_mixture", "search", "streaming"])
def test_examples(name):
    result = doctest.testmod(import_module(f"gmm_fast.estimator.{name}"))
    assert result.attempted >= 3
    assert result.failed == 0


def test_models_of_a_search_know_the_names_of_features(x, tmp_path):
    """Of a frame as `fit` does; of a file, so that files in another order are put into this one."""
    pd, pa = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    import pyarrow.parquet  # noqa: F401 - makes pa.parquet

    frame = pd.DataFrame(x * [1, 100], columns=["FSC", "SSC"])
    best = search(frame, range(1, 4)).best
    assert list(best.feature_names_in_) == ["FSC", "SSC"]
    best.predict(frame)  # without scikit-learn's warning
    np.testing.assert_array_equal(best.predict(frame[["SSC", "FSC"]]), best.predict(frame))
    with pytest.raises(ValueError, match="feature names"):
        best.predict(frame[["SSC"]])
    one, other = tmp_path / "one.parquet", tmp_path / "other.parquet"
    pa.parquet.write_table(pa.table({"FSC": frame["FSC"], "SSC": frame["SSC"]}), one)
    pa.parquet.write_table(pa.table({"SSC": frame["SSC"], "FSC": frame["FSC"]}), other)
    for model in (search(one, range(1, 4)).best, GaussianMixture(2, random_state=0).fit(one), best):
        want = model.score(one)
        assert model.score(other) == want
        save(model, tmp_path / "model.npz")
        same = load(tmp_path / "model.npz")
        assert same.score(other) == want
        assert list(same.feature_names_in_) == list(model.feature_names_in_) == ["FSC", "SSC"]
        np.testing.assert_array_equal(same.predict(frame[["SSC", "FSC"]]), model.predict(frame))
        run = CliRunner().invoke(
            gmm_fast.cli.main.main, ["score", str(tmp_path / "model.npz"), str(other), "--json"]
        )
        assert json.loads(run.stdout)["mean_log_likelihood"] == pytest.approx(want, rel=1e-12)


def test_models_of_the_command_line_know_the_names_of_features(x, tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(x * [1, 100], columns=["FSC", "SSC"])
    frame.to_csv(tmp_path / "cells.csv", index=False)
    frame[["SSC", "FSC"]].to_csv(tmp_path / "turned.csv", index=False)
    out = str(tmp_path / "m.npz")
    words = ["fit", "-k", "3", str(tmp_path / "cells.csv"), "-o", out]
    assert CliRunner().invoke(gmm_fast.cli.main.main, words).exit_code == 0
    model = load(out)
    assert list(model.feature_names_in_) == ["FSC", "SSC"]
    want = GaussianMixture(3, random_state=0).fit(tmp_path / "cells.csv").predict(frame)
    np.testing.assert_array_equal(model.predict(frame[["SSC", "FSC"]]), want)
    np.testing.assert_array_equal(model.predict(tmp_path / "turned.csv"), want)
    with pytest.raises(ValueError, match="unseen at fit time:\n- CD4"):
        model.predict(frame.rename(columns={"FSC": "CD4"}))


def test_verbose_logs(x, caplog, capsys):
    caplog.set_level("INFO", "gmm_fast")
    found = search(x, [2, 3], verbose=1)
    said = [record.getMessage() for record in caplog.records]
    assert {record.name for record in caplog.records} == {"gmm_fast"}
    assert said[-1] == f"bic is lowest for K={found.best.n_components} full"
    for done, line in enumerate(said[:-1], 1):
        assert re.fullmatch(rf"{done}/[45] K=[23] full: (start|fit|second look), \d+\.\d\d s", line)
    assert any("K=3 full: fit" in line for line in said)
    caplog.clear()
    search(x, [2, 3], verbose=2)
    assert any(re.match(r"K=3 full: iteration 1: -", r.getMessage()) for r in caplog.records)
    caplog.clear()
    search(x, [2, 3])
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


def test_verbose_is_seen_where_logging_is_not_set_up():
    code = (
        "import numpy as np, gmm_fast\n"
        "x = np.random.default_rng(0).normal(size=(60, 2))\n"
        "gmm_fast.search(x, 2, verbose=1)\n"
        "gmm_fast.GaussianMixture(1, verbose=1).fit(x)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == ""
    assert "bic is lowest for K=2 full\n" in run.stderr
    assert re.search(r"^\d+ iterations, -\d\.\d{6}: tolerance$", run.stderr, re.M)
