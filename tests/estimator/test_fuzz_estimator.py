"""The estimator under random calls: it does what it says, or refuses and stays as it was.

A case is one estimator and the calls made on it, a dozen at most. `make fuzz` runs 10 000 of them,
`make test` a few, always the same.
"""

import copy
import pickle
import tempfile
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fuzzing import cases, check_fitted
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

import gmm_fast
from gmm_fast import GaussianMixture, search
from gmm_fast.errors import DataError, FitError

FAMILIES = ("full", "tied", "diag", "spherical")
DOCUMENTED = (DataError, FitError, NotFittedError)
REFUSED = object()
seeds = st.integers(0, 2**16)

# Data ------------------------------------------------------------------------------------------

DTYPES = ("f8", "f4", "f2", "i1", "i2", "i4", "i8", "u1", "?", ">f8", ">i4", "g")
SCALES = (1e-9, 1e-200, 1e-310, 1e12, 1e30, 1e150, 1e200, 1e308)


def _blobs(rng, n, d):
    centres = 6 * rng.normal(size=(3, d))
    return centres[rng.integers(3, size=n)] + rng.normal(size=(n, d))


def _constant(rng, n, d):
    x = _blobs(rng, n, d)
    x[:, rng.integers(d)] = rng.choice([0.0, 1.0, 1e8, -1e-8])
    return x


def _duplicates(rng, n, d):
    return _blobs(rng, 2, d)[rng.integers(2, size=n)]


def _one_row(rng, n, d):
    return np.tile(_blobs(rng, 1, d), (n, 1))


def _collinear(rng, n, d):
    return rng.normal(size=(n, 1)) @ rng.normal(size=(1, d))


def _offset(rng, n, d):
    return 10.0 ** rng.integers(3, 13) + _blobs(rng, n, d)


def _scaled(rng, n, d):
    return rng.choice(SCALES) * np.clip(_blobs(rng, n, d), -1, 1)


def _columns_of_scales(rng, n, d):
    return _blobs(rng, n, d) * 10.0 ** rng.integers(-12, 12, size=d)


def _outlier(rng, n, d):
    x = _blobs(rng, n, d)
    x[rng.integers(n), rng.integers(d)] = rng.choice([1e6, 1e15, -1e60, 1e160, 1e300])
    return x


def _not_finite(rng, n, d):
    x = _blobs(rng, n, d)
    x[rng.integers(n), rng.integers(d)] = rng.choice([np.nan, np.inf, -np.inf])
    return x


KINDS = (
    _constant,
    _duplicates,
    _one_row,
    _collinear,
    _offset,
    _scaled,
    _columns_of_scales,
    _outlier,
    _not_finite,
    lambda rng, n, d: np.zeros((n, d)),
)


def _strided(x):
    wide = np.zeros((2 * len(x), 3 * x.shape[1]), x.dtype)
    wide[::2, ::3] = x
    return wide[::2, ::3]


def _unaligned(x):
    raw = bytearray(x.nbytes + 1)
    view = np.frombuffer(raw, x.dtype, offset=1, count=x.size).reshape(x.shape)
    view[...] = x
    return view


def _read_only(x):
    x.flags.writeable = False
    return x


LAYOUTS = (
    lambda x: x,
    np.asfortranarray,
    _strided,
    lambda x: x[::-1].copy()[::-1],
    _unaligned,
    _read_only,
    lambda x: np.broadcast_to(x[:1], x.shape),
    lambda x: x.tolist(),
    lambda x: np.ma.masked_array(x),
    lambda x: pd.DataFrame(x.astype(float), columns=[f"c{j}" for j in range(x.shape[1])]),
)

NO_TABLES = (
    [],
    [[]],
    np.empty((0, 3)),
    np.empty((3, 0)),
    np.arange(5.0),
    np.zeros((3, 2, 2)),
    np.float64(3),
    None,
    7,
    "no such file",
    b"none.npy",
    {"a": 1},
    [[1, 2], [3]],
    [["a", "b"], ["c", "d"]],
    np.array([[1, None], [2, 3]], object),
    np.ones((3, 2), complex),
    np.ones((3, 2), "M8[s]"),
    np.ones((3, 2), "S3"),
    np.ones(3, "f8,f8"),
    np.ma.masked_array(np.ones((3, 2)), mask=[[0, 1], [0, 0], [0, 0]]),
    object(),
)


