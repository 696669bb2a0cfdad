"""Pictures, read back: what artists there are, where they lie, and what is said beside them."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from blobs import blobs
from cases import draw, full_covariances, random_params
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from PIL import Image
from scipy.stats import norm
from sklearn.metrics import silhouette_samples

from gmm_fast import DataError, GaussianMixture, em, plots, search
from gmm_fast.backends import LocalBackend
from gmm_fast.plots import cloud
from gmm_fast.plots.animation import MOST_FRAMES, Recorder, write_animation
from gmm_fast.plots.drawing import MOST_LISTED, PALETTE, colours_of
from gmm_fast.plots.projection import discriminant_view, features_view
from gmm_fast.sources import ArraySource


def model_of(params):
    return GaussianMixture.from_params(
        params.weights, params.means, params.covariances, params.covariance_type
    )


def sampled(family, k, d, n, seed=0):
    """Data of a mixture, and a model with its parameters."""
    rng = np.random.default_rng(seed)
    params = random_params(rng, family, k, d)
    return draw(rng, params, n), model_of(params)


@pytest.fixture(scope="module")
def plane():
    """(300, 2) data, a model, and the Axes of its clusters."""
    x, model = sampled("full", 3, 2, 300)
    return x, model, plots.clusters(model, x)


def artists(ax, gid):
    return [a for a in ax.get_children() if (a.get_gid() or "").startswith(gid)]


def caption(ax):
    return " ".join(artists(ax, "caption")[0].get_text().split())


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# -- clusters of two features ----------------------------------------------------------------------


def test_every_row_is_drawn_with_its_component(plane):
    x, model, ax = plane
    labels = model.predict(x)
    points = artists(ax, "rows of")
    assert [p.get_gid() for p in points] == [f"rows of {k}" for k in np.unique(labels)]
    for k, one in zip(np.unique(labels), points, strict=True):
        np.testing.assert_array_equal(one.get_offsets(), x[labels == k])
        np.testing.assert_allclose(
            one.get_facecolors()[:, :3], np.tile(colours_of(3)[k], (sum(labels == k), 1))
        )
    assert "all 300 rows" in caption(ax)


def test_what_is_uncertain_is_faint(plane):
    x, model, ax = plane
    uncertainty = 1 - model.predict_proba(x).max(axis=1)
    labels = model.predict(x)
    for k, points in zip(np.unique(labels), artists(ax, "rows of"), strict=True):
        opacity = points.get_facecolors()[:, 3]
        order = np.argsort(uncertainty[labels == k])
        assert (np.diff(opacity[order]) <= 1e-12).all()
    opacity = np.concatenate([p.get_facecolors()[:, 3] for p in artists(ax, "rows of")])
    assert opacity.min() < 0.6 * opacity.max()
    assert "faint: uncertain" in caption(ax)


@pytest.mark.parametrize("features", [None, [1, 0]])
def test_ellipses_lie_so_many_deviations_from_the_means(family, features):
    """Every point of one has that Mahalanobis distance; there is one for each level."""
    x, model = sampled(family, 4, 2, 50)
    ax = plots.clusters(model, x, features=features, levels=(0.5, 1, 3))
    order = [0, 1] if features is None else features
    precisions = np.linalg.inv(full_covariances(model.result_.params))[:, order][:, :, order]
    found = [p for p in ax.patches if isinstance(p, Ellipse)]
    assert len(found) == 4 * 3
    for i, ellipse in enumerate(found):
        k, level = i // 3, (0.5, 1, 3)[i % 3]
        mean = model.means_[k, order]
        np.testing.assert_allclose(ellipse.center, mean)
        outline = ellipse.get_patch_transform().transform(
            np.stack([np.cos(t := np.linspace(0, 6, 20)), np.sin(t)], axis=1)
        )
        squared = np.einsum(
            "ni,ij,nj->n", outline - mean, precisions[k], outline - mean, optimize=True
        )
        np.testing.assert_allclose(squared, level**2, rtol=1e-8)
    assert "0.5 and 1 and 3 standard deviations (12% and 39% and 99%" in caption(ax)


def test_numbers_stand_at_the_means(plane):
    _, model, ax = plane
    numbers = artists(ax, "number")
    assert [n.get_text() for n in numbers] == ["0", "1", "2"]
    np.testing.assert_allclose([n.get_position() for n in numbers], model.means_)


def test_the_legend_has_components_and_weights(plane):
    _, model, ax = plane
    expected = [f"{k}  ({w:.0%})" for k, w in enumerate(model.weights_)]
    assert legend_texts(ax) == expected
    assert ax.get_title(loc="left") == "3 components, full covariance"
    assert plots.clusters(model, plane[0], title="mine").get_title(loc="left") == "mine"


def test_axes_are_named_by_columns(plane):
    x, _, ax = plane
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 0", "feature 1")
    frame = pd.DataFrame(x, columns=["cost $ in $", "_b"])
    named = GaussianMixture(2, random_state=0).fit(frame)
    ax = plots.clusters(named, frame)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("cost $ in $", "_b")
    assert not ax.xaxis.label.get_parse_math()
    ax = plots.clusters(named, frame, features="_b")
    assert ax.get_xlabel() == "_b"


def test_long_and_foreign_names(plane, tmp_path):
    """Signs that the font lacks warn nobody; what is long is cut."""
    x, _, _ = plane
    frame = pd.DataFrame(x, columns=["長い名前", "n" * 200])
    ax = plots.clusters(GaussianMixture(2, random_state=0).fit(frame), frame)
    assert len(ax.get_ylabel()) < 100
    assert ax.get_ylabel().endswith("…")
    plots.save(ax, tmp_path / "out.png")


def test_colours_are_told_apart():
    """Also by their lightness alone, or by marker: no colour with its marker comes twice."""
    assert len(set(PALETTE)) == len(PALETTE) == 8
    x, model = sampled("spherical", 20, 2, 2000)
    ax = plots.clusters(model, x)
    seen = set()
    for points in artists(ax, "rows of"):
        path = points.get_paths()[0].vertices
        seen.add((tuple(points.get_facecolors()[0, :3]), path.tobytes()))
    assert len(seen) == len(artists(ax, "rows of")) > 16


def test_a_legend_of_many_components_lists_the_heaviest():
    x, model = sampled("spherical", 30, 2, 500)
    ax = plots.clusters(model, x)
    texts = legend_texts(ax)
    assert len(texts) == MOST_LISTED - 2
    listed = {int(text.split()[0]) for text in texts}
    assert listed == set(np.argsort(-model.weights_, kind="stable")[: len(texts)])
    assert "of 30" in ax.get_legend().get_title().get_text()
    assert len(artists(ax, "number")) == 30


def test_components_without_weight_are_not_drawn():
    model = GaussianMixture.from_params(
        [0.5, 0, 0.5], [[0, 0], [3, 3], [5, 5]], np.ones((3, 2)), "diag"
    )
    ax = plots.clusters(model, blobs(0, (20, 20), 2, 5))
    assert [n.get_text() for n in artists(ax, "number")] == ["0", "2"]
    assert len(artists(ax, "component")) == 4
    assert "component 1 without weight" in caption(ax)
    assert len(legend_texts(ax)) == 2


def test_one_component_and_one_row():
    x = np.random.default_rng(0).normal(size=(40, 2))
    model = GaussianMixture(1).fit(x)
    ax = plots.clusters(model, x)
    assert len(artists(ax, "component")) == 2
    assert "uncertain" not in caption(ax)
    assert "1 row" in caption(plots.clusters(model, x[:1]))


# -- which rows, and how far axes reach ------------------------------------------------------------


def test_a_sample_is_drawn_and_said(plane):
    x, model, _ = plane

    def drawn(seed):
        ax = plots.clusters(model, x, rows=50, style="points", seed=seed)
        assert f"50 of 300 rows drawn (seed {seed})" in caption(ax)
        return np.concatenate([p.get_offsets() for p in artists(ax, "rows of")])

    one, same, other = drawn(1), drawn(1), drawn(2)
    np.testing.assert_array_equal(one, same)
    assert {tuple(r) for r in one} <= {tuple(r) for r in x}
    assert len(np.unique(one, axis=0)) == 50
    assert {tuple(r) for r in one} != {tuple(r) for r in other}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 2, 3])
def test_density_counts_all_rows(d, dtype):
    """From memory or streamed the same cells: NumPy's, in the colours of the rows' components."""
    x, model = sampled("full", 3, d, 3000)
    x = x.astype(dtype)
    params = model.result_.params
    view = features_view(params, range(d), list("abc")[:d])
    found = [
        cloud.gather(
            LocalBackend(ArraySource(x), room=room),
            params,
            view,
            rows=100,
            dense=True,
            colours=colours_of(3),
        )
        for room in (None, 0)
    ]
    labels = model.predict(x)
    for one in found:
        inside = (
            (x >= one.limits[:, 0].astype(dtype)) & (x <= one.limits[:, 1].astype(dtype))
        ).all(axis=1)
        assert one.outside == (~inside).sum()
        for j in range(d):
            expected = np.histogram(x[:, j].astype(float), one.density.edges[j])[0]
            assert abs(one.density.histograms[j] - expected).sum() <= 2  # on an edge
        for (i, j), cells in one.density.cells.items():
            edges = [one.density.edges[i], one.density.edges[j]]
            shown = np.histogram2d(x[:, i].astype(float), x[:, j].astype(float), edges)[0]
            assert abs(cells[:, :, 0] - shown).sum() <= 4
            total = colours_of(3)[labels][
                (x[:, [i, j]] >= [e[0] for e in edges]).all(axis=1)
                & (x[:, [i, j]] <= [e[-1] for e in edges]).all(axis=1)
            ].sum(axis=0)
            np.testing.assert_allclose(cells[:, :, 1:].sum(axis=(0, 1)), total)
    for one, other in zip(found[0].density.histograms, found[1].density.histograms, strict=True):
        np.testing.assert_array_equal(one, other)


def test_large_data_is_drawn_as_density(plane):
    x, model, _ = plane
    ax = plots.clusters(model, x, rows=100)
    assert "density of all 300 rows" in caption(ax)
    assert len(ax.images) == 1
    assert not artists(ax, "rows of")
    assert len(artists(ax, "component")) == 6
    alpha = ax.images[0].get_array()[:, :, 3]
    assert 0 < (alpha > 0).sum() <= 300
    assert len(plots.clusters(model, x, style="density").images) == 1
    assert not plots.clusters(model, x, rows=300).images


def test_outliers_do_not_decide_how_far_axes_reach():
    x = blobs(0, (100, 100), 2, 6)
    model = GaussianMixture(2, random_state=0).fit(x)
    plain = plots.clusters(model, x)
    far = np.concatenate([x, [[1e6, 1e6], [1e6, 0]]])
    ax = plots.clusters(model, far)
    for limits, before in ((ax.get_xlim(), plain.get_xlim()), (ax.get_ylim(), plain.get_ylim())):
        np.testing.assert_allclose(limits, before, atol=3)
    assert "2 rows outside the axes" in caption(ax)
    assert "outside" not in caption(plain)
    assert len(np.concatenate([p.get_offsets() for p in artists(ax, "rows of")])) == 200
    assert len(artists(plots.uncertainty(model, far), "rows")[0].get_offsets()) == 200


@pytest.mark.parametrize("scale", [1e6, 1e12, 1e60])
def test_components_that_no_axes_show(tmp_path, scale):
    """matplotlib would not end, or not draw: they are left out, and said."""
    x = blobs(0, (100, 100), 2, 6)
    means = [[0, 0], [scale, scale], [6, 6]]
    variances = [[1, 1], [1, 1], [scale**2, scale**2]]
    model = GaussianMixture.from_params([0.9, 0.05, 0.05], means, variances, "diag")
    ax = plots.clusters(model, x)
    assert "component 1 outside the axes; component 2 too wide for an ellipse" in caption(ax)
    assert [n.get_text() for n in artists(ax, "number")] == ["0", "2"]
    assert len(artists(ax, "component")) == 2
    plots.save(ax, tmp_path / "out.png")
    ax = plots.clusters(model, x, features=[0])
    assert "component 1 outside the axes" in caption(ax)
    assert "too wide" not in caption(ax)
    assert len(ax.lines) == 4
    plots.save(ax, tmp_path / "out.png")


def test_axes_reach_to_all_rows_of_a_gaussian():
    values = np.random.default_rng(0).normal(size=20_000)
    lo, hi = cloud.robust_limits(values)
    assert lo < values.min() < values.max() < hi
    assert hi - lo < 1.2 * np.ptp(values)
    np.testing.assert_allclose(
        cloud.robust_limits(1e-9 * values + 7), 1e-9 * np.array([lo, hi]) + 7, rtol=1e-15
    )


@pytest.mark.parametrize("value", [0.0, 5.0, -1e12])
def test_axes_of_constant_data(value):
    lo, hi = cloud.robust_limits(np.full(30, value))
    assert lo < value < hi


@pytest.mark.parametrize(("lo", "hi", "most"), [(0, 255, 100), (0, 255, 240), (-7, 30, 100)])
def test_whole_numbers_fall_amid_bins(lo, hi, most):
    """Each bin holds as many whole numbers as the next: no comb in the histogram of pixels."""
    values = np.arange(lo, hi + 1.0)
    edges = cloud.edges_of(values, cloud.robust_limits(values), most, 10**6)
    counts = np.histogram(values, edges)[0]
    assert counts.sum() == len(values)
    inner = np.trim_zeros(counts)
    assert len(set(inner[:-1])) == 1
    assert len(counts) <= most


def test_rows_that_are_not_finite_are_named(plane, tmp_path):
    x, model, _ = plane
    x = x.copy()
    x[211, 1] = np.nan
    path = tmp_path / "bad.npy"
    np.save(path, x)
    for options in ({}, {"style": "density"}, {"rows": 10}):
        with pytest.raises(DataError, match=r"row 211 .*column 1 is NaN"):
            plots.clusters(model, path, **options)


# -- one feature, pairs, projection ----------------------------------------------------------------


@pytest.mark.parametrize("style", ["points", "density"])
def test_one_feature(style):
    x, model = sampled("diag", 3, 1, 2000)
    ax = plots.clusters(model, x, style=style)
    (bars,) = [p for p in ax.patches if hasattr(p, "get_data")]
    heights, edges, _ = bars.get_data()
    inside = ((x >= edges[0]) & (x <= edges[-1])).mean()
    assert (heights * np.diff(edges)).sum() == pytest.approx(inside)
    deviations = np.sqrt(model.covariances_[:, 0])

    def density(x, k):
        return model.weights_[k] * norm.pdf(x, model.means_[k, 0], deviations[k])

    *components, mixture = ax.lines
    for k, curve in enumerate(components):
        expected = density(curve.get_xdata(), k)
        np.testing.assert_allclose(curve.get_ydata(), expected, rtol=1e-10, atol=1e-300)
    assert mixture.get_gid() == "mixture"
    expected = sum(density(mixture.get_xdata(), k) for k in range(3))
    np.testing.assert_allclose(mixture.get_ydata(), expected, rtol=1e-9)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 0", "density")
    # where the curve is a spike, points of it lie on the spike
    narrow = GaussianMixture.from_params([0.5, 0.5], [[0], [50.0]], [[1], [1e-6]], "diag")
    curve = plots.clusters(narrow, np.linspace(0, 60, 100)[:, None]).lines[1]
    assert curve.get_ydata().max() == pytest.approx(0.5 * norm.pdf(0) / 1e-3, rel=1e-3)


def test_pairs():
    x, model = sampled("full", 3, 4, 120)
    frame = pd.DataFrame(x, columns=list("abcd"))
    model = GaussianMixture(3, random_state=0).fit(frame)
    axes = plots.clusters(model, frame)
    assert axes.shape == (4, 4)
    labels = model.predict(frame)
    for row in range(4):
        for column in range(4):
            ax = axes[row, column]
            if column > row:
                assert not ax.axison
            elif column < row:
                offsets = np.concatenate([p.get_offsets() for p in artists(ax, "rows of")])
                order = np.argsort(labels, kind="stable")
                np.testing.assert_array_equal(offsets, x[order][:, [column, row]])
                assert len(artists(ax, "component")) == 6
                assert ax.get_ylim() == axes[row, 0].get_ylim()
            else:
                assert len(ax.lines) == 4
    assert [ax.get_xlabel() for ax in axes[-1]] == list("abcd")
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["", "b", "c", "d"]
    assert len(legend_texts(axes[0, 1])) == 3
    figure = axes[0, 0].figure
    assert figure.get_suptitle() == "3 components, full covariance"
    assert "all 120 rows" in figure.get_supxlabel()


def test_many_features_are_projected():
    x, model = sampled("full", 3, 8, 100)
    ax = plots.clusters(model, x)
    names = [f"feature {j}" for j in range(8)]
    view = discriminant_view(model.result_.params, names)
    labels = model.predict(x)
    offsets = np.concatenate([p.get_offsets() for p in artists(ax, "rows of")])
    order = np.argsort(labels, kind="stable")
    np.testing.assert_allclose(offsets, view.rows(x)[order])
    assert [ax.get_xlabel(), ax.get_ylabel()] == view.names
    assert "separate the components best" in caption(ax)
    axes = plots.clusters(model, x, view="pairs")
    assert axes.shape == (5, 5)
    assert "5 of 8 features" in axes[0, 0].figure.get_supxlabel()
    ax = plots.clusters(model, x, features=["6", 2])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 6", "feature 2")


# -- uncertainty and silhouettes -------------------------------------------------------------------


def test_uncertainty(plane):
    x, model, _ = plane
    ax = plots.uncertainty(model, x)
    expected = 1 - model.predict_proba(x).max(axis=1)
    (points,) = artists(ax, "rows")
    order = np.argsort(expected, kind="stable")
    np.testing.assert_allclose(points.get_array(), expected[order], atol=1e-12)
    np.testing.assert_array_equal(points.get_offsets(), x[order])
    assert (np.diff(points.get_sizes()) >= 0).all()  # the most uncertain large, and on top
    assert f"mean {expected.mean():.3g}" in caption(ax)
    assert any("uncertainty" in a.get_ylabel() for a in ax.figure.axes if a is not ax)


def test_uncertainty_of_one_and_of_many_features():
    x, model = sampled("full", 2, 1, 80)
    ax = plots.uncertainty(model, x)
    expected = 1 - model.predict_proba(x).max(axis=1)
    labels = model.predict(x)
    for k, points in zip(np.unique(labels), artists(ax, "rows of"), strict=True):
        np.testing.assert_allclose(
            points.get_offsets(), np.column_stack([x[labels == k, 0], expected[labels == k]])
        )
    x, model = sampled("full", 3, 4, 80)
    assert "discriminant 1" in plots.uncertainty(model, x).get_xlabel()
    with pytest.raises(DataError, match="one or two features"):
        plots.uncertainty(model, x, features=[0, 1, 2])


def test_silhouettes(plane):
    x, model, _ = plane
    ax = plots.silhouette(model, x)
    labels = model.predict(x)
    expected = silhouette_samples(x, labels)
    bars = artists(ax, "of ")
    assert [b.get_gid() for b in bars] == ["of 0", "of 1", "of 2"]
    for k, one in enumerate(bars):
        np.testing.assert_allclose(
            one.get_data()[0], np.sort(expected[labels == k])[::-1], atol=1e-10
        )
    (mean,) = artists(ax, "mean")
    assert mean.get_xdata() == pytest.approx([expected.mean()] * 2)
    assert "mean" in caption(ax)
    assert "60 of 300 rows drawn (seed 4)" in caption(plots.silhouette(model, x, rows=60, seed=4))


def test_silhouettes_need_components(plane):
    x, model, _ = plane
    with pytest.raises(DataError, match="needs two components"):
        plots.silhouette(GaussianMixture(1).fit(x), x)
    with pytest.raises(DataError, match="rows in at least two components"):
        plots.silhouette(model, x[:1])


# -- log-likelihood and criteria -------------------------------------------------------------------


def test_loglik(plane):
    x, _, _ = plane
    model = GaussianMixture(3, random_state=0, init_params="random").fit(x)
    (line,) = plots.loglik(model).lines
    np.testing.assert_allclose(line.get_ydata(), model.lower_bounds_)
    np.testing.assert_array_equal(line.get_xdata(), np.arange(model.n_iter_ + 1))
    assert f"after {model.n_iter_} iteration" in caption(plots.loglik(model))
    assert "converged" in caption(plots.loglik(model.result_))
    (line,) = plots.loglik([-3.0, -2.0, -1.5]).lines
    np.testing.assert_array_equal(line.get_ydata(), [-3, -2, -1.5])


def test_loglik_of_a_model_without_a_fit(plane):
    with pytest.raises(DataError, match="no log-likelihoods of iterations"):
        plots.loglik(plane[1])
    with pytest.raises(DataError, match="a fitted model or a list"):
        plots.loglik("abc")


def table(**values):
    """Rows for K = 1, 2, 3 and the families that are named, with these values of bic."""
    return [
        {"n_components": k + 1, "covariance_type": family, "bic": value, "silhouette": value}
        for family, column in values.items()
        for k, value in enumerate(column)
    ]


def test_criteria_have_a_line_for_each_family():
    ax = plots.criteria(table(full=[3.0, 1.0, 2.0], diag=[4.0, 0.5, 6.0]))
    full, diag, best = ax.lines
    assert (full.get_label(), diag.get_label()) == ("full", "diag")
    np.testing.assert_array_equal(full.get_xydata(), [[1, 3], [2, 1], [3, 2]])
    np.testing.assert_array_equal(diag.get_xydata(), [[1, 4], [2, 0.5], [3, 6]])
    np.testing.assert_array_equal(best.get_xydata(), [[2, 0.5]])
    assert best.get_label() == "best: 2, diag"
    assert caption(ax) == "lower is better"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("components", "BIC")


def test_criteria_that_are_better_when_higher():
    ax = plots.criteria(table(full=[None, 0.3, 0.2], diag=[float("nan"), 0.1, 0.2]), "silhouette")
    np.testing.assert_array_equal(ax.lines[-1].get_xydata(), [[2, 0.3]])
    assert caption(ax).startswith("higher is better; 2 of 6 fits")
    assert plots.criteria([r | {"cv": -r["bic"]} for r in table(full=[3.0, 1.0])], "cv").lines[
        -1
    ].get_xydata().tolist() == [[2, -1.0]]


def test_fits_that_failed_are_not_drawn():
    rows = table(full=[3.0, 1.0, 2.0])
    rows[1] |= {"failure": "singular"}
    ax = plots.criteria(rows)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 3], [3, 2]])
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), [[3, 2]])
    del rows[2]["bic"]
    assert len(plots.criteria(rows).lines[0].get_xydata()) == 1


def test_criteria_mark_what_cannot_win_and_what_knows_the_rounding():
    rows = table(full=[3.0, 2.0, 1.0])
    rows[1] |= {"rounded": True}
    rows[2] |= {"unsound": "component 1 collapsed"}
    _, unsound, rounded, best = plots.criteria(rows).lines
    assert unsound.get_xydata().tolist() == [[3, 1.0]]
    assert rounded.get_xydata().tolist() == [[2, 2.0]]
    assert best.get_xydata().tolist() == [[2, 2.0]]


def test_criteria_of_a_search(plane):
    found = search(plane[0], range(1, 4), covariance=["full", "tied"], criterion="icl")
    ax = plots.criteria(found)
    assert ax.get_ylabel() == "ICL"
    np.testing.assert_array_equal(
        ax.lines[1].get_ydata(),
        [r["icl"] for r in found.table if r["covariance_type"] == "tied"],
    )
    best = f"best: {found.best.n_components}, {found.best.covariance_type}"
    assert ax.lines[-1].get_label() == best
    printed = {"criterion": "icl", "candidates": json.loads(json.dumps(found.table))}
    assert plots.criteria(printed).lines[-1].get_label() == best
    assert plots.criteria(found, "bic").get_ylabel() == "BIC"


@pytest.mark.parametrize(
    ("wrong", "criterion", "message"),
    [
        ([], None, "not the table of a search"),
        ([{"bic": 1}], None, "not the table of a search"),
        ({"best": 1}, None, "not the table of a search"),
        ("abc", None, "not the table of a search"),
        (table(full=[1.0]), "bci", "unknown criterion 'bci'; choose from bic"),
        (table(full=[1.0]), "aic", "no values of aic"),
        (table(full=[None]), "bic", "no values of bic"),
    ],
)
def test_wrong_tables(wrong, criterion, message):
    with pytest.raises(DataError, match=message):
        plots.criteria(wrong, criterion)


# -- where it is drawn, and files ------------------------------------------------------------------


def test_an_axes_that_is_given_is_drawn_on(plane):
    x, model, _ = plane
    axes = Figure().subplots(2, 3).flat
    assert plots.clusters(model, x, ax=axes[0]) is axes[0]
    assert plots.uncertainty(model, x, ax=axes[1]) is axes[1]
    assert plots.silhouette(model, x, ax=axes[2]) is axes[2]
    assert plots.criteria(table(full=[1.0, 2.0]), ax=axes[3]) is axes[3]
    assert plots.loglik([1.0, 2.0], ax=axes[4]) is axes[4]
    with pytest.raises(DataError, match="ax must be a matplotlib Axes, not int"):
        plots.loglik([1.0, 2.0], ax=3)
    x, model = sampled("full", 2, 3, 30)
    grid = Figure().subplots(3, 3)
    assert (plots.clusters(model, x, ax=grid) == grid).all()
    assert "all 30 rows" in caption(grid[0, 0])
    with pytest.raises(DataError, match=r"3 x 3 Axes, not \(2, 2\)"):
        plots.clusters(model, x, ax=Figure().subplots(2, 2))


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_picture_has_the_same_bytes(plane, tmp_path, ending):
    x, model, _ = plane
    paths = [tmp_path / f"{i}.{ending}" for i in range(2)]
    for path in paths:
        plots.save(plots.clusters(model, x), path, dpi=60)
    one, other = (path.read_bytes() for path in paths)
    assert one == other
    assert len(one) > 1000
    assert sorted(os.listdir(tmp_path)) == [f"0.{ending}", f"1.{ending}"]


def test_pictures_have_their_size(plane, tmp_path):
    plots.save(plane[2], tmp_path / "a.PNG", dpi=50)
    with Image.open(tmp_path / "a.PNG") as image:
        assert image.size == (320, 240)
    x, model = sampled("full", 2, 3, 30)
    plots.save(plots.clusters(model, x), tmp_path / "pairs.png", dpi=50)
    with Image.open(tmp_path / "pairs.png") as image:
        assert image.size == (320, 240)


def test_wrong_files(plane, tmp_path):
    ax = plane[2]
    with pytest.raises(DataError, match=r"out\.bmp: unknown ending; use \.png, \.svg"):
        plots.save(ax, tmp_path / "out.bmp")
    with pytest.raises(DataError, match="create it first"):
        plots.save(ax, tmp_path / "none" / "out.png")
    with pytest.raises(DataError, match="100 million pixels"):
        plots.save(ax, tmp_path / "out.png", dpi=10_000)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": [2]}, "has no column 2"),
        ({"features": ["nix"]}, "has no column 'nix'"),
        ({"features": [0, 0]}, "asked for twice"),
        ({"features": []}, "columns is empty"),
        ({"features": [0], "view": "projection"}, "contradict"),
        ({"view": "both"}, "unknown view 'both'; choose from auto, pairs, projection"),
        ({"style": "dots"}, "unknown style 'dots'"),
        ({"rows": 0}, "rows must be at least 1"),
        ({"rows": 1.5}, "rows must be an integer"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"levels": [0]}, "levels must be positive"),
    ],
)
def test_wrong_calls(plane, options, message):
    with pytest.raises(DataError, match=message):
        plots.clusters(plane[1], plane[0], **options)


def test_wrong_models_and_data(plane):
    x, model, _ = plane
    with pytest.raises(DataError, match="3 features, but GaussianMixture is expecting 2"):
        plots.clusters(model, np.ones((5, 3)))
    with pytest.raises(DataError, match="from_sklearn makes one"):
        plots.clusters(model.to_sklearn(), x)
    wide, many = sampled("spherical", 2, 7, 20)
    with pytest.raises(DataError, match="6 features are too many"):
        plots.clusters(many, wide, features=range(6))


def test_no_display_no_pyplot_and_nothing_global(tmp_path):
    """Whatever the backend that is asked for; importing `plots` alone loads no matplotlib."""
    code = (
        "import sys, gmm_fast\n"
        "plots = gmm_fast.plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import matplotlib\n"
        "before = dict(matplotlib.rcParams)\n"
        "plots.save(plots.loglik([1.0, 2.0]), 'a.svg')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert dict(matplotlib.rcParams) == before\n"
    )
    env = {k: v for k, v in os.environ.items() if k != "DISPLAY"} | {"MPLBACKEND": "TkAgg"}
    env["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=tmp_path, env=env)
    assert (tmp_path / "a.svg").exists()


def test_threads_draw_the_same(plane, tmp_path):
    x, model, _ = plane

    def drawn(i):
        path = tmp_path / f"{i}.svg"
        plots.save(plots.clusters(model, x), path)
        return path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(drawn, range(4)))) == 1


def test_matplotlib_is_missing(plane, monkeypatch):
    x, model, _ = plane
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    calls = [
        lambda: plots.clusters(model, x),
        lambda: plots.uncertainty(model, x),
        lambda: plots.silhouette(model, x),
        lambda: plots.loglik([1.0]),
        lambda: plots.criteria(table(full=[1.0])),
    ]
    for call in calls:
        with pytest.raises(DataError, match=r"needs matplotlib: pip install 'gmm-fast\[plot\]'"):
            call()


# -- films -----------------------------------------------------------------------------------------


def recorded(n_iter, k=2):
    """A `Recorder` after a fit of so many iterations, and the result of it."""
    params = random_params(np.random.default_rng(0), "full", k, 2)
    recorder = Recorder()
    trace = tuple(float(i) for i in range(n_iter + 1))
    for i in range(n_iter + 1):
        recorder(em.State(params, trace[: i + 1], 0, (), np.zeros(k, bool), {}, {}))
    result = em.FitResult(params, trace[-1], 0.0, 50.0, 50, list(trace), n_iter, True, "tolerance")
    recorder.finish(result)
    return recorder, result


@pytest.mark.parametrize("n_iter", [0, 1, 7, MOST_FRAMES, MOST_FRAMES + 1, 1000])
def test_frames_are_few_and_evenly_apart(n_iter):
    recorder, _ = recorded(n_iter)
    iterations = [frame[0] for frame in recorder.frames]
    assert (iterations[0], iterations[-1]) == (0, n_iter)
    assert len(iterations) <= MOST_FRAMES + 1
    assert len(iterations) > min(n_iter, MOST_FRAMES // 2)
    apart = np.diff(iterations)
    assert len(set(apart[:-1])) <= 1
    assert all(last <= apart[0] for last in apart[-1:])
    assert [frame[1] for frame in recorder.frames] == iterations  # each with its likelihood


@pytest.mark.parametrize("d", [1, 2, 4])
def test_a_film_has_its_frames(tmp_path, d):
    x, model = sampled("full", 2, d, 50)
    params = model.result_.params
    frames = [(i, -100.0 + i, params) for i in (0, 4, 8, 9)]
    facts = []
    for name in ("a.gif", "b.gif"):
        backend = LocalBackend(ArraySource(x))
        facts.append(write_animation(tmp_path / name, backend, frames, 50.0, rows=20))
    assert facts[0] == {"frames": 4, "rows": 20, "n_samples": 50}
    with Image.open(tmp_path / "a.gif") as film:
        assert film.n_frames == 4
        assert film.info["loop"] == 0
        assert film.size == (640, 480)
        pictures = []
        for i in range(4):
            film.seek(i)
            pictures.append(np.asarray(film.convert("RGB")))
        assert film.info["duration"] > 1000
    # iteration and log-likelihood are written anew, the rest stays
    for one, other in pairwise(pictures):
        changed = np.flatnonzero((one != other).any(axis=(1, 2)))
        assert len(changed) > 0
        assert changed.max() < 60
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_wrong_endings_of_films(tmp_path):
    x, model = sampled("full", 2, 2, 50)
    frames = [(0, 0.0, model.result_.params)]
    with pytest.raises(DataError, match=r"a\.png: unknown ending; use \.gif"):
        write_animation(tmp_path / "a.png", LocalBackend(ArraySource(x)), frames, 50.0)
