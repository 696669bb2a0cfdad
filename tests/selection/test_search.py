"""Model search: what candidates share changes no bit, what is chosen and how sure that is."""

import threading

import numpy as np
import pytest
from blobs import FAMILIES, blobs
from cases import backend
from sklearn.datasets import make_blobs

from gmm_fast import GaussianMixture, fitting, search
from gmm_fast.backends import LocalBackend, local, threads
from gmm_fast.em import FitResult, Settings
from gmm_fast.errors import DataError, FitError
from gmm_fast.fitting.checkpoint import Job
from gmm_fast.mixture.params import Params
from gmm_fast.names import CRITERIA
from gmm_fast.selection import crossval, grid, searching
from gmm_fast.selection.choice import Candidate, SearchTable, candidate_row
from gmm_fast.sources import open_source
from gmm_fast.starts import initial, optimum, starting

MOST = min(2, threads.default_threads())


@pytest.fixture
def at_once(monkeypatch):
    """However small the data, what can run side by side does."""
    monkeypatch.setattr(searching, "SIDE_BY_SIDE", 0)
    monkeypatch.setattr(threads, "THREAD_WORK", 1)
    monkeypatch.setattr(local, "THREAD_WORK", 1)


@pytest.fixture(scope="module")
def x():
    return blobs(seed=1, sizes=(90, 60, 50), d=2, apart=3)


def table_of(one, numbers=range(1, 6), families=("full",), criterion="bic", **options):
    start = options.pop("start", None) or starting.Start(seed=options.pop("seed", 0))
    settings = options.pop("settings", Settings())
    return grid.search(one, numbers, families, criterion, start, settings, **options)


def bits(table):
    """All that a search finds, but for the time it took."""
    rows = [candidate_row(c) for c in table.candidates]
    arrays = [
        getattr(c.result.params, name).tobytes()
        for c in table.candidates
        for name in ("weights", "means", "covariances")
    ]
    return repr(rows), arrays, table.margin, table.warnings


# Laws -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"folds": 2}, {"early_stop": True}])
def test_same_bits_side_by_side_and_from_any_source(x, options, at_once, monkeypatch, tmp_path):
    """One thread or two, an array or a file, kept or streamed."""
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(local, "CHUNK_BYTES", 2**10)
    options = {"families": FAMILIES, "numbers": range(1, 4)} | options
    want = bits(table_of(backend(x), **options))
    assert bits(table_of(backend(np.asfortranarray(x), threads=MOST), **options)) == want
    for room in (2**27, 0):
        one = LocalBackend(open_source(tmp_path / "x.npy"), room=room, threads=MOST)
        assert one.in_memory == (room > 0)
        assert bits(table_of(one, **options)) == want


@pytest.mark.parametrize("weighted", [False, True])
def test_same_bits_of_large_data(x, weighted, at_once, monkeypatch):
    """Larger than the sample, so that fits follow one another and starts do not."""
    monkeypatch.setattr(optimum, "SAMPLE_ROWS", 64)
    monkeypatch.setattr(optimum, "FEWEST_ROWS", 32)
    monkeypatch.setattr(optimum, "ROWS_PER_COMPONENT", 8)
    weights = np.arange(len(x)) % 3.0 if weighted else None
    found = [
        bits(table_of(backend(x, threads=n, weights=weights), families=("full", "diag")))
        for n in (1, MOST)
    ]
    assert found[0] == found[1]


def test_each_candidate_is_at_least_what_a_fit_finds(x, family):
    """To the bit, where no second look found more, whatever else is searched."""
    for numbers in ([4], [2, 3, 4, 7], [3, 4]):
        found = search(x, numbers, covariance=family, random_state=3)
        for model in found.models:
            alone = GaussianMixture(model.n_components, covariance_type=family, random_state=3)
            alone.fit(x)
            if model.result_.effort == 1:
                np.testing.assert_array_equal(model.means_, alone.means_)
            assert model.lower_bound_ >= alone.lower_bound_


