"""The report to pass on: what its page says, how large it gets, and that it loads nothing."""

import itertools
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pages
import pytest
from pages import Page
from sklearn.exceptions import NotFittedError

import gmm_fast
from gmm_fast import DataError, GaussianMixture, search
from gmm_fast.page import check_report, render, tables, wording, write_page, write_report
from gmm_fast.page.facts import DISTRIBUTIONS, report_facts
from gmm_fast.page.pictures import DRAWN_ROWS, draw_pictures
from gmm_fast.plots import composition, figures, views
from gmm_fast.text import shorten


def page(facts=None, rows=None, pictures=()):
    return Page(render(pages.facts() if facts is None else facts, rows or pages.rows(), pictures))


# Laws -----------------------------------------------------------------------------------------


def variants():
    """Facts of many kinds."""
    for family, k in itertools.product(pages.FAMILIES, (1, 3)):
        yield pages.facts(pages.fit(k, 2, family))
    yield pages.facts(pages.fit(100, 50))
    yield pages.facts(data=None, command=None, date=None, model=None, warnings=None)
    yield pages.facts(criterion=None, margin=None, runner_up=None)
    yield pages.facts(early_stop=7, criterion="silhouette")
    yield pages.facts(pages.fit(events=["one note"], stop_reason="max_iter", converged=False))
    names = list(pages.ATTACKS[:2])
    yield pages.facts(data=pages.data(name=pages.ATTACKS[0], features=names))


