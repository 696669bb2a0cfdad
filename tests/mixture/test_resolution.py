"""Rounded data: its steps, the likelihood that takes them into account, fits and searches."""

import json
from pathlib import Path

import numpy as np
import pytest
from cases import backend, full_covariances
from invoking import run
from sklearn.datasets import load_iris

from gmm_fast import DataError, GaussianMixture, em, load, save, search
from gmm_fast.backends import LocalBackend
from gmm_fast.mixture.params import Params
from gmm_fast.mixture.resolution import excess, find_steps, narrow, resolves, rounding_of, steps_for
from gmm_fast.mixture.sampling import draw
from gmm_fast.sources import open_source
from gmm_fast.starts import initial, starting

EPS = np.finfo(np.float64).eps
FAMILIES = ("full", "tied", "diag", "spherical")
# l_H of EM from the species and of a spike, computed by plain NumPy elsewhere.
REFERENCE = {"full": -188.3518214789247, "tied": -261.2070092321975}
REFERENCE |= {"diag": -311.3174459765214, "spherical": -386.42699682699447}
SPIKE = {"loglik": -281.87632258982006, "weight": 0.5000775880363442, "variance": 0.0903367114416}


def heights(seed=0, n=1000, step=1.0):
    """One population, rounded."""
    x = np.random.default_rng(seed).normal(170, 10, (n, 1))
    return np.round(x / step) * step


