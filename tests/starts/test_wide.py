"""Where EM starts on wide data: the partition is right before the family is fitted."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from gmm_fast import GaussianMixture
from gmm_fast.backends.threads import serial_blas
from gmm_fast.starts import evidence, one_covariance, seeding, spaces, wide

FULL = "full"


def clusters(n, d, k, seed=7, *, apart=3.0, sizes=None, scales=None):
    """Round clusters about random centres, and which rows are whose."""
    rng = np.random.default_rng(seed)
    shares = np.full(k, 1 / k) if sizes is None else np.array(sizes) / np.sum(sizes)
    labels = rng.choice(k, n, p=shares)
    noise = rng.normal(size=(n, d)) * np.ones(k if scales is None else 1)[0]
    if scales is not None:
        noise *= np.array(scales)[labels][:, None]
    return noise + apart * rng.normal(size=(k, d))[labels], labels


def sample_of(x, weights=None):
    return seeding._sample(x, np.ones(len(x)) if weights is None else weights)


@serial_blas()
def labels_of(x, k, family=FULL, seed=0, rounds=1, weights=None):
    rows = spaces.Rows.of(sample_of(x, weights), family)
    return wide.best_partition(rows, k, family, seed, rounds, 1)


def fitted(x, k, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(k, **parameters).fit(x)


# -- what is found ---------------------------------------------------------------------------------

SHAPES = {
    "three rows a feature": (clusters(300, 100, 3), 3),
    "a row for each component and feature": (clusters(500, 100, 5), 5),
    "fewer rows than features": (clusters(60, 150, 3), 3),
    "many components": (clusters(800, 80, 10), 10),
    "sizes of 1 to 10": (clusters(600, 40, 4, sizes=[1, 2, 5, 10]), 4),
    "widths of 1 and 3": (clusters(800, 50, 4, scales=[1, 3, 1, 3]), 4),
    "both": (clusters(1000, 60, 4, sizes=[10, 1, 1, 10], scales=[1, 3, 1, 3]), 4),
}


@pytest.mark.parametrize("name", SHAPES)
def test_separated_clusters_are_found_from_every_seed(name):
    (x, truth), k = SHAPES[name]
    for seed in range(4):
        assert adjusted_rand_score(truth, labels_of(x, k, seed=seed)) > 0.99


@pytest.mark.parametrize("name", ["three rows a feature", "fewer rows than features"])
def test_a_fit_keeps_them(name, family):
    (x, truth), k = SHAPES[name]
    for seed in range(2):
        model = fitted(x, k, covariance_type=family, random_state=seed)
        assert adjusted_rand_score(truth, model.predict(x)) == 1


@pytest.mark.parametrize("family", ["full", "tied"])
def test_clusters_that_noise_hides_from_kmeans(family):
    """A covariance of all clusters with variances from 1/100 to 100 along no axis."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 900)
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    noise = rng.normal(size=(900, 40)) * 10 ** rng.uniform(-1, 1, 40) @ turn
    x = noise + 1.5 * rng.normal(size=(3, 40))[labels]
    for seed in range(3):
        assert adjusted_rand_score(labels, labels_of(x, 3, family, seed)) > 0.99


def test_a_rare_value_is_no_cluster():
    """A feature that a single row has says all about that row, and nothing about the others."""
    (x, truth), k = SHAPES["three rows a feature"]
    x = np.c_[x, np.zeros((len(x), 3))]
    x[[5, 77, 130], [100, 101, 102]] = 1.0
    assert adjusted_rand_score(truth, labels_of(x, k)) == 1


def test_the_plain_start_is_no_better():
    """k-means in the units of the data is always judged."""
    x, _ = clusters(500, 20, 6, apart=0.6)
    rows = spaces.Rows.of(sample_of(x), FULL)
    plain = spaces.kmeans(rows.z, rows.weights, 6, np.random.default_rng(0), rows.squares)
    for seed in range(3):
        assert (
            evidence._full(rows, labels_of(x, 6, seed=seed), 6)
            >= evidence._full(rows, plain, 6) - 1
        )


def test_more_rounds_are_not_worse():
    x, _ = clusters(400, 20, 6, apart=0.6)
    rows = spaces.Rows.of(sample_of(x), FULL)
    one, more = (evidence._full(rows, labels_of(x, 6, rounds=r), 6) for r in (1, 4))
    assert more > one - 0.01 * len(x)


# -- laws ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def x():
    """(400, 30), five clusters that overlap."""
    return clusters(400, 30, 5, apart=0.7)[0]


def test_same_bits_on_any_threads(x, family):
    models = [fitted(x, 5, covariance_type=family, random_state=1, threads=t) for t in (1, 2)]
    np.testing.assert_array_equal(models[0].means_, models[1].means_)
    np.testing.assert_array_equal(models[0].covariances_, models[1].covariances_)


def test_a_shift_changes_nothing(x, family):
    np.testing.assert_array_equal(
        labels_of(x, 5, family), labels_of(x + np.linspace(-500, 500, 30), 5, family)
    )


def test_units_of_all_features_change_nothing(x, family):
    np.testing.assert_array_equal(labels_of(x, 5, family), labels_of(1024 * x, 5, family))


@pytest.mark.parametrize("family", ["full", "tied", "diag"])
def test_units_of_single_features_do_not_hide_clusters(family):
    (x, truth), k = SHAPES["three rows a feature"]
    units = 10.0 ** np.random.default_rng(2).integers(-6, 7, x.shape[1])
    assert adjusted_rand_score(truth, labels_of(x * units, k, family)) == 1


