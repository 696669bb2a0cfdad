"""Beside scikit-learn's `GaussianMixture`: the same values, behaviour and words; what is not."""

import copy
import re
import warnings
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from blobs import FAMILIES, FITTED, D, K, given, identity_precisions
from cases import draw, full_covariances, random_params
from scipy.sparse import csr_array
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from gmm_fast import DataError, GaussianMixture
from gmm_fast.mixture.families import get_family
from gmm_fast.starts.starting import METHODS


def pair(x, family, **parameters):
    """Both libraries' fits from one start by the same number of iterations."""
    call = given(x, family) | {"tol": 0.0, "max_iter": 7} | parameters
    with pytest.warns(ConvergenceWarning):
        theirs = sklearn.mixture.GaussianMixture(**call).fit(x)
    with pytest.warns(ConvergenceWarning):
        ours = GaussianMixture(**call).fit(x)
    return ours, theirs


@pytest.fixture(scope="module", params=FAMILIES)
def both(request, x):
    return pair(x, request.param)


# -- beside scikit-learn ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", FITTED)
def test_parameters_are_scikit_learns(both, name):
    ours, theirs = both
    expected = getattr(theirs, name)
    assert getattr(ours, name).shape == expected.shape
    assert getattr(ours, name).dtype == np.float64
    np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("rows", ["training", "new"])
def test_methods_are_scikit_learns(both, x, new, rows):
    ours, theirs = both
    data = {"training": x, "new": new}[rows]
    for method in ("predict", "predict_proba", "score_samples", "score", "aic", "bic"):
        found, expected = getattr(ours, method)(data), getattr(theirs, method)(data)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9, err_msg=method)
        assert np.shape(found) == np.shape(expected)
        assert getattr(found, "dtype", float) == getattr(expected, "dtype", float)
    assert ours._n_parameters() == theirs._n_parameters()


def test_lower_bounds_are_scikit_learns_and_one_more(both, x):
    ours, theirs = both
    assert ours.n_iter_ == theirs.n_iter_ == 7
    assert ours.converged_ is False
    assert ours.stop_reason_ == "max_iter"
    assert len(ours.lower_bounds_) == 8
    np.testing.assert_allclose(ours.lower_bounds_[:-1], theirs.lower_bounds_, rtol=1e-10)
    # scikit-learn's lower_bound_ is that of the parameters before the last M-step
    assert ours.lower_bound_ == ours.lower_bounds_[-1] == ours.score(x)


DATA_SETS = {"apart": (2, 3, 6.0), "overlapping": (5, 4, 0.8)}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", DATA_SETS)
def test_every_iteration_is_scikit_learns(name, family):
    """From one start, after as many iterations, every number to 1e-8; every bound on the way."""
    d, k, spread = DATA_SETS[name]
    rng = np.random.default_rng(3)
    truth = random_params(rng, family, k, d, spread)
    data = draw(rng, truth, 300)
    start = {
        "n_components": k,
        "covariance_type": family,
        "weights_init": np.full(k, 1 / k),
        "means_init": data[: 7 * k : 7],
        "precisions_init": get_family(family).invert(1.5 * truth.covariances),
        "reg_covar": 1e-6,
        "tol": 0.0,
    }
    for n in (1, 2, 3, 5, 8, 13, 20):
        with pytest.warns(ConvergenceWarning):
            ours = GaussianMixture(**start, max_iter=n, threads=1).fit(data)
        with pytest.warns(ConvergenceWarning):
            theirs = sklearn.mixture.GaussianMixture(**start, max_iter=n).fit(data)
        for attribute in FITTED:
            np.testing.assert_allclose(
                getattr(ours, attribute),
                getattr(theirs, attribute),
                rtol=1e-8,
                err_msg=f"{attribute} after {n} iterations",
            )
        np.testing.assert_allclose(ours.lower_bounds_[:-1], theirs.lower_bounds_, rtol=1e-8)
        assert ours.lower_bound_ == pytest.approx(theirs.score(data), rel=1e-8)


