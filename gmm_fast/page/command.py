"""Write the report of the commands `fit` and `search`."""

from .facts import data_facts, fit_facts, now, report_facts
from .pictures import write_illustrated

# Options that a report shows as settings, and their names there.
SETTINGS = {
    "init": "start",
    "n_init": "rounds of starts",
    "effort": "effort of the search for the optimum",
    "from_model": "started from the model",
    "from_labels": "started from the labels",
    "seed": "seed",
    "tol": "tolerance",
    "max_iter": "most iterations",
    "columns": "columns",
    "memory": "memory in bytes",
    "workers": "workers",
    "scheduler": "scheduler",
}


def write(path, backend, candidate, options, *, rows=None, criterion=None, **more):
    """Write the page of a fit, or of a search that chose `candidate`.

    Parameters
    ----------
    path : str
    backend : Backend
        The data; its survey was made.
    candidate : choice.Candidate
    options : dict
        Options of the command, by parameter.
    rows : list of dict, optional
        The candidates of a search.
    criterion : str, optional
    **more
        Facts for `rendering.render`: command, model, labels, seconds, warnings, and for a search
        margin, runner_up and early_stop; also features, the names of the columns; axis_labels,
        their names on axes, or None; silhouette_rows.
    """
    names, labels = more.pop("features"), more.pop("axis_labels")
    measured = more.pop("silhouette_rows")
    data = data_facts(backend, str(options["data"]), names, options["weights"])
    best = fit_facts(candidate, measured)
    settings = {text: options.get(option) for option, text in SETTINGS.items()}
    settings["threads"] = backend.threads
    facts, rows = report_facts(best, data, rows, criterion, date=now(), settings=settings, **more)
    write_illustrated(
        path,
        facts,
        rows,
        candidate.result,
        backend=backend,
        names=names,
        labels=labels,
        seed=options["seed"],
        silhouette_rows=options["silhouette_rows"],
    )