@st.composite
def tables(draw, d):
    """Data of mostly `d` columns: tame, wild, or none at all."""
    tame = draw(st.integers(0, 9))
    if tame == 9:
        return draw(st.sampled_from(NO_TABLES))
    rng = np.random.default_rng(draw(seeds))
    n = draw(st.integers(1, 60))
    if tame == 8:
        d = draw(st.integers(1, 5))
    kind = _blobs if tame < 3 else draw(st.sampled_from(KINDS))
    dtype = draw(st.sampled_from(DTYPES[:2] if tame < 3 else DTYPES))
    with np.errstate(all="ignore"):
        x = np.ascontiguousarray(kind(rng, n, d)).astype(dtype)
    return draw(st.sampled_from(LAYOUTS))(x)


def length_of(x):
    return len(x) if hasattr(x, "__len__") else 3


@st.composite
def sample_weights(draw, x):
    """None, or weights of the rows of `x`, of which some are no weights."""
    kind = draw(st.integers(0, 12))
    if kind < 6:
        return None
    n, rng = length_of(x), np.random.default_rng(draw(seeds))
    weights = rng.uniform(0.1, 3, n)
    if kind == 6:
        weights[rng.uniform(size=n) < 0.5] = 0
    elif kind == 7:
        weights = rng.integers(0, 3, n)
    elif kind == 8:
        weights *= draw(st.sampled_from([0.0, 1e-30, 1e-19, 1e19, 1e30, 1e300]))
    elif kind == 9 and n:
        weights[rng.integers(n)] = draw(st.sampled_from([-1, np.nan, np.inf, 1e-300, 1e19]))
    elif kind == 10:
        return draw(
            st.sampled_from([2, "x", weights[1:], weights[:, None], [10**400] * n, [1j] * n])
        )
    elif kind == 11:
        return weights.astype(draw(st.sampled_from(["f4", ">f8", object]))).tolist()
    return weights


# Parameters ------------------------------------------------------------------------------------

GOOD = {
    "n_components": st.sampled_from([1, 2, 3, 5, np.int64(2)]),
    "covariance_type": st.sampled_from(FAMILIES),
    "tol": st.sampled_from([0, 1e-3, 1, 1e300, np.float32(1e-3)]),
    "reg_covar": st.sampled_from(["auto", "auto", 1e-6, 0, 1e-300, 1e-3, 1e3, 1e300]),
    "max_iter": st.integers(0, 5),
    "learning_decay": st.sampled_from([0.7, 0, 1, 0.5]),
    "n_init": st.sampled_from([1, 1, 2]),
    "effort": st.sampled_from([1.0, 0, 0.5, np.float32(2)]),
    "init_params": st.sampled_from(["auto", "k-means++", "kmeans", "random", "random_from_data"]),
    "random_state": st.one_of(
        st.none(), seeds, st.sampled_from([10**40, True]), seeds.map(np.random.RandomState)
    ),
    "warm_start": st.booleans(),
    "dtype": st.sampled_from([None, "float32", "float64", np.float32, "f8"]),
    "threads": st.sampled_from([None, 1, 1]),
    "memory": st.sampled_from([None, "64GB", 2**36, "1e11"]),
    "verbose_interval": st.sampled_from([1, 10]),
}
NO_COUNTS = st.sampled_from([0, -1, 2.5, "3", None, np.nan, True, [2], 1.0, np.ones(1), 1j])
NO_LEVELS = st.sampled_from(
    [-1, np.nan, np.inf, "x", None, True, [1e-3], np.ones(1), 10**400, Fraction(-1, 3), -1e-300, 1j]
)
NO_NAMES = st.sampled_from(["", "Full", "x", None, 3, ["full"], b"full", np.array(["a", "b"]), {}])
BAD = {
    "n_components": NO_COUNTS,
    "covariance_type": NO_NAMES,
    "tol": NO_LEVELS,
    "reg_covar": NO_LEVELS,
    "max_iter": NO_COUNTS.filter(lambda value: value != 0),
    "learning_decay": NO_LEVELS,
    "warm_start": st.sampled_from([None, "yes", 1, 2.5]),
    "verbose": st.sampled_from([-1, "x", None, 2.5]),
    "n_init": NO_COUNTS,
    "effort": NO_LEVELS,
    "init_params": NO_NAMES,
    "random_state": st.sampled_from([-1, "x", 2.5, [1, 2], np.nan, np.random.default_rng(0)]),
    "dtype": st.sampled_from(
        ["float16", "int", "x", "", ",", "f4,f4", 3, object, [1], {"names": ["a"]}, np.ones(2)]
    ),
    "threads": NO_COUNTS.filter(lambda value: value is not None) | st.just(10**6),
    "memory": st.sampled_from(["x", -1, 10, 0, np.nan, np.inf, "1e400", "", b"1GB", True, [1], 1j]),
    "verbose_interval": NO_COUNTS,
}
# The meaning depends on the data, so nothing is said about which of these are refused.
UNSURE = {
    "n_components": st.sampled_from([61, 10**9, 10**30]),
    "max_iter": st.just(np.int8(1)),
    "tol": st.just(Fraction(1, 3)),
    "reg_covar": st.sampled_from([Fraction(1, 10**6), np.float16(1e-3)]),
    "memory": st.sampled_from(["500MB", "700MB", 10**9]),
}


