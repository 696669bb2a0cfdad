"""From plain data to the page, and to the file."""

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
    """Make sure, before long work begins, that a report of that name can be made.

    Raises
    ------
    DataError
        The name does not end in .html or .htm; jinja2 or matplotlib is missing.
    """
    if Path(os.fsdecode(path)).suffix.lower() not in ENDINGS:
        name = os.fsdecode(path) or "an empty name"
        raise DataError(f"{name}: a report is an HTML page; give a name that ends in .html")
    for module in ("jinja2", "matplotlib"):
        with require_package("a report", module, "plot"):
            import_module(module)


def write_page(path, facts, rows, pictures=()):
    """Write the page, whole or not at all; parameters as for `render`.

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
    """The page: HTML that loads nothing from elsewhere. The same facts give the same text.

    Parameters
    ----------
    facts : dict
        best : dict
            The chosen fit, as `facts.fit_facts` gives it.
        data : dict or None
            As `facts.data_facts` gives it.
        criterion : str or None
            What the best was judged by; None for a fit that was not chosen.
        versions : dict of str -> str
        date, command, model, labels : str, optional
        settings : dict of str -> value, optional
            How it was fitted, in words.
        seconds : dict, optional
            Of "total", and of parts.
        warnings : list of str, optional
        margin : float, optional
            By how much the runner-up is worse.
        runner_up : dict or pair, optional
            Its n_components and covariance_type.
        early_stop : int, optional
            Number of components at which a search ended early.
    rows : list of dict
        Candidates: the keys of `SearchResult.table`; cv, cv_se and failure may be missing.
    pictures : sequence of (title, caption, bytes)
        Each an SVG or a PNG.

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
    """What the template prints for a value: users' text without signs that would be obeyed."""
    if value is None:
        return wording.DASH
    # isinstance fails for Markup, which is the template's own
    if type(value) is str:
        return "".join(map(_visible, value))
    return value


def _visible(sign):
    """A character; a stand-in where it is a control or turns the direction of writing."""
    if sign in "\t\n" or unicodedata.category(sign) != "Cc":
        return "\ufffd" if unicodedata.bidirectional(sign) in _TURNS else sign
    return "\ufffd"


_TURNS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def _picture(title, caption, content):
    """What the template shows of a picture: as an image it can neither run nor load anything."""
    if content.startswith(_PNG):
        kind = "image/png"
    elif b"<svg" in content[:2000]:
        kind = "image/svg+xml"
    else:
        raise ValueError(f"picture {title!r} is neither PNG nor SVG")
    source = f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return {"title": title, "caption": caption, "source": source}