def test_rows_of_weight_zero_are_not_there(x):
    weights = np.ones(400)
    weights[::4] = 0
    call = {"random_state": 0, "init_params": "auto"}
    there = GaussianMixture(5, **call).fit(x, sample_weight=weights)
    alone = GaussianMixture(5, **call).fit(x[weights > 0])
    np.testing.assert_allclose(there.means_, alone.means_, rtol=1e-6, atol=1e-9)


def test_weights_are_repetitions():
    """Of the judges, to rounding; draws differ."""
    x, labels = clusters(200, 12, 3, apart=1.0)
    counts = np.random.default_rng(0).integers(1, 4, 200)
    often, names = np.repeat(x, counts, axis=0), np.repeat(labels, counts)
    for judge, family in ((evidence._full, FULL), (evidence._diagonal, "diag")):
        other = np.roll(labels, 1)
        there = [
            judge(spaces.Rows.of(sample_of(often), family), np.repeat(some, counts), 3)
            for some in (labels, other)
        ]
        scaled = spaces.Rows.of(sample_of(x, counts * 1.0), family)
        # a sample's weights are 1 on average: as many rows as there are
        scaled = spaces.Rows(*(scaled.z, scaled.near, scaled.added, scaled.squares, counts * 1.0))
        here = [judge(scaled, some, 3) for some in (labels, other)]
        assert there[0] > there[1]
        assert (here[0] - here[1]) == pytest.approx(there[0] - there[1], rel=0.05)
        assert len(names) == len(often)


# -- pieces ----------------------------------------------------------------------------------------


def test_tied_em_is_em_of_the_tied_family():
    """One iteration from a partition: the responsibilities under its pooled covariance."""
    x, labels = clusters(200, 12, 3, apart=0.5)
    z = x - x.mean(axis=0)
    resp, _ = one_covariance.Tied(z, 0.0, np.ones(200)).run(labels, 3, 1)
    means = np.stack([z[labels == k].mean(axis=0) for k in range(3)])
    within = (z - means[labels]).T @ (z - means[labels]) / 200
    apart = z[:, None] - means
    logits = np.log(np.bincount(labels) / 200) - 0.5 * np.einsum(
        "nkd,de,nke->nk", apart, np.linalg.inv(within), apart
    )
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(resp, expected / expected.sum(axis=1, keepdims=True), atol=1e-6)


def test_its_likelihood_rises():
    x, labels = clusters(300, 15, 4, apart=0.7)
    tied = one_covariance.Tied(x - x.mean(axis=0), 0.0, np.ones(300))
    shuffled = np.random.default_rng(0).permutation(labels)
    values = [tied.run(shuffled, 4, n)[1] for n in range(1, 8)]
    assert (np.diff(values) > -1e-9).all()


def test_the_evidence_of_diag_is_that_of_its_features():
    """The sum of what one feature at a time is worth as a full covariance of order 1."""
    x, labels = clusters(150, 12, 3, apart=1.0)
    rows = spaces.Rows.of(sample_of(x), "diag")
    together = evidence._diagonal(rows, labels, 3)
    pieces = 0.0
    for j in range(12):
        some = np.s_[:, j : j + 1]
        one = spaces.Rows(rows.z[some], rows.near[some], rows.added[[j]], np.ones(1), rows.weights)
        pieces += evidence._diagonal(one, labels, 3)
    shares = evidence.gammaln(np.bincount(labels) + 1).sum()
    assert together == pytest.approx(pieces - 11 * shares)


def test_same_partition_under_other_names():
    one, same, other = np.array([0, 0, 1, 2]), np.array([2, 2, 0, 1]), np.array([0, 1, 1, 2])
    found = spaces.distinct([one, same, other])
    assert len(found) == 2
    assert found[0] is one


@pytest.mark.parametrize(
    ("n", "d", "k", "family", "expected"),
    [
        (3000, 300, 5, "full", True),
        (10**6, 100, 5, "diag", True),
        (178, 13, 3, "full", True),
        (10**6, 13, 3, "full", False),
        (300, 4, 30, "full", False),
        (178, 13, 3, "diag", False),
        (178, 13, 1, "full", False),
        (100, 30, 3, "tied", True),
    ],
)
def test_what_is_wide(n, d, k, family, expected):
    assert wide.is_wide(n, d, k, family) is expected


# -- data that breaks others -----------------------------------------------------------------------

RNG = np.random.default_rng(0)
BROKEN = {
    "one row again and again": (np.full((50, 12), 3.3), 4),
    "a few distinct rows": (np.repeat(RNG.normal(size=(4, 70)), 20, axis=0), 6),
    "as many components as rows": (RNG.normal(size=(8, 80)), 8),
    "constant features": (np.c_[RNG.normal(size=(90, 20)), np.full((90, 60), 1e9)], 3),
    "collinear features": (np.tile(RNG.normal(size=(90, 20)), (1, 4)), 3),
    "an outlier": (np.r_[RNG.normal(size=(90, 70)), np.full((1, 70), 1e12)], 3),
    "small units": (1e-30 * RNG.normal(size=(60, 70)), 3),
    "mostly zeros": (np.where(RNG.uniform(size=(120, 80)) < 0.97, 0.0, 1.0), 4),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_valid_model(name, family):
    x, k = BROKEN[name]
    model = fitted(x, k, covariance_type=family, random_state=0)
    for value in (model.weights_, model.means_, model.covariances_, model.score_samples(x)):
        assert np.isfinite(value).all()
    assert model.weights_.sum() == pytest.approx(1)
    if name == "a few distinct rows":
        assert any("4 distinct rows" in event for event in model.events_)
