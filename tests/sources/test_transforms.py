"""Transforms of columns: fitted, kept in the model, repeated on files and never on arrays."""

import json

import numpy as np
import pandas as pd
import pytest
from blobs import blobs
from formats import fcs_bytes
from invoking import run
from scipy.optimize import brentq
from test_sources import assert_same_bits, joined, shrink_pieces

from gmm_fast import DataError, GaussianMixture, load, open_source, plots, save, search
from gmm_fast.errors import ChangedError
from gmm_fast.page import write_report
from gmm_fast.sources import load_resident, parse_all, take, untransform
from gmm_fast.sources.transforms import parse

NAMES = ["FSC", "CD3", "CD4"]


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """Three channels as a cytometer gives them, float32; in the current folder x.fcs and x.csv."""
    monkeypatch.chdir(tmp_path)
    scaled = blobs(seed=3, sizes=(90, 60, 50), d=3, apart=5) / 3
    x = (np.sinh(scaled) * 150).astype("f4")
    (tmp_path / "x.fcs").write_bytes(fcs_bytes(x, NAMES))
    np.savetxt("x.csv", x, "%.17g", ",", header=",".join(NAMES), comments="")
    return x


def some(x, cofactor=150.0, columns=(1, 2)):
    """Some columns through asinh, as users would write it."""
    x = x.astype("f8")
    x[:, columns] = np.arcsinh(x[:, columns] / cofactor)
    return x


def moore_and_parks(x, T=262144.0, W=0.5, M=4.5, A=0.0):
    """The logicle scale by its definition: the root of the biexponential, mirrored below 0.

    Parks, Roederer and Moore (2006), Cytometry A 69A(6), 541-551; Moore and Parks (2012).
    """
    w, at = W / (M + A), A / (M + A)
    b, zero = (M + A) * np.log(10), at + w
    d = brentq(lambda d: 2 * np.log(d / b) + w * (d + b), 1e-9, b, xtol=1e-14) if W else b
    c = np.exp((at + 2 * w) * (b + d))

    def shape(y):
        return np.exp(b * y) - c * np.exp(-d * y) - np.exp(b * zero) + c * np.exp(-d * zero)

    y = brentq(lambda y: T * shape(y) / shape(1) - abs(x), zero, 4, xtol=1e-14)
    return y if x >= 0 else 2 * zero - y


VALUES = np.array([-5e4, -300, -1, 0, 0.5, 1, 10, 1e3, 1e5, 262144, 1e6])


@pytest.mark.parametrize(
    "text",
    ["logicle", "logicle:10000,1,4,0.5", "logicle:262144,0", "logicle:1000,2,5,-1"],
)
def test_logicle_is_the_published_one(text):
    transform = parse(text)
    expected = [moore_and_parks(x, **vars(transform)) for x in VALUES]
    np.testing.assert_allclose(transform.forward(VALUES), expected, atol=1e-12)
    np.testing.assert_allclose(transform.inverse(transform.forward(VALUES)), VALUES, atol=1e-6)


def test_logicle_of_what_has_no_place_on_it(tmp_path):
    strange = np.array([np.nan, np.inf, -np.inf, 1e200, -1e200, 0.0])
    expected = [np.nan, np.inf, -np.inf, np.inf, -np.inf, 0.5 / 4.5]
    np.testing.assert_array_equal(parse("logicle").forward(strange), expected)
    np.save(tmp_path / "x.npy", strange[3:, None])
    with pytest.raises(DataError, match=r"x\.npy: row 0 .*, column 0 is inf"):
        GaussianMixture().fit(open_source(tmp_path / "x.npy", transform="logicle"))


@pytest.mark.parametrize("text", ["arcsinh:150", "arcsinh:0.1", "logicle:262144,0.5,4.5,0"])
def test_text_of_a_transform(text):
    assert str(parse(text)) == text
    assert parse(f" {text.upper()} ") == parse(text)


