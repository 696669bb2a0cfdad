"""Choose the view of a mixture, features or directions, from the options of users."""

from ..errors import DataError
from ..sources.columns import choose
from .projection import discriminant_view, features_view, telling_features

VIEWS = ("auto", "pairs", "projection")
# Limit on the features of a pair plot.
MOST_FEATURES = 5


def view_of(params, names, features=None, view="auto", labels=None):
    """The view of a mixture.

    Parameters
    ----------
    params : Params
    names : list of str or None
        Names of the features.
    features : list of str or int, optional
    view : str
        One of `VIEWS`.
    labels : list of str, optional
        Names for the axes instead.

    Returns
    -------
    projection.View

    Raises
    ------
    DataError
        There are no such features, or too many.
    """
    d = params.n_features
    names = [f"feature {j}" for j in range(d)] if names is None else list(names)
    labels = names if labels is None else labels
    if features is not None:
        columns = _choose(features, names, d)
        if view == "projection":
            raise DataError("features contradict a view of the projection; give one of them")
        return features_view(params, columns, labels)
    if view == "projection" or (view == "auto" and d > MOST_FEATURES):
        if d == 1:
            return features_view(params, [0], labels)
        return discriminant_view(params, names)
    return features_view(params, telling_features(params, MOST_FEATURES), labels)


def plane_of(params, names, features=None, labels=None):
    """The view of a mixture with one or two coordinates; see `view_of`."""
    if features is None and params.n_features > 2:
        return view_of(params, names, view="projection")
    view = view_of(params, names, features, labels=labels)
    if view.n_axes > 2:
        raise DataError("uncertainty is drawn over one or two features; name no more of them")
    return view


def check_several(params):
    """Raise DataError for one component, which has no silhouette."""
    if params.n_components == 1:
        raise DataError("the silhouette needs two components, the model has one; draw another kind")


def _choose(features, names, d):
    """Numbers of the named features."""
    columns = choose(features, names, d, "features")
    if len(columns) > MOST_FEATURES:
        raise DataError(
            f"{len(columns)} features are too many for one picture; name at most {MOST_FEATURES}"
        )
    return columns
