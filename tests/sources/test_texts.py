"""Text as others write it: read right, or said what was guessed, or refused with the way out."""

import bz2
import gzip
import io
import json
import lzma
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from formats import text_of
from invoking import run
from test_sources import assert_same_bits, joined

from gmm_fast import GaussianMixture
from gmm_fast.cli.main import main
from gmm_fast.errors import DataError
from gmm_fast.sources import open_source
from gmm_fast.sources.dialect import Dialect
from gmm_fast.sources.sniff import RULES, find_layout

FAITHFUL = pathlib.Path(__file__).parent.parent / "reference" / "faithful.csv"


@pytest.fixture
def put(tmp_path, monkeypatch):
    """A function that writes a file, and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(content, name="x.csv"):
        content = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(content)
        return name

    return write


def check(source, names, rows):
    with source:
        assert source.feature_names == names
        assert_same_bits(joined(source, 100, "f8"), np.array(rows, float))
        return list(source.notes)


# An index ---------------------------------------------------------------------------------------

R_ROWS = '"","eruptions","waiting"\n"1",3.6,79\n"2",1.8,54\n"3",3.333,74\n'


@pytest.mark.parametrize(
    ("content", "names", "rows", "kind"),
    [
        (R_ROWS, ["eruptions", "waiting"], [[3.6, 79], [1.8, 54], [3.333, 74]], "row numbers"),
        (",a,b\n0,1.5,2\n1,3,4\n", ["a", "b"], [[1.5, 2], [3, 4]], "row numbers"),
        (",0,1\n0,1.5,2\n1,3,4\n", ["0", "1"], [[1.5, 2], [3, 4]], "row numbers"),
        (",a\n7,1\n3,2\n", ["a"], [[1], [2]], "row numbers"),
        ("Unnamed: 0,a\n0,1\n1,2\n", ["a"], [[1], [2]], "row numbers"),
        ('"","mpg"\n"Mazda RX4",21\n"Fiat",30\n', ["mpg"], [[21], [30]], "row names"),
        ('"a" "b"\n"1" 0.5 2\n"2" 1.5 3\n', ["a", "b"], [[0.5, 2], [1.5, 3]], "row numbers"),
        ("rownames,a\n1,5\n2,6\n", ["a"], [[5], [6]], "row numbers"),
        ("rownames,a\nx y,5\nz,6\n", ["a"], [[5], [6]], "row names"),
        ("...1,a\n1,5\n2,6\n", ["a"], [[5], [6]], "row numbers"),
        (",Unnamed: 0,a\n0,0,5\n1,1,6\n", ["a"], [[5], [6]], "row numbers"),
        ("Unnamed: 0.1,Unnamed: 0,a\n0,0,5\n1,1,6\n", ["a"], [[5], [6]], "row numbers"),
        (",,a\n0,0,5\n0,1,6\n1,0,7\n", ["a"], [[5], [6], [7]], "an index of 2 levels"),
        (",,a\nx,0,5\nx,1,6\n", ["a"], [[5], [6]], "an index of 2 levels"),
    ],
)
def test_an_index_is_left_out(put, content, names, rows, kind):
    (note,) = check(open_source(put(content)), names, rows)
    assert f" left out ({kind})" in note
    assert "--columns" in note


def test_columns_that_count_rows_are_told_of(put):
    rows = [[1000 + i, i % 7] for i in range(40)]
    name = put("cell_id,a\n" + "".join(f"{i},{a}\n" for i, a in rows))
    (note,) = check(open_source(name), ["cell_id", "a"], rows)
    assert note == "column 0 ('cell_id') counts rows, but is kept; --columns says otherwise"
    assert check(open_source(name, columns=[0, 1]), ["cell_id", "a"], rows) == []
    put("cell_id,a\n" + "".join(f"{i},{a}\n" for i, a in rows[::-1]))
    assert check(open_source(name), ["cell_id", "a"], rows[::-1]) == []


def test_the_real_table_of_the_geyser(put):
    """As R writes it; with its numbers of rows for a feature BIC would be 5 506."""
    lines = FAITHFUL.read_text().splitlines()
    top = ",".join(f'"{name}"' for name in ("", *lines[0].split(",")))
    put("\n".join([top, *(f'"{i}",{line}' for i, line in enumerate(lines[1:], 1)), ""]))
    facts = json.loads(run("fit -k 2 x.csv --threads 1 --no-model --resolution none --json").stdout)
    assert (facts["n_samples"], facts["n_features"]) == (272, 2)
    assert round(facts["bic"]) == 2322


def test_an_index_comes_back(put):
    rows = [[1, 79], [2, 54], [3, 74]]
    for columns in (["", "waiting"], [0, 2], ["0", "2"]):
        notes = check(open_source(put(R_ROWS), columns=columns), ["", "waiting"], rows)
        assert notes == []


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        (",a\n0.5,1\n1.5,2\n", ["", "a"], [[0.5, 1], [1.5, 2]]),  # no numbers of rows
        ("id,a\n0,1\n1,2\n", ["id", "a"], [[0, 1], [1, 2]]),  # a name
        (",\n0,1\n1,2\n", ["", ""], [[0, 1], [1, 2]]),  # no names at all
    ],
)
def test_what_is_no_index(put, content, names, rows):
    check(open_source(put(content), header=True), names, rows)


# Empty last columns -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "names", "rows"),
    [
        ("A,B,\n1,2,\n3,4,\n", ["A", "B"], [[1, 2], [3, 4]]),
        ("A,B\n1,2,\n3,4,\n", ["A", "B"], [[1, 2], [3, 4]]),
        ("1;2;\n3;4;\n", None, [[1, 2], [3, 4]]),
        (",A,\n0,1,\n1,3,\n", ["A"], [[1], [3]]),
        ("A,B,\n1,2\n3,4\n", ["A", "B"], [[1, 2], [3, 4]]),
        ("A,B,\n1,2,\x1a", ["A", "B"], [[1, 2]]),
    ],
)
def test_an_empty_last_column_is_dropped(put, content, names, rows):
    (note,) = check(open_source(put(content)), names, rows)
    assert "empty last column left out" in note or "empty last name left out" in note


def test_an_empty_last_column_that_is_not(put):
    name = put("A,B,\n" + "1,2,\n" * 60 + "1,2,7\n")
    with pytest.raises(DataError, match=r"row 60 .*column 2 \(''\) is '7', though the col"):
        open_source(name)


# Headers ----------------------------------------------------------------------------------------

IRIS = "5.1,3.5,1.4,0.2,Iris-setosa\n4.9,3.0,1.4,0.2,Iris-setosa\n" * 3


def test_text_throughout_says_nothing_of_a_header(put):
    rows = [[5.1, 3.5, 1.4, 0.2], [4.9, 3.0, 1.4, 0.2]] * 3
    for name in ("iris.data", "iris.csv"):
        source = open_source(put(IRIS, name), columns=[0, 1, 2, 3])
        (note,) = check(source, None, rows)
        assert note == "no names in line 1; --header says otherwise"


@pytest.mark.parametrize(
    ("content", "header"),
    [
        ("a,kind\n1,x\n2,y\n", True),
        ("1,x\n2,x\n", False),
        ("1,x\n2,y\n3,z\n", False),
        ("kind,2019\nx,1.5\ny,2.5\n", False),
        ("1,kind\n2,3\n", True),
        ("a,b\n1,?\n?,2\n", True),
        ("flag,a\nTRUE,1\nFALSE,2\n", True),
        ("TRUE,1\nFALSE,2\n", False),
        ("NA,b\n1,2\n", True),
        ("25%,50%\n1,2\n", True),
        ("1.0D+00,2.0D+00\n3,4\n", False),
        ("<5,<3\n1,2\n", False),
        ("1+2i,3\n2,3\n", False),
    ],
)
def test_headers(put, content, header):
    layout = find_layout("x.csv", put(content), Dialect())
    assert (layout.names is not None) == header


@pytest.mark.parametrize(
    "content", ["kind,2019,2020\nx,1,2\ny,3,4\n", "0,1\n1,2\n", "x,0.5\n1,2\n3,4\n"]
)
def test_headers_that_may_be_rows_are_asked_about(put, content):
    with pytest.raises(DataError, match=r"column names, or a row\? .*--header or --no-header"):
        open_source(put(content))


def test_blanks_at_the_ends_of_names_are_said(put):
    (note,) = check(open_source(put('"a ",b\n1,2\n')), ["a", "b"], [[1, 2]])
    assert note == "names in line 1, without blanks at their ends ('a '); --header says otherwise"
    assert check(open_source(put("a, b\n1, 2\n")), ["a", "b"], [[1, 2]]) == []


def test_a_number_among_names_is_said(put):
    (note,) = check(open_source(put("1,kind\n2,3\n4,5\n")), ["1", "kind"], [[2, 3], [4, 5]])
    assert "names in line 1 ('1' is one)" in note


# Delimiters and decimal signs -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "rows", "words"),
    [
        ("1,234;5,678\n", [[1.234, 5.678]], "delimiter ';', decimal ',' ('1,234' is 1.234, not"),
        ("1.234;5.678\n", [[1.234, 5.678]], "delimiter ';', decimal '.' ('1.234' is 1.234, not"),
        ("1,5;2\n", [[1.5, 2]], "delimiter ';', decimal ','"),
        ("1|2\n", [[1, 2]], "delimiter '|'"),
    ],
)
def test_guesses_are_said(put, content, rows, words):
    (note,) = check(open_source(put(content)), None, rows)
    assert note.startswith(words)
    assert note.endswith("; --delimiter, --decimal, --header say otherwise")


@pytest.mark.parametrize(
    ("name", "content", "columns", "names", "rows"),
    [
        ("x.csv", "Datum;Kurs\n01.02.2020;1,5\n02.02.2020;2,5\n", [1], ["Kurs"], [[1.5], [2.5]]),
        ("x.csv", "Hans;1,5\nKarl;2,5\n", [1], None, [[1.5], [2.5]]),
        ("x.csv", "01.02.2020;1,5\n02.02.2020;2,5\n03.02.2020;3,75\n", [1], None,
         [[1.5], [2.5], [3.75]]),
        ("x.csv", "n;addr\n1;a, b\n2;c, d\n", ["n"], ["n"], [[1], [2]]),
        ("x.csv", "Name;Wert;Zahl\nA;1.234,5;2,5\nB;345,6;3,5\n", ["Zahl"], ["Zahl"],
         [[2.5], [3.5]]),
        ("x.tsv", "id\tx\nSample 1\t10\nSample 2\t20\n", ["x"], ["x"], [[10], [20]]),
        ("x.tsv", "AB 123\t1.5\nCD 456\t2.5\n", [1], None, [[1.5], [2.5]]),
        ("x.txt", "Ville\tPrix\nParis 2\t1,5\nLyon 3\t2,5\n", ["Prix"], ["Prix"], [[1.5], [2.5]]),
        ("x.csv", "#,HP,Atk\n1,45,49\n2,60,62\n", None, ["#", "HP", "Atk"],
         [[1, 45, 49], [2, 60, 62]]),
        ("x.csv", ",2019,2020\nA,1,2\nB,2,3\n", None, ["2019", "2020"], [[1, 2], [2, 3]]),
        ("x.csv", ",100,200\n0,1,2\n1,2,3\n2,2,4\n", None, ["100", "200"],
         [[1, 2], [2, 3], [2, 4]]),
    ],
)  # fmt: skip
def test_signs_within_cells_split_none(put, name, content, columns, names, rows):
    check(open_source(put(content, name), columns=columns), names, rows)


@pytest.mark.parametrize(
    "content", ["a\tb\n1 234,5\t2\n1 235,5\t2\n", "b\tP\n1 234\t1,5\n2 235\t2\n"]
)
def test_blanks_within_cells_are_no_delimiter(put, content):
    with pytest.raises(DataError, match="'(1 234,5|1 234)', not a number"):
        open_source(put(content, "x.tsv"))


def test_a_first_row_that_misses_a_value_is_no_header(put):
    name = put("1000025,5,?,2\n1002945,5,4,2\n", "x.data")
    with pytest.raises(DataError, match=r"row 0 .* is '\?', not a number .*; if that means"):
        open_source(name)
    check(open_source(name, na="?", missing="drop"), None, [[1002945, 5, 4, 2]])


@pytest.mark.parametrize(
    "content", ["a,b\n1,2\n-999.0,3\n-9.99e2,4\n", "a;b\n1;2\n-999,0;3\n-999;4\n"]
)
def test_a_number_for_what_is_missing_counts_by_its_value(put, content):
    check(open_source(put(content), na="-999", missing="drop"), ["a", "b"], [[1, 2]])


def test_years_far_apart_are_asked_about(put):
    with pytest.raises(DataError, match="column names, or a row"):
        open_source(put("Country,1990,1995,2000\nA,1,2,3\nB,2,3,4\n"), columns=[1, 2, 3])


def test_a_comma_that_comes_late_is_doubted_as_well(put):
    content = "a;b\n" + "999;2\n" * 60 + "1,234;2\n"
    (note,) = check(open_source(put(content)), ["a", "b"], [[999, 2]] * 60 + [[1.234, 2]])
    assert "'1,234' is 1.234, not thousands" in note


@pytest.mark.parametrize(("name", "sign"), [("x.csv", ";"), ("x.tsv", "\t")])
def test_a_doubt_that_comes_late_is_said(put, name, sign):
    rows = [[999, 2]] * 60
    content = "".join(f"{a}{sign}{b}\n" for a, b in [("a", "b"), *rows, ("1.234", 2)])
    (note,) = check(open_source(put(content, name)), ["a", "b"], [*rows, [1.234, 2]])
    assert "decimal '.' ('1.234' is 1.234, not thousands)" in note
    put(f"{content}1.5{sign}2\n", name)  # which no thousands separator can be
    notes = check(open_source(name), ["a", "b"], [*rows, [1.234, 2], [1.5, 2]])
    assert "thousands" not in "".join(notes)


def test_rows_that_contradict_the_guess(put):
    name = put("a;b\n" + "999;2\n" * 60 + "1.234;2\n1,5;2\n")
    with pytest.raises(DataError, match=r"'1\.234', not a number \(line 62 .*--thousands '\.'"):
        open_source(name)


def test_the_note_of_all_guesses(put):
    (note,) = check(open_source(put(";a\n1;2,5\n2;3\n", "table.csv")), ["a"], [[2.5], [3]])
    assert note == (
        "delimiter ';', decimal ',', names in line 1, first column left out (row "
        "numbers); --delimiter, --decimal, --header, --columns say otherwise"
    )


def test_the_plain_case_needs_no_note(put):
    assert check(open_source(put("a,b\n1,2.5\n")), ["a", "b"], [[1, 2.5]]) == []
    assert check(open_source(put("a\tb\n1\t2.5\n", "x.tsv")), ["a", "b"], [[1, 2.5]]) == []


def test_what_is_said_is_not_guessed(put):
    name = put("1,234;5,678\n")
    options = {"delimiter": ";", "header": False}
    assert check(open_source(name, decimal=",", **options), None, [[1.234, 5.678]]) == []
    thousands = open_source(name, thousands=",", decimal=".", **options)
    assert check(thousands, None, [[1234, 5678]]) == []
    with pytest.raises(DataError, match=r"column 1 is '234;5', not a number"):
        open_source(name, delimiter=",", header=False)


@pytest.mark.parametrize(
    ("cells", "options", "numbers"),
    [
        ("1.234.567,5;-1.000;7", {"thousands": "."}, [1234567.5, -1000, 7]),
        ('"1,234",2,"3,000.25"', {"thousands": ","}, [1234, 2, 3000.25]),
        ("1 234;2", {"thousands": " ", "delimiter": ";"}, [1234, 2]),
        ("1\u202f234;1\u00a0234\u00a0567", {"thousands": " "}, [1234, 1234567]),
        ("1’234.5;2", {"thousands": "'"}, [1234.5, 2]),
        ("1'234;NA;1e3", {"thousands": "'", "missing": "drop", "columns": [0, 2]}, [1234, 1000]),
    ],
)
def test_thousands(put, cells, options, numbers):
    check(open_source(put(f"{cells}\n"), header=False, **options), None, [numbers])


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("1.23;1.234\n", {"thousands": "."}, "column 0 is '1.23', not a number"),
        ("1.234.567;1\n2.345.678;3\n", {}, r"name the thousands separator \(--thousands '.'\)"),
        ('a,b\n"1,234",2\n', {}, r"name the thousands separator \(--thousands ','\)"),
        ("a;b\n1'234;2\n", {}, '--thousands "\'"'),
        ("a;b\n1 234,5;2\n", {}, r"thousands separator \(--thousands ' ' --decimal ','\)"),
        ("a;b\n1\u202f234;2\n", {}, r"thousands separator, U\+202F \(--thousands ' '\)"),
        ("a;b\n1.234,5;2\n", {"thousands": "'"}, r"thousands separator \(--thousands '\.'\)"),
        ("x\n1,5\n2,7\n", {}, r"line 1 has one cell, .*'1,5'; is that a number .*or two"),
        ("x\n1,5\n2,7\n3,1\nNA\n", {}, r"line 1 has one cell, .*'1,5'; is that a number .*or two"),
    ],
)
def test_thousands_and_decimals_refused(put, content, options, message):
    with pytest.raises(DataError, match=message):
        open_source(put(content), **options)


def test_excel_is_told_the_delimiter(put):
    notes = check(open_source(put("sep=;\r\na;b\r\n1;2,5\r\n")), ["a", "b"], [[1, 2.5]])
    assert notes == ["decimal ',', names in line 2; --decimal, --header say otherwise"]


def test_a_tsv_with_commas(put):
    notes = check(open_source(put("a,b\n1,2\n3,4\n", "x.tsv")), ["a", "b"], [[1, 2], [3, 4]])
    assert "delimiter ','" in notes[0]


# Blanks, endings, packing, standard input -------------------------------------------------------

FIXED = "  id    a     b\n   1  2.5  -3\n  10   1e3   4 \n\n   2\t\t0     7\n"


@pytest.mark.parametrize("name", ["x.txt", "x.dat", "x.data", "x.DAT", "x.csv", "x.txt.gz"])
def test_blanks(put, name):
    content = gzip.compress(FIXED.encode()) if name.endswith(".gz") else FIXED
    rows = [[1, 2.5, -3], [10, 1000, 4], [2, 0, 7]]
    (note,) = check(open_source(put(content, name)), ["id", "a", "b"], rows)
    assert "delimiter blanks" in note


def test_blanks_in_quotes(put):
    content = '"name of it" "b c"\n"x y" 1\n"z" 2\n'
    check(open_source(put(content, "x.txt"), columns=["b c"]), ["b c"], [[1], [2]])


def test_blanks_and_commas_in_quotes(put):
    """As R's write.table writes them."""
    content = '"age" "town"\n"1" 30 "Honda"\n"2" 41 "Bath, Somerset"\n"3" 50 "Milton, Keynes"\n'
    check(open_source(put(content, "x.csv"), columns=["age"]), ["age"], [[30], [41], [50]])