@pytest.mark.parametrize("text", ["arcsinh:150", "logicle"])
@pytest.mark.parametrize("stored", ["f4", "f8", "i4", "u2"])
def test_the_same_bits_by_any_chunks(tmp_path, monkeypatch, text, stored):
    x = np.random.default_rng(0).integers(0, 60000, (23, 3)).astype(stored)
    np.save(tmp_path / "x.npy", x)
    expected = x.astype("f8")
    for j in (0, 2):
        expected[:, j] = parse(text).forward(expected[:, j])
    expected = expected.astype("f4" if stored == "f4" else "f8")
    shrink_pieces(monkeypatch)
    with open_source(tmp_path / "x.npy", transform={0: text, "2": text}) as source:
        assert source.dtype == expected.dtype
        origin = np.array([0.25, 3.0, -1.0])
        for dtype in ("f4", "f8"):
            for rows in (1, 7, 22, 23):
                assert_same_bits(joined(source, rows, dtype), expected.astype(dtype))
            moved = (expected.astype("f8") - origin).astype(dtype)
            assert_same_bits(load_resident(source, dtype, origin=origin).array, moved)
            rows = np.array([0, 3, 4, 17, 22])
            assert_same_bits(take(source, rows, dtype, origin=origin), moved[rows])


@pytest.mark.parametrize("name", ["x.fcs", "x.csv"])
def test_a_fit_is_that_of_the_transformed_array(raw, name):
    source = open_source(name, transform={"CD3": "arcsinh:150", "2": "arcsinh:150"})
    assert source.notes[-1] == "'CD3', 'CD4' through arcsinh(x / 150)"
    expected = some(raw).astype(source.dtype)
    model = GaussianMixture(3, random_state=0).fit(source)
    same = GaussianMixture(3, random_state=0).fit(expected)
    assert_same_bits(model.means_, same.means_)
    assert_same_bits(model.covariances_, same.covariances_)
    assert model.transforms_ == [None, "arcsinh:150", "arcsinh:150"]
    assert same.transforms_ is None
    assert f"reading {name}: {source.notes[-1]}" in model.events_

    save(model, "m.npz")
    model = load("m.npz")
    labels = same.predict(expected)
    frame = pd.DataFrame(expected, columns=NAMES)
    again = open_source(name, transform=model.transforms_)
    for X in (name, open_source(name), again, frame):  # a raw file, twice; and what is not raw
        np.testing.assert_array_equal(model.predict(X), labels)
        assert model.score(X) == same.score(expected)
    with pytest.raises(DataError, match=r"opened with the transforms 'arcsinh:5', .*'arcsinh:150'"):
        model.predict(open_source(name, transform="arcsinh:5"))
    with pytest.warns(UserWarning, match=r"x\..*'CD4' through .*, while the model knows of no tr"):
        np.testing.assert_array_equal(same.predict(again), labels)
    model.set_params(warm_start=True, max_iter=300).fit(name)
    assert model.transforms_ == [None, "arcsinh:150", "arcsinh:150"]
    assert model.lower_bound_ == pytest.approx(same.lower_bound_, abs=1e-3)
    with pytest.raises(DataError, match=r"warm_start: .* has the transforms None"):
        model.fit(expected)


def test_batches_and_searches(raw):
    source = open_source("x.fcs", transform="arcsinh:150")
    expected = some(raw, columns=[0, 1, 2]).astype("f4")
    found, same = (search(X, [2, 3], random_state=0) for X in (source, expected))
    assert [row["bic"] for row in found.table] == [row["bic"] for row in same.table]
    assert found.best.transforms_ == ["arcsinh:150"] * 3
    model, other = (GaussianMixture(2, random_state=0).partial_fit(X) for X in (source, expected))
    assert_same_bits(model.partial_fit("x.fcs").means_, other.partial_fit(expected).means_)
    assert model.transforms_ == ["arcsinh:150"] * 3
    write_report(found, "r.html", "x.fcs")
    with open("r.html") as page:
        assert "all columns through arcsinh(x / 150)" in page.read()