@pytest.mark.parametrize("facts", list(variants()))
def test_tags_are_balanced_and_nothing_is_loaded(facts):
    found = page(facts, pictures=pages.PICTURES)
    assert len(found.ids) == len(set(found.ids))
    loaded = [a.get(n) for _, a in found.tags for n in ("src", "href", "srcset", "data", "action")]
    assert all(url.startswith(("data:", "#")) for url in loaded if url is not None)
    assert {a["href"][1:] for a in found.of("a")} <= set(found.ids)
    style = found.raw["style"]
    assert style
    assert "@import" not in style
    assert "url(" not in style
    assert not re.search(r"\b(fetch|XMLHttpRequest|import|eval|innerHTML)\b", found.raw["script"])
    policy = next(a["content"] for a in found.of("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'")
    assert all(image["alt"] for image in found.of("img"))


@pytest.mark.parametrize("facts", list(variants()))
def test_same_facts_same_text(facts):
    assert render(facts, pages.rows(), pages.PICTURES) == render(
        facts, pages.rows(), pages.PICTURES
    )


def test_only_the_date_differs():
    one, other = (render(pages.facts(date=date), pages.rows()) for date in ("monday", "tuesday"))
    assert one != other
    assert one.replace("monday", "tuesday") == other


def test_effort_is_a_column_where_there_was_a_search():
    rows = [pages.row(k, effort=e) for k, e in ((2, 1.0), (3, 4.0))] + [pages.row(4)]
    found = page(pages.facts(pages.fit(effort=4.0, moves=120)), rows)
    heads, *lines = found.table("K")
    assert [line[heads.index("effort")] for line in lines] == ["1", "4", wording.DASH]
    assert ["searched", "effort 4, 120 local moves"] in found.table("stopped by")
    none = page(pages.facts(), [pages.row(k, effort=0.0) for k in (2, 3)])
    assert "effort" not in none.table("K")[0]


def test_what_is_a_warning_is_no_note():
    warnings = ["component 1 collapsed", "EM did not converge in 12 iterations; raise"]
    best = pages.fit(events=["of the data", warnings[0]], stop_reason="max_iter")
    limit = "EM did not converge in 12 iterations; raise --max-iter or --tol"
    found = page(pages.facts(best, warnings=[warnings[0], limit]), pages.rows())
    assert [found.text.count(t) for t in (warnings[0], "EM did not converge", "of the data")] == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("attack", pages.ATTACKS)
def test_what_users_name_is_text(attack):
    """In every place where a user's text ends up; it adds no tag and is there to be read."""
    harmless, attacked = (
        page(
            pages.facts(
                pages.fit(events=[text]),
                data=pages.data(name=text, features=[text, "b"], weights=text),
                command=text,
                model=text,
                labels=text,
                warnings=[text],
                settings={"columns": [text]},
            ),
            [*pages.rows()[:-1], pages.row(5, "tied", failure=text)],
            [(text, text, pages.SVG)],
        )
        for text in ("plain", attack)
    )
    tags = [
        [(tag, set(attributes)) for tag, attributes in found.tags if tag != "span"]  # of words
        for found in (harmless, attacked)
    ]
    assert tags[0] == tags[1]
    assert harmless.text.count("plain") > 10
    # names of columns are cut, so that not all of it need be there
    start = shorten(attack, wording.LONGEST_NAME)[:-1]
    assert attacked.text.count(start) == harmless.text.count("plain")


def test_signs_that_would_be_obeyed_are_replaced():
    html = render(pages.facts(command="a\x00b\x1bc\u202ed"), pages.rows())
    assert "a\ufffdb\ufffdc\ufffdd" in html


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
def test_what_is_not_finite_is_a_dash(bad):
    best = pages.fit(bic=bad, mean_log_likelihood=bad, silhouette=bad, reg_covar=bad)
    best["means"][0, 0] = math.nan if bad is None else bad
    best["covariances"][0, 0, 1] = math.nan if bad is None else bad
    facts = pages.facts(best, margin=bad, data=pages.data(mean=np.array([np.nan, 1])))
    rows = [*pages.rows(), pages.row(6, bic=bad, icl=bad, cv=bad, n_iter=None)]
    found = page(facts, rows)
    assert not re.search(r"\b(nan|inf|None)\b", found.text)
    assert wording.DASH in found.text
    row = found.table("K")[-1]
    assert [cell.strip() for cell in row][2] == wording.DASH


def test_large_models_stay_pages():
    many = [pages.row(k, family) for family in pages.FAMILIES for k in range(1, 101)]
    names = [f"{j}" * 300 for j in range(50)]
    best = pages.fit(100, 50, events=[f"note {i}" for i in range(500)])
    html = render(pages.facts(best, data=pages.data(50, features=names)), many)
    assert len(html) < 500_000
    found = Page(html)
    assert "the 50 heaviest of 100 components and the first 20 of 50 features" in found.text
    assert "gmm-fast info 'best model.npz' --json" in found.text
    assert "note 19" in found.text
    assert "note 20" not in found.text
    assert "and 480 more" in found.text
    assert "The best 200 of 400 candidates by BIC" in found.text
    shown = found.table("K")
    assert len(shown) == 1 + tables.MOST_CANDIDATES
    assert sum("★" in row[0] for row in shown) == 1
    wide = Page(render(pages.facts(pages.fit(2, 2000)), pages.rows()))
    assert "The first 100 of 2,000 features" in wide.text
    assert "0 of 2 matrices of 2,000 × 2,000 numbers" in wide.text


# Content --------------------------------------------------------------------------------------


def test_it_says_what_was_chosen_and_how():
    text = page().text
    for part in (
        "Gaussian mixture search of my data.npy",
        pages.DATE,
        pages.COMMAND,
        "BIC is lowest for 3 components with full covariances (VVV); the runner-up, 4 full, is "
        "31.2 worse.",
        "the best is at the upper end of the range",
        "1 of 10 candidates could not be fitted",
        "500 × 2",
        "kept in memory",
        "tolerance, after 12 iterations",
        "4.25 (this fit: start 0.50, EM 1.50)",
        "9.8.7",
        "best model.npz",
        "Silhouettes were measured on 500 samples",
        "Schwarz 1978",
        "Rousseeuw 1987",
    ):
        assert part in text, part
    assert "workers" not in text
    assert "cross-validated" not in text


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"criterion": "silhouette", "margin": 0.05}, "the runner-up, 4 full, is 0.0500 lower."),
        ({"criterion": "cv", "margin": 0.0123}, "log-likelihood is highest for 3 components"),
        ({"runner_up": {"n_components": 9, "covariance_type": "tied"}}, "the runner-up, 9 tied,"),
        ({"runner_up": None, "margin": None}, "there is nothing to compare it with."),
        ({"criterion": None}, "3 components with full covariances (VVV), as asked for."),
        ({"best": pages.fit(1)}, "BIC is lowest for 1 component with full covariance (VVV);"),
        ({"best": pages.fit(2, family="tied")}, "2 components with a tied covariance (EEE);"),
        ({"early_stop": 5}, "The search stopped early, at 5 components: BIC no longer improved"),
    ],
)
def test_sentences(changed, sentence):
    assert sentence in " ".join(wording.choice(pages.facts(**changed), pages.rows()))