def test_blanks_in_many_blocks(put, monkeypatch):
    from gmm_fast.sources import arrowcsv, lines

    monkeypatch.setattr(lines, "_PIECE_BYTES", 61)
    monkeypatch.setattr(arrowcsv, "_BLOCK_BYTES", 64)
    X = np.random.default_rng(0).normal(size=(500, 3))
    for end in ("\n", "\r\n", "\r"):
        content = text_of(X, sign="   ").replace("\n", end)
        check(open_source(put(content, "x.txt")), ["c0", "c1", "c2"], X)
        content = text_of(X).replace("\n", f"{end}# no row, {end}")
        check(open_source(put(content), comment="#"), ["c0", "c1", "c2"], X)


PACK = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda content: pa.compress(content, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("end", PACK)
def test_packed_text(put, end):
    X = np.random.default_rng(0).normal(size=(300, 2))
    content = PACK[end](text_of(X).encode())
    for name in (f"x.csv.{end}", f"x.txt.{end}"):
        check(open_source(put(content, name)), ["c0", "c1"], X)
    for bad in (content[:-30], b"a,b\n1,2\n"):
        with pytest.raises(DataError, match=rf"x\.csv\.{end}: is not a complete .* file"):
            open_source(put(bad, f"x.csv.{end}"))


@pytest.mark.parametrize("end", [" \n", "\n \r\n\t\n", "\x1a", "\n\x1a", "\n\n\n"])
@pytest.mark.parametrize("top", ["a,b\n1,2\n3,4", "a b\n1 2\n3 4", "a\n1\n3"])
def test_blank_ends(put, top, end):
    rows = [[1], [3]] if top[1] == "\n" else [[1, 2], [3, 4]]
    for content, name in ((top + end, "x.txt"), (gzip.compress((top + end).encode()), "x.txt.gz")):
        check(open_source(put(content, name)), ["a", "b"][: len(rows[0])], rows)


def test_a_blank_line_of_one_column_is_a_missing_value(put, monkeypatch):
    from gmm_fast.sources import lines

    name = put("x\n1\n\n2\n  \n3\n\n")
    with pytest.raises(DataError, match=r"row 1 .*is missing, a blank line \(line 3 of the file"):
        open_source(name)
    for size in (lines._PIECE_BYTES, 2):
        monkeypatch.setattr(lines, "_PIECE_BYTES", size)
        source = open_source(name, missing="drop")
        assert source.dropped.tolist() == [1, 3]
        notes = check(source, ["x"], [[1], [2], [3]])
        assert notes == ["2 of 5 rows miss a value and were left out"]
    check(open_source(put("a b\n1 2\n\n\n3 4\n", "x.dat")), ["a", "b"], [[1, 2], [3, 4]])


@pytest.mark.parametrize("sign", [",", " "])
def test_line_breaks_within_cells(put, monkeypatch, sign):
    from gmm_fast.sources import arrowcsv, lines

    monkeypatch.setattr(arrowcsv, "_BLOCK_BYTES", 64)
    monkeypatch.setattr(lines, "_PIECE_BYTES", 61)
    cells = [f'"a ""b"" {i}\n\n# c"{sign}{i}\n' for i in range(50)]
    content = f"# c\nt{sign}b\n" + "".join(cells)
    for columns in ([1], ["b"]):
        source = open_source(put(content), columns=columns, delimiter=sign)
        check(source, ["b"], [[i] for i in range(50)])
    put(f"{content}\n#\nz{sign}?\n")
    with pytest.raises(DataError, match=r"row 50 .* is '\?', not a number \(line 155 of"):
        open_source("x.csv", columns=[1], delimiter=sign)


@pytest.mark.parametrize("cell", ["x" * 600_000, '"' + "x,\n" * 200_000 + '"'])
@pytest.mark.parametrize("top", ["", "# c\n"])
def test_rows_longer_than_a_block(put, top, cell):
    content = f"{top}t,b\nz,1\n{cell},2\ny,3\n"
    check(open_source(put(content), columns=[1]), ["b"], [[1], [2], [3]])


def test_a_quote_that_is_never_closed(put):
    with pytest.raises(DataError, match=r"row 2 .* has 1 cells \(line 4 of the file\)"):
        open_source(put('t,b\nz,1\nz,2\n"z,3\n' + "z,4\n" * 90_000), columns=[1])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            gzip.compress(b"a,b\n1,2\n", mtime=0),
            r"compressed by gzip, not text; rename it to end in \.gz",
        ),
        (b"PAR1" + bytes(9), "is a Parquet file, not text"),
        (b"PK\3\4" + bytes(9), "is a zip archive, as spreadsheets .*; export the table to CSV"),
    ],
)
def test_bytes_of_other_formats(put, monkeypatch, content, words):
    with pytest.raises(DataError, match=words):
        open_source(put(content))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    with pytest.raises(DataError, match=r"^standard input: is .* \(gzip -dc|; write the data to"):
        open_source("-")