@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-5])
@pytest.mark.parametrize("family", ["full", "tied", "diag", "spherical"])
def test_it_stops_where_scikit_learn_does(x, family, tol):
    call = given(x, family) | {"tol": tol, "max_iter": 500}
    ours = GaussianMixture(**call).fit(x)
    theirs = sklearn.mixture.GaussianMixture(**call).fit(x)
    assert ours.converged_ is theirs.converged_ is True
    assert ours.stop_reason_ == "tolerance"
    assert 2 < ours.n_iter_ == theirs.n_iter_
    changes = np.abs(np.diff(ours.lower_bounds_))
    assert (changes[-2:] < tol).all()


def test_only_means_given(x):
    """Weights and covariances are found, the means are where they were put."""
    means = x[[3, 100, 190]] + 0.5
    model = GaussianMixture(K, means_init=means, random_state=0, max_iter=200, tol=1e-7).fit(x)
    theirs = sklearn.mixture.GaussianMixture(
        K, means_init=means, random_state=0, max_iter=200, tol=1e-7
    ).fit(x)
    # same basin, so same order of components
    np.testing.assert_allclose(model.means_, theirs.means_, atol=1e-2)


def test_every_parameter_of_scikit_learn_is_there():
    ours, theirs = GaussianMixture().get_params(), sklearn.mixture.GaussianMixture().get_params()
    assert set(theirs) <= set(ours)
    assert {k for k in theirs if theirs[k] != ours[k]} <= {"init_params", "reg_covar"}


def instances():
    """Instances of all kinds for scikit-learn's checks; each start with one of the families."""
    yield GaussianMixture()
    for start, family in zip(METHODS[1:], (*FAMILIES[1:], FAMILIES[0]), strict=True):
        yield GaussianMixture(covariance_type=family, init_params=start)
    yield GaussianMixture(warm_start=True)
    yield GaussianMixture(dtype="float32")
    yield GaussianMixture(2, reg_covar=1e-4, max_iter=500)
    yield GaussianMixture(2, covariance_type="diag", n_init=2, max_iter=500)


def _expected_failures(estimator):
    """Checks that do not pass, with the reason.

    With several components a start draws rows, others where rows are weighted or repeated.

    So it is with scikit-learn's k-means; from a given start they are the same: `test_weights`. Of
    full covariances the search for the optimum ends at the same place.
    """
    asked = "the check asks for the tags of a classifier, which it takes all with predict_proba for"
    failing = {f"check_estimator_sparse_{kind}": asked for kind in ("array", "matrix")}
    if estimator.n_components > 1 and estimator.covariance_type != "full":
        for kind in ("dense", "sparse"):
            name = f"check_sample_weight_equivalence_on_{kind}_data"
            failing[name] = "the start draws other rows"
    return failing


@parametrize_with_checks(list(instances()), expected_failed_checks=_expected_failures)
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_columns_in_another_order(x):
    """scikit-learn refuses them, as its own estimators have to; here they are put in order."""
    data = pd.DataFrame(x, columns=["a", "b"])
    theirs = sklearn.mixture.GaussianMixture(K, random_state=0).fit(data)
    with pytest.raises(ValueError, match="must be in the same order"):
        theirs.predict(data[["b", "a"]])
    model = GaussianMixture(K, random_state=0).fit(data)
    np.testing.assert_array_equal(model.predict(data[["b", "a"]]), model.predict(data))


# -- samples; models made by hand ------------------------------------------------------------------


def test_sample_is_repeated_or_not_as_in_scikit_learn(x):
    for model in (
        GaussianMixture(K, random_state=1).fit(x),
        sklearn.mixture.GaussianMixture(K, random_state=1).fit(x),
    ):
        np.testing.assert_array_equal(model.sample(5)[0], model.sample(5)[0])
        model.set_params(random_state=np.random.RandomState(2))
        assert not np.array_equal(model.sample(5)[0], model.sample(5)[0])
        model.set_params(random_state=None)
        assert not np.array_equal(model.sample(5)[0], model.sample(5)[0])


