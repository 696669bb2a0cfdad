"""Turn facts into the tables of the page; their size is bounded."""

import shlex

import numpy as np

from ..mixture.families import get_family
from ..mixture.resolution import steps_text
from ..selection.choice import not_converged
from ..selection.criteria import HIGHER
from ..text import count, mean_and_deviation, shorten, stage_seconds, weight
from .facts import is_number, is_same, order, value_of
from .wording import CRITERIA, DASH, LONGEST_NAME, LONGEST_VALUE, has_values, number, plain_value

# Limits on rows, columns and numbers in tables, so that people can read the page.
MOST_CANDIDATES = 200
MOST_LISTED_FEATURES = 100
MOST_COMPONENTS = 50
MOST_COLUMNS = 20
MOST_COVARIANCES = 2000
MOST_NOTES = 20


def feature_name(names, j):
    return f"feature {j}" if names is None else shorten(names[j], LONGEST_NAME)


def key_facts(facts, rows):
    """(name, value) pairs for the head of the page."""
    best, data, criterion = facts["best"], facts.get("data"), facts["criterion"]
    found = [("components", f"{best['n_components']:,}"), ("covariance", best["covariance_type"])]
    if data is not None:
        found.insert(0, ("samples × features", _size(data)))
    for name in dict.fromkeys((criterion or "bic", "bic", "silhouette")):
        value = value_of(best, rows, name)
        value = best.get(name) if value is None else value
        if is_number(value):
            found.append((CRITERIA[name][0], number(value, CRITERIA[name][1])))
    found.append(("log-likelihood a sample", number(best["mean_log_likelihood"], 4)))
    return found


def warnings(facts, rows):
    """What makes the result doubtful: the reader should see it first."""
    best = facts["best"]
    found = list(facts.get("warnings") or [])
    if best["stop_reason"] == "max_iter" and (text := not_converged(best["n_iter"])) not in found:
        found.append(text)
    failed = sum(bool(row.get("failure")) for row in rows)
    if failed:
        found.append(f"{failed:,} of {count(len(rows), 'candidate')} could not be fitted")
    return [shorten(text, LONGEST_VALUE) for text in found]


def notes(facts):
    """Other events of the chosen fit, at most `MOST_NOTES`."""
    known = facts.get("warnings") or []
    events = [shorten(e, LONGEST_VALUE) for e in facts["best"]["events"] if e not in known]
    more = len(events) - MOST_NOTES
    return events if more <= 0 else [*events[:MOST_NOTES], f"… and {more:,} more"]


# Data ------------------------------------------------------------------------------------------


def _size(data):
    return f"{data['n_samples']:,} × {data['n_features']:,}"


def data_rows(data):
    """(name, value) pairs on the data."""
    if data is None:
        return []
    stored, computed = data["dtype"], data["computed"]
    how = {None: None, True: "kept in memory", False: "streamed in every pass"}[data["in_memory"]]
    dtype = computed if stored in (None, computed) else f"{stored}, computed in {computed}"
    found = [] if data["name"] is None else [("data", data["name"])]
    found += [("samples × features", _size(data)), ("dtype", dtype)]
    if how is not None:
        found.append(("held", how))
    if data["weights"] is not None:
        total = number(data["total_weight"], 4).rstrip("0").rstrip(".")
        found.append(("sample weights", f"{data['weights']}, {total} in all"))
    else:
        found.append(("sample weights", "none"))
    return found


def features(data):
    """The table of features."""
    if data is None:
        return None
    d = data["n_features"]
    shown = min(d, MOST_LISTED_FEATURES)
    rows = []
    for j in range(shown):
        name = feature_name(data["features"], j)
        mean, deviation = _pairs(data["mean"][j : j + 1], data["deviation"][j : j + 1])[0]
        rows.append({"head": name, "cells": [mean, deviation]})
    return {
        "heads": ["feature", "mean", "standard deviation"],
        "rows": rows,
        "left_out": f"The first {shown:,} of {d:,} features." if shown < d else None,
    }


def _pairs(means, deviations):
    """(mean, deviation) as texts, with as many decimals as the deviations need."""
    means, deviations = np.asarray(means, float), np.asarray(deviations, float)
    good = np.isfinite(means) & np.isfinite(deviations)
    texts = [(DASH, DASH)] * len(means)
    if good.any():
        cells = mean_and_deviation(means[good], deviations[good])
        for i, cell in zip(np.flatnonzero(good), cells, strict=True):
            mean, deviation = cell.split(" ± ")
            texts[i] = (mean, deviation.strip())
    return texts


