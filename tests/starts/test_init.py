"""Starts: valid, reproducible, honest about the data, and where they were asked to be."""

import numpy as np
import pytest
from cases import backend, draw, full_covariances, random_params

from gmm_fast import em, fitting
from gmm_fast.backends import LocalBackend, local, threads
from gmm_fast.errors import DataError
from gmm_fast.mixture.families import get_family
from gmm_fast.mixture.params import check_params
from gmm_fast.sources import open_source
from gmm_fast.starts import initial, optimum, seeding, starting
from gmm_fast.starts.starting import Start

SETTINGS = em.Settings(reg_covar=1e-6)
each_method = pytest.mark.parametrize("method", starting.METHODS)


@pytest.fixture(scope="module")
def x():
    """(600, 3), three clusters."""
    rng = np.random.default_rng(0)
    return draw(rng, random_params(rng, "full", 3, 3, spread=6.0), 600)


def start(one, k, family="full", settings=SETTINGS, **options):
    return initial.initial_params(one, k, family, Start(**options), settings)[:2]


def same_bits(a, b):
    return all(
        getattr(a, n).tobytes() == getattr(b, n).tobytes()
        for n in ("weights", "means", "covariances")
    )


@each_method
@pytest.mark.parametrize("k", [1, 2, 7])
def test_every_method_gives_a_valid_start(x, family, method, k):
    params, events = start(backend(x), k, family, method=method)
    assert events == []
    assert params.covariance_type == family
    check_params(params)
    assert params.means.shape == (k, 3)
    assert np.linalg.eigvalsh(full_covariances(params)).min() > 1e-6
    assert ((params.means >= x.min(axis=0)) & (params.means <= x.max(axis=0))).all()


@each_method
def test_a_seed_is_a_start(x, method):
    one = backend(x)
    a, b, c = (start(one, 4, method=method, seed=s)[0] for s in (3, 3, 4))
    assert same_bits(a, b)
    assert not same_bits(a, c)


@each_method
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_same_start_from_any_source_at_any_number_of_threads(
    x, method, dtype, monkeypatch, tmp_path
):
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(local, "CHUNK_BYTES", 2**12)
    monkeypatch.setattr(threads, "THREAD_WORK", 1)
    most = min(2, threads.default_threads())
    want = start(backend(x, dtype=dtype, threads=1), 4, method=method)[0]
    for data in (np.asfortranarray(x), tmp_path / "x.npy"):
        for resident in (2**27, 0):
            one = LocalBackend(open_source(data), room=resident, dtype=dtype, threads=most)
            assert same_bits(start(one, 4, method=method)[0], want)


@pytest.mark.parametrize("resident", [0, 2**27])
def test_a_sample_of_many_rows(x, resident, monkeypatch, tmp_path):
    """A large data set is seeded from a uniform sample of distinct rows."""
    monkeypatch.setattr(optimum, "SAMPLE_ROWS", 100)
    monkeypatch.setattr(optimum, "ROWS_PER_COMPONENT", 1)
    np.save(tmp_path / "x.npy", x)
    one = LocalBackend(open_source(tmp_path / "x.npy"), room=resident)
    a, b, c = (seeding.draw_sample(one, optimum.sample_rows(4, 2), s).x for s in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    rows = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in a]
    assert len(set(rows)) == len(rows) == 100
    # uniform: means of 100 of 600 rows, five standard errors
    assert (abs(a.mean(axis=0) - x.mean(axis=0)) < 0.5 * x.std(axis=0)).all()
    assert min(rows) < 60
    assert max(rows) > 540


def test_kmeans_finds_separate_clusters(x, family):
    """Every method that measures distances ends at the clusters; so does the race."""
    rng = np.random.default_rng(1)
    centers = np.array([[0.0, 0], [100, 0], [0, 1]])
    labels = np.arange(300) % 3
    data = centers[labels] + 0.01 * rng.normal(size=(300, 2))
    for method in ("k-means++", "kmeans", "auto"):
        params, _ = start(backend(data), 3, family, method=method)
        found = params.means[np.lexsort((params.means[:, 1] > 0.5, params.means[:, 0] > 50))]
        # k-means++ starts at samples themselves
        np.testing.assert_allclose(found, centers[[0, 2, 1]], atol=0.04)
        np.testing.assert_allclose(params.weights, 1 / 3, atol=1e-9)


