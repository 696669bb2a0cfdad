"""Mixtures from arrays, results and scikit-learn's estimators, and back to these."""

from sklearn.utils.validation import check_is_fitted

from . import convert
from .recipe import Recipe


class Exchange:
    """To and from other classes."""

    @classmethod
    def from_result(cls, result, *, recipe=None, **parameters):
        """A fitted estimator with the parameters of a `FitResult`, and how its data was read."""
        params = result.params
        model = cls(params.n_components, covariance_type=params.covariance_type, **parameters)
        model._take(result, recipe)
        return model

    @classmethod
    def from_params(
        cls, weights, means, covariances, covariance_type=None, *, n_samples=1, **parameters
    ):
        """A model of a mixture that was found elsewhere.

        Parameters
        ----------
        weights : (K,) array-like
        means : (K, d) array-like
        covariances : array-like
            full (K, d, d), tied (d, d), diag (K, d), spherical (K,).
        covariance_type : str, optional
            By default what the shape of the covariances says, where it can be but one.
        n_samples : float, default=1
            Samples that it counts for when `partial_fit` goes on from it.
        **parameters
            Of the constructor.

        Returns
        -------
        GaussianMixture
            Fitted as far as its use goes: ``n_iter_`` is 0, ``stop_reason_`` 'no fit', and
            ``lower_bound_``, which nobody knows, NaN.

        Raises
        ------
        DataError
            A ValueError: shapes that do not belong together or may be of several families, values
            that are not finite, weights that are negative or do not sum to 1, a covariance that is
            not symmetric and positive definite.

        Examples
        --------
        >>> from gmm_fast import GaussianMixture
        >>> model = GaussianMixture.from_params([0.5, 0.5], [[0, 0, 0], [9, 9, 9]], [1.0, 4.0])
        >>> model
        GaussianMixture(covariance_type='spherical', n_components=2)
        >>> model.predict([[8, 8, 8]])
        array([1])
        """
        params = convert.checked_params(weights, means, covariances, covariance_type)
        return cls.from_result(convert.result_of(params, n_samples), **parameters)

    @classmethod
    def from_sklearn(cls, model, *, n_samples=1, **parameters):
        """A model of a fitted mixture of scikit-learn's.

        Parameters
        ----------
        model : sklearn.mixture.GaussianMixture or BayesianGaussianMixture
            Of the second the point estimates ``weights_``, ``means_`` and ``covariances_`` are
            taken: its own predictions average over what they may be, too, and differ a little.
        n_samples : float, default=1
            Samples that it counts for when `partial_fit` goes on from it; scikit-learn's mixture
            does not know how many it was fitted to.
        **parameters
            Of the constructor, in place of the model's own.

        Returns
        -------
        GaussianMixture
            With the model's parameters and attributes. The ``lower_bound_`` of a Bayesian one is
            no likelihood: NaN then.

        Raises
        ------
        DataError
            A ValueError: another object, or a mixture that is not valid.
        sklearn.exceptions.NotFittedError
        """
        result = convert.result_of_sklearn(model, n_samples)
        ours = cls.from_result(result, **(convert.shared_parameters(model) | parameters))
        ours._take(result, Recipe(getattr(model, "feature_names_in_", None)))
        return ours

    def to_sklearn(self):
        """This model as scikit-learn's, for what takes no other.

        Returns
        -------
        sklearn.mixture.GaussianMixture
            Fitted: the same mixture, parameters of the constructor where it has them ('auto',
            which it does not know, is its default), and predictions equal but for rounding.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        check_is_fitted(self, "means_")
        return convert.to_sklearn(self, self._params())