def test_likelihoods_never_fall_with_k(family, monkeypatch):
    """Not even where starts are poor: K goes on from fewer components then."""
    monkeypatch.setattr(optimum, "AUTO", (("rows", "standardised"),))
    x = make_blobs(300, centers=9, cluster_std=0.5, random_state=1)[0]
    poor = starting.Start(effort=1e-9)
    table = table_of(backend(x), [1, 2, 3, 5, 6, 7, 8, 9, 12], (family,), start=poor)
    reached = [c.result.mean_log_likelihood for c in table.candidates]
    assert np.diff(reached).min() > -1e-4


def test_those_that_decide_are_searched_farther(x):
    found = search(x, range(1, 7), random_state=1)
    least = min(row["bic"] for row in found.table)
    for row in found.table:
        near = row["bic"] <= least + grid.NEAR
        assert row["effort"] == (1 + grid.FARTHER if near else 1) or row["n_components"] == 1
    assert {row["effort"] for row in search(x, range(1, 7), effort=0).table} == {0}
    by_silhouette = search(x, range(2, 5), criterion="silhouette")
    assert {row["effort"] for row in by_silhouette.table} == {1}


def test_numbers_are_those_of_the_models(x, family):
    found = search(x, [1, 4, 2, 4], covariance=family, random_state=1, criterion="cv", folds=3)
    assert [row["n_components"] for row in found.table] == [1, 2, 4]
    for row, model in zip(found.table, found.models, strict=True):
        for criterion in ("bic", "aic", "icl"):
            assert row[criterion] == getattr(model, criterion)(x)


def test_an_early_stop_gives_the_first_rows(x, family):
    whole = table_of(backend(x), range(1, 10), (family,))
    found = table_of(backend(x), range(1, 10), (family,), early_stop=True)
    assert found.stopped_at == found.best.n_components + grid.PATIENCE < 9
    rows = [candidate_row(c) for c in whole.candidates]
    assert repr([candidate_row(c) for c in found.candidates]) == repr(rows[: found.stopped_at])
    assert found.best.n_components == whole.best.n_components == 3


@pytest.mark.parametrize(
    ("losses", "patience"),
    [([3, 2, 1, 0], None), ([1, 2, 2, 2], 3), ([2, 3, 1, 3, 3, 1], 5), ([np.inf] * 3 + [1], None)],
)
def test_when_an_early_stop_stops(losses, patience):
    stop = grid._Stop("bic")
    said = [stop.after([Candidate(1, "full", None, bic=b)]) for b in losses]
    assert said == [i == patience for i in range(len(losses))]


def test_order_of_numbers_and_families_does_not_matter(x):
    one = search(x, [4, 2], covariance=["diag", "full"]).table
    other = search(x, (2, 4, 2), covariance=["full", "diag", "full"]).table
    assert [repr(row) for row in other] == [repr(row) for row in one[2:] + one[:2]]


# Failures ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FitError("no luck"), "no luck"),
        (DataError("no data"), "no data"),
        (MemoryError(), "out of memory"),
        (MemoryError("9 GB"), "out of memory (9 GB)"),
        (np.linalg.LinAlgError("singular"), "a covariance could not be factorised (singular)"),
        (ZeroDivisionError("1/0"), "arithmetic failed (1/0)"),
    ],
)
@pytest.mark.parametrize("where", ["initial_params", "fit"])
def test_a_candidate_that_cannot_be_fitted_is_a_row(x, monkeypatch, where, error, reason):
    owner = {"initial_params": initial, "fit": fitting}[where]
    work = getattr(owner, where)

    def fails(*args, **options):
        if args[1] == 3:
            raise error
        return work(*args, **options)

    monkeypatch.setattr(owner, where, fails)
    found = search(x, range(1, 6), criterion="cv", folds=2)
    failures = [row["failure"] for row in found.table]
    assert failures == [None, None, reason, None, None]
    row = found.table[2]
    assert found.models[2] is None
    assert {name for name, value in row.items() if value is not None} == {
        "n_components", "covariance_type", "events", "failure",
    }  # fmt: skip
    assert found.best in found.models
    assert found.best is not None


