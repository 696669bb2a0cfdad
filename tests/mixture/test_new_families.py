"""Families that only these tests know: one class is all that it takes to add one."""

import numpy as np
import pytest
from cases import backend

from gmm_fast import GaussianMixture, em, fitting, load, plots, save, search, write_report
from gmm_fast.fitting.checkpoint import Checkpoint, Job, Keeper, read_checkpoint
from gmm_fast.mixture.families import FAMILIES, Family, Matrices, OneVariance, PerComponent, Shared
from gmm_fast.starts import starting

SETTINGS = em.Settings(1e-6, 200, 1e-9)


class Ball(Shared, OneVariance, Family):
    """One variance for all components and features (mclust's EII)."""

    name, mclust_name, form = "ball", "EII", "diagonal"


class SameShape(PerComponent, Matrices, Family):
    """One matrix in volumes of the components' own (Celeux & Govaert 1995, VEE).

    Its M-step iterates, and the covariances do not tell the scatter.
    """

    name, mclust_name, form = "same shape", "VEE", "triangular"
    determined = False

    def n_covariance_parameters(self, k, d):
        return k + d * (d + 1) // 2 - 1

    def estimate(self, scatter, n_k, previous):
        d = scatter.shape[1]
        volumes = np.linalg.det(scatter if previous is None else previous) ** (1 / d)
        for _ in range(3):
            pooled = np.tensordot(n_k / volumes, scatter, 1)
            shape = pooled / np.linalg.det(pooled) ** (1 / d)
            volumes = np.trace(np.linalg.solve(shape, scatter), axis1=1, axis2=2) / d
        return volumes[:, None, None] * shape


@pytest.fixture(params=[Ball(), SameShape()], ids=lambda family: family.name)
def toy(request, monkeypatch):
    monkeypatch.setitem(FAMILIES, request.param.name, request.param)
    return request.param


@pytest.fixture(scope="module")
def x():
    """Three balls of one size."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0, 0], [6, 0, 0], [0, 6, 1]])
    return rng.permutation(np.repeat(centres, 80, axis=0) + 0.8 * rng.normal(size=(240, 3)))


def fitted(x, toy, **options):
    options = {"tol": 1e-6, "max_iter": 200, "random_state": 0} | options
    return GaussianMixture(3, covariance_type=toy.name, **options).fit(x)


@pytest.mark.parametrize("start", ["auto", *starting.METHODS[1:]])
def test_it_is_fitted_from_every_start(x, toy, start):
    model = fitted(x, toy, init_params=start)
    assert model.converged_
    trace = np.array(model.result_.trace)
    assert (np.diff(trace) > -1e-9 * abs(trace[-1])).all()
    covariances = toy.full(model.result_.params)
    if start != "random":  # whose responsibilities lead to a poor optimum
        assert np.sort(model.weights_) == pytest.approx([1 / 3] * 3, abs=0.01)
        np.testing.assert_allclose(covariances, [0.64 * np.eye(3)] * 3, atol=0.2)
    shapes = covariances / np.linalg.det(covariances)[:, None, None] ** (1 / 3)
    np.testing.assert_allclose(shapes, np.broadcast_to(shapes[0], (3, 3, 3)), atol=1e-8)
    # never above the family without its ties
    free = "spherical" if toy.layout == "variance" else "full"
    other = GaussianMixture(3, covariance_type=free, random_state=0, tol=1e-6).fit(x)
    assert model.score(x) < other.score(x) + 1e-6


def test_the_maximum_is_that_of_its_definition(x, monkeypatch):
    """Of separated clusters that of their means: the mean square about them is the variance."""
    monkeypatch.setitem(FAMILIES, "ball", Ball())
    model = fitted(x, Ball())
    labels = model.predict(x)
    apart = x - np.stack([x[labels == k].mean(axis=0) for k in range(3)])[labels]
    assert float(model.covariances_) == pytest.approx((apart**2).mean(), rel=1e-3)


def test_what_is_done_with_it(x, toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = fitted(x, toy)
    labels = model.predict(x)
    save(model, "m.npz")
    again = load("m.npz")
    np.testing.assert_array_equal(again.predict(x), labels)
    assert again.score(x) == model.score(x)
    assert model.bic(x) == pytest.approx(
        -2 * 240 * model.score(x) + np.log(240) * toy.n_parameters(3, 3)
    )
    assert model.sample(10)[0].shape == (10, 3)
    plots.save(plots.clusters(model, x), "m.png")
    write_report(model, "m.html", x)
    assert toy.mclust_name in (tmp_path / "m.html").read_text()


def test_it_is_searched_and_moved(x, toy):
    found = search(x, range(1, 5), covariance=[toy.name, "full"], random_state=0)
    assert found.best.covariance_type == toy.name
    assert found.best.n_components == 3
    assert found.best.result_.moves > 0


def test_it_goes_on_from_a_checkpoint(x, toy, tmp_path):
    path, job = str(tmp_path / "c"), Job(toy.name, 3)
    one, start = backend(x), starting.Start("random", seed=0)
    whole = fitting.fit(one, 3, toy.name, start, SETTINGS)

    def stop(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    keeper = Keeper(path, Checkpoint("fit", {"k": 3}, "/"), every=0)
    with pytest.raises(KeyboardInterrupt):
        fitting.fit(one, 3, toy.name, start, SETTINGS, keeper=keeper, on_state=stop)
    kept = read_checkpoint(path)
    assert kept.running[0] == job
    result = fitting.fit(one, 3, toy.name, start, SETTINGS, keeper=Keeper(path, kept))
    assert result.trace == whole.trace
    np.testing.assert_array_equal(result.params.covariances, whole.params.covariances)


def test_batches_are_one_pass_of_em(x, toy, tmp_path):
    """From given parameters, as one M-step of all rows; and on from a file as without."""
    given = fitted(x, toy, max_iter=2).result_.params
    model = GaussianMixture(
        3,
        covariance_type=toy.name,
        weights_init=given.weights,
        means_init=given.means,
        precisions_init=np.asarray(toy.invert(given.covariances)),
        reg_covar=0.0,
    )
    model.partial_fit(x[:100])
    save(model, tmp_path / "m.npz")
    again = load(tmp_path / "m.npz").set_params(reg_covar=0.0)
    for stream in (model, again):
        for i in range(100, 240, 20):
            stream.partial_fit(x[i : i + 20])
    for name in ("weights_", "means_", "covariances_"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    one = backend(x)
    step = em.fit(one, given, em.Settings(0.0, 1, 0.0)).params
    order = np.argsort(model.means_[:, 0])
    np.testing.assert_allclose(
        model.means_[order], step.means[np.argsort(step.means[:, 0])], atol=0.1
    )
    ours, theirs = toy.full(model.result_.params), toy.full(step)
    np.testing.assert_allclose(ours[order], theirs[np.argsort(step.means[:, 0])], atol=0.1)
