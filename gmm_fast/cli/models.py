"""The commands that use a model file: `predict`, `score`, `sample` and `info`."""

import numpy as np

from .. import em
from ..errors import DataError
from ..files.modelfile import check_facts, read_model
from ..files.tablefiles import Kept as KeptColumns
from ..files.tablefiles import check_table, save_table
from ..mixture.sampling import draw
from ..selection import criteria
from ..sources import files_of, notes_of, stem_of, untransform
from . import inputs, printing
from .outputs import write_labels, write_scores
from .replacing import check_written


def predict(model, out, proba, keep, as_json, settings):
    """`gmm-fast predict`."""
    if keep and out is None:
        raise DataError("--keep needs -o, the name of a table: labels.csv, labels.parquet")
    check_table("--out", out, keep)
    params, facts = read_model(model)
    data = settings["data"]
    source = inputs.open_for(settings, model, params, facts)
    if out is None:
        out = stem_of(data) + (".proba.npy" if proba else ".labels.npy")
    written = check_written({"--out": out}, [*files_of(source), model], settings)
    names = [f"component_{k}" for k in range(params.n_components)] if proba else ["label"]
    kept = KeptColumns(source, keep, names, out) if keep else None
    counts = ()
    with written, inputs.scoring(source, settings) as (backend, progress):
        if proba:
            write_scores(backend, params, out, progress, source, "resp", names, kept)
        else:
            counts = write_labels(backend, params, out, progress, source, kept)
    n = backend.n_samples
    facts = {
        "n_samples": n,
        "n_components": params.n_components,
        "counts": None if proba else counts,
        "notes": notes_of(source),
        "out": str(out),
    }
    rows = [
        ("samples", f"{n:,}"),
        *((f"component {k}", f"{m:,} ({m / n:.1%})") for k, m in enumerate(counts)),
        ("responsibilities" if proba else "labels", out),
    ]
    printing.print_answer(as_json, facts, f"{data} under {model}", rows)


def score(model, out, as_json, settings):
    """`gmm-fast score`."""
    check_table("--samples", out)
    params, facts = read_model(model)
    data = settings["data"]
    source = inputs.open_for(settings, model, params, facts)
    read = [*files_of(source), model, settings["weights"]]
    written = check_written({"--samples": out}, read, settings)
    with written, inputs.scoring(source, settings) as (backend, progress):
        result = em.FitResult.of(params, backend.stats(params), backend.n_samples)
        if out is not None:
            write_scores(backend, params, out, progress, source, "log_prob", ["log_prob"])
    facts = {
        "n_samples": backend.n_samples,
        **criteria.likelihood_facts(result),
        "notes": notes_of(source),
        "samples": None if out is None else str(out),
    }
    rows = [("samples", f"{backend.n_samples:,}"), *printing.score_rows(facts)]
    if out is not None:
        rows.append(("ln p(x) of samples", out))
    printing.print_answer(as_json, facts, f"{data} under {model}", rows)


def sample(model, n, out, labels_path, seed, no_clobber, as_json):
    """`gmm-fast sample`."""
    check_table("--out", out)
    check_table("--labels", labels_path)
    params, facts = read_model(model)
    outputs = {"--out": out, "--labels": labels_path}
    written = check_written(outputs, [model], {"no_clobber": no_clobber})
    x, labels = draw(params, n, seed)
    x = untransform(x, facts.get("transforms"))
    names = facts.get("features") or [f"feature_{j}" for j in range(params.n_features)]
    with written:
        save_table(out, x, names)
        if labels_path:
            save_table(labels_path, labels.astype(np.int32), ["label"])
    facts = {
        "n_samples": n,
        "n_features": params.n_features,
        "seed": seed,
        "out": str(out),
        "labels": labels_path,
    }
    rows = [
        ("samples x features", f"{n:,} x {params.n_features}"),
        ("seed", seed),
        ("samples", out),
    ]
    if labels_path:
        rows.append(("labels", labels_path))
    printing.print_answer(as_json, facts, f"drawn from {model}", rows)


def info(model, as_json):
    """`gmm-fast info`."""
    params, facts = read_model(model)
    check_facts(facts, params.n_features, model)
    result = em.FitResult.from_facts(params, facts)
    shown = {
        "n_components": params.n_components,
        "n_features": params.n_features,
        "covariance_type": params.covariance_type,
        **facts,
        **criteria.likelihood_facts(result),
        "weights": params.weights,
        "means": params.means,
        "covariances": params.covariances,
    }
    if as_json:
        printing.print_json(shown)
    else:
        printing.print_info(model, result, shown)