def test_a_second_look_that_fails_leaves_the_result(x, monkeypatch):
    def fails(*_, **__):
        raise FitError("no luck")

    monkeypatch.setattr(optimum.Search, "search_further", fails)
    found = search(x, range(1, 4))
    assert [row["failure"] for row in found.table] == [None] * 3
    assert {row["effort"] for row in found.table if row["n_components"] > 1} == {1}


@pytest.mark.parametrize("far", [1e10, 1e12])
def test_an_outlier_is_no_failure(far):
    rows = np.random.default_rng(0).normal(size=(400, 2))
    rows[3] = [far, -far]
    with np.errstate(all="raise", under="ignore"):
        found = search(rows, range(1, 4), covariance="all")
    assert [row["failure"] for row in found.table] == [None] * 12


def test_mixtures_that_are_level_are_no_clear_choice():
    """Of one feature full, diag and spherical are the same; the error is rounding alone."""
    rows = np.random.default_rng(0).normal(size=(300, 1))
    families = ["full", "diag", "spherical"]
    found = search(rows, range(1, 3), criterion="cv", folds=4, covariance=families)
    assert found.margin < 1e-9
    assert "the choice is not clear" in found.warnings[-1]


def test_all_candidates_fail(x, monkeypatch):
    def fails(*_, **__):
        raise FitError("no luck")

    monkeypatch.setattr(fitting, "fit", fails)
    with pytest.raises(FitError, match="no candidate has a bic: K=1 full: no luck; K=2 full: no l"):
        search(x, range(1, 6))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, KeyError])
def test_other_errors_end_the_search(x, monkeypatch, error):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(fitting, "fit", fails)
    with pytest.raises(error):
        search(x, range(1, 6))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_hard_data_does_not_end_a_search(criterion):
    """Repeated rows, fewer of them than components, and a constant feature."""
    rows = np.array([[0.0, 0, 7], [1, 2, 7], [3, 1, 7]])
    data = rows[np.arange(30) % 3]
    found = search(data, range(2, 6), covariance=FAMILIES, criterion=criterion)
    assert [row["failure"] for row in found.table] == 16 * [None]
    assert found.best.n_components >= 3
    events = [event for row in found.table for event in row["events"] if "distinct" in event]
    assert "only 3 distinct rows were found for 5 components" in events
    assert not any("for 3 components" in event for event in events)


# Cross-validation -------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("folds", [2, 5, 60, 300])
def test_folds_part_the_rows_evenly(folds, weighted):
    weights = None
    if weighted:
        weights = np.random.default_rng(0).integers(0, 2, 700).astype(float)
    drawn = crossval.draw_folds(weights, 700, folds, 4)
    counted = np.flatnonzero(np.ones(700) if weights is None else weights)
    sizes = np.bincount(drawn[counted], minlength=folds)
    assert len(sizes) == folds
    assert sizes.max() - sizes.min() <= 1
    total = np.zeros(700)
    for fold in range(folds):
        inside, outside = (crossval.FoldWeights(drawn, fold, weights, h) for h in (True, False))
        own = np.ones(700) if weights is None else weights
        np.testing.assert_array_equal(inside[:] + outside[:], own)
        assert (inside[:] * outside[:] == 0).all()
        np.testing.assert_array_equal(inside[3:9], inside[np.arange(3, 9)])
        total += inside[:]
    np.testing.assert_array_equal(total, own)
    np.testing.assert_array_equal(drawn, crossval.draw_folds(weights, 700, folds, 4))
    assert (drawn != crossval.draw_folds(weights, 700, folds, 5)).any()