def test_random_responsibilities(x):
    """Every component starts as all of the data, nearly."""
    params, _ = start(backend(x), 3, method="random")
    np.testing.assert_allclose(params.weights, 1 / 3, atol=0.03)
    spread = x.std(axis=0)
    assert (abs(params.means - x.mean(axis=0)) < 0.2 * spread).all()
    np.testing.assert_allclose(params.covariances, [np.cov(x.T)] * 3, atol=0.3 * spread.max() ** 2)


# ----------------------------------------------------------------------------------------------
# Few rows, repeated rows, weights
# ----------------------------------------------------------------------------------------------


@each_method
def test_as_many_components_as_rows(family, method):
    x = np.random.default_rng(2).normal(size=(6, 2))
    result = fitting.fit(backend(x), 6, family, Start(method=method), SETTINGS)
    check_params(result.params)
    assert np.isfinite(result.log_likelihood)


@each_method
def test_one_row(family, method):
    result = fitting.fit(backend(np.ones((1, 2))), 1, family, Start(method=method), SETTINGS)
    np.testing.assert_allclose(result.params.means, 1)


@each_method
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
def test_repeated_rows(family, method, reg_covar):
    rng = np.random.default_rng(3)
    x = np.array([[0.0, 0], [1, 2], [3, 1]])[rng.integers(0, 3, 60)]
    settings = em.Settings(reg_covar=reg_covar)
    result = fitting.fit(backend(x), 5, family, Start(method=method), settings)
    check_params(result.params)
    assert np.isfinite(result.trace).all()
    if method.startswith("k"):
        assert "only 3 distinct rows were found for 5 components" in result.events


def test_fewer_rows_than_components(x):
    with pytest.raises(DataError, match="^X: 5 samples are fewer than 6 components; ask for at "):
        start(backend(x[:5]), 6)
    with pytest.raises(DataError, match="components must be at least 1, not 0"):
        start(backend(x), 0)
    weights = np.zeros(600)
    weights[[1, 5, 7]] = 1.0
    one = backend(x, weights=weights)
    with pytest.raises(DataError, match="^X: 3 samples of positive weight are fewer than 4 comp"):
        start(one, 4)
    for given in (Start(), start(backend(x), 4)[0]):
        with pytest.raises(DataError, match="3 samples of positive weight"):
            fitting.fit(one, 4, "full", given, SETTINGS)
    check_params(start(one, 3)[0])


@each_method
def test_rows_of_weight_zero_are_never_chosen(family, method):
    rng = np.random.default_rng(4)
    x = np.concatenate([rng.normal(size=(50, 2)), 1e6 + rng.normal(size=(450, 2))])
    x = x[rng.permutation(500)]
    weights = (x[:, 0] < 1e3).astype(float)
    one = backend(x, weights=weights)
    for n_rows in (2**16, 20):
        assert (seeding.draw_sample(one, n_rows, 0).weights > 0).all()
    for seed in range(5):
        params, _ = start(one, 5, family, method=method, seed=seed)
        assert np.abs(params.means).max() < 10
        assert full_covariances(params).max() < 100


def test_weights_draw(x):
    """A row of nearly all the weight is the first centre nearly always."""
    weights = np.full(600, 1e-9)
    weights[17] = 1.0
    params, _ = start(backend(x, weights=weights), 2, method="k-means++")
    nearest = np.argmin(((params.means - x[17]) ** 2).sum(axis=1))
    np.testing.assert_array_equal(params.means[nearest], x[17])
    params, _ = start(backend(x, weights=weights), 2, method="kmeans")
    assert params.weights.max() > 0.999