@st.composite
def choices(draw, *tables_of_values):
    """A parameter and a value from one of the tables."""
    values = draw(st.sampled_from(tables_of_values))
    name = draw(st.sampled_from(sorted(values)))
    return name, draw(values[name])


@st.composite
def starts(draw, k, d, family):
    """`weights_init`, `means_init`, `precisions_init`: some, good ones or not."""
    rng = np.random.default_rng(draw(seeds))
    k = k if type(k) is int and 1 <= k < 9 else 2
    a = rng.normal(size=(k, d, d))
    full = a @ a.transpose(0, 2, 1) + np.eye(d)
    precisions = {
        "full": full,
        "tied": full[0],
        "diag": rng.uniform(0.1, 3, (k, d)),
        "spherical": rng.uniform(0.1, 3, k),
    }.get(family if isinstance(family, str) else "", full)
    good = {
        "weights_init": rng.dirichlet(np.ones(k)),
        "means_init": 5 * rng.normal(size=(k, d)),
        "precisions_init": precisions,
    }
    chosen = {name: good[name] if draw(st.integers(0, 3)) else None for name in good}
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(good)))
        value, spoilt = good[name], draw(st.integers(0, 6))
        if spoilt < 4:
            with np.errstate(all="ignore"):
                value = value * [-1.0, 1e-320, 1e200, 1e308][spoilt]
        elif spoilt == 4:
            value = value[..., None]
        elif spoilt == 5:
            value = value.copy()
            value.flat[rng.integers(value.size)] = draw(
                st.sampled_from([0.0, -1.0, np.nan, np.inf, 1e308, 1e-320])
            )
        else:
            value = draw(st.sampled_from(["x", 3, [], value.tolist(), 1j * value, [10**400]]))
        chosen[name] = value
    return chosen


# The machine -----------------------------------------------------------------------------------


def documented(warning):
    """Whether a warning is one that the estimator tells of."""
    text = str(warning.message)
    return issubclass(warning.category, ConvergenceWarning) or (
        warning.category is UserWarning
        and ("feature names" in text or text.startswith("reg_covar ("))
    )


def fitted_part(model):
    return pickle.dumps({k: v for k, v in vars(model).items() if k.endswith("_")})


def bytes_of(x):
    return x.tobytes() if isinstance(x, np.ndarray) else repr(x)


def bits(array):
    return array.dtype, array.shape, array.tobytes()