def test_standard_input(put, monkeypatch):
    X = np.random.default_rng(0).normal(size=(30, 2))
    for options in ({}, {"keep_bytes": 10**6}):
        content = io.TextIOWrapper(io.BytesIO(text_of(X, sign=";").encode()))
        monkeypatch.setattr(sys, "stdin", content)
        with open_source("-", **options) as source:
            for _ in range(2):
                assert_same_bits(joined(source, 7, "f8"), X)
            assert source.notes[0].startswith("delimiter ';'")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(DataError, match="standard input: the file is empty"):
        open_source("-")
    with pytest.raises(DataError, match="standard input is read as text"):
        open_source("-", format="parquet")


def test_formats_by_name(put):
    rows = [[1, 2], [3, 4]]
    check(open_source(put("a,b\n1,2\n3,4\n", "data.log"), format="csv"), ["a", "b"], rows)
    np.save("data.npy", np.array(rows, float))
    content = pathlib.Path("data.npy").read_bytes()
    check(open_source(put(content, "data.dat")), None, rows)
    check(open_source(put(content, "d.csv"), format="npy"), None, rows)
    with pytest.raises(DataError, match="format 'xls' is not known; known are npy, "):
        open_source("data.dat", format="xls")


def test_plain_text_beside_data(put, tmp_path):
    np.save("a.npy", np.ones((2, 2)))
    put("words about it", "README.txt")
    with open_source(tmp_path) as source:
        assert source.n_samples == 2
    for i in range(2):
        put("1 2\n3 4\n", f"{i}.dat")
    with open_source("*.dat") as source:
        assert source.n_samples == 4
        (note,) = source.notes
        assert note.endswith("(2 of 2 files)")