# Candidates ------------------------------------------------------------------------------------


def candidates(facts, rows):
    """The table of candidates by all criteria; it marks the best of each and the chosen one."""
    criterion = facts["criterion"]
    # the deciding one comes first, so that narrow screens show it
    names = dict.fromkeys((criterion or "bic", *CRITERIA))
    measured = [name for name in names if name != "cv" or has_values(rows, "cv")]
    lead = {name: found[0] for name in measured if (found := order(rows, name))}
    shown = _rows_to_show(rows, criterion, facts["best"])
    searched = any(row.get("effort") for row in rows)
    columns = [
        {"text": "K", "title": "number of components", "numeric": True, "by": False},
        {"text": "covariance", "title": "family of covariances", "numeric": False, "by": False},
        *(_criterion_column(name, criterion) for name in measured),
        {"text": "log-likelihood", "title": "higher is better", "numeric": True, "by": False},
        {"text": "parameters", "title": "free parameters", "numeric": True, "by": False},
        *([_EFFORT] if searched else []),
        {"text": "iterations", "title": "of EM", "numeric": True, "by": False},
        {"text": "stopped by", "title": "why EM stopped", "numeric": False, "by": False},
    ]
    table = []
    for row in shown:
        chosen = criterion is not None and is_same(row, facts["best"])
        cells = [
            _cell(row["n_components"], f"{row['n_components']:,}"),
            _cell(row["covariance_type"], row["covariance_type"]),
            *(_criterion_cell(row, name, lead, len(rows)) for name in measured),
            _cell(row["log_likelihood"]),
            _cell(row["n_parameters"], number(row["n_parameters"], 0)),
            *([_effort_cell(row)] if searched else []),
            _cell(row["n_iter"], number(row["n_iter"], 0)),
            _stop_cell(row),
        ]
        table.append({"cells": cells, "chosen": chosen, "failed": bool(row.get("failure"))})
    left_out = None
    if len(shown) < len(rows):
        left_out = (
            f"The best {len(shown):,} of {len(rows):,} candidates by {CRITERIA[criterion][0]}."
        )
    return {
        "title": "Candidates" if criterion is not None else "How good the fit is",
        "columns": columns,
        "rows": table,
        "left_out": left_out,
        "failures": _failures(rows),
        "chosen_by": None if criterion is None else CRITERIA[criterion][0],
        "several": len(rows) > 1,
        "silhouette_samples": facts["best"]["silhouette_samples"],
    }


def _rows_to_show(rows, criterion, best):
    """The rows that fit into the table, in their order; the chosen one is among them."""
    if len(rows) <= MOST_CANDIDATES:
        return rows
    ranked = [row for row in order(rows, criterion or "bic") if not is_same(row, best)]
    keep = {id(row) for row in ranked[: MOST_CANDIDATES - 1]}
    return [row for row in rows if id(row) in keep or is_same(row, best)]


def _criterion_column(name, criterion):
    better = "higher is better" if name in HIGHER else "lower is better"
    text = CRITERIA[name][0]
    return {"text": text, "title": better, "numeric": True, "by": name == criterion}


def _cell(value, text=None, best=False):
    """A cell and its sort key; cells without a value have an empty key and come last."""
    if isinstance(value, str):
        return {"text": text, "sort": value, "best": best}
    sort = repr(float(value)) if is_number(value) else ""
    return {"text": number(value) if text is None else text, "sort": sort, "best": best}


def _criterion_cell(row, name, lead, n_rows):
    value = row.get(name)
    text = number(value, CRITERIA[name][1])
    if name == "cv" and is_number(value) and is_number(row.get("cv_se")):
        text += f" ± {number(row['cv_se'], CRITERIA[name][1])}"
    return _cell(value, text, n_rows > 1 and lead.get(name) is row)


_EFFORT = {
    "text": "effort",
    "title": "how far the optimum was searched for, in units of the default",
    "numeric": True,
    "by": False,
}


def _effort_cell(row):
    value = row.get("effort")
    return _cell(value, f"{value:.3g}" if is_number(value) else DASH)


def _stop_cell(row):
    if row.get("failure"):
        return _cell("failed", "failed")
    text = stop_reason(row["stop_reason"])
    if row.get("unsound"):
        text += "; cannot win, not sound"
    elif row.get("rounded"):
        text += "; rounding counts"
    return _cell(str(row["stop_reason"]), text)


