"""Methods that make estimators from arrays, results and scikit-learn's mixtures, and back."""

from sklearn.utils.validation import check_is_fitted

from . import convert
from .recipe import Recipe


class Exchange:
    """Mixin: conversion from and to other classes."""

    @classmethod
    def from_result(cls, result, *, recipe=None, **parameters):
        """A fitted estimator from a `FitResult` and the `Recipe` of its data."""
        params = result.params
        model = cls(params.n_components, covariance_type=params.covariance_type, **parameters)
        model._take(result, recipe)
        return model

    @classmethod
    def from_params(
        cls, weights, means, covariances, covariance_type=None, *, n_samples=1, **parameters
    ):
        """A model from the arrays of a mixture.

        Parameters
        ----------
        weights : (K,) array-like
        means : (K, d) array-like
        covariances : array-like
            full (K, d, d), tied (d, d), diag (K, d), spherical (K,).
        covariance_type : str, optional
            By default the family that the shape of the covariances implies, if there is only one.
        n_samples : float, default=1
            Samples that it counts for if `partial_fit` continues from it.
        **parameters
            Of the constructor.

        Returns
        -------
        GaussianMixture
            Ready for use like a fitted one: ``n_iter_`` is 0, ``stop_reason_`` 'no fit', and
            ``lower_bound_``, which is unknown, NaN.

        Raises
        ------
        DataError
            A ValueError: shapes that do not match or fit several families, values that are not
            finite, weights that are negative or do not sum to 1, a covariance that is not symmetric
            and positive definite.

        Examples
        --------
        >>> from gmm_fast import GaussianMixture
        >>> model = GaussianMixture.from_params([0.5, 0.5], [[0, 0, 0], [9, 9, 9]], [1.0, 4.0])
        >>> model
        GaussianMixture(covariance_type='spherical', n_components=2)
        >>> model.predict([[8, 8, 8]])
        array([1])
        """
        params = convert.params_from_arrays(weights, means, covariances, covariance_type)
        return cls.from_result(convert.result_of(params, n_samples), **parameters)

    @classmethod
    def from_sklearn(cls, model, *, n_samples=1, **parameters):
        """A model from a fitted mixture of scikit-learn.

        Parameters
        ----------
        model : sklearn.mixture.GaussianMixture or BayesianGaussianMixture
            A Bayesian one contributes its point estimates ``weights_``, ``means_`` and
            ``covariances_``: its own predictions average over their posterior, and differ slightly.
        n_samples : float, default=1
            Samples that it counts for if `partial_fit` continues from it; scikit-learn's mixture
            does not record how many it was fitted to.
        **parameters
            Of the constructor, in place of the model's own.

        Returns
        -------
        GaussianMixture
            With the model's parameters and attributes; ``lower_bound_`` is NaN for a Bayesian one,
            whose bound is no likelihood.

        Raises
        ------
        DataError
            A ValueError: not a mixture of scikit-learn, or not a valid one.
        sklearn.exceptions.NotFittedError
        """
        result = convert.result_of_sklearn(model, n_samples)
        ours = cls.from_result(result, **(convert.shared_parameters(model) | parameters))
        ours._take(result, Recipe(getattr(model, "feature_names_in_", None)))
        return ours

    def to_sklearn(self):
        """This model as scikit-learn's own class, for code that accepts no other.

        Returns
        -------
        sklearn.mixture.GaussianMixture
            Fitted: the same mixture, the constructor parameters it shares (its default in place of
            'auto', which it does not know), and the same predictions up to rounding.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        check_is_fitted(self, "means_")
        return convert.to_sklearn(self, self._params())