# Lines before the table -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "names", "rows", "words"),
    [
        ("#Table1\nra,dec\n1,2\n3,4\n", ["ra", "dec"], [[1, 2], [3, 4]], "'#' left out, names in"),
        ("# NOAA\n# two\n1 2\n3 4\n", None, [[1, 2], [3, 4]], "lines with '#' left out, no names"),
        ("# x y\n0 1\n5 1\n", ["x", "y"], [[0, 1], [5, 1]], "names in a comment (x, y)"),
        ("#YY WSPD GST\n#yr m/s m/s\n1 2 5\n", ["YY", "WSPD", "GST"], [[1, 2, 5]],
         "lines with '#' left out, names in a comment (YY, WSPD, GST)"),
        ("a,b\n1,2\n", ["a", "b"], [[1, 2]], None),
        ("# Source, 2020\n1,2\n", None, [[1, 2]], "lines with '#' left out, no names"),
        ("# Source, Berlin\n1,2\n", None, [[1, 2]], "lines with '#' left out, no names"),
        ("# name: x\n# rows: 1\n# columns: 2\n 1 2\n", None, [[1, 2]], "left out, no names"),
        ("# made today\n# x y\n1 2\n", ["x", "y"], [[1, 2]], "names in a comment (x, y)"),
        ("#a,b\n#1,2\n3,4\n", ["a", "b"], [[3, 4]],
         "lines with '#' left out (one is '#1,2'), names in a comment"),
        ("# c\na,b\n#1,2\n3,4\n#\n", ["a", "b"], [[3, 4]],
         "2 lines with '#' between rows left out (first '#1,2'); --header, --comment say"),
        ("# a,b\n1,2\n", ["a", "b"], [[1, 2]], "names in a comment (a, b); --header says"),
        ("% x\n%y z\na,b\n1,2\n% end\n3,4\n", ["a", "b"], [[1, 2], [3, 4]], "'%' left out"),
    ],
)  # fmt: skip
def test_comments(put, content, names, rows, words):
    notes = check(open_source(put(content)), names, rows)
    assert (words is None) == (notes == [])
    assert words is None or words in notes[0]


