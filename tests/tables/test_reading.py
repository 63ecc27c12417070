"""Reading tables from files: CSV in all its forms, compressed or not, Parquet and Arrow."""

import csv
import gzip
import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastmlp import progress
from fastmlp.datasets import Table, read_table, table_batches
from fastmlp.errors import InputError
from fastmlp.tables.meaning import notation
from fastmlp.tables.meaning.labels import labels_of
from fastmlp.tables.reading import records

ZSTANDARD = bytes.fromhex(  # "a,b,c", "1,x,true", "2,,false"
    "28b52ffd0058c10000612c622c630a312c782c747275650a322c2c66616c73650a"
)
REPEATED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(read: Table) -> dict[str, list[str | None]]:
    """The values as texts; None for an empty field."""
    return {column.name: labels_of(column).to_list() for column in read.frame}


@pytest.mark.parametrize(
    "content",
    [
        "a,b\n1,x\n2,y\n",
        "a,b\n1,x\n2,y",
        "a,b\r\n1,x\r\n2,y\r\n",
        "a,b\r1,x\r2,y\r",
        "\ufeffa,b\n1,x\n2,y\n",
        " a , b \n1,  x\n 2, y \n",
        '"a","b"\n1, "x"\n2,"y"\n',
        '"a","b"\n"1","x"\n"2","y"\n',
        "\n\na,b\n\n1,x\n  \n2,y\n\n\n",
        "a,b\r\r\n1,x\r\r\n2,y\r\r\n",
        "a;b\n1;x\n2;y\n",
        "a\tb\n1\tx\n2\ty\n",
        "a|b\n1|x\n2|y\n",
        "\ufeffa,b\n1,x\n2,y\n".encode("utf-16-le"),
        "\ufeffa,b\n1,x\n2,y\n".encode("utf-16-be"),
        gzip.compress(b"a,b\n1,x\n2,y\n", mtime=0),
        "a,b,\n1,x,\n2,y,\n",
        "a,b\n1,x,\n2,y,\n",
        ",a,b\n0,1,x\n1,2,y\n",
    ],
)
def test_one_table_written_in_many_ways(tmp_path, content):
    path = write(tmp_path / "t.csv", content)
    assert cells(read_table(path)) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert cells(read_table(str(path), columns=["b"])) == {"b": ["x", "y"]}


def test_tables_of_other_formats_keep_their_types(tmp_path):
    frame = pl.DataFrame({"a": [1, 2], "b": ["x", None], "c": [True, False]})
    frame.write_parquet(tmp_path / "t.parquet")
    frame.write_ipc(tmp_path / "t.arrow")
    write(tmp_path / "t.csv.zst", ZSTANDARD)
    for name in ("t.parquet", "t.arrow"):
        assert read_table(tmp_path / name).frame.equals(frame)
        assert read_table(tmp_path / name, columns=["c", "a"]).names == ("a", "c")
        assert pl.concat([batch.frame for batch in table_batches(tmp_path / name, rows=1)]).equals(frame)
    assert cells(read_table(tmp_path / "t.csv.zst")) == {"a": ["1", "2"], "b": ["x", None], "c": ["true", "false"]}
    content = (tmp_path / "t.parquet").read_bytes()
    with pytest.raises(InputError, match=r"cut\.parquet cannot be read: .*damaged"):
        read_table(write(tmp_path / "cut.parquet", content[:-9]))


def test_quotes_hold_delimiters_line_ends_and_quotes(tmp_path):
    path = write(tmp_path / "t.csv", 'a,b\n"1,5","say ""hi""\nthere"\n')
    assert cells(read_table(path)) == {"a": ["1,5"], "b": ['say "hi"\nthere']}


def test_a_quote_within_a_field_stays(tmp_path):
    path = write(tmp_path / "t.csv", 'a,b\n5" pipe,1\n6" pipe,2\n')
    assert cells(read_table(path)) == {"a": ['5" pipe', '6" pipe'], "b": ["1", "2"]}


def test_an_empty_field_stays_and_a_row_of_them_is_not_blank(tmp_path):
    assert cells(read_table(write(tmp_path / "t.csv", "a,b\n,\n1,\n"))) == {"a": [None, "1"], "b": [None, None]}


