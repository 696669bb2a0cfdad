"""Render plain data as the page, and write the page to a file."""

import base64
import os
import unicodedata
from importlib import import_module, resources
from pathlib import Path

from ..errors import DataError
from ..files.outputs import atomic_write
from ..sources.paths import require_package
from . import tables, wording

ENDINGS = (".html", ".htm")
_PNG = b"\x89PNG\r\n\x1a\n"


def check_report(path):
    """Check, before long work begins, that a report can be written to this path.

    Raises
    ------
    DataError
        The name does not end in .html or .htm, or jinja2 or matplotlib is missing.
    """
    if Path(os.fsdecode(path)).suffix.lower() not in ENDINGS:
        name = os.fsdecode(path) or "an empty name"
        raise DataError(f"{name}: a report is an HTML page; give a name that ends in .html")
    for module in ("jinja2", "matplotlib"):
        with require_package("a report", module, "plot"):
            import_module(module)


def write_page(path, facts, rows, pictures=()):
    """Write the page, whole or not at all; takes the parameters of `render`.

    Raises
    ------
    DataError, FitError
        As `outputs.atomic_write`.
    """
    html = render(facts, rows, pictures)
    with atomic_write(path) as file:
        # a file name that is not Unicode has surrogates, which UTF-8 has not
        file.write(html.encode("utf-8", "backslashreplace"))


def render(facts, rows, pictures=()):
    """Render the page as HTML that loads nothing else; the same facts give the same text.

    Parameters
    ----------
    facts : dict
        best : dict
            The chosen fit, as `facts.fit_facts` returns it.
        data : dict or None
            As `facts.data_facts` returns it.
        criterion : str or None
            The criterion that chose the best; None for a fit.
        versions : dict of str -> str
        date, command, model, labels : str, optional
        settings : dict of str -> value, optional
            Names and values of the settings of the fit.
        seconds : dict, optional
            Seconds in all ("total") and by stage.
        warnings : list of str, optional
        margin : float, optional
            By how much the runner-up is worse.
        runner_up : dict or pair, optional
            Its n_components and covariance_type.
        early_stop : int, optional
            Number of components at which a search stopped early.
    rows : list of dict
        Candidates, with the keys of `SearchResult.table`; those beyond `choice.FIT` may be missing.
    pictures : sequence of (title, caption, bytes)
        Each is an SVG or a PNG.

    Returns
    -------
    str
    """
    shown = {
        "title": wording.title(facts),
        "date": facts.get("date"),
        "command": facts.get("command"),
        "version": facts["versions"]["gmm-fast"],
        "sentences": wording.choice(facts, rows),
        "key_facts": tables.key_facts(facts, rows),
        "warnings": tables.warnings(facts, rows),
        "notes": tables.notes(facts),
        "data": facts.get("data"),
        "data_rows": tables.data_rows(facts.get("data")),
        "features": tables.features(facts.get("data")),
        "candidates": tables.candidates(facts, rows),
        "pictures": [_picture(*picture) for picture in pictures],
        "components": tables.components(facts),
        "covariances": tables.covariances(facts),
        "run": tables.run_rows(facts),
        "versions": facts["versions"],
        "glossary": wording.glossary(rows),
    }
    return _template().render(shown)


def _template():
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_final,
    )
    source = resources.files("gmm_fast.page").joinpath("page.html").read_text("utf-8")
    return environment.from_string(source)


def _final(value):
    """What the template prints for a value: in users' text, control characters are replaced."""
    if value is None:
        return wording.DASH
    # not isinstance: Markup, a subclass of str, is the template's own
    if type(value) is str:
        return "".join(map(_visible, value))
    return value


def _visible(sign):
    """The character, or U+FFFD for controls and changes of the writing direction."""
    if sign in "\t\n" or unicodedata.category(sign) != "Cc":
        return "\ufffd" if unicodedata.bidirectional(sign) in _TURNS else sign
    return "\ufffd"


_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def _picture(title, caption, content):
    """A picture for the template, as an image that can neither run nor load anything."""
    if content.startswith(_PNG):
        kind = "image/png"
    elif b"<svg" in content[:2000]:
        kind = "image/svg+xml"
    else:
        raise ValueError(f"picture {title!r} is neither PNG nor SVG")
    source = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return {"title": title, "caption": caption, "source": source}
