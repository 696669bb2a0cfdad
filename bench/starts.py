"""What default starts lead to: the best likelihood known, clusters in wide data, times, laws.

    python bench/starts.py                        # everything, 50 seeds, some forty minutes
    python bench/starts.py wide --seeds 5         # a group
    python bench/starts.py iris china_5 --out .   # some cases; of others the file keeps what it has

Groups: smooth and rugged cases (default fits from many seeds beside the best likelihood known),
unseen ones (the same on data that nobody tunes on), wide data (clusters, held-out rows), times
(beside scikit-learn's single start), rounded data (what searches choose), effort (likelihood
against it) and search (its laws).
"""

import json
import time
import warnings
from types import ModuleType
from typing import NamedTuple

import report
import starts_cases as cases
import starts_effort
import starts_fits
import starts_laws
import starts_rounded
import starts_times
import starts_wide
from report import figure_table, show, table, tally
from sklearn.exceptions import ConvergenceWarning

SEEDS = 50


class Group(NamedTuple):
    """Cases that are measured alike, and the section on them.

    A `kind` has measure(name, case, seeds) -> JSON values, and of such a result figures_of, and
    row, a table's, with its `HEAD`.
    """

    kind: ModuleType
    cases: dict
    title: str
    says: str


FITS = (
    f"Fits at the defaults. Found is what ends within {starts_fits.NEAR:g} a sample of the best "
    "log-likelihood known: mclust's value where there is one, else the best of all runs, of EM "
    "from the components that samples were drawn from, and of bench/best_known.json, the long "
    "searches of bench/best_known.py. A fit is not sound, and not found, when a component has no "
    "more rows than features or has collapsed. scikit-learn makes as many fits as its seconds "
    f"allow, and {starts_fits.FEWEST} at least; what its n_init=10 reaches, where that takes "
    "minutes, is computed from its single starts: ten of them are what it is."
)
WIDE = (
    "Full covariances, few rows for each; least … highest of the seeds (scikit-learn's in "
    "brackets). Held-out rows are drawn from the same clusters, or a fifth of the digits."
)
ROUNDED = (
    "What searches from 1 to 8 choose by BIC, a data set for each seed, and what default fits "
    "to photos in integers end in. Small counts are skewed: of Poisson's of 4 the lowest BIC, "
    "with the rounding taken into account or not, has two or three Gaussians."
)
LEVEL = "The same on data with many nearly level optima."
UNSEEN = "The same on data that nobody tunes starts on."
EFFORT = "Likelihood against the effort of a fit."
TIMES = "Default fits in turn with scikit-learn's single start; median [lowest, highest]."
LAWS = "Laws of a search in log-likelihood a sample, the worst of all seeds and candidates."
GROUPS = {
    "smooth": Group(starts_fits, cases.SMOOTH_CASES, "Smooth cases", FITS),
    "rugged": Group(starts_fits, cases.RUGGED_CASES, "Rugged cases", LEVEL),
    "unseen": Group(starts_fits, cases.UNSEEN_CASES, "Unseen cases", UNSEEN),
    "wide": Group(starts_wide, cases.WIDE_CASES, "Wide data", WIDE),
    "rounded": Group(starts_rounded, cases.ROUNDED_CASES, "Rounded data", ROUNDED),
    "effort": Group(starts_effort, cases.EFFORT_CASES, "Effort", EFFORT),
    "times": Group(starts_times, cases.TIMES_CASES, "Times", TIMES),
    "search": Group(starts_laws, cases.SEARCH_CASES, "Search", LAWS),
}


def group_of(name):
    """The group that a case belongs to."""
    return next(group for group in GROUPS.values() if name in group.cases)


def chosen(names):
    """The cases that names of cases and groups stand for, in order; all without any."""
    everything = [name for group in GROUPS.values() for name in group.cases]
    wanted = {n for name in names for n in (GROUPS[name].cases if name in GROUPS else [name])}
    return [name for name in everything if name in wanted] if names else everything


def measured(name, seeds):
    """The result of a case, its own seconds with it."""
    group = group_of(name)
    began = time.perf_counter()
    result = group.kind.measure(name, group.cases[name], seeds)
    return result | {"seeds": seeds, "seconds": time.perf_counter() - began}


def figures_of(results):
    """Those of all results, in order."""
    return [f for name, result in results.items() for f in group_of(name).kind.figures_of(result)]


def section(group, results):
    """A group's part of the report."""
    mine = {name: result for name, result in results.items() if name in group.cases}
    if not mine:
        return []
    found, rows = figures_of(mine), map(group.kind.row, mine.values())
    text = [f"## {group.title}", "", f"{group.says} {tally(found)}.", ""]
    return [*text, *table(group.kind.HEAD, rows), "", *figure_table(found), ""]


def markdown(content):
    """The report."""
    results, facts = content["results"], report.sentence(content["machine"])
    seeds = sorted({result["seeds"] for result in results.values()})
    minutes = sum(result["seconds"] for result in results.values()) / 60
    made = f"Made by `make bench-starts` in {minutes:.0f} minutes; {tally(figures_of(results))}."
    text = ["# Starts", "", f"{made} {facts}", ""]
    text += [
        f"Seeds asked for: {', '.join(map(str, seeds))}; fits that take long are made from fewer, "
        "as the tables say.",
        "",
    ]
    for group in GROUPS.values():
        text += section(group, results)
    return "\n".join(text)


def write(folder, results):
    """Write starts.json and starts.md: of cases not measured now, what the file says."""
    path = folder / "starts.json"
    before = json.loads(path.read_text())["results"] if path.exists() else {}
    results = before | results
    results = {name: results[name] for name in chosen([]) if name in results}
    figures = [figure.as_json() for figure in figures_of(results)]
    report.save(folder, "starts", {"figures": figures, "results": results}, markdown)


def main():
    known = [*GROUPS, *chosen([])]
    parser = report.parser(__doc__)
    parser.add_argument("cases", nargs="*", help="groups or cases: " + ", ".join(known))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    args = parser.parse_args()
    if strange := set(args.cases) - set(known):
        parser.error(f"no such case: {', '.join(sorted(strange))}; choose from {', '.join(known)}")
    warnings.simplefilter("ignore", ConvergenceWarning)  # scikit-learn's, and of two iterations
    results = {}
    for name in chosen(args.cases):
        results[name] = measured(name, args.seeds)
        show(figures_of({name: results[name]}))
        if args.out:  # as far as it has come, should it be stopped
            write(args.out, results)
    print(tally(figures_of(results)))


if __name__ == "__main__":
    main()