def test_folds_are_the_same_however_many_rows_are_drawn_at_a_time(monkeypatch):
    """Up to the first piece, at least: each stretch of rows has one of each fold."""
    monkeypatch.setattr(crossval, "_PIECE", 64)
    drawn = crossval.draw_folds(None, 1000, 4, 0)
    assert (np.sort(drawn.reshape(-1, 4), axis=1) == np.arange(4)).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_a_loop_over_the_folds(x, family, weighted):
    """Each fold left out of the data, the rest fitted, the fold scored."""
    rng = np.random.default_rng(2)
    weights = rng.integers(0, 3, len(x)).astype(float) if weighted else np.ones(len(x))
    options = {"covariance": family, "random_state": 5, "reg_covar": 1e-4}
    found = search(x, range(1, 4), folds=3, sample_weight=weights if weighted else None, **options)
    drawn = crossval.draw_folds(weights, len(x), 3, 5)
    sums = np.zeros((3, 3))
    for fold in range(3):
        rest, inside = drawn != fold, drawn == fold
        models = search(x[rest], range(1, 4), sample_weight=weights[rest], **options).models
        sums[:, fold] = [m.score_samples(x[inside]) @ weights[inside] for m in models]
    sizes = np.bincount(drawn, weights)
    for row, one in zip(found.table, sums, strict=True):
        assert row["cv"] == pytest.approx(one.sum() / weights.sum(), rel=1e-9)
        means = one / sizes
        assert row["cv_se"] == pytest.approx(means.std(ddof=1) / np.sqrt(3), rel=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nothing_of_held_out_rows_is_seen(x, dtype):
    """However they lie, the fit to the others is the same bits."""
    drawn = crossval.draw_folds(None, len(x), 3, 0)
    numbers, families, settings = range(1, 5), ("full", "diag"), Settings()
    found = []
    for scale in (1, -50):
        moved = (x * np.where(drawn == 1, scale, 1)[:, None]).astype(dtype)
        watch = searching.Watch()
        how = (numbers, families, starting.Start(), settings)
        validation = crossval.CrossValidation(backend(moved), 3, *how, watch=watch)
        found.append(validation.works[1].fit(numbers))
    for job, result in found[0].items():
        for name in ("weights", "means", "covariances"):
            one, other = (getattr(f[job].params, name) for f in found)
            assert result is found[0][job]
            np.testing.assert_array_equal(one, other)


def test_a_fold_that_fails_is_told_and_the_rest_stays(x, monkeypatch):
    fit = fitting.fit

    def fails(one, k, *args, **options):
        if k == 2 and isinstance(one.weights, crossval.FoldWeights) and one.weights.fold == 1:
            raise FitError("no luck")
        return fit(one, k, *args, **options)

    monkeypatch.setattr(fitting, "fit", fails)
    found = search(x, range(1, 4), folds=3)
    assert [row["cv"] is None for row in found.table] == [False, True, False]
    assert found.table[1]["failure"] is None
    assert found.models[1].events_ == ["cross-validation: fold 2 of 3: no luck"]
    assert [row["events"] for row in found.table[::2]] == [[], []]


def test_folds_that_leave_too_little():
    data = np.random.default_rng(0).normal(size=(10, 1))
    weights = np.array([1.0] * 6 + [0] * 4)
    with pytest.raises(DataError, match="7 folds are more than 6 samples"):
        search(data, 2, folds=7, sample_weight=weights)
    with pytest.raises(DataError, match="3 folds of 6 samples leave 4 to fit, fewer than 5"):
        search(data, 5, folds=3, sample_weight=weights)
    with pytest.raises(DataError, match="6 samples are fewer than 7 components"):
        search(data, 7, sample_weight=weights)
    assert search(data, 5, folds=6, sample_weight=weights).table[0]["cv"] is not None


# The choice -------------------------------------------------------------------------------------


def candidate(k, value, criterion="bic", family="full", **more):
    result = FitResult.of(
        Params(np.ones(k) / k, np.zeros((k, 1)), np.ones((k, 1)), "diag"),
        backend(np.zeros((9, 1))).stats(
            Params(np.ones(1), np.zeros((1, 1)), np.ones((1, 1)), "diag")
        ),
        9,
    )
    return Candidate(k, family, result, **({criterion: value} | more))


def held(*folds):
    return {"held_out": crossval.HeldOut(float(np.mean(folds)), folds)}


def choice(candidates, criterion="bic"):
    return SearchTable(candidates, criterion, 0)


def test_margin_and_runner_up():
    found = choice([candidate(k, b) for k, b in [(1, 50), (2, 5), (3, 17.5)]])
    assert (found.best.n_components, found.runner_up.n_components) == (2, 3)
    assert found.margin == 12.5
    assert found.warnings == []
    alone = choice([candidate(2, 5), Candidate(3, "full", None, failure="why")])
    assert (alone.runner_up, alone.margin) == (None, None)
    higher = choice(
        [candidate(k, s, "silhouette") for k, s in [(3, 0.25), (4, 0.75)]], "silhouette"
    )
    assert (higher.best.n_components, higher.margin) == (4, 0.5)


def test_of_equals_the_simplest_is_the_best():
    found = choice([candidate(k, 1 / 3 + rounding) for k, rounding in [(5, 0), (3, 1e-16), (4, 0)]])
    assert found.best.n_components == 3
    assert found.margin == 0


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ({2: 0, 3: 20, 4: 30}, "the best K, 2, is the lowest that was tried; try lower ones"),
        ({2: 20, 3: 20, 4: 0}, "the best K, 4, is the highest that was tried; try higher ones"),
        ({1: 0, 2: 20, 3: 30}, None),
        ({2: 20, 3: 0, 4: 30}, None),
        ({2: 20, 3: 0, 4: None}, "the best K, 3, is the highest that could be fitted"),
        ({5: 0}, None),
    ],
)
def test_the_edge_of_the_range(values, warning):
    rows = [
        Candidate(k, "full", None, failure="why") if v is None else candidate(k, v)
        for k, v in values.items()
    ]
    assert choice(rows).warnings == ([] if warning is None else [warning])