def test_errors_of_excel_are_no_comments(put):
    rows = "# c\na;b\n1;2\n#N/A;3\n#NV;3\n4;#DIV/0!\n5;6\n"
    with pytest.raises(DataError, match=r"'#DIV/0!', not a number \(line 6 .*--na '#DIV/0!'"):
        open_source(put(rows), missing="drop")
    check(open_source("x.csv", missing="drop", na="#DIV/0!"), ["a", "b"], [[1, 2], [5, 6]])


AUTO_MPG = """\
18.0   8   307.0      130.0      3504.      12.0   70  1\t"chevrolet chevelle malibu"
25.0   4   98.00      ?          2046.      19.0   71  1\t"ford pinto"
15.0   8   350.0      165.0      3693.      11.5   70  1\t"buick skylark 320"
"""


def test_files_as_they_are(put):
    """Tables of UCI, a spreadsheet in French, SPSS, and a file of NOAA that lacks a value."""
    name = put(AUTO_MPG, "auto-mpg.data")
    source = open_source(name, columns=[0, 3], na="?", missing="drop")
    check(source, None, [[18, 130], [15, 165]])
    rows = "Prix;Quantité\r\n1\xa0234,56;1\xa0000\r\n999,5;2\xa0000\r\n".encode("cp1252")
    french = open_source(put(rows), thousands=" ")
    check(french, ["Prix", "Quantité"], [[1234.56, 1000], [999.5, 2000]])
    spss = open_source(put("id\ta\n1\t#NULL!\n2\t,5\n"), na="#NULL!", missing="drop")
    check(spss, ["id", "a"], [[2, 0.5]])
    name = put("#YY WSPD GST\n#yr m/s m/s\n2020 3.5 MM\n2020 3.5 4.0\n2020 2 1\n", "noaa.txt")
    with pytest.raises(DataError, match=r"row 0 .*\('GST'\) is 'MM', .*line 3 .*--na 'MM'"):
        open_source(name)
    check(open_source(name, na="MM", missing="drop"), ["YY", "WSPD", "GST"],
          [[2020, 3.5, 4], [2020, 2, 1]])  # fmt: skip