def test_candidates_are_the_rows():
    rows = pages.rows()
    for i, row in enumerate(rows[:-1]):
        row |= {"cv": -2.5 - i / 100, "cv_se": 0.001}
    found = Page(render(pages.facts(), rows))
    heads, *lines = found.table("K")
    assert "CV" in heads
    assert len(lines) == len(rows)
    for row, line in zip(rows, lines, strict=True):
        cells = dict(zip(heads, (cell.strip() for cell in line), strict=True))
        assert cells["K"].removeprefix("★ ") == str(row["n_components"])
        assert cells["covariance"] == row["covariance_type"]
        if row.get("failure"):
            assert cells["BIC"] == wording.DASH
            assert cells["stopped by"] == "failed"
            assert f"K = 5, tied: {row['failure']}" in found.text
            continue
        assert cells["BIC"] == f"{row['bic']:,.1f}"
        assert cells["CV"] == f"{row['cv']:.4f} ± 0.0010"
    assert "cross-validated" in found.text
    chosen = [line for line in lines if "★" in line[0]]
    assert [line[:2] for line in chosen] == [["★ 3", "full"]]
    # the first of the best by each criterion, and no other, is marked
    marked = {c["data-sort"] for c in found.of("td") if "best" in c.get("class", "").split()}
    assert marked == {repr(v) for v in (2574.6, 2503.0, 2599.9, 0.6123 - 0.02, -2.5)}


def test_components_are_the_parameters():
    best = pages.fit(3, 2)
    heads, *lines = page(pages.facts(best, data=pages.data(features=["FSC", "SSC"]))).table(
        "component"
    )
    assert heads == ["component", "weight", "FSC", "SSC"]
    assert [int(line[0]) for line in lines] == np.argsort(-best["weights"]).tolist()
    for line in lines:
        k = int(line[0])
        assert float(line[1]) == pytest.approx(best["weights"][k], abs=5e-5)
        for j in range(2):
            mean, deviation = map(float, line[2 + j].split(" ± "))
            assert mean == pytest.approx(best["means"][k, j], abs=0.01)
            assert deviation == pytest.approx(best["deviations"][k, j], rel=0.01)


@pytest.mark.parametrize("family", pages.FAMILIES)
def test_covariances(family):
    best = pages.fit(3, 2, family)
    found = page(pages.facts(best))
    shown = [t for t in found.tables if t[0] == ["", "feature 0", "feature 1"]]
    matrices = {"full": best["covariances"], "tied": [best["covariances"]]}.get(family, [])
    if family == "full":
        matrices = matrices[np.argsort(-best["weights"])]
    assert len(shown) == len(matrices)
    for table, matrix in zip(shown, matrices, strict=True):
        numbers = [[float(cell) for cell in line[1:]] for line in table[1:]]
        np.testing.assert_allclose(numbers, matrix, rtol=1e-3)
    assert ("Covariances between features are all zero" in found.text) == (not shown)


def test_pictures():
    found = page(pictures=pages.PICTURES)
    kinds = [image["src"].split(";")[0] for image in found.of("img")]
    assert kinds == ["data:image/svg+xml", "data:image/png"]
    assert [image["alt"] for image in found.of("img")] == ["Clusters", "Uncertainty"]
    assert "How sure it is." in found.text
    with pytest.raises(ValueError, match="neither PNG nor SVG"):
        page(pictures=[("gif", "", b"GIF89a")])


@pytest.mark.parametrize("criterion", ["bic", "silhouette"])
def test_the_runner_up_is_found_in_the_rows(criterion):
    rows = pages.rows()
    rows[2]["silhouette"] = 0.9
    facts, same = report_facts(pages.fit(), None, rows, criterion)
    assert same == rows
    runner_up = rows[1]  # for BIC 2 and 4 components are equals: the first
    assert facts["runner_up"] == runner_up
    assert facts["margin"] == pytest.approx(abs(runner_up[criterion] - rows[2][criterion]))
    assert facts["versions"].keys() == {"gmm-fast", "Python", *DISTRIBUTIONS, "platform"}
    alone, _ = report_facts(pages.fit(), None, rows[2:3], criterion)
    assert alone["runner_up"] is None
    given, _ = report_facts(pages.fit(), None, rows, criterion, margin=1.0, runner_up=(9, "diag"))
    assert (given["margin"], given["runner_up"]) == (1.0, (9, "diag"))


# Files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["report", "report.pdf", "html", "", ".html.txt"])
def test_a_report_is_html(name):
    with pytest.raises(DataError, match=r"is an HTML page; give a name that ends in \.html"):
        check_report(name)