def test_rows_that_miss_a_value(raw):
    holes = raw.copy()
    holes[[0, 7, 199], [0, 1, 2]] = np.nan
    np.save("x.npy", holes)
    given = {"transform": "logicle", "missing": "drop"}
    model = GaussianMixture(2, random_state=0).fit(open_source("x.npy", **given))
    rows = np.flatnonzero(np.isfinite(holes).all(axis=1))
    for X in ("x.npy", open_source("x.npy", **given)):
        labels = model.predict(X)
        assert np.flatnonzero(labels >= 0).tolist() == rows.tolist()
        expected = parse("logicle").forward(holes[rows].astype("f8")).astype("f4")
        np.testing.assert_array_equal(labels[rows], model.predict(expected))
    few = open_source(open_source("x.npy", missing="drop"), columns=[2, 0, 1])
    assert few.dropped.tolist() == [0, 7, 199]
    with open_source("x.npy", **given) as source:
        np.save("x.npy", holes[:150])
        with pytest.raises(ChangedError, match=r"x\.npy: the file changed while it was used"):
            source.check_unchanged()


def test_on_the_command_line(raw):
    said = run("fit -k 3 x.fcs --transform 'arcsinh:150=CD3,CD4' --transform logicle=0 -o m.npz")
    scale = (
        "'FSC' through logicle(x; T=262144, W=0.5, M=4.5, A=0); "
        "'CD3', 'CD4' through arcsinh(x / 150)"
    )
    assert f"note: reading x.fcs: {scale}" in said.stderr
    assert f"scale               {scale}" in said.stdout
    assert scale in run("info m.npz").stdout
    x = some(raw)
    x[:, 0] = parse("logicle").forward(x[:, 0])
    x = pd.DataFrame(x.astype("f4"), columns=NAMES)
    model = load("m.npz")
    # in another order, beside another column
    np.savetxt("y.csv", np.c_[raw, raw[:, :1]][:, ::-1], "%.17g", ",", header="w,CD4,CD3,FSC",
               comments="")  # fmt: skip
    for name in ("x.fcs", "y.csv"):
        facts = json.loads(run(f"predict m.npz {name} -o l.npy --json").stdout)
        assert f"reading {name}: {model.events_[0].split(': ')[1]}" in facts["notes"]
        np.testing.assert_array_equal(np.load("l.npy"), model.predict(x))
    facts = json.loads(run("score m.npz x.fcs --json").stdout)
    assert facts["mean_log_likelihood"] == model.score(x)
    assert scale in run("plot m.npz x.fcs --features FSC,1 -o p.svg").stderr
    two = ["FSC", "CD3"]
    drawn = [
        plots.clusters(model, x, features=two),
        plots.uncertainty(model, "x.fcs", features=two),
    ]
    for ax in drawn:
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("logicle(FSC)", "arcsinh(CD3 / 150)")
    facts = json.loads(
        run("search 2 3 x.csv --columns CD4,CD3 --transform arcsinh:5 --json").stdout
    )
    assert facts["best"]["transforms"] == ["arcsinh:5", "arcsinh:5"]


def test_pictures_of_a_fit(raw):
    run("fit -k 2 x.csv --columns 1,2 --transform arcsinh:5 --plot p.png --animate p.gif "
        "--report r.html -o m.npz")  # fmt: skip
    with open("r.html") as page:
        page = page.read()
    assert "all columns through arcsinh(x / 5)" in page
    assert "could not be drawn" not in page