def test_kmeans_plus_plus_draws_by_weight_and_distance():
    """A row far away that weighs nothing is no centre; one that weighs something always is."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(200, 2))
    x[77] = 1e3
    for weight, chosen in [(1e-12, False), (1.0, True)]:
        weights = np.ones(200)
        weights[77] = weight
        sample = seeding.draw_sample(backend(x, weights=weights), 2**16, 0)
        seeder = seeding.Seeder(sample, 1, [])
        z = sample.standardised
        for seed in range(5):
            rows, distinct = seeder._plus_plus(z, 4, np.random.default_rng(seed))
            assert (77 in rows) == chosen
            assert distinct == 4


def test_a_part_of_few_rows_starts_with_a_regular_covariance(family):
    """Drawn towards the pooled covariance, without any reg_covar."""
    x = np.random.default_rng(10).normal(size=(12, 3))
    params, _ = start(backend(x), 8, family, em.Settings(reg_covar=0.0), method="random_from_data")
    assert np.linalg.eigvalsh(full_covariances(params)).min() > 1e-4


@each_method
@pytest.mark.parametrize("value", [0.0, 1e6 / 3])
def test_a_constant_feature(x, family, method, value):
    data = x.copy()
    data[:, 1] = value
    params, _ = start(backend(data), 3, family, method=method)
    check_params(params)
    np.testing.assert_allclose(params.means[:, 1], value, rtol=1e-12, atol=1e-12)


# ----------------------------------------------------------------------------------------------
# The race
# ----------------------------------------------------------------------------------------------


def test_more_starts_are_no_worse(family):
    """Several starts, each raced, end at least as high as the first alone on a hard case."""
    rng = np.random.default_rng(6)
    x = draw(rng, random_params(rng, "full", 8, 2, spread=4.0), 1000)
    one = backend(x)

    def score(**options):
        return one.stats(start(one, 8, family, **options)[0]).log_likelihood

    for seed in range(3):
        alone = score(method="random_from_data", seed=seed)
        assert score(method="random_from_data", n_init=6, seed=seed) > alone


def test_auto_runs_all_of_its_candidates(x, monkeypatch):
    seen = []
    labels = seeding.Seeds.labels

    def spy(self, number, method, space, k):
        assert number == len(seen)
        seen.append((method, space))
        return labels(self, number, method, space, k)

    monkeypatch.setattr(seeding.Seeds, "labels", spy)
    start(backend(x), 3, method="auto", n_init=2)
    assert seen == list(optimum.AUTO) * 2


# ----------------------------------------------------------------------------------------------
# Given values and labels
# ----------------------------------------------------------------------------------------------


def test_given_values_replace_what_is_found(x, family):
    one = backend(x)
    rng = np.random.default_rng(7)
    want = random_params(rng, family, 3, 3)
    given = {
        "weights": want.weights,
        "means": want.means,
        "precisions": get_family(family).invert(want.covariances),
    }
    found = start(one, 3, family, method="random_from_data")[0]
    for names in (["weights"], ["means"], ["precisions"], ["weights", "means", "precisions"]):
        params, _ = start(one, 3, family, method="random_from_data", **{n: given[n] for n in names})
        for name in ("weights", "means", "covariances"):
            asked = name in names or (name == "covariances" and "precisions" in names)
            expected = getattr(want if asked else found, name)
            np.testing.assert_allclose(getattr(params, name), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"weights": np.ones(2) / 2}, r"given weights have shape \(2,\); \(3,\) is needed"),
        ({"weights": np.ones(3)}, "sum to 1"),
        ({"means": np.zeros((3, 2))}, "given means have shape"),
        ({"means": np.full((3, 3), np.nan)}, "means hold values that are not finite"),
        ({"precisions": np.ones((3, 3))}, "given precisions have shape|singular"),
        ({"precisions": np.zeros((3, 3, 3))}, "precisions are singular"),
        ({"precisions": -np.stack([np.eye(3)] * 3)}, "variances that are not positive"),
    ],
)
def test_bad_given_values_are_refused(x, given, message):
    with pytest.raises(DataError, match=message):
        start(backend(x), 3, method="random_from_data", **given)


def test_precisions_of_zero_are_refused(x):
    for family, shape in (("diag", (3, 3)), ("spherical", (3,))):
        with pytest.raises(DataError, match="covariances hold values that are not finite"):
            start(backend(x), 3, family, precisions=np.zeros(shape))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("streamed", [False, True])
def test_labels_are_an_m_step(x, family, weighted, streamed, monkeypatch, tmp_path):
    import naive

    rng = np.random.default_rng(8)
    labels = rng.integers(0, 4, len(x))
    weights = rng.uniform(0, 2, len(x)) if weighted else None
    np.save(tmp_path / "x.npy", x)
    monkeypatch.setattr(local, "CHUNK_BYTES", 2**12)
    one = LocalBackend(
        open_source(tmp_path / "x.npy"), room=0 if streamed else 2**27, weights=weights
    )
    params, events = start(one, 4, family, em.Settings(reg_covar=0.5), labels=labels)
    resp = (labels[:, None] == np.arange(4)) * naive.sample_weights(x, weights)[:, None]
    want = naive.m_step(x, resp, family, 0.5)
    for name, value in zip(("weights", "means", "covariances"), want, strict=True):
        np.testing.assert_allclose(getattr(params, name), value.astype(float), 1e-12, 1e-12)
    assert events == []


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(5, int), r"labels have shape \(5,\); \(600,\) is needed"),
        (np.zeros(600), "labels must be integers, not float64"),
        (np.full(600, 3), "labels run from 3 to 3; for 3 components they must lie in 0..2"),
        (np.arange(600) % 3 - 1, "labels run from -1 to 1"),
        (np.arange(600) % 2, "labels leave component 2 without samples"),
    ],
)
def test_bad_labels_are_refused(x, labels, message):
    with pytest.raises(DataError, match=message):
        start(backend(x), 3, labels=labels)


def test_a_label_whose_rows_have_no_weight(x, family):
    labels = np.arange(600) % 3
    weights = (labels != 1).astype(float)
    result = fitting.fit(
        backend(x, weights=weights), 3, family, Start(labels=labels), em.Settings(max_iter=20)
    )
    check_params(result.params)
    assert any("component 1 died" in e for e in result.events)


def test_unknown_methods_are_refused():
    with pytest.raises(DataError, match="unknown init 'best'; choose from auto,"):
        Start(method="best")
    with pytest.raises(DataError, match="n_init must be at least 1, not 0"):
        Start(n_init=0)
    for effort in (-1.0, np.nan, np.inf):
        with pytest.raises(DataError, match="effort must be .* of 0 or more, .*; 0 is the race"):
            Start(effort=effort)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tol": -1.0}, "tol must be finite and at least 0, not -1"),
        ({"tol": np.nan}, "tol must be finite and at least 0"),
        ({"max_iter": -1}, "max_iter must be at least 0, not -1"),
        ({"reg_covar": -1e-9}, "reg_covar must be finite and at least 0"),
        ({"reg_covar": np.inf}, "reg_covar must be finite and at least 0"),
    ],
)
def test_bad_settings_are_refused(x, settings, message):
    with pytest.raises(DataError, match=message):
        fitting.fit(backend(x), 2, "full", Start(), em.Settings(**settings))


def test_a_complete_start_is_where_em_starts():
    """Weights, means and precisions all given: no race may move them."""
    x = np.random.default_rng(0).normal(size=(300, 2))
    start = starting.Start(weights=[0.25, 0.75], means=x[:2], precisions=np.stack([np.eye(2)] * 2))
    backend = LocalBackend(open_source(x))
    params = initial.initial_params(backend, 2, "full", start, em.Settings()).params
    np.testing.assert_array_equal(params.means, x[:2])
    np.testing.assert_array_equal(params.weights, [0.25, 0.75])
    np.testing.assert_array_equal(params.covariances, np.stack([np.eye(2)] * 2))