def test_a_long_line(put):
    X = np.random.default_rng(0).normal(size=(2, 9000))
    content = "\n".join(" ".join(map(repr, row)) for row in X.tolist())
    check(open_source(put(content, "x.txt")), None, X)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a b c\n1,2,3\n4,5,6\n", r"1 cells, .* have 3; use the same delimiter in it"),
        ("a;b\n\u22121,5;3\n2,5;4\n", r"the character .* \(U\+2212\) is not part of a number"),
        ("a,b\n\uff11,3\n2,4\n", r"the character .* \(U\+FF11\) is not part of a number"),
        ("a,b\nm,s\n1,2\n3,4\n", r"begins in line 3, leave out what is before \(--skip 2\)"),
        ("a,b\n1,2\n3,4\n5,6\na,b\n", "line 5 .* the names are repeated there|no names"),
    ],
)
def test_what_is_said_of_odd_cells(put, content, words):
    with pytest.raises(DataError, match=words):
        open_source(put(content))


def test_arff(put):
    name = put("% c\n@RELATION r\n\n@ATTRIBUTE a real\n@attribute b real\n\n@DATA\n1,2\n?,3\n")
    with pytest.raises(DataError, match=r"Weka ARFF file; .*--skip 7 --no-header --na '\?'"):
        open_source(name)
    check(open_source(name, skip=7, header=False, na="?", missing="drop"), None, [[1, 2]])


def test_the_delimiter_that_is_wrong(put):
    name = put("a;b;c\n1,5;2;3,5\n2,5;3;3,5\n")
    with pytest.raises(DataError, match=r"if ';' is the delimiter, say so \(--delimiter ';'\)"):
        open_source(name, delimiter=",")


YAHOO = "Price,Close,High\nTicker,AAPL,AAPL\nDate,,\n2020-01-02,75,76\n2020-01-03,74,75\n"


def test_lines_before_the_table_are_asked_about(put):
    content = "Station: X\nHeight: 5\na,b\n1,2\n3,4\n"
    message = r"line 1 \('Station: X'\) has 1 cells, lines from 3 on have 2; .*--skip 2\)"
    with pytest.raises(DataError, match=message):
        open_source(put(content))
    check(open_source(put(content), skip=2), ["a", "b"], [[1, 2], [3, 4]])
    name = put(YAHOO)
    with pytest.raises(DataError, match=r"'AAPL', .* \(line 2 .*begins in line 4, .*--skip 3"):
        open_source(name, columns=["Close", "High"])
    check(open_source(name, columns=[1, 2], skip=3), None, [[75, 76], [74, 75]])


@pytest.mark.parametrize("sign", ["!", "//"])
def test_rare_comments_are_asked_about(put, sign):
    name = put(f"{sign} c\n1 2\n3 4\n")
    with pytest.raises(DataError, match=rf"line 1 .* begins with '{sign}'; .*--comment '{sign}'"):
        open_source(name)
    check(open_source(name, comment=sign), None, [[1, 2], [3, 4]])


def test_comments_by_order(put):
    name = put("a,b\n1,2\n! no row\n3,4\n")
    with pytest.raises(DataError, match=r"row 1 .*has 1 cells"):
        open_source(name)
    check(open_source(name, comment="!"), ["a", "b"], [[1, 2], [3, 4]])


# Missing values ---------------------------------------------------------------------------------


def test_words_for_missing_values(put):
    name = put("a,b\n1,?\n-,2\n3,4\nNA,5\n")
    with pytest.raises(DataError, match=r"column 0 \('a'\) is '-', not a number .*--na '-'"):
        open_source(name)
    with pytest.raises(DataError, match=r"row 0 .*is missing .*; remove .*--missing drop"):
        open_source(name, na=["?", "-"])
    notes = check(open_source(name, na=["?", "-"], missing="drop"), ["a", "b"], [[3, 4]])
    assert notes == ["3 of 4 rows miss a value and were left out"]


def test_blanks_around_words(put):
    content = "a,b,c\n1, NA ,TRUE\n2, 3,  FALSE\n3,4 , NULL\n5,-1e1 , TRUE\n NAN,1,TRUE\n"
    rows = [[2, 3, 0], [5, -10, 1]]
    check(open_source(put(content), missing="drop"), ["a", "b", "c"], rows)


@pytest.mark.parametrize("na", [0, 0.5, -999, [7, "?"]])
def test_numbers_for_missing_values(put, na):
    one = na[0] if isinstance(na, list) else na
    check(open_source(put(f"a,b\n1,2\n{one},3\n"), na=na, missing="drop"), ["a", "b"], [[1, 2]])


@pytest.mark.parametrize("cell", ["1,5", "12 kg", "1e5x", "0x1F"])
def test_numbers_are_no_words_for_missing_values(put, cell):
    with pytest.raises(DataError, match="not a number") as caught:
        open_source(put("a\tb\n" + "1\t2\n" * 60 + f"{cell}\t3\n", "x.tsv"), decimal=".")
    assert "--na" not in str(caught.value)
    assert ("--decimal ','" in str(caught.value)) == (cell == "1,5")