def test_samples_are_in_the_units_of_the_file(raw):
    run("fit -k 3 x.fcs --transform 'arcsinh:150=CD3' --transform logicle=FSC -o m.npz")
    run("sample m.npz 500 -o s.csv --labels l.npy")
    x, _ = load("m.npz").set_params(random_state=0).sample(500)
    got = np.loadtxt("s.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(got[:, 1], np.sinh(x[:, 1]) * 150, rtol=1e-12)
    np.testing.assert_array_equal(got[:, 2], x[:, 2])
    back = parse_all(["logicle", "arcsinh:150", None])
    np.testing.assert_allclose(
        [t.forward(got[:, j]) for j, t in enumerate(back[:2])], x[:, :2].T, atol=1e-9
    )
    assert untransform(x, None) is x


def test_going_on(raw):
    """A checkpoint keeps to its transform, and a fit from a model to the model's."""
    fit = "fit -k 3 x.fcs --transform 'arcsinh:150=CD3,CD4'"
    run(f"{fit} -o m.npz --checkpoint f.ckpt")
    run(f"{fit} --resume f.ckpt")
    said = run("fit --resume f.ckpt --transform arcsinh:5", 2).stderr
    assert "--transform arcsinh:5 differs from the checkpoint's arcsinh:150=CD3 arcs" in said
    run("fit -k 3 x.fcs --checkpoint g.ckpt -o g.npz")
    said = run("fit --resume g.ckpt --transform arcsinh:5", 2).stderr
    assert "--transform arcsinh:5 differs from the checkpoint, which lacks it" in said

    run("fit --from m.npz x.fcs -o again.npz --checkpoint h.ckpt")
    assert load("again.npz").transforms_ == [None, "arcsinh:150", "arcsinh:150"]
    np.testing.assert_allclose(load("again.npz").means_, load("m.npz").means_, rtol=0.05)
    run("fit --resume h.ckpt")
    run("fit --from m.npz x.fcs --transform arcsinh:150=CD4,1 -o again.npz")
    for model, option in (("m.npz", "arcsinh:5"), ("g.npz", "arcsinh:150=CD3")):
        said = run(f"fit --from {model} x.fcs --transform {option}", 2).stderr
        assert f"--transform differs from that of {model}" in said


@pytest.mark.parametrize(
    ("columns", "name"), [("1,2,0", "1"), ("1,2,0", "CD3"), ("CD3,2,0", "CD3")]
)
def test_numbers_of_columns_are_those_of_the_file(raw, columns, name):
    run(f"fit -k 2 x.fcs --columns {columns} --transform arcsinh:5={name} -o m.npz")
    model = load("m.npz")
    assert model.feature_names_in_.tolist() == ["CD3", "CD4", "FSC"]
    assert model.transforms_ == ["arcsinh:5", None, None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--transform sqrt", "transform 'sqrt' is not known; give arcsinh:COFACTOR"),
        ("--transform arcsinh", "transform 'arcsinh': parameters must be numbers"),
        ("--transform arcsinh:0", "transform 'arcsinh:0': the cofactor must be above 0, not 0"),
        ("--transform arcsinh:x", "transform 'arcsinh:x': parameters must be numbers"),
        ("--transform logicle:1,2,3", "transform 'logicle:1,2,3': W must lie between 0 and M / 2"),
        ("--transform logicle:1,1,4,3", "A must lie between -W and M - 2 W"),
        ("--transform arcsinh:5=CD9", "x.fcs: transform: has no column 'CD9'; did you mean 'CD"),
        ("--transform arcsinh:5=", "names no column after ="),
        ("--transform logicle --transform arcsinh:5=CD3", "logicle is for all columns"),
        ("--transform arcsinh:5=CD3,CD3", "column 'CD3' is given two transforms"),
        ("--transform logicle=CD3 --transform arcsinh:5=1", "column 'CD3' ('1') is given two"),
        ("--columns CD3 --transform logicle=CD4", "x.fcs: transform: has no column 'CD4'"),
        ("--columns 1,2 --transform logicle=0", "column 0 is none of --columns"),
    ],
)
def test_what_makes_no_sense_is_refused(raw, options, message):
    assert message in run(f"fit -k 2 x.fcs {options}", 2).stderr


def test_arrays_are_not_transformed(raw):
    with pytest.raises(
        DataError, match=r"X: is not a file; transform is for files only: transform the data"
    ):
        open_source(raw, transform="arcsinh:150")
    with pytest.raises(DataError, match=r"x\.fcs: there are 2 transforms for 3 columns"):
        open_source("x.fcs", transform=["logicle", None])
    assert open_source("x.fcs", transform=[None, None, None]).transforms is None


def test_flowutils_is_named_where_it_is_missing(raw, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "flowutils", None)
    monkeypatch.delitem(__import__("sys").modules, "flowutils.transforms", raising=False)
    message = "the logicle scale needs flowutils: pip install 'gmm-fast[fcs]'"
    assert message in run("fit -k 2 x.csv --transform logicle", 2).stderr
    run("fit -k 2 x.csv --transform arcsinh:5")


def test_workers_see_the_same_scale(raw):
    run("fit -k 2 x.csv --transform arcsinh:150 -o m.npz --workers 1")
    expected = GaussianMixture(2, random_state=0).fit(some(raw, columns=[0, 1, 2]))
    np.testing.assert_allclose(load("m.npz").means_, expected.means_, rtol=1e-6)