def test_doubts_of_the_best():
    """Its events but those of the data, each once, and that it did not converge."""
    rows = [candidate(k, v) for k, v in {1: 20, 2: 0, 3: 30}.items()]
    constant = "feature 3 (counting from 0) is constant: it does not separate components"
    events = ["iteration 3: component 0 died", "component 1 collapsed"]
    rows[1].result.events[:] = [constant, events[0], *events]
    rows[2].result.events[:] = ["of another"]
    assert choice(rows).warnings == events
    rows[1].result.stop_reason = "max_iter"
    rows[1].result.n_iter = 7
    limit = "EM did not converge in 7 iterations; raise --max-iter or --tol"
    assert choice(rows).warnings == [*events, limit]
    rows[1].result.n_iter = 0  # a start was asked for
    assert choice(rows).warnings == events


def test_two_is_no_edge_for_the_silhouette():
    rows = [candidate(k, 1 / k, "silhouette") for k in (2, 3, 4)]
    assert choice(rows, "silhouette").warnings == []


@pytest.mark.parametrize(
    ("criterion", "near", "far", "text"),
    [
        ("bic", 9.9, 10.0, "is 9.9 of BIC, less than 10"),
        ("icl", 9.9, 10.0, "is 9.9 of ICL, less than 10"),
        ("silhouette", 0.0099, 0.011, "is 0.0099 of silhouette, less than 0.01"),
    ],
)
def test_a_slight_margin(criterion, near, far, text):
    sign = -1 if criterion == "silhouette" else 1
    for margin, slight in ((near, True), (far, False)):
        values = {2: 100, 3: 0, 4: margin, 5: 100}
        rows = [candidate(k, sign * v, criterion) for k, v in values.items()]
        warnings = choice(rows, criterion).warnings
        assert warnings == (
            [f"the choice is not clear: the margin to the runner-up, K=4 full, {text}"]
            if slight
            else []
        )


def test_a_margin_beside_its_standard_error():
    """Folds differ, but not in which candidate is the better one."""
    rows = [candidate(1, None, **held(-9.0, -9, -9))]
    rows += [candidate(2, None, **held(-1.0, -2, -3)), candidate(3, None, **held(-1.5, -2.4, -3.6))]
    rows += [candidate(4, None, **held(-9.0, -9, -9))]
    assert choice(rows, "cv").warnings == []
    rows[2] = candidate(3, None, **held(-1.5, -1.4, -3.6))
    (warning,) = choice(rows, "cv").warnings
    difference = np.array([0.5, -0.6, 0.6])
    error = difference.std(ddof=1) / np.sqrt(3)
    assert warning == (
        "the choice is not clear: the margin to the runner-up, K=3 full, is 0.1667, less than its "
        f"standard error of {error:.4f}"
    )