@pytest.mark.parametrize(
    ("content", "options", "line"),
    [
        ("a,b\n1,2\n3,x\n", {}, 3),
        ("\n\na,b\n\n1,2\n\n3,x\n", {}, 7),
        ("# c\r\n# d\r\na,b\r\n1,2\r\n# e\r\n3,x\r\n", {}, 6),
        ("t\nu\na b\n1 2\n \t\n3 x\n", {"skip": 2}, 6),
        ("a,b\n1,2\n3,x\n".replace("\n", "\r"), {}, 3),
        ("a,b\n" + "1,2\n\n" * 90_000 + "3,x\n", {}, 180_002),
        ("a,b\n1,2\n3,4,5\n", {}, 3),
        ("a,b\n1,2\n3,NA\n", {}, 3),
        ("a,b\n1,2\n\n3,inf\n", {}, 4),
    ],
)
def test_errors_name_the_line(put, content, options, line):
    for encoding in ("utf-8", "utf-16"):
        name = put(content.encode(encoding))
        with pytest.raises(DataError, match=rf"row \d+ .*\(line {line:,} of the file\)"):
            open_source(name, **options)


def test_rows_are_left_out_of_any_format(put):
    X = np.random.default_rng(0).normal(size=(50, 3))
    X[[0, 7, 8, 30, 49], [0, 1, 2, 0, 1]] = np.nan
    kept = X[~np.isnan(X).any(axis=1)]
    put(text_of(X))
    np.save("x.npy", X)
    for data in ("x.csv", "x.npy", X):
        for keep in (0, 10**6):
            with open_source(data, missing="drop", keep_bytes=keep) as source:
                assert source.n_samples == 45
                assert source.dropped.tolist() == [0, 7, 8, 30, 49]
                for rows in (1, 7, 100):
                    assert_same_bits(joined(source, rows, "f8"), kept)
                out = np.empty((3, 3))
                source.gather(np.array([0, 6, 44]), out)
                assert_same_bits(out, kept[[0, 6, 44]])
                assert source.locate(6)[1] == 9
    full = open_source(kept, missing="drop")
    assert full.notes == ()
    with pytest.raises(DataError, match="every row misses a value"):
        open_source(np.full((3, 1), np.nan), missing="drop")
    X[3, 0] = np.inf
    with pytest.raises(DataError, match=r"row 3 .*is inf"):
        open_source(put(text_of(X)), missing="drop")


# Booleans, encodings ----------------------------------------------------------------------------


def test_booleans(put):
    content = "a,b,c\n1,TRUE,True\n2,FALSE,NA\n3,TRUE,false\n"
    rows = [[1, 1, 1], [3, 1, 0]]
    check(open_source(put(content), missing="drop"), ["a", "b", "c"], rows)
    with pytest.raises(DataError, match=r"row 60 .*is '2', neither TRUE nor FALSE"):
        open_source(put("a\n" + "TRUE\n" * 60 + "2\n"))
    with pytest.raises(DataError, match=r"'TRUE', not a number .*; a column holds numbers, or"):
        open_source(put("a\n1.5\nTRUE\n"))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-8", "utf-8-sig", "utf-16"])
def test_encodings(put, encoding):
    name = put("größe;Maß\n1,5;2\n".encode(encoding))
    (note,) = check(open_source(name), ["größe", "Maß"], [[1.5, 2]])
    assert ("encoding" in note) == (not encoding.startswith("utf-8"))
    check(open_source(name, encoding=encoding), ["größe", "Maß"], [[1.5, 2]])


def test_encodings_refused(put):
    with pytest.raises(DataError, match="is not text in utf-8"):
        open_source(put("größe\n1\n".encode("latin-1")), encoding="utf-8")
    with pytest.raises(DataError, match=r"is not text in UTF-8; .*--encoding, e\.g\. utf-16"):
        open_source(put("a,b\n1,2\n".encode("utf-16-le")))
    check(open_source("x.csv", encoding="utf-16-le"), ["a", "b"], [[1, 2]])


# Options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"delimiter": ";;"}, "delimiter must be one sign"),
        ({"delimiter": "a"}, "must not be a letter"),
        ({"decimal": ";"}, "decimal must be '.' or ','"),
        ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
        ({"encoding": "klingon"}, "encoding 'klingon' is not known"),
        ({"encoding": "hex"}, "encoding 'hex' is not known"),
        ({"skip": -1}, "skip must be a number of lines"),
        ({"skip": 9}, "holds only 3 lines"),
        ({"na": [None]}, "na must be one or more words or numbers"),
        ({"missing": "maybe"}, "missing must be 'error' or 'drop'"),
    ],
)
def test_options_refused(put, options, words):
    with pytest.raises(DataError, match=words):
        open_source(put("a,b\n1,2\n3,4\n"), **options)


def test_options_of_text_for_what_is_none(put):
    np.save("x.npy", np.ones((3, 2)))
    with pytest.raises(DataError, match=r"x\.npy: is not text; delimiter \(--delimiter\) is for"):
        open_source("x.npy", delimiter=";")
    with pytest.raises(DataError, match="X: is not a file; skip is for files only"):
        open_source(np.ones((3, 2)), skip=1)
    with pytest.raises(TypeError, match="unexpected keyword argument 'delim'"):
        open_source("x.npy", delim=";")


# The command line -------------------------------------------------------------------------------


def table_of_gaps():
    """Two clusters in German: 40 rows with an index, every tenth of them without a value."""
    X = np.random.default_rng(0).normal(size=(40, 2)) + 9 * (np.arange(40) % 2)[:, None]
    cells = [["?" if i % 10 == 3 else f"{a:.3f}", f"{b:.3f}"] for i, (a, b) in enumerate(X)]
    rows = [f"{i};{a};{b}".replace(".", ",") for i, (a, b) in enumerate(cells, 1)]
    return "\n".join([';"CD4, PE";b', *rows, ""])


GUESSED = (
    "reading x.csv: delimiter ';', decimal ',', names in line 1, first column left out (row "
    "numbers); --delimiter, --decimal, --header, --columns say otherwise"
)
DROPPED = "reading x.csv: 4 of 40 rows miss a value and were left out"