@pytest.mark.parametrize(("delimiter", "content"), [(";", "1;2,5"), ("\t", "1\t2,5"), (" ", "1 2,5")])
def test_another_delimiter(tmp_path, delimiter, content):
    path = write(tmp_path / "t.csv", content)
    assert cells(read_table(path, header=False, delimiter=delimiter)) == {"column0": ["1"], "column1": ["2,5"]}


def test_skipped_lines_need_not_be_csv(tmp_path):
    path = write(tmp_path / "t.csv", 'a "note\n\na,b\n1,2\n')
    assert cells(read_table(path, skip_lines=2)) == {"a": ["1"], "b": ["2"]}


def test_an_encoding_is_named(tmp_path):
    path = write(tmp_path / "t.csv", "a,b\n1,café\n".encode("cp1252"))
    with pytest.raises(InputError, match=r"not UTF-8: byte 0xe9 in line 2\. .*encoding='cp1252'"):
        read_table(path)
    assert cells(read_table(path, encoding="cp1252"))["b"] == ["café"]
    with pytest.raises(InputError, match="encoding='latin-x' is unknown"):
        read_table(path, encoding="latin-x")


def test_what_is_done_about_unnamed_columns_is_said(tmp_path):
    assert (
        read_table(write(tmp_path / "t.csv", ",a\n0,5\n1,5\n"))
        .notes[-1]
        .startswith("'column0', without a name, counts")
    )
    assert "delimiter at the end" in read_table(write(tmp_path / "t.csv", "a,b,\n1,2,\n")).notes[-1]
    named = read_table(write(tmp_path / "t.csv", "a,\n1,2\n"))
    assert (named.names, named.notes) == (("a", "column1"), ("columns without a name are called 'column1'",))
    for header, said in {"1,4": 1, "0.5,a": 1, "0,1": 0, "2019,a,2020": 0}.items():
        assert len(read_table(write(tmp_path / "t.csv", f"{header}\n{header}\n")).notes) == said


def test_a_column_is_numbers_only_if_all_of_it_is(tmp_path):
    rows = [f"{i},{i / 8},{i:03d}" for i in range(3000)]
    plain = read_table(write(tmp_path / "t.csv", "\n".join(["a,b,c", *rows])))
    assert plain.frame.dtypes == [pl.Float64, pl.Float64, pl.String]
    rows[2900] = "x,NA,7"  # beyond the sample
    rows[2800] = "inf,,8"
    late = read_table(write(tmp_path / "t.csv", "\n".join(["a,b,c", *rows])))
    assert late.frame.dtypes == [pl.String, pl.Float64, pl.String]
    assert late.frame["a"].gather([2899, 2900, 2800]).to_list() == ["2899", "x", "inf"]
    assert late.frame["b"].null_count() == 2


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("", {}, "holds no rows"),
        ("\n \n\n", {}, "holds no rows"),
        ("a,b\n1,2\n", {"skip_lines": 2}, "after 2 skipped lines"),
        ("a,b\n", {}, "holds column names, but no rows"),
        ("a,b\n1,2\n\n1,2,3\n", {}, r"Line 4 of .* has 3 fields; the first row has 2"),
        ("a,b\n1,2\n1,2,3\n1\n", {}, r"Line 3 of .* has 3 fields; the first row has 2"),
        ("note\na,b\n1\n", {"skip_lines": 1}, r"Line 3 of .* has 1 fields; the first row has 2"),
        ('a,b\n"1\n2",3\n4\n', {}, "Line 4 of"),
        ("a,a\n1,2\n", {}, "Column 2 of .* is named 'a', like another one"),
        ('a,b\n"1,2\n', {}, r"Line 2 of .* is not CSV: unexpected end of data"),
        ('note\na,b\n"1"2,3\n', {"skip_lines": 1}, r"Line 3 of .* is not CSV"),
        ("a,b\n" + "1" * 200_000 + ",2\n", {}, "field larger than field limit"),
        (b"a,b\n1,2\n3,caf\xe9\n", {}, "not UTF-8: byte 0xe9 in line 3"),
        (b"a,b\n1,2\n", {"encoding": "utf-16"}, "is not utf-16"),
        (gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-9], {}, "Cannot read"),
        ("a", {"delimiter": ""}, "delimiter=''"),
        ("a", {"delimiter": ",,"}, "delimiter=',,'"),
        ("a", {"delimiter": '"'}, "cannot separate"),
        ("a", {"delimiter": "\n"}, "cannot separate"),
        ("a", {"delimiter": 1}, "delimiter=1"),
        ("a", {"skip_lines": -1}, "skip_lines=-1"),
        ("a", {"skip_lines": True}, "skip_lines=True"),
        ("a", {"decimal": ";"}, "decimal=';'"),
        ("a", {"decimal": ",", "thousands": ","}, "thousands=','"),
        ("a,b\n1,2\n", {"columns": ["c"]}, "columns='c' are not in the table. Columns: 'a', 'b'"),
    ],
)
def test_a_bad_file_or_option_is_refused(tmp_path, content, options, message):
    with pytest.raises(InputError, match=message):
        read_table(write(tmp_path / "t.csv", content), **options)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv: No such file"):
        read_table(tmp_path / "nowhere.csv")
    with pytest.raises(InputError, match="is a folder or a device"):
        read_table(tmp_path)