def test_a_model_made_by_hand(both, new):
    """As people do with scikit-learn: set the attributes, then use it."""
    _, theirs = both
    model = GaussianMixture(K, covariance_type=theirs.covariance_type)
    model.weights_, model.means_ = theirs.weights_, theirs.means_
    model.covariances_ = theirs.covariances_
    np.testing.assert_allclose(model.predict_proba(new), theirs.predict_proba(new), atol=1e-9)
    model.means_ = model.means_[:, :1]
    if theirs.covariance_type != "spherical":
        with pytest.raises(DataError, match="the model: covariances have shape"):
            model.predict(new[:, :1])


# -- words of errors and warnings ------------------------------------------------------------------


def words(make, x, **parameters):
    """The exception of a fit with those parameters."""
    with pytest.raises((ValueError, TypeError)) as caught:
        make(**parameters).fit(x)
    return caught.value


def both_words(x, **parameters):
    """What ours and scikit-learn's say."""
    return tuple(
        words(make, x, **parameters) for make in (GaussianMixture, sklearn.mixture.GaussianMixture)
    )


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("n_components", 0),
        ("n_components", 2.0),
        ("n_components", "3"),
        ("tol", -1),
        ("tol", np.nan),
        ("tol", None),
        ("reg_covar", -1.0),
        ("max_iter", -1),
        ("max_iter", 2.5),
        ("n_init", 0),
        ("n_init", "many"),
        ("warm_start", "yes"),
        ("verbose", -1),
        ("verbose_interval", 0),
        ("weights_init", "equal"),
        ("means_init", 3.0),
        ("precisions_init", 1),
    ],
)
def test_wrong_parameters_are_said_in_the_same_words(x, parameter, value):
    ours, theirs = both_words(x, **{parameter: value})
    assert isinstance(ours, DataError)
    assert isinstance(ours, ValueError)
    expected = str(theirs)
    if parameter == "reg_covar":  # there may be more that it can be
        expected = expected.split("must be")[0]
    assert str(ours).startswith(expected)
    with pytest.raises(DataError, match=re.escape(str(ours))):
        GaussianMixture(**{parameter: value}).fit_predict(x)


def test_a_wrong_type_is_a_type_error_too(x):
    for parameter, value in [("n_components", "3"), ("tol", None), ("init_params", 3)]:
        with pytest.raises(TypeError, match=f"'{parameter}' parameter"):
            GaussianMixture(**{parameter: value}).fit(x)


def test_every_parameter_is_checked(x):
    """A value of no sensible type is refused with name and value, whatever the parameter."""
    for parameter in GaussianMixture().get_params():
        value = object()
        with pytest.raises(DataError) as caught:
            GaussianMixture(**{parameter: value}).fit(x)
        assert parameter in str(caught.value)
        said = (
            rf"The '{parameter}' parameter of GaussianMixture must be .* Got <object .* instead\."
        )
        assert parameter == "memory" or re.match(said, str(caught.value))


@pytest.mark.parametrize("family", FAMILIES)
def test_wrong_starts_are_said_in_the_same_words(x, family):
    size = {"n_components": K, "covariance_type": family}
    right = identity_precisions(family, K, D)
    wrong = [
        {"weights_init": np.full((K, 1), 1 / K)},
        {"weights_init": np.full(K, 0.5)},
        {"weights_init": np.full(K, 0.1)},
        {"means_init": np.zeros((K + 1, D))},
        {"means_init": np.zeros((K, D + 1))},
        {"precisions_init": np.ones((*right.shape[:-1], right.shape[-1] + 1))},
        {"precisions_init": -right},
    ]
    if family in ("full", "tied"):
        tilted = np.eye(D) + np.triu(np.full((D, D), 0.5), 1)
        wrong.append({"precisions_init": np.broadcast_to(tilted, right.shape)})
    for start in wrong:
        ours, theirs = both_words(x, **size, **start)
        assert str(theirs) in str(ours)
        assert next(iter(start)) in str(ours)  # and the argument
    ours, theirs = both_words(x, **size, weights_init=[1.5, -0.25, -0.25])
    assert str(theirs).split("max value")[0] in str(ours)
    assert "max value 1.50000, min value -0.25000" in str(ours)  # there the other way round


