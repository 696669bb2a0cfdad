"""gmm-fast: Gaussian mixtures fitted by EM, exactly, at the speed the processor allows.

    from gmm_fast import GaussianMixture, open_source, search, load, save

Where to change what: a covariance family in `families.py`, a data format in `sources/`, a stop rule
in `em.py`, what is added to variances in `regularisation.py`, a way to start in `init.py` (the
search for the optimum in `optimum.py`: the race of starts in `race.py`, local moves in `moves.py`
and `newcomers.py`, how they follow one another in `climbing.py`, which solution is the better one
in `judge.py`, short runs of EM in `short.py`; wide data in `wide.py`, with partitions in
`spaces.py` and `one_covariance.py`, judged in `evidence.py`; scikit-learn's own starts in
`named_starts.py`), a step on a batch in `incremental.py`, models to and from elsewhere in
`convert.py` (attributes set by hand in `byhand.py`, subclasses' hooks in `hooks.py`), names of
features in `names.py`, what a model knows of how its data was read in `alike.py`, tables that are
written in `tablefiles.py`, a criterion in `criteria.py`,
which candidate of a search is the best and what is doubtful in `choice.py`, a search's course in
`selection.py` (how its fits share work in `searching.py`, cross-validation in `crossval.py`), a
kernel in `kernels/`, where a pass over the data runs in `backends/`, what a parameter of the
estimator may be in `arguments.py`, a command in `cli.py`, its options in `options.py`, its tables
in `report.py`, the live line in `progress.py`, what `verbose` says in `log.py`, the HTML page to
pass on in `page/`, what a checkpoint holds in `checkpoint.py`, pictures in `plots.py` (over a
backend in `composition.py`, what is looked at in `views.py`, what is drawn on one Axes in
`drawing.py`, what captions say in `captions.py`, which rows in `cloud.py`, through which axes in
`projection.py`, files in `canvas.py`, films in `animation.py`, the commands' in `picturing.py`).
"""

from .errors import DataError, FitError, ModelFileError

__version__ = "0.1.0"

__all__ = [
    "DataError",
    "FitError",
    "GaussianMixture",
    "ModelFileError",
    "SearchResult",
    "load",
    "open_source",
    "plots",
    "save",
    "search",
]

_HOMES = {
    "GaussianMixture": "estimator.gaussian_mixture",
    "SearchResult": "estimator.search",
    "load": "estimator.search",
    "open_source": "sources",
    "plots": "plots",
    "save": "estimator.search",
    "search": "estimator.search",
}


def __getattr__(name):
    # on first use: `gmm-fast --help` needs neither Numba nor scikit-learn
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    home = import_module(f".{_HOMES[name]}", __name__)
    value = home if name == _HOMES[name] else getattr(home, name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOMES])
