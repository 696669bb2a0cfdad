"""The results of `make bench` as JSON and Markdown."""

import json

import rows
from figures import quantity, table

TITLES = {
    "rows": "EM iterations",
    "threads": "Threads",
    "fits": "Default fits",
    "scoring": "Scoring",
    "silhouette": "Silhouette",
    "memory": "Memory",
    "processes": "Processes",
}
HEAD = ("what", "measured", "target", "verdict", "detail")


def sentence(facts):
    """Machine and versions in a line."""
    return ", ".join(f"{name} {value}" for name, value in facts.items()) + "."


def tally(figures):
    """How many targets are met, as text."""
    judged = [figure for figure in figures if figure.met is not None]
    return f"{sum(figure.met for figure in judged)} of {len(judged)} targets met"


def markdown(facts, sections, results, seconds):
    """The whole report.

    Parameters
    ----------
    facts : dict
    sections : dict of list of Figure
    results : list of dict
        What `rows.bench_row` returned.
    seconds : float
        Of the whole run.
    """
    everything = [figure for figures in sections.values() for figure in figures]
    lines = [
        "# gmm-fast beside its peers",
        "",
        f"Made by `make bench` in {quantity(seconds / 60, 'minutes')}: {tally(everything)}.",
        "",
        sentence(facts),
        "",
        "Every competitor starts from the same parameters, and all must have the same "
        "log-likelihood after the same iterations (1e-9 relative in float64, 1e-5 in float32), "
        "or the run fails. They are measured in turn, in one process; a time per iteration is "
        "the difference of a long and a short run, or, for who needs more than half a second, a "
        "run of four divided by five (each run has an E-step besides). Ratios are of medians.",
    ]
    for name, figures in sections.items():
        lines += ["", f"## {TITLES[name]}", ""]
        if name == "rows":
            lines += [
                "Milliseconds per iteration: median [lowest, highest].",
                "",
                *rows.markdown(results),
                "",
            ]
        lines += table(HEAD, [figure.cells() for figure in figures])
    return "\n".join(lines) + "\n"


def document(facts, sections, results, seconds):
    """The same as JSON text."""
    whole = {
        "machine": facts,
        "seconds": seconds,
        "figures": {
            name: [figure.as_json() for figure in figures] for name, figures in sections.items()
        },
        "rows": results,
    }
    return json.dumps(whole, indent=1) + "\n"


def write(folder, facts, sections, results, seconds):
    """Write compare.json and compare.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "compare.json").write_text(document(facts, sections, results, seconds))
    (folder / "compare.md").write_text(markdown(facts, sections, results, seconds))