@pytest.mark.parametrize("name", ["a.html", "a.HTM", "b/a.htm"])
def test_names_of_reports(name):
    check_report(name)


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_what_is_missing_is_named(missing, monkeypatch, tmp_path, x):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DataError, match=f"needs {missing}.*pip install 'gmm-fast\\[plot\\]'"):
        write_report(GaussianMixture(2).fit(x), tmp_path / "report.html", x)
    assert not any(tmp_path.iterdir())


def test_names_that_are_not_unicode_can_be_written(tmp_path):
    write_page(tmp_path / "a.html", pages.facts(command="a\udcffb"), pages.rows())
    assert r"a\udcffb" in (tmp_path / "a.html").read_text("utf-8")


# Python ---------------------------------------------------------------------------------------


@pytest.fixture
def plots(monkeypatch):
    """Pictures by a stand-in, which keeps what it was asked for."""
    from matplotlib.figure import Figure

    asked = []

    def draw(kind):
        def function(*arguments, **options):
            asked.append((kind, *arguments, options))
            axes = Figure().subplots()
            axes.plot([1, 2])
            return (axes, {}) if kind.startswith("draw") else axes

        return function

    for module, kinds in (
        (figures, ("criteria", "loglik")),
        (composition, ("draw_clusters", "draw_uncertainty", "draw_silhouette")),
    ):
        for kind in kinds:
            monkeypatch.setattr(module, kind, draw(kind))
    for name in ("view_of", "plane_of"):
        monkeypatch.setattr(views, name, lambda params, names, labels: names)
    return asked


def test_report_of_a_search(x, tmp_path, plots):
    found = search(x, range(1, 5), covariance=["full", "diag"])
    path = tmp_path / "report.html"
    write_report(found, path, x, name="blobs", command="search(x, 1, 4)", date=pages.DATE)
    first = path.read_bytes()
    page = Page(first.decode())
    assert "Gaussian mixture search of blobs" in page.text
    assert "search(x, 1, 4)" in page.text
    assert len(page.table("K")) == 1 + len(found.table)
    assert [a["alt"] for a in page.of("img")] == [
        "Criterion", "Clusters", "Uncertainty", "Silhouette", "Log-likelihood",
    ]  # fmt: skip
    features = page.table("feature")[1:]
    for j, (_, mean, deviation) in enumerate(features):
        assert float(mean) == pytest.approx(x[:, j].mean(), abs=0.01)
        assert float(deviation) == pytest.approx(x[:, j].std(), rel=0.01)
    asked = {kind: arguments for kind, *arguments in plots}
    assert asked["criteria"] == [found.table, "bic", {}]
    assert asked["loglik"] == [found.best.result_, {}]
    backend, params, names, _ = asked["draw_clusters"]
    np.testing.assert_array_equal(backend.take(np.arange(len(x))), x)
    assert params is found.best.result_.params
    assert names is None
    write_report(found, path, x, name="blobs", command="search(x, 1, 4)", date=pages.DATE)
    assert path.read_bytes() == first


def test_report_of_a_model(x, tmp_path, plots):
    model = GaussianMixture(2, random_state=0, max_iter=1, tol=0, init_params="random")
    with pytest.warns(match="converge"):
        model.fit(x)
    path = tmp_path / "report.html"
    write_report(model, path)
    page = Page(path.read_text())
    assert "2 components with full covariances (VVV), as asked for." in page.text
    assert "EM did not converge in 1 iteration" in page.text
    assert [a["alt"] for a in page.of("img")] == ["Log-likelihood"]
    assert "Bold" not in page.text
    assert page.text.startswith(" Gaussian mixture fit Gaussian mixture fit Report by")
    gmm_fast.save(model, tmp_path / "model.npz")
    write_report(gmm_fast.load(tmp_path / "model.npz"), tmp_path / "b.html", x)
    assert len(Page((tmp_path / "b.html").read_text()).of("img")) == 4


def test_real_pictures(x, tmp_path):
    """By `plots` itself: all are there, and the same bytes each time."""
    found = search(x, range(1, 4))
    paths = tmp_path / "a.html", tmp_path / "b.html"
    for path in paths:
        write_report(found, path, x, date=pages.DATE)
    page = Page(paths[0].read_text())
    assert "could not be drawn" not in page.text
    assert [a["alt"] for a in page.of("img")] == [
        "Criterion", "Clusters", "Uncertainty", "Silhouette", "Log-likelihood",
    ]  # fmt: skip
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_names_of_columns_and_weights(x, tmp_path):
    import pandas as pd

    weights = np.arange(1.0, 1 + len(x))
    frame = pd.DataFrame(x, columns=["FSC", "SSC"])
    model = GaussianMixture(2, random_state=0).fit(frame, sample_weight=weights)
    write_report(model, tmp_path / "a.html", frame, sample_weight=weights)
    features = Page((tmp_path / "a.html").read_text()).table("feature")[1:]
    assert [row[0] for row in features] == ["FSC", "SSC"]
    means = np.average(x, axis=0, weights=weights)
    np.testing.assert_allclose([float(row[1]) for row in features], means, atol=0.01)