def test_wrong_data_in_the_same_words(x, fitted):
    theirs = sklearn.mixture.GaussianMixture(K, random_state=0).fit(x)
    bad = x.copy()
    bad[5, 1] = np.nan
    for data, shared in [
        (x[:, :1], "X has 1 features, but GaussianMixture is expecting 2 features as input"),
        (x[:, 0], "Reshape your data"),
        (x + 1j, "Complex data not supported"),
        (x[:, :0], "0 feature(s) (shape=(200, 0)) while a minimum of 1 is required"),
        (x[:0], "0 sample(s) (shape=(0, 2)) while a minimum of 1 is required"),
        (bad, "NaN"),
        (csr_array((9, 2001)), "Sparse data was passed for X, but dense data is required"),
    ]:
        for model in (fitted, theirs):
            with pytest.raises((ValueError, TypeError), match=re.escape(shared)):
                model.predict(data)


def test_fewer_samples_than_components(x):
    ours, theirs = both_words(x[:10], n_components=12)
    assert str(ours).startswith(str(theirs))
    assert "ask for at most 10 components" in str(ours)


def test_not_fitted_in_the_same_words(x):
    model = GaussianMixture()
    for method in ("predict", "predict_proba", "score", "score_samples", "aic", "bic", "icl"):
        with pytest.raises(NotFittedError, match="^This GaussianMixture instance is not fitted ye"):
            getattr(model, method)(x)
    with pytest.raises(NotFittedError, match="^This GaussianMixture instance is not fitted yet"):
        model.sample(0)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_warning_of_no_convergence(x, family):
    call = given(x, family) | {"max_iter": 1, "tol": 0.0}
    with pytest.warns(ConvergenceWarning) as theirs:
        sklearn.mixture.GaussianMixture(**call).fit(x)
    with pytest.warns(ConvergenceWarning) as ours:
        GaussianMixture(**call).fit(x)
    assert len(ours) == len(theirs) == 1
    assert ours[0].category is theirs[0].category is ConvergenceWarning
    assert str(ours[0].message).startswith(str(theirs[0].message))


# -- fits ------------------------------------------------------------------------------------------


def mixture(family, seed=0, n=400, k=2, d=2, spread=6.0):
    """What a mixture of that family is, and data of it."""
    rng = np.random.default_rng(seed)
    truth = random_params(rng, family, k, d, spread)
    return truth, draw(rng, truth, n)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fit_finds_the_truth(family):
    truth, data = mixture(family, seed=1, n=5000)
    model = GaussianMixture(2, covariance_type=family, n_init=3, reg_covar=0, random_state=0)
    model.fit(data)
    order, expected = np.argsort(model.means_[:, 0]), np.argsort(truth.means[:, 0])
    np.testing.assert_allclose(model.weights_[order], truth.weights[expected], atol=0.03)
    np.testing.assert_allclose(model.means_[order], truth.means[expected], atol=0.15)
    covariances = (model.covariances_, truth.covariances)
    if family != "tied":
        covariances = covariances[0][order], covariances[1][expected]
    np.testing.assert_allclose(*covariances, rtol=0.15, atol=0.15)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("max_iter", [2, 300])
