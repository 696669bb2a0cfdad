"""The benchmarks run, at sizes that take no time; no test asserts a time."""

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gmm_fast import GaussianMixture

ROOT = Path(__file__).parent.parent
BENCH = ROOT / "bench"


@pytest.fixture
def bench(monkeypatch):
    """Imports a module of bench/, which pauses before no measurement."""
    monkeypatch.syspath_prepend(str(BENCH))
    monkeypatch.setenv("BENCH_PAUSE", "0")
    monkeypatch.delitem(sys.modules, "formats", raising=False)  # the tests' own
    return importlib.import_module


def run(script, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, str(BENCH / script), *arguments],
        cwd=cwd,
        env=os.environ | {"BENCH_PAUSE": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_compare(tmp_path):
    """One small row of each kind, with the peers that are always there."""
    rows = ("2000,3,2", "2000,3,2,tied")
    options = ("--peers", "scikit-learn,numpy", "--rounds", "2", "--budget", "9", "--out", ".")
    printed = run("compare.py", *rows, *options, cwd=tmp_path)
    assert "faster than scikit-learn" in printed
    report = json.loads((tmp_path / "compare.json").read_text())
    assert [row["family"] for row in report["rows"]] == ["full", "tied"]
    for row in report["rows"]:
        assert set(row["competitors"]) == {
            "gmm-fast float64",
            "gmm-fast float32",
            "scikit-learn",
            "plain NumPy",
        }
        assert all(len(c["seconds"]) == 2 for c in row["competitors"].values())
        reached = [c["reached"] for c in row["competitors"].values()]
        assert np.allclose(reached, reached[0], rtol=1e-5)
        assert min(row["peak_gflops"]) > 0
    assert report["machine"]["thread layer"] != "not started"
    figures = report["figures"]["rows"]
    assert any(f["target"] == 1.7 and f["met"] in (True, False) for f in figures)
    table = (tmp_path / "compare.md").read_text()
    assert "| 2,000, 3, 2 | tied |" in table
    assert "targets met" in table


def test_every_row_of_the_targets_has_all_its_figures(bench):
    compare, targets = bench("compare"), bench("targets")
    names = (compare.OURS, compare.OURS32, "scikit-learn", "oneDAL float64", "oneDAL float32")
    for row, goal in targets.ROWS.items():
        result = {
            "competitors": {name: {"median": 1.0, "note": ""} for name in names},
            "missing": {},
            "share": None if row.flops is None else [0.5],
        }
        found = [f.target for f in compare.figures_of(row, result) if f.target is not None]
        wanted = [goal.scikit_learn, goal.onedal, goal.onedal, targets.FLOAT32]
        wanted += [None if goal.share is None else 100 * goal.share, goal.ns]
        assert found == [w for w in wanted if w is not None], row


def test_a_missing_peer_is_a_target_not_met(bench):
    compare, targets = bench("compare"), bench("targets")
    row = next(iter(targets.ROWS))
    names = (compare.OURS, compare.OURS32, "scikit-learn")
    result = {
        "competitors": {name: {"median": 1.0} for name in names},
        "missing": {"oneDAL": "not installed"},
        "share": None,
    }
    (figure,) = [f for f in compare.figures_of(row, result) if "oneDAL" in f.what]
    assert figure.met is False
    assert "NOT INSTALLED" in figure.cells()[-1]


def test_different_work_is_refused(bench):
    """One iteration too few, owned up to or not, and there is no figure."""
    competitors, timing, work = bench("competitors"), bench("timing"), bench("work")
    made = work.Work.make(work.Row(2000, 3, 2))
    ours, lazy = competitors.Ours(made), competitors.PlainNumpy(made)
    timing.first_runs(made, [ours, lazy])
    honest = lazy.run
    lazy.run = lambda iterations: honest(iterations - 1)
    with pytest.raises(timing.DifferentWork, match="did 2 of 3"):
        timing.first_runs(made, [ours, lazy])
    lazy.run = lambda iterations: honest(iterations - 1)._replace(iterations=iterations)
    with pytest.raises(timing.DifferentWork, match="plain NumPy reached .* not the same work"):
        timing.first_runs(made, [ours, lazy])
    ours.run = lambda iterations, run=ours.run: keep(ours, run(iterations))
    with pytest.raises(timing.DifferentWork, match="gmm-fast float64"):
        timing.first_runs(made, [ours])


def keep(ours, run):
    """A competitor that reports another log-likelihood than its parameters have."""
    ours.reported += 1e-3
    return run


def test_slow_competitors_get_fewer_rounds(bench):
    timing = bench("timing")
    assert timing.plan(0.001, 5, 8.0)[1] == 5
    assert timing.plan(0.4, 5, 8.0) == ((1, 5), 2)
    assert timing.plan(0.6, 5, 8.0) == ((0, 4), 2)
    assert timing.plan(3.0, 5, 8.0) == ((0, 4), 0)


def test_the_slowest_are_looked_at_once(bench):
    competitors, timing, work = bench("competitors"), bench("timing"), bench("work")
    made = work.Work.make(work.Row(2000, 3, 2))
    team = [competitors.Ours(made), competitors.PlainNumpy(made)]
    found, peaks = timing.measure(made, team, 2, budget=1e-4)
    assert [len(m.seconds) for m in found.values()] == [2, 1]
    assert len(peaks) == 2


@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_plain_numpy_agrees_with_ours(bench, family):
    competitors, work = bench("competitors"), bench("work")
    made = work.Work.make(work.Row(1500, 4, 3, family))
    reached = [
        made.mean_log_likelihood(c.run(4).reached)
        for c in (competitors.Ours(made), competitors.PlainNumpy(made))
    ]
    assert reached[0] == pytest.approx(reached[1], rel=1e-11)


def test_figures_judge(bench):
    Figure = bench("report").Figure
    assert Figure("a", 2.0, "×", 1.5).met is True
    assert Figure("a", 2.0, "s", 1.5, at_least=False).met is False
    assert Figure("a", 2.0, "×", 1.5, wrong="worse").met is False
    assert Figure("a", 2.0, "×").met is None


def test_sections(bench):
    """Whole fits, scoring and silhouettes on little data."""
    sections, work = bench("sections"), bench("work")
    row = work.Row(3000, 3, 2)
    assert [f.unit for f in sections.fits(1, {row: 25.0})] == ["×", "%"]
    found = sections.scoring(1, {row: 20.0})
    assert [f.wrong for f in found] == ["", ""]
    assert sections.silhouette(1, 300)[0].value > 0
    others = set(bench("compare").TITLES) - {"rows"}
    assert all(callable(getattr(sections, name)) for name in others)
    for figure in sections.threads(2, 0.1, [row]):  # none with a single core
        assert figure.value > 0


def test_peak(bench):
    """No faster than the processor: each thread's instructions take their time."""
    peak = bench("peak")
    width, chains = peak.vector_shape()
    assert width in (2, 4, 8)
    assert chains * width >= 24
    assert 0.1 < peak.peak(1, seconds=0.01) < 1000
    assert 0.1 < peak.peak(2, seconds=0.01) < 2000


def test_scaling(tmp_path, bench):
    pytest.importorskip("matplotlib")
    scaling, work = bench("scaling"), bench("work")
    found = {
        "n": scaling.along("n", [work.Row(n, 2, 2) for n in (500, 1000, 2000)], 2),
        "threads": scaling.along("threads", [work.Row(500, 2, 2)], 2),
    }
    assert found["n"]["values"] == [500, 1000, 2000]
    assert np.isfinite(found["n"]["slope"])
    scaling.draw(found, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 1000
    assert "samples n" in scaling.markdown({"machine": {"cores": 1}, "axes": found})


def test_slope(bench):
    values = np.array([1.0, 2, 4, 8])
    assert bench("scaling").slope(values, 3 * values**1.5) == pytest.approx(1.5)


@pytest.mark.slow
@pytest.mark.bench_check
def test_large(tmp_path):
    sizes = ("--sizes", "3000,3,float64", "3000,2,float32")
    options = ("--k", "2", "--iterations", "2", "--folder", ".", "--out", "results")
    printed = run("large.py", *sizes, *options, cwd=tmp_path)
    assert "rows/s" in printed
    fits = json.loads((tmp_path / "results" / "large.json").read_text())["fits"]
    assert [(f["n"], f["dtype"], f["n_iter"]) for f in fits] == [
        (3000, "float64", 2),
        (3000, "float32", 2),
    ]
    assert not list(tmp_path.glob("*/data.npy"))


def test_large_says_when_the_disk_is_too_small(tmp_path, bench):
    large = bench("large")
    size = large.Size.parse("1000000000000,1000,float64")
    with pytest.raises(SystemExit, match=r"8000000.0 GB, and .* --folder"):
        large.check_space(size, tmp_path)


@pytest.mark.slow
@pytest.mark.bench_check
def test_search(tmp_path):
    """Both run in turn, and the report has a figure of each data set."""
    run("search.py", "--rows", "600", "--rounds", "2", "--out", ".", cwd=tmp_path)
    report = json.loads((tmp_path / "search.json").read_text())
    assert [(r["n"], r["d"]) for r in report["results"]] == [(2000, 2), (600, 8)]
    for result in report["results"]:
        assert [len(seconds) for seconds in result["seconds"].values()] == [2, 2]
        assert [row["n_components"] for row in result["table"]] == list(range(2, 11))
    assert all(f["met"] in (True, False) for f in report["figures"])
    assert "time of scikit-learn's K = 5" in (tmp_path / "search.md").read_text()


@pytest.mark.slow
@pytest.mark.bench_check
def test_scale_model(tmp_path):
    """Constants, predictions beside passes on one worker and two, and the table."""
    pytest.importorskip("distributed")
    sizes = ("--check-rows", "20000", "--check-blocks", "6", "--k", "3", "--features", "2")
    table = ("--sizes", "1e9", "1e10", "1e11", "--workers", "1", "2", "4", "8", "16")
    options = ("--tasks", "2", "8", "--rounds", "2", "--folder", ".", "--out", "results")
    printed = run("scale_model.py", *sizes, *table, *options, cwd=tmp_path)
    assert "| 10¹⁰ | 16 |" in printed
    found = json.loads((tmp_path / "results" / "scale_model.json").read_text())
    assert set(found) == {"machine", "job", "measured", "assumed", "checks", "passes"}
    assert found["measured"]["rate"] > 0
    checks = [(c["what"], c["workers"], c["computed"]["parts"]) for c in found["checks"]]
    assert checks == [(what, w, n) for w in (1, 2) for what, n in (("file", 1), ("many blocks", 6))]
    assert all(c["ratio"] > 0 and len(c["seconds"]) == 2 for c in found["checks"])
    # however busy the machine is, messages are of some size
    assert all(c["measured_bytes"] > 1000 for c in found["checks"] if sys.platform == "linux")
    passes = {(p["n"], p["workers"]): p for p in found["passes"]}
    assert len(passes) == 15
    for (n, w), one in passes.items():
        if more := passes.get((10 * n, w)):
            assert more["seconds"] >= one["seconds"]
        if one["bound"] == "kernel" and (twice := passes.get((n, 2 * w))):
            assert twice["seconds"] <= one["seconds"]
    assert not list(tmp_path.glob("*/data.npy"))


@pytest.fixture
def scale(bench):
    """The model's module, and a job, constants and a site with round numbers."""
    pytest.importorskip("distributed")
    model = bench("scale_model")
    known = {
        "rate": 1e7,
        "part": 1e-3,
        "sent": {"once": 0.01, "lead": 1e-3, "after": 1e-4, "worker": 1e-4, "n_bytes": 2e3},
        "held": {"once": 0.02, "lead": 5e-4, "after": 1e-4, "worker": 1e-4, "n_bytes": 1e3},
        "hop": 5e-3,
        "fetch": 1e-3,
        "stats_bytes": 1e4,
        "params_bytes": 2e4,
    }
    assert {*known, *known["held"]} == {*model.MEANING, "sent", "held"}
    job = model.Job(8, 16, np.dtype(np.float64), "full", 10_000)
    return model, job, known, model.Site(4, 64 * 10**9, 2e9, 1e9, 1e-3)


def test_scale_model_adds_up(scale):
    model, job, known, site = scale
    one = model.predict(job, known, site, 10**7, 1)
    assert [one[name] for name in ("parts", "tasks", "levels")] == [12, 13, 1]
    assert one["kernel"] == pytest.approx(10**7 / 4e7 + 12 * 1e-3)
    assert (one["bound"], one["disk"], one["in_memory"]) == ("kernel", 0, True)
    assert one["merge_bytes"] == 0
    lead = 0.01 + 13 * 1e-3 + 2e-3 + 13 * 2e4 / 1e9
    merge = 5e-3 + 4e-3 + 2 * (1e-3 + 1e4 / 1e9)
    assert one["seconds"] == pytest.approx(lead + one["kernel"] + 12 * 1e-4 + merge)
    # half of the twelve Stats come from the other worker
    two = model.predict(job, known, site, 10**7, 2)
    assert two["merge"] == pytest.approx(merge + 6 * (1e-3 + 1e4 / 1e9))


def test_scale_model_limits(scale):
    """Reading, the most parts, the scheduler, and where parameters are held by a task."""
    model, job, known, site = scale
    read = model.predict(job, known, site, 10**12, 8)
    assert (read["parts"], read["bound"], read["in_memory"]) == (4092, "disk", False)
    assert read["disk"] == read["first_read"] == pytest.approx(10**12 * 64 / 8 / 2e9, rel=2e-3)
    crowd = model.predict(job, known, site, 10**10, 2048)
    assert (crowd["bound"], crowd["levels"]) == ("scheduler", 3)
    assert crowd["scheduler"] > crowd["tasks"] * 5e-4
    assert model.predict(job, known, site, 10**10, 8)["bound"] == "disk"


def test_the_suite_can_be_collected(tmp_path):
    """`pytest bench --benchmark-only`, though the project's own options skip benchmarks."""
    options = ("bench", "--benchmark-only", "--collect-only", "-q", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_pass[full-float64" in done.stdout
    assert "test_default_fit[" in done.stdout


def test_peers_that_are_not_installed_are_named(bench, monkeypatch):
    competitors, work = bench("competitors"), bench("work")
    monkeypatch.setattr(competitors, "installed", {"sklearn", "numpy"}.__contains__)
    _, missing = competitors.competitors_of(work.Work.make(work.Row(500, 2, 2)))
    assert missing == {"oneDAL": "not installed", "pomegranate": "not installed"}


@pytest.mark.skipif(importlib.util.find_spec("daal4py") is None, reason="oneDAL not installed")
def test_onedal_does_the_same_work():
    """In a process of its own: it brings a TBB that Numba would take."""
    code = """
from work import Row, Work
from competitors import Ours, competitors_of
from timing import first_runs
for family in ("full", "diag"):
    work = Work.make(Row(2000, 3, 2, family))
    competitors, missing = competitors_of(work, ("oneDAL",))
    assert len(first_runs(work, competitors)) == 4, family
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=BENCH, check=True)


@pytest.mark.slow
@pytest.mark.bench_check
def test_scale(tmp_path):
    """Streaming, Parquet and two workers, at a size that takes seconds."""
    sizes = ("--sizes", "60000,4,float32", "--cluster", "40000,3,float64")
    options = ("--rounds", "1", "--passes", "1", "--k", "3", "--out", ".")
    printed = run("scale.py", *sizes, *options, cwd=tmp_path)
    assert "of 5 targets met" in printed
    report = json.loads((tmp_path / "scale.json").read_text())
    assert len(report["figures"]) == 5
    fits = report["runs"]["60,000 × 4 float32"]["fits"].values()
    assert len({fit["log_likelihood"] for fit in fits}) == 1
    assert "| 40,000 × 3 float64, K = 16:" in (tmp_path / "scale.md").read_text()


@pytest.mark.slow
@pytest.mark.bench_check
def test_starts(tmp_path):
    """One case, then two groups' smallest, of which the file keeps the first."""
    printed = run("starts.py", "faithful", "--seeds", "2", "--out", ".", cwd=tmp_path)
    assert "faithful (272 x 2, K = 3, tied): found" in printed
    report = json.loads((tmp_path / "starts.json").read_text())
    result = report["results"]["faithful"]
    fits = [len(run["reached"]) for run in result["runs"].values()]
    assert fits[:2] == [2, 2]
    # mclust's value, which our starts find
    assert result["best"] * 272 == pytest.approx(-1126.316)
    assert result["summary"]["gmm-fast"]["found"] == 100
    few = ("time_faithful", "search_faithful", "effort_digits_full10")
    run("starts.py", *few, "--seeds", "1", "--out", ".", cwd=tmp_path)
    results = json.loads((tmp_path / "starts.json").read_text())["results"]
    assert set(results) == {"faithful", *few}
    assert [results["faithful"]["seeds"], results["time_faithful"]["seeds"]] == [2, 1]
    text = (tmp_path / "starts.md").read_text()
    assert "| faithful (272 x 2, K = 3, tied) | mclust's value |" in text
    for title in ("## Smooth cases", "## Effort", "## Times", "## Search"):
        assert title in text


@pytest.fixture
def little(bench):
    """A case of 300 rows of two clusters."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 150)
    x = 5.0 * labels[:, None] + rng.normal(size=(300, 2))
    cases = bench("starts_cases")
    goal = cases.RUGGED | {"found": 9}
    return cases.Case("little", "nothing", None, 2, goal=goal, x=x, labels=labels)


def test_fits_of_the_starts_beside_the_best_known(bench, little):
    fits = bench("starts_fits")
    result = json.loads(json.dumps(fits.measure("little", little, 2)))
    assert result["best_from"] in {"the true components", *(c.name for c in (fits.OURS, fits.ONE))}
    assert result["summary"]["gmm-fast"]["found"] == 100
    figures = fits.figures_of(result)
    assert [figure.target for figure in figures] == [9, 0.01, 0.05, 0.0]
    assert [figure.met for figure in figures[:3]] == [True] * 3
    assert len(fits.row(result)) == len(fits.HEAD.split("|"))


def test_slow_contestants_of_the_starts_make_few_fits(bench, little, monkeypatch):
    """And of ten starts what single ones tell: seldom more than the best of them."""
    fits = bench("starts_fits")
    hasty = dataclasses.replace(little, cap=1e-6)
    result = fits.measure("little", hasty, 5)
    assert [len(run["reached"]) for run in result["runs"].values()] == [5, fits.FEWEST]
    ten = result["summary"][fits.TEN.name]
    assert ten["of_single"] == fits.FEWEST
    assert len(fits.row(result)) == len(fits.HEAD.split("|"))
    run = {"seconds": [1.0] * 100, "reached": list(range(100)), "unsound": [""] * 100}
    assert fits.of_ten(run, 99.0)["median"] == 99 - np.ceil(0.5**0.1 * 99)


def test_what_is_not_sound_is_not_found(bench, little):
    fits = bench("starts_fits")
    run = {"seconds": [1.0] * 3, "reached": [1.0, 3.0, 1.0], "unsound": ["", "few rows", ""]}
    _, who = fits.best_of("little", dataclasses.replace(little, labels=None), {"a": run})
    assert who == "a"
    assert fits.summary(run, 1.0) == {
        "fits": 3,
        "unsound": 1,
        "found": pytest.approx(200 / 3),
        "median": 0.0,
        "worst": np.inf,
        "seconds": 1.0,
    }
    model = GaussianMixture(2, random_state=0).fit(little.x)
    assert fits.unsound(model, little.x) == ""
    flat = np.concatenate([little.x, np.repeat([[50.0, 50.0]], 9, axis=0)])
    assert fits.unsound(GaussianMixture(3, random_state=0).fit(flat), flat) == "collapsed"
    assert fits.unsound(model, little.x[:4]) == "few rows"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_best_known(bench, little):
    """A search of no time ends no worse than the fits it begins with."""
    best_known = bench("best_known")
    found = best_known.entry(little, 0.05)
    fit = GaussianMixture(2, random_state=0).fit(little.x)
    assert found["mean_log_likelihood"] > fit.lower_bound_ - 1e-5
    assert found["case"] == str(little)
    kept = bench("starts_fits").best_known()
    assert set(kept) <= set(best_known.KNOWN)


def test_wide_starts(bench):
    wide, cases = bench("starts_wide"), bench("starts_cases")
    apart = cases.far_apart(200, 12, 2)
    result = wide.measure("x", apart, 2)
    result = json.loads(json.dumps(result))
    assert [len(runs) for runs in result["runs"].values()] == [2, 2, 2]
    rand, held_out = wide.figures_of(result)
    assert rand.value == 1
    assert held_out.met
    assert len(wide.row(result)) == len(wide.HEAD.split("|"))
    whole = dataclasses.replace(apart.ready(), labels=None, held_out=None)
    result = wide.measure("x", whole, 1)
    assert [figure.target for figure in wide.figures_of(result)] == [0.0]
    assert len(wide.row(result)) == len(wide.HEAD.split("|"))


def test_times_of_the_starts(bench):
    times, cases = bench("starts_times"), bench("starts_cases")
    x = np.random.default_rng(0).normal(size=(400, 3))
    for asked in ({"ratio": 1.0}, {"seconds": 9.0}, {}):
        case = cases.Case("noise", "", None, 2, goal=cases.speed(**asked), x=x)
        result = times.measure("x", case, 2)
        (figure,) = times.figures_of(result)
        assert figure.value > 0
        assert (figure.target is None) == (not asked)
        assert len(result["runs"]) == (2 if asked else 1)
        assert len(times.row(result)) == len(times.HEAD.split("|"))


def test_laws_of_a_search(bench):
    laws = bench("starts_laws")
    main = {2: (-3.0, True), 3: (-2.0, True), 4: (-2.5, True), 5: (-2.6, False)}
    found = laws.compared({2: -3.0, 3: -1.5, 4: -2.5, 5: -2.6}, main, [{3: (-2.25, True)}])
    assert [found[law] for law in laws.LAWS] == [0.5, 0.5, 0.25]
    figures = laws.figures_of({"case": "a", "runs": [found, found]})
    assert [figure.met for figure in figures] == [False] * 3


def test_efforts(bench, little, monkeypatch):
    """A figure of the highest effort, and a cell of each."""
    effort = bench("starts_effort")
    monkeypatch.setattr(effort, "EFFORTS", (0, 1))
    result = effort.measure("effort_little", little, 2)
    (figure,) = effort.figures_of(result)
    assert (figure.target, figure.met) == (0.01, True)
    assert "median below the best known at effort=1" in figure.what
    assert len(effort.row(result)) == 4


def test_the_cases_of_the_starts_are_what_they_say(bench):
    """Of the right shape, the same each time, with components of samples enough."""
    starts = bench("starts")
    titles = []
    for group in ("smooth", "rugged", "unseen"):
        for name, case in starts.GROUPS[group].cases.items():
            one = case.ready()
            titles.append(str(one))
            assert np.isfinite(one.x).all()
            assert len(one.x) >= 2 * one.k
            if name in ("china_2", "diamonds", "elongated", "unseen_patches", "prices"):
                np.testing.assert_array_equal(one.x, case.ready().x)
            if one.labels is not None:
                assert np.bincount(one.labels).min() > one.x.shape[1]
                assert len(np.unique(one.labels)) == one.k
    assert len(set(titles)) == len(titles)


def test_groups_of_the_starts_share_no_case(bench):
    starts = bench("starts")
    everything = starts.chosen([])
    assert len(everything) == len(set(everything))
    assert starts.chosen(["iris", "search"])[0] == "iris"
    assert starts.chosen(["iris", "search"])[1:] == list(starts.GROUPS["search"].cases)
    assert not set(starts.GROUPS) & set(everything)


def test_no_such_case_of_the_starts(tmp_path):
    done = subprocess.run(
        [sys.executable, str(BENCH / "starts.py"), "nowhere"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "no such case: nowhere; choose from smooth" in done.stderr


RESULTS = sorted(path.stem for path in (BENCH / "results").glob("*.json"))


@pytest.mark.parametrize("name", RESULTS)
def test_reports_are_made_of_the_results(bench, name):
    """What was measured is kept as JSON, and its report follows from that."""
    if name == "formats":
        pytest.importorskip("flowio")
    content = json.loads((BENCH / "results" / f"{name}.json").read_text())
    assert bench(name).markdown(content) == (BENCH / "results" / f"{name}.md").read_text()


@pytest.mark.slow
def test_formats(tmp_path):
    printed = run("formats.py", "--rows", "10000", "--rounds", "1", "--out", ".", cwd=tmp_path)
    assert len(re.findall(r"^ .* (?:GB/s) .* of the rate of \.npy", printed, re.M)) == 10
    assert (tmp_path / "formats.md").read_text().count("GB/s") == 10
    seconds = json.loads((tmp_path / "formats.json").read_text())["seconds"]
    assert all(len(times) == 1 for times in seconds.values())