def test_data_of_another_size_is_refused(x, tmp_path):
    model = GaussianMixture(2, random_state=0).fit(x)
    with pytest.raises(DataError, match="has 10 samples, the fit had .*; give the data of the fit"):
        write_report(model, tmp_path / "a.html", x[:10])
    assert not list(tmp_path.iterdir())


def test_a_picture_that_fails_is_a_warning(x, tmp_path, plots, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no ink")

    monkeypatch.setattr(composition, "draw_clusters", fails)
    write_report(GaussianMixture(2, random_state=0).fit(x), tmp_path / "a.html", x)
    page = Page((tmp_path / "a.html").read_text())
    assert "the picture “Clusters” could not be drawn: no ink" in page.text
    assert len(page.of("img")) == 3


def test_pictures_show_a_sample(plots, fitted):
    backend = SimpleNamespace(n_samples=DRAWN_ROWS + 100)
    options = {"backend": backend, "names": ["a", "b"], "seed": 3, "silhouette_rows": 70}
    pictures, troubles = draw_pictures(fitted.result_, [], None, **options)
    assert not troubles
    captions = {title: caption for title, caption, _ in pictures}
    assert "5,000 of 5,100 samples (seed 3)" in captions["Clusters"]
    assert "5,000 of 5,100 samples (seed 3)" in captions["Uncertainty"]
    assert "70 of 5,100 samples (seed 3)" in captions["Silhouette"]
    asked = {kind: rest for kind, *rest in plots}
    assert asked["draw_clusters"][2:] == [["a", "b"], {"style": "points", "rows": 5000, "seed": 3}]
    assert asked["draw_silhouette"][-1] == {"rows": 70, "seed": 3}
    without, _ = draw_pictures(fitted.result_, [], None, **options | {"silhouette_rows": 0})
    assert [title for title, *_ in without] == ["Clusters", "Uncertainty", "Log-likelihood"]


def test_large_pictures_are_png(plots, fitted, monkeypatch):
    small, _ = draw_pictures(fitted.result_, [], None)
    assert all(content.startswith(b"<?xml") for *_, content in small)
    monkeypatch.setattr("gmm_fast.page.pictures.MOST_SVG", 100)
    large, _ = draw_pictures(fitted.result_, [], None)
    assert len(large) == len(small) == 1
    assert all(content.startswith(b"\x89PNG") for *_, content in large)


def test_threads_draw_the_same(fitted):
    """The salt of names in SVG is one setting for all threads."""
    with ThreadPoolExecutor(4) as pool:
        drawn = pool.map(lambda _: draw_pictures(fitted.result_, [], None), range(8))
        assert len({pictures[0][-1] for pictures, _ in drawn}) == 1


def test_a_report_of_what_was_set_by_hand(x, tmp_path):
    """Of the mixture as it is now, not of the fit."""
    model = GaussianMixture(3, random_state=0).fit(x)
    model.means_ += 1234
    path = tmp_path / "report.html"
    write_report(model, path, x)
    content = path.read_text()
    assert "no fit" in content
    assert re.search(r"\b1,?23[3-5]", content)


def test_wrong_calls(x, fitted, tmp_path):
    path = tmp_path / "report.html"
    with pytest.raises(DataError, match="a report needs the result of search"):
        write_report([1, 2], path)
    with pytest.raises(NotFittedError):
        write_report(GaussianMixture(2), path)
    with pytest.raises(DataError, match="has 1 features, but GaussianMixture is expecting 2"):
        write_report(fitted, path, x[:, :1])
    with pytest.raises(DataError, match="there is no folder"):
        write_report(fitted, tmp_path / "nowhere" / "report.html", x)
    with pytest.raises(DataError, match="NaN"):
        write_report(fitted, path, np.where(x > 1, np.nan, x))
    assert not any(tmp_path.iterdir())


def test_importing_the_page_is_cheap():
    code = "import sys, gmm_fast.cli.commands, gmm_fast.cli.models; print(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in run.stdout.split()}
    assert not loaded & {"jinja2", "matplotlib", "sklearn"}
