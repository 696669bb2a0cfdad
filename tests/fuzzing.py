"""What the fuzz tests share: how many cases they run, and what a fitted model is."""

import os

import numpy as np


def cases(few):
    """`few` in `make test`; in `make fuzz` what FUZZ_CASES says."""
    return int(os.environ.get("FUZZ_CASES") or few)


def check_fitted(model, rounding=1e-9, told=True):
    """The attributes are those of a Gaussian mixture, and belong together.

    `told`: what is said of how likely it is, too.
    """
    family = model.result_.params.covariance_type
    k, d = model.means_.shape
    shape = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}[family]
    assert model.weights_.shape == (k,)
    for name in ("covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(model, name).shape == shape, name
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        array = getattr(model, name)
        assert array.dtype == np.float64
        assert np.isfinite(array).all(), name
    assert (model.weights_ >= 0).all()
    assert abs(model.weights_.sum() - 1) < rounding
    covariances, factor = model.covariances_, model.precisions_cholesky_
    if family in ("full", "tied"):
        np.testing.assert_array_equal(factor, np.triu(factor))
        asymmetry = np.abs(covariances - np.swapaxes(covariances, -1, -2)).max()
        assert asymmetry <= 1e-10 * np.abs(covariances).max()
        product = np.swapaxes(factor, -1, -2) @ np.linalg.cholesky(covariances)
        # two ways to a Cholesky factor part by as much as the matrix is ill-conditioned
        deviations = np.sqrt(np.diagonal(covariances, axis1=-2, axis2=-1))
        correlations = covariances / deviations[..., None] / deviations[..., None, :]
        apart = min(1.0, 1e-5 + np.finfo(float).eps * np.linalg.cond(correlations).max())
        np.testing.assert_allclose(product, np.broadcast_to(np.eye(d), shape), atol=apart)
    else:
        assert (covariances > 0).all()
        np.testing.assert_allclose(factor * np.sqrt(covariances), 1, rtol=1e-9)
    assert model.n_features_in_ == d
    if told:
        assert np.isfinite(model.lower_bounds_).all()
        assert model.lower_bounds_[-1] == model.lower_bound_
        if model.stop_reason_ != "partial_fit":
            assert len(model.lower_bounds_) == model.n_iter_ + 1
    assert all(type(event) is str for event in model.events_)