def test_rows_are_named_by_their_lines(tmp_path):
    path = write(tmp_path / "t.csv", 'note\na,b\n\n1,2\n"x\ny",3\n\n5,6\n')
    read = read_table(path, skip_lines=1)
    assert [read.place(row).split()[1] for row in range(3)] == ["4", "6", "8"]
    assert Table(read.frame).place(1) == "row 2"


FIELDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6).map(str.strip)


@REPEATED
@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(st.lists(FIELDS, min_size=width, max_size=width), min_size=1, max_size=5)
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_python_writes_is_read_back(tmp_path, rows, line_end):
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(rows)
    path = write(tmp_path / "t.csv", stream.getvalue())
    read = next(table_batches(path, header=False, delimiter=",", as_text=[f"column{i}" for i in range(4)]))
    assert [tuple(cell or "" for cell in row) for row in read.frame.rows()] == [tuple(row) for row in rows]


@REPEATED
@given(
    st.text(st.sampled_from('a1,;." \t\r\n\ufeff\0é|'), max_size=60).map(str.encode) | st.binary(max_size=60),
    st.booleans(),
    st.sampled_from([*",; \t|", None]),
    st.integers(0, 2),
)
def test_random_text_is_a_table_or_an_input_error(tmp_path, content, header, delimiter, skip_lines):
    path = write(tmp_path / "t.csv", content)
    try:
        read = read_table(path, header=header, delimiter=delimiter, skip_lines=skip_lines)
    except InputError:
        return
    assert len(set(read.names)) == len(read.names)
    assert len(read) >= 1


@pytest.mark.parametrize("quoted", [False, True])
def test_blocks_end_between_rows(tmp_path, quoted, monkeypatch):
    monkeypatch.setattr(records, "_BLOCK", 64)
    random = np.random.RandomState(0)
    rows = [[f"{i}", "a\nb" * quoted + "c" * random.randint(99)] for i in range(200)]
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([["n", "text"], *rows])
    path = write(tmp_path / "t.csv", stream.getvalue())
    assert cells(read_table(path)) == {"n": [n for n, _ in rows], "text": [text or None for _, text in rows]}
    batches = list(table_batches(path, rows=7))
    assert len(batches) > 20
    assert [batch.first for batch in batches] == np.cumsum([0, *map(len, batches)])[:-1].tolist()
    broken = stream.getvalue().replace("\n150,", "\n150,x,")
    with pytest.raises(InputError, match="has 3 fields"):
        read_table(write(tmp_path / "t.csv", broken))


def test_names_of_columns_are_looked_at_together(tmp_path, monkeypatch):
    """A call of Polars for each of thousands of columns would take longer than reading them."""
    looked, parts = [], notation._parts
    monkeypatch.setattr(notation, "_parts", lambda *given: looked.append(len(given[1])) or parts(*given))
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"x{i}" for i in range(500)) + "\n" + ",".join(["1.5"] * 500) + "\n")
    assert len(read_table(path).names) == 500
    assert looked == [500]


@pytest.mark.parametrize(("packed", "shown"), [(bytes, "0.00/12.0 ["), (gzip.compress, "0.00B [")])
def test_long_reading_shows_how_far_it_is(tmp_path, monkeypatch, capfd, packed, shown):
    monkeypatch.setattr(progress, "_PATIENCE", 0)
    path = write(tmp_path / "a.csv", packed(b"a,b\n1,2\n3,4\n"))
    read_table(path)
    assert capfd.readouterr().err == ""
    read_table(path, progress=True)
    assert shown in capfd.readouterr().err