def _failures(rows):
    """Candidates that could not be fitted, and why; at most `MOST_NOTES`."""
    failed = [row for row in rows if row.get("failure")]
    found = [
        f"K = {row['n_components']:,}, {row['covariance_type']}: "
        + shorten(str(row["failure"]), LONGEST_VALUE)
        for row in failed[:MOST_NOTES]
    ]
    more = len(failed) - len(found)
    return [*found, f"… and {more:,} more"] if more else found


def stop_reason(reason):
    return "iteration limit (not converged)" if reason == "max_iter" else str(reason)


# The model -------------------------------------------------------------------------------------


def _heaviest(best):
    return np.argsort(-np.asarray(best["weights"]), kind="stable")


def _names(facts):
    return None if facts.get("data") is None else facts["data"]["features"]


def components(facts):
    """Weights, means and standard deviations, the heaviest component first."""
    best, names = facts["best"], _names(facts)
    k, d = np.shape(best["means"])
    shown, columns = _heaviest(best)[:MOST_COMPONENTS], min(d, MOST_COLUMNS)
    texts = [_pairs(best["means"][shown, j], best["deviations"][shown, j]) for j in range(columns)]
    rows = []
    for i, component in enumerate(shown):
        cells = [weight(best["weights"][component])]
        cells += [f"{mean} ± {deviation}" for mean, deviation in (column[i] for column in texts)]
        rows.append({"head": str(component), "cells": cells})
    left_out = [
        text
        for text, cut in (
            (f"the {len(shown):,} heaviest of {k:,} components", len(shown) < k),
            (f"the first {columns:,} of {d:,} features", columns < d),
        )
        if cut
    ]
    return {
        "heads": ["component", "weight", *(feature_name(names, j) for j in range(columns))],
        "rows": rows,
        "left_out": f"Shown are {' and '.join(left_out)}; {_all_of(facts)}." if left_out else None,
    }


def _all_of(facts):
    model = facts.get("model")
    if model is None:
        return "the model holds all"
    return f"the model has all: gmm-fast info {shlex.quote(str(model))} --json"


def covariances(facts):
    """Covariance matrices, as many as there is room for, and a sentence on them."""
    best, names = facts["best"], _names(facts)
    family, d = get_family(best["covariance_type"]), np.shape(best["means"])[1]
    if not family.matrices:
        equal = family.layout == "variance"
        what = "all zero, and variances of a component equal" if equal else "all zero"
        return {"matrices": [], "text": f"Covariances between features are {what}."}
    matrices = {"": best["covariances"]}
    if not family.shared:
        matrices = {f"component {i}": best["covariances"][i] for i in _heaviest(best)}
    room = MOST_COVARIANCES // d**2
    heads = ["", *(feature_name(names, j) for j in range(d))]
    shown = [
        {"title": name or "of all components", "heads": heads, "rows": _matrix_rows(matrix, heads)}
        for name, matrix in list(matrices.items())[:room]
    ]
    text = None
    if len(shown) < len(matrices):
        size = f"of {len(matrices):,} matrices of {d:,} × {d:,} numbers"
        text = f"Shown are {len(shown):,} {size}; {_all_of(facts)}."
    return {"matrices": shown, "text": text}


def _matrix_rows(matrix, heads):
    return [
        {"head": heads[1 + i], "cells": [f"{v:.4g}" if is_number(v) else DASH
                                         for v in row]}
        for i, row in enumerate(matrix)
    ]  # fmt: skip


# How it was done -------------------------------------------------------------------------------


def run_rows(facts):
    """(name, value) pairs on the run: how it stopped, its seconds, settings and files."""
    best = facts["best"]
    iterations = count(best["n_iter"], "iteration")
    found = [("stopped by", f"{stop_reason(best['stop_reason'])}, after {iterations}")]
    if best.get("moves"):
        found.append(
            ("searched", f"effort {best['effort']:.3g}, {count(best['moves'], 'local move')}")
        )
    if best.get("resolution"):
        taken = "; likelihoods take it into account" if best["rounded"] else ""
        found.append(("data rounded to", steps_text(best["resolution"]) + taken))
    seconds = facts.get("seconds") or best["seconds"]
    if seconds:
        total, stages = seconds.get("total"), stage_seconds(seconds)
        if total is not None:
            stages = f"{total:.2f}" + (f" (this fit: {stages})" if stages else "")
        found.append(("seconds", stages))
    settings = {"added to variances": best["reg_covar"]} | (facts.get("settings") or {})
    found += [(name, plain_value(value)) for name, value in settings.items() if value is not None]
    found += [(name, facts[name]) for name in ("model", "labels") if facts.get(name)]
    return found
