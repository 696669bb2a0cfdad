"""gmm-fast: Gaussian mixtures fitted by EM, exactly, at the speed the processor allows.

    from gmm_fast import GaussianMixture, open_source, search, load, save

The rooms, from the bottom up; each imports from those above it in this list only:

- `errors`, `log`, `names`, `text`, `checks`: exceptions, `verbose`, the names of the command line,
  numbers in words, checks of arguments
- `kernels`: all compiled code
- `mixture`: what a mixture is: parameters, `families` of covariances, statistics, forms for kernels
- `sources`: data opened and yielded in chunks, a module for each format
- `files`: what is written: archives, models, tables, in one piece or not at all
- `backends`: where a pass over the data runs: threads, Dask workers, within which memory
- `em`: the loop, its settings, rescue of components, what is added to variances
- `starts`: where EM starts: seeds, partitions, the race, moves, the judge of them, wide data
- `fitting`: one fit, from data to result; checkpoints; streams of batches
- `selection`: criteria, silhouettes, cross-validation, the search, its choice
- `plots`: pictures; `page`: the report to pass on
- `estimator`: the Python face
- `cli`: the command line

To add

- a family of covariances: a class in `mixture/families`, and its name in `names`
- a format of data: a module in `sources`, and its endings in `sources/paths.py`
- a way to start: a function in `starts/named_starts.py`, or a candidate of the race in
  `starts/optimum.py`, and its name in `names`
- a criterion: a function in `selection/criteria.py`, and its name in `names`
- a command: a function in `cli/main.py`, which calls one in `cli/commands.py`
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
    "write_report",
]

_HOMES = {
    "GaussianMixture": "estimator.gaussian_mixture",
    "SearchResult": "estimator.search",
    "load": "estimator.search",
    "open_source": "sources",
    "plots": "plots",
    "save": "estimator.search",
    "search": "estimator.search",
    "write_report": "page",
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