def test_what_is_guessed_is_in_everything(put):
    put(table_of_gaps())
    gaps = "--na '?' --missing drop --threads 1"
    result = run(f"fit -k 2 x.csv {gaps} --labels l.npy --report r.html --json")
    assert f"note: {GUESSED}\nnote: {DROPPED}\n" in result.stderr
    facts = json.loads(result.stdout)
    assert facts["events"][:2] == [GUESSED, DROPPED]
    assert (facts["n_samples"], facts["features"]) == (36, ["CD4, PE", "b"])
    assert "4 of 40 rows miss a value" in pathlib.Path("r.html").read_text()
    labels = np.load("l.npy")
    assert np.flatnonzero(labels == -1).tolist() == [3, 13, 23, 33]
    assert len(set(labels[0::2]) - {-1}) == len(set(labels[1::2]) - {-1}) == 1
    result = run(f"predict x.gmm.npz x.csv {gaps} --json -o p.npy")
    assert json.loads(result.stdout)["counts"] == np.bincount(labels[labels >= 0]).tolist()
    assert f"note: {DROPPED}" in result.stderr
    np.testing.assert_array_equal(np.load("p.npy"), labels)
    result = run(f"predict x.gmm.npz x.csv {gaps} --proba -o p.npy")
    assert np.isnan(np.load("p.npy")).all(axis=1).nonzero()[0].tolist() == [3, 13, 23, 33]
    result = run(f"score x.gmm.npz x.csv {gaps} --samples s.npy --json")
    chosen = GUESSED.replace(", first column left out (row numbers)", "").replace(", --columns", "")
    assert json.loads(result.stdout)["notes"] == [chosen, DROPPED]
    assert np.isnan(np.load("s.npy")).nonzero()[0].tolist() == [3, 13, 23, 33]


def test_one_weight_for_each_row_of_the_file(put):
    put(table_of_gaps())
    facts = {}
    for rows in (36, 40):
        np.save("w.npy", np.ones(rows))
        line = "fit -k 1 x.csv --weights w.npy --na '?' --missing drop --threads 1 --json"
        facts[rows] = json.loads(run(line).stdout)["log_likelihood"]
    assert facts[36] == facts[40]
    np.save("w.npy", np.ones(39))
    assert "39 values for 36 rows" in run(line, 2).stderr


def test_a_model_and_a_table_with_gaps(put):
    put(table_of_gaps())
    with open_source("x.csv", na="?", missing="drop") as source:
        model = GaussianMixture(2, threads=1, random_state=0).fit(source)
        labels = model.predict(source)
        assert model.events_[:2] == [GUESSED, DROPPED]
        assert np.isnan(model.score_samples(source)).nonzero()[0].tolist() == [3, 13, 23, 33]
    assert np.flatnonzero(labels == -1).tolist() == [3, 13, 23, 33]


@pytest.mark.parametrize(
    ("columns", "features"),
    [
        ("--columns '\"CD4, PE\"'", ["CD4, PE"]),
        ("--columns '\"CD4, PE\",b'", ["CD4, PE", "b"]),
        ("--columns b --columns '\"CD4, PE\"'", ["b", "CD4, PE"]),
        ("--columns 0,2", ["", "b"]),
        ("--columns '\"\",b'", ["", "b"]),
    ],
)
def test_columns_in_quotes(put, columns, features):
    put(table_of_gaps())
    line = f"fit -k 1 x.csv {columns} --na '?' --missing drop --threads 1 --no-model --json"
    assert json.loads(run(line).stdout)["features"] == features


def test_a_name_with_a_comma_without_quotes(put):
    put(table_of_gaps())
    message = run("fit -k 1 x.csv --columns 'CD4, PE'", 2).stderr
    assert "did you mean 'CD4, PE'? quote it: --columns '\"CD4, PE\"'" in message


def test_options_of_text_on_the_command_line(put):
    content = "made by hand\na b\n! no row\n1'000 2,5\nnone 3\n2'000 1\n"
    name = put(content.encode("utf-16"), "data.log")
    line = (
        '--format csv --delimiter blanks --decimal , --thousands "\'" --encoding utf-16 --skip 1 '
        "--comment ! --header --na none --missing drop --threads 1 --json --no-model"
    )
    facts = json.loads(run(f"fit -k 1 {name} {line}").stdout)
    assert facts["means"] == [[1500, 1.75]]
    assert facts["events"][0] == "reading data.log: 1 of 3 rows miss a value and were left out"


def test_standard_input_on_the_command_line(put, tmp_path, monkeypatch):
    put("")
    (tmp_path / "other").mkdir()
    for line in ("fit -k 1 - --checkpoint c --threads 1 --json", "fit --resume ../c --json"):
        result = CliRunner().invoke(main, line.split(), input="a b\n1 2\n3 5\n2 2\n")
        assert result.exit_code == 0, result.output
        facts = json.loads(result.stdout)
        assert facts["means"] == [[2, 3]]
        assert facts["model"].endswith("stdin.gmm.npz")
        monkeypatch.chdir(tmp_path / "other")


# The table of rules -----------------------------------------------------------------------------

# For each rule a file in which it has something to guess, and what it finds.
GUESSES = {
    "encoding": ("größe,b\n1,2\n".encode("latin-1"), "encoding", "cp1252"),
    "comment": (b"#x\na,b\n1,2\n", "comment", "#"),
    "delimiter": (b"a;b\n1;2\n", "delimiter", ";"),
    "decimal": (b"a;b\n1,5;2\n", "decimal", ","),
    "width": (b"a,b,\n1,2,\n", "empty_last", True),
    "header": (b"1,2\n3,4\n", "names", None),
    "index": (b",a\n1,2\n2,3\n", "index", True),
    "kinds": (b"a,b\n1,TRUE\n", "booleans", [1]),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_guesses(put, rule):
    content, attribute, expected = GUESSES[rule.name]
    layout = find_layout(put(content), "x.csv", Dialect())
    assert getattr(layout, attribute) == expected
    plain = find_layout(put(b"a,b\n1,2\n"), "x.csv", Dialect())
    assert getattr(plain, attribute) != expected
    assert layout.note(False) is None or rule.option.startswith("--")