class Estimator(RuleBasedStateMachine):
    """Calls in any order, with good arguments and others."""

    @initialize(
        d=st.integers(1, 5),
        k=st.integers(1, 4),
        family=st.sampled_from(FAMILIES),
        start=st.sampled_from(["random", "auto"]),
        seed=seeds,
        fit=st.sampled_from([True, True, False]),
    )
    def begin(self, d, k, family, start, seed, fit):
        self.d = d
        self.model = GaussianMixture(
            k, covariance_type=family, init_params=start, max_iter=3, threads=1, random_state=0
        )
        if fit:
            assert self.fit(_blobs(np.random.default_rng(seed), 20, d)) is not REFUSED

    @property
    def fitted(self):
        return hasattr(self.model, "means_")

    def attempt(self, call, *arguments, fits=False, **named):
        """What `call` returns, or `REFUSED` if it raised what it says it may raise."""
        before, looked_at = fitted_part(self.model), [bytes_of(a) for a in arguments]
        error = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                value = call(*arguments, **named)
            except DOCUMENTED as refusal:
                error, value = refusal, REFUSED
        undocumented = [w for w in caught if not documented(w)]
        assert not undocumented, [f"{w.filename}:{w.lineno}: {w.message}" for w in undocumented]
        if error is not None:
            assert str(error)
            assert not (self.fitted and isinstance(error, NotFittedError))
        if error is not None or not fits:
            assert fitted_part(self.model) == before, "a call changed what was fitted"
        assert [bytes_of(a) for a in arguments] == looked_at, "a call wrote to its arguments"
        return value

    def fit(self, X, weights=None, **named):
        """`fit`, and what has to hold when it succeeds."""
        done = self.attempt(self.model.fit, X, fits=True, sample_weight=weights, **named)
        if done is REFUSED:
            return done
        assert done is self.model
        assert self.model.n_features_in_ == np.shape(X)[1]
        score = self.attempt(self.model.score, X, sample_weight=weights)
        if self.model.result_.rounded:  # of which the bound takes the rounding into account
            assert score >= self.model.lower_bound_
        else:
            np.testing.assert_allclose(score, self.model.lower_bound_, rtol=1e-12)
        return done

    @rule(data=st.data())
    def fits(self, data):
        X = data.draw(tables(self.d), "X")
        self.fit(X, data.draw(sample_weights(X), "sample_weight"))

    @rule(data=st.data(), labels=st.integers(0, 3))
    def fits_from_labels(self, data, labels):
        X = data.draw(tables(self.d), "X")
        n, k = length_of(X), self.model.n_components
        k = k if isinstance(k, int) and 0 < k < 100 else 2
        given = [np.arange(n) % k, np.arange(n), -np.ones(n, int), "x"][labels]
        self.fit(X, labels=given)

    @rule(data=st.data())
    def fits_and_predicts(self, data):
        X = data.draw(tables(self.d), "X")
        weights = data.draw(sample_weights(X), "sample_weight")
        labels = self.attempt(self.model.fit_predict, X, fits=True, sample_weight=weights)
        if labels is not REFUSED:
            np.testing.assert_array_equal(labels, self.attempt(self.model.predict, X))

    @rule(data=st.data())
    def fits_partially(self, data):
        X = data.draw(tables(self.d), "X")
        weights = data.draw(sample_weights(X), "sample_weight")
        done = self.attempt(self.model.partial_fit, X, fits=True, sample_weight=weights)
        assert done is REFUSED or done is self.model

    @rule(data=st.data())
    def fits_from_given_values(self, data):
        model = self.model
        given = data.draw(starts(model.n_components, self.d, model.covariance_type))
        model.set_params(**given)
        X = data.draw(tables(self.d), "X")
        self.fit(X)
        model.set_params(**dict.fromkeys(given))

    @rule(choice=choices(GOOD, GOOD, UNSURE))
    def sets(self, choice):
        name, value = choice
        self.attempt(self.model.set_params, **{name: value})
        assert self.model.get_params()[name] is value

    @rule(data=st.data(), choice=choices(BAD))
    def misuses(self, data, choice):
        """A wrong parameter is refused before anything else is looked at."""
        name, value = choice
        before = self.model.get_params()[name]
        self.model.set_params(**{name: value})
        X = np.arange(20.0 * self.d).reshape(20, self.d) ** 1.5
        call = data.draw(st.sampled_from([self.model.fit, self.model.partial_fit]))
        assert self.attempt(call, X, fits=True) is REFUSED
        self.model.set_params(**{name: before})

    @rule()
    def sets_what_is_not_there(self):
        with pytest.raises(ValueError, match="Invalid parameter"):
            self.model.set_params(components=3)

    @rule(data=st.data())
    def predicts(self, data):
        X = data.draw(tables(self.d), "X")
        labels = self.attempt(self.model.predict, X)
        resp = self.attempt(self.model.predict_proba, X)
        log_prob = self.attempt(self.model.score_samples, X)
        assert (labels is REFUSED) == (resp is REFUSED) == (log_prob is REFUSED)
        if labels is REFUSED:
            return
        n, k = len(X), len(self.model.weights_)
        assert labels.shape == (n,)
        assert labels.dtype == np.int64
        assert resp.shape == (n, k)
        assert log_prob.shape == (n,)
        assert ((labels >= 0) & (labels < k)).all()
        assert (resp >= 0).all()
        np.testing.assert_allclose(resp.sum(axis=1), 1, atol=100 * np.finfo(resp.dtype).eps)
        np.testing.assert_array_equal(resp[np.arange(n), labels], resp.max(axis=1))
        assert np.isfinite(log_prob).all()

    @rule(data=st.data(), which=st.sampled_from(["score", "aic", "bic", "icl"]))
    def scores(self, data, which):
        value = self.attempt(getattr(self.model, which), data.draw(tables(self.d), "X"))
        if value is not REFUSED:
            assert type(value) is float
            assert np.isfinite(value)

    @rule(n=st.sampled_from([1, 1, 7, np.int32(3), 0, -1, 2.5, "x", None, True]))
    def samples(self, n):
        drawn = self.attempt(self.model.sample, n)
        if drawn is not REFUSED:
            x, labels = drawn
            assert x.shape == (n, self.model.n_features_in_)
            assert np.isfinite(x).all()
            assert labels.shape == (n,)
            assert set(labels.tolist()) <= set(range(len(self.model.weights_)))

    @rule(name=st.sampled_from(["m.npz", "naïve", "", ".", "no/where", "a\0b", "x" * 300]))
    def saves_and_loads(self, name):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name) if "\0" not in name and name else name
            if self.attempt(gmm_fast.save, self.model, path) is REFUSED:
                assert self.attempt(gmm_fast.load, path) is REFUSED
                return
            self.same_as(self.attempt(gmm_fast.load, path))

    @rule(way=st.sampled_from([copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]))
    def copies(self, way):
        other = way(self.model)
        if self.fitted:
            self.same_as(other)
        self.model = other

    @rule()
    def clones(self):
        other = clone(self.model)
        assert not hasattr(other, "means_")
        mine, its = self.model.get_params(), other.get_params()
        assert mine.keys() == its.keys()
        assert all(str(mine[name]) == str(its[name]) for name in mine if name != "random_state")

    def same_as(self, other):
        for name in ("weights", "means", "covariances", "precisions", "precisions_cholesky"):
            mine, its = (getattr(model, f"{name}_") for model in (self.model, other))
            assert bits(mine) == bits(its), name
        assert other.lower_bounds_ == self.model.lower_bounds_
        assert other.events_ == self.model.events_

    @rule(
        data=st.data(),
        lo=st.sampled_from([1, 1, 2, 3, 0, "x", None]),
        more=st.integers(-1, 2),
        covariance=st.sampled_from([*FAMILIES, ("full", "diag"), (), "x", 3, None, [["full"]]]),
        criterion=st.sampled_from(
            ["bic", "bic", "aic", "icl", "silhouette", "cv", "x", None, [], np.ones(2)]
        ),
        rows=st.sampled_from([0, 5, 10_000, -1, "x"]),
        folds=st.sampled_from([None, None, None, 2, 3, 1, "x"]),
        early_stop=st.booleans(),
    )
    def searches(self, data, lo, more, covariance, criterion, rows, folds, early_stop):
        X = data.draw(tables(self.d), "X")
        hi = lo + more if isinstance(lo, int) else 3
        options = {"covariance": covariance, "criterion": criterion, "silhouette_rows": rows}
        options |= {"threads": 1, "max_iter": 2, "init_params": "random_from_data"}
        options |= {"folds": folds, "early_stop": early_stop}
        weights = data.draw(sample_weights(X), "sample_weight")
        numbers = range(lo, hi + 1) if isinstance(lo, int) else lo
        found = self.attempt(search, X, numbers, sample_weight=weights, **options)
        if found is not REFUSED:
            assert found.best in found.models
            for row, model in zip(found.table, found.models, strict=True):
                assert (model is None) == (row["failure"] is not None)
                if model is not None:
                    check_fitted(model)

    @invariant()
    def what_was_fitted_is_a_mixture(self):
        model = getattr(self, "model", None)
        if model is not None and self.fitted:
            check_fitted(model)
            assert set(model.get_params()) == set(GaussianMixture().get_params())


TestEstimator = Estimator.TestCase
TestEstimator.settings = settings(
    max_examples=cases(150), stateful_step_count=12, suppress_health_check=list(HealthCheck)
)
