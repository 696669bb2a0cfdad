"""Tables of text in dialects at random: read back as they were written, or refused.

A case is one file. `make fuzz` writes 10 000, `make test` a few, always the same.
"""

import csv
import io

import numpy as np
import pytest
from fuzzing import cases
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gmm_fast.errors import DataError
from gmm_fast.sources import load_resident, open_source

NAMES = ("a", "b", "größe", "Maß", "CD4, PE", "x y", "p;q", "l|r", "e1x", "2020", 'say "x"')
NUMBERS = st.one_of(
    st.integers(-3000, 3000).map(str),
    st.sampled_from(["1.234", "5.678", "0.5", "-.25", "1e3", "2.5E-3", "123456.75"]),
    st.floats(-1e6, 1e6, width=32).map(repr),
)
ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-be-bom")
ENDS = {",": ".csv", ";": ".csv", "|": ".csv", "\t": ".tsv", " ": ".txt", "   ": ".dat"}


@st.composite
def tables(draw):
    """A file's name and bytes, options that tell all of it, names and cells."""
    sign = draw(st.sampled_from(sorted(ENDS)))
    decimal = draw(st.sampled_from(".," if sign != "," else "."))
    header = draw(st.booleans())
    # a column of decimal commas is written as two columns are
    d = draw(st.integers(1 if decimal == "." else 2, 4))
    cells = draw(st.lists(st.lists(NUMBERS, min_size=d, max_size=d), min_size=1, max_size=7))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=d, max_size=d, unique=True))
    if header and set(names) <= {"2020"}:
        names = ["a"]
    index = draw(st.sampled_from([None, None, 0, 1])) if header else None
    rows = [[c.replace(".", decimal) for c in row] for row in cells]
    top = list(names)
    if index is not None:
        rows = [[str(i + index), *row] for i, row in enumerate(rows)]
        top = ["", *top]
    if draw(st.booleans()) and sign.strip(" "):  # lines end in the delimiter
        rows, top = [[*row, ""] for row in rows], [*top, ""]
    return _write(draw, sign, decimal, header, rows, top), names if header else None, cells


def _write(draw, sign, decimal, header, rows, top):
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    file = io.StringIO()
    if sign.strip(" "):
        writer = csv.writer(file, delimiter=sign, quoting=quoting, lineterminator=end)
        writer.writerows([top] * header + rows)
    else:
        for i, row in enumerate([top] * header + rows):
            quoted = header and i == 0  # an index without a name has to show
            row = ['"' + c.replace('"', '""') + '"' for c in row] if quoted else row
            file.write(sign * draw(st.integers(0, 1)) + sign.join(row) + end)
    text = file.getvalue()
    if draw(st.integers(0, 4)) == 0:
        text = f"# made at random by nobody in particular{end}{text}"
    if draw(st.booleans()):
        text = text.removesuffix(end)
    text += draw(st.sampled_from(["", "", f"{end} {end}", f"{end}{end}{end}", "\x1a"]))
    encoding = draw(st.sampled_from(ENCODINGS))
    if encoding == "utf-16-be-bom":
        content = b"\xfe\xff" + text.encode("utf-16-be")
    else:
        content = text.encode(encoding)
    told = {"delimiter": sign[0], "decimal": decimal, "header": header}
    name = f"x{ENDS[sign] if draw(st.booleans()) else '.csv'}"
    return name, content, told


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("texts")


def read(path, **options):
    """Rows, names and notes, or the DataError; it names the file."""
    try:
        with open_source(path, **options) as source:
            rows = load_resident(source, np.float64).array
            assert rows.shape == (source.n_samples, source.n_features)
            return rows, source.feature_names, source.notes
    except DataError as error:
        named, refused = str(error).startswith(str(path)), error
    assert named, refused
    return refused


@settings(max_examples=cases(300), suppress_health_check=list(HealthCheck))
@given(table=tables(), tell=st.booleans(), keep=st.sampled_from([0, 10**6]))
def test_tables_are_read_back(folder, table, tell, keep):
    (name, content, told), names, cells = table
    path = folder / name
    path.write_bytes(content)
    found = read(path, keep_bytes=keep, **(told if tell else {}))
    if isinstance(found, DataError):
        assert not tell, (content, found)
        return
    rows, found, notes = found
    expected = np.array([[float(c) for c in row] for row in cells])
    np.testing.assert_array_equal(rows, expected, err_msg=repr((content, notes)))
    assert found == names, (content, notes)


@settings(max_examples=cases(150), suppress_health_check=list(HealthCheck))
@given(
    content=st.text("0123456789.,;|\t\n\r \"'#-abNA\x1a", max_size=60),
    name=st.sampled_from(["x.csv", "x.tsv", "x.txt"]),
    missing=st.sampled_from([None, "drop"]),
    columns=st.sampled_from([None, [0], [1, 0]]),
)
def test_any_text_is_read_or_refused(folder, content, name, missing, columns):
    path = folder / name
    path.write_text(content, newline="")
    found = read(path, missing=missing, columns=columns)
    assert isinstance(found, DataError) or np.isfinite(found[0]).all()