# References -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def four():
    return make_blobs(2000, centers=4, cluster_std=0.9, random_state=2)[0]


def test_four_blobs(four):
    """What gmm-em's example was fitted to."""
    found = search(four, range(2, 7), covariance="full")
    assert found.best.n_components == 4
    assert found.margin > 10
    assert found.warnings == []
    silhouettes = {row["n_components"]: row["silhouette"] for row in found.table}
    assert silhouettes[4] == pytest.approx(0.6502, abs=5e-5)
    assert max(silhouettes, key=silhouettes.get) == 3


@pytest.mark.slow
def test_four_blobs_by_cross_validation(four):
    found = search(four, range(2, 7), criterion="cv")
    assert found.best.n_components == 4
    # its expectation: minus the entropy of the mixture, over the folds
    assert found.table[2]["cv"] == pytest.approx(-3.99, abs=0.02)


def test_small_data_is_searched_by_a_search_of_everything(iris):
    """mclust's choice among these four families is VVV with two components, BIC -574.02."""
    found = search(iris[0], range(1, 6), covariance=FAMILIES)
    assert (found.best.n_components, found.best.covariance_type) == (2, "full")
    assert min(row["bic"] for row in found.table) == pytest.approx(574.018, abs=0.05)


# What is told -----------------------------------------------------------------------------------


class Recorder(searching.Watch):
    """Remembers what it is told, and whether two calls overlapped."""

    def __init__(self):
        self.told, self.total = [], None
        self.threads = set()
        self._inside = threading.Lock()

    def _tell(self, *what):
        assert self._inside.acquire(blocking=False)
        self.told.append(what)
        self.threads.add(threading.current_thread().name.rpartition("_")[0])
        self._inside.release()

    def plan(self, total, more=False):
        assert more == (self.total is not None)
        self.total = total + (self.total or 0)

    def begins(self, k, family, what):
        self._tell("begins", Job(family, k), what)

    def iteration(self, k, family, iteration, mean, change):
        self._tell("iteration", Job(family, k), iteration, mean, change)

    def ends(self, k, family):
        self._tell("ends", Job(family, k))


@pytest.mark.parametrize("folds", [None, 2])
def test_a_watch_sees_all_that_runs(x, folds, at_once):
    watch = Recorder()
    found = table_of(
        backend(x, threads=MOST), range(1, 5), ("full", "diag"), watch=watch, folds=folds
    )
    assert {told[0] for told in watch.told} == {"begins", "iteration", "ends"}
    if MOST > 1:  # second looks follow one another
        assert watch.threads == {"gmm-fast-fit", ""}
    begun = [told[1:] for told in watch.told if told[0] == "begins"]
    ended = [told[1] for told in watch.told if told[0] == "ends"]
    seconds = sum(what == "second look" for _, what in begun)
    assert len(begun) == len(ended) == watch.total == (1 + (folds or 0)) * 2 * (4 + 4) + seconds
    assert sorted(job for job, _ in begun) == sorted(ended)
    stages = {what for _, what in begun}
    of_folds = {f"{w}, fold {i}/2" for w in ("start", "fit") for i in (1, 2)}
    assert stages == {"start", "fit", "second look"} | (of_folds if folds else set())
    for c in found.candidates:
        job = Job(c.covariance_type, c.n_components)
        seen = [t[2] for t in watch.told if t[:2] == ("iteration", job)]
        assert seen[: c.result.n_iter] == list(range(1, c.result.n_iter + 1))


def test_a_named_start_is_nobody_elses(x):
    """Nothing is compared with it, so each candidate is the fit that `GaussianMixture` makes."""
    found = search(x, range(1, 5), init_params="kmeans", random_state=2)
    for model in found.models:
        alone = GaussianMixture(**model.get_params()).fit(x)
        np.testing.assert_array_equal(alone.means_, model.means_)