def test_labels_of_fit_predict(family, max_iter):
    """Also where it stopped early, and from several starts."""
    _, data = mixture(family, seed=2)
    for settings in ({"n_init": 1}, {"n_init": 3}):
        one, two = (
            GaussianMixture(
                2, covariance_type=family, max_iter=max_iter, tol=1e-12, random_state=0, **settings
            )
            for _ in range(2)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 2 iterations
            labels, model = one.fit_predict(data), two.fit(data)
        np.testing.assert_array_equal(labels, model.predict(data))
        np.testing.assert_array_equal(labels, model.predict_proba(data).argmax(axis=1))


@pytest.mark.parametrize("family", FAMILIES)
def test_densities_are_normal_ones(family):
    truth, data = mixture(family, seed=3, n=60, k=3)
    model = GaussianMixture(3, covariance_type=family)
    model.weights_, model.means_, model.covariances_ = truth.weights, truth.means, truth.covariances
    parts = np.stack(
        [
            np.log(w) + multivariate_normal(m, c).logpdf(data)
            for w, m, c in zip(truth.weights, truth.means, full_covariances(truth), strict=True)
        ],
        axis=1,
    )
    total = logsumexp(parts, axis=1)
    np.testing.assert_allclose(model.score_samples(data), total, rtol=1e-12)
    np.testing.assert_allclose(
        model.predict_proba(data), np.exp(parts - total[:, None]), atol=1e-12
    )
    np.testing.assert_array_equal(model.predict(data), parts.argmax(axis=1))
    assert model.score(data) == pytest.approx(total.mean(), rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_likelihood_never_falls(family):
    """One iteration at a time, until it converges: a fit with warm_start goes on."""
    _, data = mixture(family, seed=4, spread=1.5)
    model = GaussianMixture(
        2,
        covariance_type=family,
        init_params="random",
        reg_covar=0,
        warm_start=True,
        max_iter=1,
        tol=1e-7,
        random_state=0,
    )
    scores = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one iteration
        while not scores or not model.converged_:
            scores.append(model.fit(data).score(data))
            assert model.n_iter_ == 1
            assert len(scores) < 2000
    assert (np.diff(scores) > -1e-12).all()
    long = model.set_params(warm_start=False, max_iter=2000).fit(data)
    assert long.n_iter_ == len(scores)  # they stop where one long fit does
    assert long.score(data) == scores[-1]


@pytest.mark.parametrize("seed", range(3))
def test_warm_start_is_one_fit_in_pieces(seed):
    data = np.random.default_rng(seed).random((500, 2))
    call = {"n_components": 2, "reg_covar": 0, "random_state": seed, "tol": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # few iterations
        whole = GaussianMixture(**call, max_iter=2).fit(data)
        pieces = GaussianMixture(**call, max_iter=1, warm_start=True)
        first = pieces.fit(data).score(data)
        assert pieces.fit(data).score(data) > first
    for name in FITTED:
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name))


@pytest.mark.parametrize("max_iter", [1, 2, 50])
def test_convergence_is_seen_with_warm_start(x, max_iter):
    model = GaussianMixture(K, warm_start=True, max_iter=max_iter, n_init=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # until it converges
        for _ in range(100):
            if model.fit(x).converged_:
                break
    assert model.converged_
    assert model.n_iter_ <= max_iter
    assert model.fit(x).n_iter_ == 1  # at its optimum one iteration shows it, as there


def test_warm_start_on_other_data_begins_anew_to_converge(x):
    """The last step on other data says nothing about this."""
    model = GaussianMixture(K, warm_start=True, random_state=0).fit(x)
    model.set_params(tol=10.0).fit(x + 1e-3)
    assert model.n_iter_ == 2


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # one iteration
def test_more_starts_are_no_worse():
    for seed in range(15):
        data = np.random.default_rng(seed).random((50, 2))
        few, many = (
            GaussianMixture(2, n_init=n, max_iter=1, random_state=seed).fit(data) for n in (1, 10)
        )
        # the race ends when starts change by less than a tenth of the tolerance
        assert many.lower_bound_ >= few.lower_bound_ - 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_starts_that_end_in_one_place(x, family):
    call = {"n_components": K, "covariance_type": family, "reg_covar": 0, "tol": 1e-9}
    seeds = [
        GaussianMixture(**call, random_state=s, max_iter=500).fit(x).score(x) for s in range(5)
    ]
    best = GaussianMixture(**call, n_init=5, random_state=0, max_iter=500).fit(x).score(x)
    np.testing.assert_allclose(seeds, best, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_max_iter_0_is_the_start(x, method):
    """Distinct means within the data, another for each method and seed; no warning."""
    call = {"init_params": method, "max_iter": 0}
    model = GaussianMixture(K, random_state=0, **call).fit(x)
    assert (model.n_iter_, model.converged_, len(model.lower_bounds_)) == (0, False, 1)
    assert model.lower_bound_ == model.score(x)
    means = model.means_
    assert (x.min(axis=0) <= means).all()
    assert (means <= x.max(axis=0)).all()
    for i, j in combinations(range(K), 2):
        assert not np.allclose(means[i], means[j])
    other = GaussianMixture(K, random_state=1, **call).fit(x).means_
    if method.startswith("random"):
        assert not np.allclose(other, means)


def test_methods_start_in_other_places(x):
    means = {
        method: GaussianMixture(K, init_params=method, max_iter=0, random_state=0).fit(x).means_
        for method in ("random", "random_from_data", "kmeans")
    }
    for one, two in combinations(means, 2):
        assert not np.allclose(np.sort(means[one], axis=0), np.sort(means[two], axis=0))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_init", [1, 3])
def test_given_means_are_where_it_starts(x, method, n_init):
    means = x[[3, 100, 190]] + 0.5
    model = GaussianMixture(
        K, means_init=means, init_params=method, n_init=n_init, max_iter=0, random_state=0
    ).fit(x)
    np.testing.assert_array_equal(model.means_, means)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_given_start_is_taken_as_it_is_and_left_alone(x, family):
    call = given(x, family)
    before = copy.deepcopy(call)
    model = GaussianMixture(**call, max_iter=0).fit(x)
    np.testing.assert_array_equal(model.weights_, call["weights_init"])
    np.testing.assert_array_equal(model.means_, call["means_init"])
    np.testing.assert_allclose(model.precisions_, call["precisions_init"], rtol=1e-12)
    model.set_params(max_iter=50).fit(x)
    for name in ("weights_init", "means_init", "precisions_init"):
        np.testing.assert_array_equal(call[name], before[name])
        assert getattr(model, name) is call[name]


@pytest.mark.parametrize("family", FAMILIES)
def test_no_start_diverges(family):
    """Next to nothing for variances, and no regularisation: what there is is finite."""
    data = np.random.default_rng(0).random((30, 3))
    call = {
        "n_components": 6,
        "covariance_type": family,
        "reg_covar": 0,
        "weights_init": np.full(6, 1 / 6),
        "means_init": data[::5],
        "precisions_init": 1e6 * identity_precisions(family, 6, 3),
        "max_iter": 1,
    }
    with pytest.warns(ConvergenceWarning):
        model = GaussianMixture(**call).fit(data)
    assert not model.converged_
    for name in (*FITTED, "lower_bound_", "lower_bounds_"):
        assert np.isfinite(getattr(model, name)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_repeated_rows_are_fitted(family):
    """As many components as rows, two of which differ."""
    data = np.repeat([[0.0] * 5, [1.0] * 5], 5, axis=0)
    model = GaussianMixture(10, covariance_type=family, reg_covar=1e-6, random_state=0).fit(data)
    for name in FITTED:
        assert np.isfinite(getattr(model, name)).all()
    assert model.score_samples(data).min() > -10


def test_few_rows_and_one_component():
    data = np.random.default_rng(0).normal(size=(3, 2))
    assert GaussianMixture().fit(data).sample()[0].shape == (1, 2)


def test_n_iter_is_counted():
    data = np.random.default_rng(0).random((10, 5))
    with pytest.warns(ConvergenceWarning):
        assert GaussianMixture(max_iter=1).fit(data).n_iter_ == 1


# -- criteria, samples -----------------------------------------------------------------------------


def test_numbers_of_parameters():
    data = np.random.default_rng(0).normal(size=(50, 5))
    for family, n in {"full": 41, "tied": 26, "diag": 21, "spherical": 13}.items():
        call = {"n_components": 2, "covariance_type": family, "random_state": 0}
        assert GaussianMixture(**call).fit(data)._n_parameters() == n


def test_families_are_one_in_one_dimension():
    data = np.random.default_rng(0).normal(size=(100, 1))
    models = [GaussianMixture(covariance_type=f, reg_covar=0).fit(data) for f in FAMILIES]
    for criterion in ("bic", "aic"):
        values = [getattr(m, criterion)(data) for m in models]
        np.testing.assert_allclose(values, values[0], rtol=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_formulae_of_the_criteria(x, new, family):
    model = GaussianMixture(K, covariance_type=family, random_state=0).fit(x)
    for data in (x, new):
        likelihood, p = model.score_samples(data).sum(), model._n_parameters()
        assert model.aic(data) == pytest.approx(2 * p - 2 * likelihood, rel=1e-12)
        bic = p * np.log(len(data)) - 2 * likelihood
        assert model.bic(data) == pytest.approx(bic, rel=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_samples_follow_the_mixture(x, family):
    model = GaussianMixture(K, covariance_type=family, random_state=0).fit(x)
    n = 40_000
    drawn, labels = model.sample(n)
    counts = np.bincount(labels, minlength=K)
    assert counts.sum() == n == len(drawn)
    np.testing.assert_allclose(counts / n, model.weights_, atol=5 * np.sqrt(0.25 / n))
    full = get_family(family).full(model._params())
    for k in range(K):
        part = drawn[labels == k]
        np.testing.assert_allclose(part.mean(axis=0), model.means_[k], atol=0.05)
        np.testing.assert_allclose(np.cov(part.T), full[k], atol=0.06)
    for size in range(1, 30):
        assert model.sample(size)[0].shape == (size, D)
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="Invalid value for 'n_samples'"):
            model.sample(wrong)


# -- what differs on purpose: "Coming from scikit-learn" in the README -----------------------------


def test_parameters_of_float32_data_are_float64(x):
    single = x.astype(np.float32)
    ours = GaussianMixture(K, random_state=0).fit(single)
    for name in FITTED:
        assert getattr(ours, name).dtype == np.float64
    for method in ("score_samples", "predict_proba"):  # as there
        assert getattr(ours, method)(single).dtype == np.float32


def test_one_sample_is_fitted(x):
    model = GaussianMixture(reg_covar=1e-6).fit(x[:1])
    np.testing.assert_array_equal(model.means_, x[:1])
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        sklearn.mixture.GaussianMixture().fit(x[:1])


def test_collapsed_components_are_rescued():
    data = np.repeat([[0.0] * 5, [1.0] * 5], 5, axis=0)
    call = {"n_components": 3, "reg_covar": 0, "random_state": 0}
    with pytest.raises(ValueError, match="ill-defined empirical covariance"):
        sklearn.mixture.GaussianMixture(**call, init_params="random_from_data").fit(data)
    model = GaussianMixture(**call).fit(data)
    assert model.events_
    assert np.isfinite(model.lower_bound_)


def test_a_bool_is_no_number_of_components(x):
    with pytest.raises(DataError, match="'n_components' parameter .* Got True instead"):
        GaussianMixture(True).fit(x)


def test_large_seeds(x):
    GaussianMixture(K, random_state=2**40).fit(x)
    with pytest.raises(ValueError, match="'random_state' parameter"):
        sklearn.mixture.GaussianMixture(K, random_state=2**40).fit(x)


def test_text_is_no_number(x):
    text = x.astype(str).astype(object)
    sklearn.mixture.GaussianMixture(K, random_state=0).fit(text)
    with pytest.raises(DataError, match=r"row 0, column 0 .* is '.*' \(text\)"):
        GaussianMixture(K).fit(text)


def test_names_of_mixed_types_are_refused(x):
    frame = pd.DataFrame(x, columns=["a", 1])
    for kind in (sklearn.mixture.GaussianMixture, GaussianMixture):
        with pytest.raises(TypeError, match="Feature names are only supported"):
            kind(K).fit(frame)