def ages(seed=0):
    """Two populations, in whole years."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(25, 4, 700), rng.normal(50, 8, 700)]).round()[:, None]


def spiked(n=600):
    """Half of the rows of one value, the others spread about it, all in whole numbers."""
    rng = np.random.default_rng(1)
    return np.concatenate([np.zeros(n), rng.normal(0, 20, n).round()])[:, None]


# The steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "step"),
    [
        (lambda rng: rng.normal(170, 10, 3000).round(), 1.0),
        (lambda rng: rng.normal(170, 10, 3000).round() / 10, 0.1),
        (lambda rng: (rng.normal(170, 10, 3000).round() - 170.3) / 9.7, 1 / 9.7),
        (lambda rng: (rng.lognormal(12, 0.5, 300) / 500).round() * 500, 500.0),
        (lambda rng: rng.normal(68, 3, 300).round() * 2.54, 2.54),
        (lambda rng: rng.choice([0.0, 2.0, 5.0], 100), 1.0),
        (lambda rng: rng.integers(0, 10**6, 500), 1.0),
        (lambda rng: (rng.random(50) < 0.3) * 1.0, 1.0),
        (lambda rng: np.append(rng.poisson(4, 3000), 10**7), 1.0),
        (lambda rng: np.append(np.zeros(3000), [1.0, 2.0, 3.0, 5.0]), 1.0),
        (lambda rng: rng.normal(size=3000), 0.0),
        (lambda rng: rng.normal(size=20), 0.0),
        (lambda rng: np.where(rng.random(900) < 0.5, 0.0, rng.normal(size=900)), 0.0),
        (lambda rng: rng.integers(0, 256, 3000) + rng.uniform(-0.5, 0.5, 3000), 0.0),
        (lambda rng: np.full(50, 3.7), 0.0),
        # of float32 once, written with eight digits
        (lambda rng: [float(f"{np.float32(v):.8g}") for v in rng.integers(30, 60, 900) / 10], 0.1),
        # seconds since 1970
        (lambda rng: 1.7e9 + rng.integers(0, 10**7, 900), 1.0),
        (lambda rng: 1.7e9 + 60.0 * rng.integers(0, 3000, 900), 60.0),
    ],
)
def test_the_step_of_a_column(column, step):
    x = np.asarray(column(np.random.default_rng(0)), np.float64)[:, None]
    assert find_steps(x, EPS) == pytest.approx([step], rel=1e-6)


def mixed(coarse, share, fine=None):
    """Whole numbers, that share of them in steps of `coarse`, or all but that share like `fine`."""
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.normal(30, 6, 1500), rng.normal(60, 8, 1500)])
    others = x.round() if fine is None else fine(x)
    return np.where(rng.random(3000) < share, np.round(x / coarse) * coarse, others)[:, None]


@pytest.mark.parametrize(
    ("x", "step"),
    [
        (mixed(5, 0.5), 5.0),  # heaped: ages that people give in fives
        (mixed(5, 0.3), 5.0),
        (mixed(5, 0.1), 1.0),
        (mixed(2, 0.8), 2.0),  # blood pressures
        (mixed(2, 0.3), 1.0),
        (mixed(10, 0.6), 10.0),
        (mixed(1, 0.9, lambda x: round(x.mean(), 2)), 1.0),  # a mean put in for missing values
        (mixed(1, 0.9, np.mean), 1.0),
        (mixed(1, 0.9, lambda x: x), 1.0),  # some are exact
        (mixed(1, 0.55, lambda x: x), 1.0),
        (mixed(1, 0.2, lambda x: x), 0.0),
        (np.clip(mixed(1, 0, lambda x: x), 25, 60), 0.0),  # two values repeat
        (np.repeat([20.0, 25, 30, 35], 500)[:, None] + mixed(1, 1)[:2000] % 2, 1.0),  # clusters
    ],
)
def test_the_step_is_the_one_of_most_rows(x, step):
    assert find_steps(x, EPS) == pytest.approx([step], rel=1e-6)


def test_values_that_repeat_on_no_grid_are_rounded_all_the_same():
    x = np.log1p(np.random.default_rng(0).poisson(4, (2000, 1)))
    assert 0.05 < find_steps(x, EPS)[0] < 0.5


def test_float32_has_less_digits_of_a_step():
    x = (100 + np.random.default_rng(0).normal(size=(3000, 1))).round(2).astype(np.float32)
    assert find_steps(x, np.finfo(np.float32).eps) == pytest.approx([0.01], rel=1e-3)
    assert backend(x).steps == pytest.approx([0.01], rel=1e-3)


def test_a_type_of_few_digits_makes_no_grid_coarser():
    x = np.clip(np.random.default_rng(0).normal(90, 40, (300, 1)), 0, 255).round()
    assert find_steps(x, np.finfo(np.float16).eps) == pytest.approx([1.0])


def test_a_type_without_digits_for_a_step_has_none():
    rng = np.random.default_rng(1)
    near = np.append(1500 + rng.normal(0, 2, 3000), [1800, 1990, 1700])
    far = 1e7 + rng.normal(0, 10, 3000)
    for x, dtype in (
        (near, np.float16),
        (far, np.float32),
        (100 + rng.normal(0, 0.3, 3000), np.float16),
    ):
        x = x.astype(dtype).astype(np.float64)[:, None]
        assert find_steps(x, np.finfo(dtype).eps) == 0.0


def test_steps_do_not_depend_on_threads_or_source(tmp_path):
    x = np.column_stack([heights(), np.random.default_rng(2).normal(size=1000)])
    np.save(tmp_path / "x.npy", x)
    steps = backend(x).steps
    assert np.array_equal(steps, [1.0, 0.0])
    streamed = LocalBackend(open_source(str(tmp_path / "x.npy")), room=0, threads=2)
    assert np.array_equal(streamed.steps, steps)


def test_rows_of_weight_zero_do_not_count():
    x = np.append(heights(), np.random.default_rng(0).normal(size=(3000, 1)), axis=0)
    weights = np.append(np.ones(1000), np.zeros(3000))
    assert backend(x).steps[0] == 0
    assert backend(x, weights=weights).steps[0] == 1


# The likelihood ----------------------------------------------------------------------------------


def aware(steps, **more):
    return em.Settings(reg_covar=0.0, resolution=np.asarray(steps, float), **more).aware()


@pytest.mark.parametrize("family", FAMILIES)
def test_references(family):
    iris = load_iris()
    one = backend(iris.data)
    settings = aware(np.full(4, 0.1), tol=0.0, max_iter=3000)
    start = initial.initial_params(one, 3, family, starting.Start(labels=iris.target), settings)
    result = em.fit(one, start.params, settings)
    assert result.log_likelihood == pytest.approx(REFERENCE[family], abs=1e-8)
    assert result.rounded


def test_a_spike_has_the_width_of_its_cell():
    x = np.append(np.zeros(50), np.arange(1.0, 51))[:, None]
    labels = (x[:, 0] > 0).astype(int)
    settings = aware([1.0], tol=0.0, max_iter=3000)
    one = backend(x)
    start = initial.initial_params(one, 2, "full", starting.Start(labels=labels), settings).params
    result = em.fit(one, start, settings)
    assert result.log_likelihood == pytest.approx(SPIKE["loglik"], abs=1e-7)
    assert result.params.weights[0] == pytest.approx(SPIKE["weight"], abs=1e-7)
    assert result.params.covariances[0, 0, 0] == pytest.approx(SPIKE["variance"], abs=1e-7)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_likelihood_rises_and_no_covariance_is_singular(family):
    rng = np.random.default_rng(3)
    x = rng.integers(0, 3, (200, 3)).astype(float)
    x[:, 2] = x[:, 0]  # dependent: singular but for the rounding
    settings = aware(np.ones(3), tol=0.0, max_iter=60)
    one = backend(x)
    labels = rng.integers(0, 4, 200)
    start = initial.initial_params(one, 4, family, starting.Start(labels=labels), settings).params
    result = em.fit(one, start, settings)
    assert (np.diff(result.trace) > -1e-9 * abs(result.trace[-1])).all()
    least = np.linalg.eigvalsh(full_covariances(result.params)).min()
    assert least >= (1 - 1e-9) / 12
    assert result.events == []


@pytest.mark.parametrize("family", FAMILIES)
def test_steps_of_zero_are_plain_likelihood_to_the_bit(family):
    x = np.random.default_rng(0).normal(size=(300, 3))
    start = Params(np.full(2, 0.5), x[:2], _unit(family, 2, 3), family)
    plain = em.fit(backend(x), start, em.Settings(reg_covar=0.0))
    rounding = np.zeros(3)
    settings = em.Settings(reg_covar=0.0, rounding=rounding)
    assert em.fit(backend(x), start, settings).trace == plain.trace


def _unit(family, k, d):
    shapes = {"full": np.stack([np.eye(d)] * k), "tied": np.eye(d)}
    return shapes.get(family, np.ones((k, d) if family == "diag" else k))


def test_jitter_within_a_step_changes_little():
    x = ages()
    settings = aware([1.0], tol=1e-9, max_iter=2000)
    one = backend(x)
    labels = (x[:, 0] > 37).astype(int)
    start = initial.initial_params(one, 2, "full", starting.Start(labels=labels), settings).params
    under = em.fit(one, start, settings).log_likelihood
    jittered = x + np.random.default_rng(0).uniform(-0.5, 0.5, x.shape)
    plain = em.fit(backend(jittered), start, em.Settings(1e-9, 2000, 0.0)).log_likelihood
    assert abs(under - plain) < 0.02 * len(x)


def test_compiled_runs_agree_with_the_loop():
    from gmm_fast.starts.short import ShortRuns

    rng = np.random.default_rng(4)
    x = rng.integers(0, 6, (400, 2)).astype(float)
    for family in FAMILIES:
        settings = aware(np.ones(2), tol=0.0, max_iter=7)
        start = Params(np.full(3, 1 / 3), x[:3] + 0.1, _unit(family, 3, 2), family)
        result = em.fit(backend(x), start, settings)
        short = ShortRuns(backend(x), family, settings)(start, 7, 0.0)
        assert short.log_likelihood == pytest.approx(result.log_likelihood, rel=1e-12)
        assert short.params.rounding is settings.rounding


def test_narrow_is_half_a_step_in_some_direction():
    rounding = rounding_of(np.array([1.0, 0.0]))
    thin = np.array([[[0.26, 0.0], [0.0, 1e-9]], [[0.24, 0.0], [0.0, 1.0]]])
    params = Params(np.full(2, 0.5), np.zeros((2, 2)), thin, "full")
    assert narrow(params, rounding).tolist() == [False, True]
    assert resolves(params, None)
    grey = np.array([[[4.0, 3.99], [3.99, 4.0]]])  # thin along no axis
    params = Params(np.ones(1), np.zeros((1, 2)), grey, "full")
    assert not resolves(params, rounding_of(np.ones(2)))


# Fits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_resolved_fits_are_those_without(family):
    x = load_iris().data
    known = GaussianMixture(3, covariance_type=family, random_state=0).fit(x)
    plain = GaussianMixture(3, covariance_type=family, random_state=0, resolution=None).fit(x)
    assert np.array_equal(known.means_, plain.means_)
    assert known.lower_bounds_ == plain.lower_bounds_
    assert not known.result_.rounded
    assert known.result_.excess == 0
    assert plain.result_.resolution is None


def test_a_fit_does_not_end_in_spikes():
    x = spiked()
    plain = GaussianMixture(3, random_state=0, resolution=None).fit(x)
    assert plain.covariances_.min() < 1e-3
    model = GaussianMixture(3, random_state=0).fit(x)
    assert model.covariances_.min() > 1 / 12
    assert model.result_.rounded
    assert model.result_.excess == 0
    assert ["narrower than the data's rounding, 1:" in e for e in model.events_] == [True]
    assert excess(backend(x), plain.result_.params, np.ones(1)) > 0.4


def test_units_scale_the_steps():
    x = spiked()
    exact = {"random_state": 0, "reg_covar": 0.0, "tol": 1e-9, "max_iter": 2000}
    model = GaussianMixture(3, **exact).fit(x)
    scaled = GaussianMixture(3, **exact).fit(x * 1024)
    assert scaled.result_.resolution == [1024.0]
    assert scaled.means_ == pytest.approx(model.means_ * 1024, rel=1e-4, abs=1e-2)
    assert scaled.covariances_ == pytest.approx(model.covariances_ * 1024**2, rel=1e-3)


def test_the_bits_are_the_same_at_any_number_of_threads():
    x = spiked(3000)
    models = [GaussianMixture(4, random_state=1, threads=t).fit(x) for t in (1, 2)]
    assert np.array_equal(models[0].covariances_, models[1].covariances_)
    assert models[0].result_.rounded


def test_given_starts_take_the_rounding_into_account_too():
    x = spiked()
    labels = (x[:, 0] != 0).astype(int)
    model = GaussianMixture(2).fit(x, labels=labels)
    assert model.result_.rounded
    assert model.covariances_.min() > 1 / 12


def test_a_fit_that_knows_the_rounding_goes_on_from_its_own_end():
    x = spiked()
    model = GaussianMixture(3, random_state=0, warm_start=True).fit(x)
    bound = model.lower_bound_
    model.fit(x)
    assert model.result_.rounded
    assert model.lower_bound_ >= bound - 1e-9


def test_a_saved_model_knows(tmp_path):
    model = GaussianMixture(3, random_state=0).fit(spiked())
    save(model, tmp_path / "m.npz")
    read = load(tmp_path / "m.npz")
    assert read.result_.rounded
    assert read.result_.resolution == [1.0]
    assert read.lower_bound_ == model.lower_bound_


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (-1.0, "'auto', None"),
        (np.inf, "'auto', None"),
        ("fine", "'auto', None"),
        ([1.0, 2.0], "2 values"),
        ([[1.0]], "'auto', None"),
        (1000.0, "larger than feature 0"),
    ],
)
def test_a_resolution_that_cannot_be(value, words):
    with pytest.raises(DataError, match=words):
        GaussianMixture(2, resolution=value).fit(heights())
    with pytest.raises(DataError, match=words):
        search(heights(), range(1, 3), resolution=value)


def test_a_given_resolution_counts():
    x = spiked()
    coarse = GaussianMixture(3, random_state=0, resolution=4.0).fit(x)
    assert coarse.result_.resolution == [4.0]
    assert coarse.covariances_.min() > 16 / 12
    assert steps_for(0.0, backend(x)) is None


def test_one_gaussian_is_what_it_always_was():
    x = (np.random.default_rng(0).random((60, 3)) < 0.4) * 1.0
    model = GaussianMixture(1, reg_covar=0.0).fit(x)
    assert model.covariances_[0] == pytest.approx(np.cov(x.T, bias=True), rel=1e-9)
    assert model.resolution_ is None


# Searches ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_a_search_chooses_what_is_there(seed):
    assert search(heights(seed), range(1, 7)).best.n_components == 1
    assert search(ages(seed), range(1, 6)).best.n_components == 2


def test_a_search_says_which_candidates_know_the_rounding():
    found = search(spiked(), range(1, 4))
    assert [row["rounded"] for row in found.table] == [False, True, True]
    assert all(row["excess"] == 0 for row in found.table)
    assert found.best.n_components == 2  # half of the rows are one value
    assert any("rounding" in warning for warning in found.warnings)


def test_folds_measure_by_the_same_likelihood():
    found = search(spiked(200), range(1, 4), criterion="cv", folds=3)
    cv = [row["cv"] for row in found.table]
    # at most what one value of half of the rows can have, in cells of 1
    assert max(cv) < 0


def test_a_candidate_that_collapsed_cannot_win():
    rng = np.random.default_rng(0)
    x = np.append(rng.normal(size=(300, 2)), np.full((60, 2), 0.1234), axis=0)
    found = search(x, range(1, 4), resolution=None)
    unsound = [row["unsound"] for row in found.table]
    assert unsound[0] is None
    assert "collapsed" in unsound[1]
    assert found.best.n_components == 1


# The command line --------------------------------------------------------------------------------


def test_command_line(tmp_path):
    np.save(tmp_path / "x.npy", spiked(200))
    data, model = str(tmp_path / "x.npy"), str(tmp_path / "m.npz")
    facts = json.loads(run(f"fit --k 2 {data} --json -o {model}").stdout)
    assert facts["resolution"] == [1.0]
    assert facts["rounded"] is True
    assert any("narrower than the data's rounding" in w for w in facts["warnings"])
    assert "data rounded to" in run(f"info {model}").stdout
    plain = json.loads(run(f"fit --k 2 {data} --json --resolution none --no-model").stdout)
    assert plain["rounded"] is False
    assert "~ narrower than the data's rounding" in run(f"search 1 3 {data} --no-model").stdout
    assert "--resolution" in run(f"fit --k 2 {data} --resolution -1", 2).stderr
    assert "2 values" in run(f"fit --k 2 {data} --resolution 1,2", 2).stderr
    assert not Path("x.gmm.npz").exists()


def test_a_rounded_fit_goes_on_from_a_checkpoint(tmp_path):
    x = spiked()
    one = backend(x)
    settings = em.Settings(tol=1e-12, max_iter=30, resolution="auto").for_data(one, "full").aware()
    params = initial.initial_params(one, 2, "full", starting.Start(seed=0), settings).params
    states = []
    whole = em.fit(one, params, settings, on_state=states.append)
    middle = states[len(states) // 2]
    assert middle.rounded
    assert em.fit(one, None, settings, state=middle).trace == whole.trace


def test_samples_of_a_rounded_model_look_like_the_data():
    model = GaussianMixture(2, random_state=0).fit(ages())
    rows = draw(model.result_.params, 2000, 0)[0]
    assert rows.mean() == pytest.approx(ages().mean(), rel=0.1)
