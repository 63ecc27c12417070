"""Ambiguous tables as they occur in practice: read correctly, with a note, or refused with the line."""

import re

import numpy as np
import polars as pl
import pytest

from cli.command import fail, predictions, run
from cli.test_peoples_tables import RANDOM, A, B, C, Y, plain, r2, texts, train, write

SHORT = ["--target", "y", "--epochs", 2]
WHOLE = RANDOM.randint(200, 20_000, 500)
GERMAN = [f"{n:,}".replace(",", ".") for n in WHOLE]  # 850, 1.250
DAYS = [f"{1 + i % 28:02}.0{1 + i % 9}.{i % 70:02}" for i in range(500)]
ZEROS = [f"{n % 90:05}" for n in WHOLE]


def column(texts_of_a, *options, name="a", delimiter=",", target=None):
    """The line of the column listing for a column of these texts, and the notes."""
    rows = [*texts_of_a], texts(B), C, target or texts(Y)
    path = write("doubtful.csv", f"{name} b c y", *rows, delimiter=delimiter)
    out, notes = train(path, *SHORT, *options)
    return re.search(rf"^  {name} +(.*)$", out, re.M)[1], notes


@pytest.mark.parametrize(
    ("given", "kind", "note"),
    [
        # numbers
        ([f"{n},5" for n in WHOLE], "number (decimal comma)", ""),
        ([f"{n:,}" for n in WHOLE], "number", "is read as 1"),
        ([f"{n / 1e3:.3f}" for n in 1000 + WHOLE], "number", ""),  # three decimals each: a point
        (["1,23,456", *texts(A[1:], ".0f")], "number", ""),
        (["1\u2009234", *texts(A[1:], ".0f")], "number", ""),
        ([f"{n}.-" for n in WHOLE], "number", ""),
        ([f"{n}-" for n in WHOLE], "number", ""),
        ([f"$ ({n}.00)" for n in WHOLE], "number ($)", ""),
        ([f"Rs. {n}" for n in WHOLE], "number (Rs.)", ""),
        ([f"{n} kg" for n in WHOLE], "number (kg)", ""),
        ([f"{n}K" for n in WHOLE], "number (K)", ""),
        ([f"{n} m²" for n in WHOLE], "number (m²)", ""),
        ([f"{n % 40} to {n % 30}" for n in WHOLE], "category", "begin like numbers or dates: '0 to 0'"),
        ([f"{n % 40}/100" for n in WHOLE], "category", "begin like numbers or dates: '0/100'"),
        (["low", *texts(RANDOM.randint(1, 9, 499), "d")], "category", "100 % of its values are each a finite number"),
        # codes
        (ZEROS, "category", "is taken for codes: '00000' begins with a zero"),
        ([f"{n % 30}E{n % 3}" for n in WHOLE], "category", "begin like numbers"),
        # labels
        (RANDOM.choice(["red", "Red", "RED", "blue"], 500), "category", "differs only by case, spaces or invisible"),
        (RANDOM.choice(["caf\u00e9", "cafe\u0301"], 500), "category", "differs only by case, spaces or invisible"),
        ([*C[:-1], "Total"], "category", "the last row holds 'Total' in column 'a'"),
        ([*C[:-1], "a"], "category", "column 'a' holds its own name"),
        ([*texts(WHOLE[:-1], "d"), str(WHOLE[:-1].sum())], "number", "the sum of the others in column 'a'"),
        # dates
        ([f"2023{1 + i % 12:02}{1 + i % 28:02}" for i in range(500)], "number", "looks like days such as 20230101"),
        (DAYS, "date or time (%d.%m.%y)", "two digits of a year are read as 1970 to 2069"),
        ([f"{1 + i % 9}/{1 + i % 12}/2023" for i in range(500)], "date or time (%m/%d/%Y)", "--day-first decides"),
        ([f"2023-01-{1 + i % 28:02} 10:00:00" if i % 3 else "2023-01-05" for i in range(500)], "date or time", ""),
        ([f"2023-01-{1 + i % 28:02} 10:00 UTC" for i in range(500)], "date or time", ""),
        (
            [f"2023-01-{1 + i % 28:02}" if i % 9 else "9999-12-31" for i in range(500)],
            "date or time",
            "--also-missing=9999",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value[0]),
)
def test_columns(given, kind, note):
    found, notes = column(given)
    assert found.startswith(kind) and note in notes
    assert note or not notes


@pytest.mark.parametrize("given", [GERMAN, [f"{text} €" for text in GERMAN]], ids=["bare", "with a currency"])
def test_a_point_between_thousands(given):
    path = write("german.csv", "a c y", given, C, texts(Y, ".0f"), delimiter=";")  # as where decimals have a comma
    out, notes = train(path, *SHORT)
    assert re.search("^  a +number .*decimal comma", out, re.M) and re.search("'1[.]...( €)?' is read as 1[0-9]", notes)
    out, notes = train(path, *SHORT, "--decimal", ".")
    assert "decimal comma" not in out and not notes
    found, notes = column(given)
    assert "decimal comma" not in found and re.search("'1[.]...( €)?' is read as 1[.]", notes)


def test_a_decimal_comma_after_many_rows_counts_for_the_columns_before():
    rows = 1500
    late = ["0"] * rows + [f"{b:.2f}".replace(".", ",") for b in B]
    path = write("late.csv", "a late y", GERMAN * 4, late, texts(np.resize(WHOLE, 2000) / 1e3), delimiter=";")
    out, notes = train(path, "--target", "y", "--epochs", 3)
    assert re.search(r"^  a +number [(]decimal comma[)]$", out, re.M) and "column 'a': " in notes
    assert r2(out)[0] > 0.99


def test_the_other_decimal_mark_in_a_new_file_is_refused():
    train(plain(), *SHORT, "--out", "m.safetensors")
    fail(
        "predict",
        "m.safetensors",
        plain("new.csv", a=["47,924"] * 500),
        about="line 2 of new.csv, which may have another",
    )


def test_numbers_far_from_those_of_training_are_said():
    train(plain(), *SHORT, "--out", "m.safetensors")
    result = run("predict", "m.safetensors", plain("new.csv", a=[*texts(A[:-2]), "47924", "-500"]))
    assert result.code == 0 and "'a' is far outside the range of training, " in result.err
    assert "in 2 rows, such as 47924" in result.err


def test_a_number_without_its_per_cent_is_refused():
    train(plain(a=[f"{a:.1f}%" for a in A]), *SHORT, "--out", "m.safetensors")
    fail(
        "predict",
        "m.safetensors",
        plain("new.csv"),
        about="which is not a finite number written as in training, with %",
    )


@pytest.mark.parametrize(
    ("known", "codes"),
    [
        (["0E1", "0E2", "0E3", "0A1"], 4),
        (["250", "250.0", "250.00", "V27"], 4),
        (["007", "07", "7", "A7"], 4),
        (["1", "1.0", "2", "2.0"], 2),
    ],
)
def test_codes_that_are_equal_as_numbers(known, codes):
    found, _ = column(RANDOM.choice(known, 500), "--categorical", "a")
    out, _ = train(write("target.csv", "b y", texts(B), RANDOM.choice(known, 500)), *SHORT, "--task", "classification")
    assert f"{codes} classes" in out and found.startswith("category")


def test_a_mark_of_missing_values_is_one_in_any_notation():
    marked = [*texts(A[:-40]), *["-999.00"] * 20, *["NA"] * 20]
    assert column(marked, "--also-missing=-999")[0].split() == ["number", "40"]
    found, notes = column([f"{n},5" for n in WHOLE[:-20]] + ["-999,00"] * 20, delimiter=";")
    assert "column 'a' is -999 in 20 rows" in notes
    found, notes = column([f"{n},5" for n in WHOLE[:-20]] + ["-999,00"] * 20, "--also-missing=-999", delimiter=";")
    assert found.split()[-1] == "20" and not notes
    train("doubtful.csv", *SHORT, "--also-missing=-999", "--out", "m.safetensors")
    same = predictions("m.safetensors", "doubtful.csv")
    assert [row[-1:] for row in predictions("m.safetensors", "doubtful.csv", "--keep", "a")] == same


def test_two_marks_of_missing_values_and_those_of_a_target():
    marked = [*texts(A[:-40]), *["-999"] * 20, *["-888"] * 20]
    notes = column(marked)[1]
    assert "column 'a' is -999 in 20 rows" in notes and "column 'a' is -888 in 20 rows" in notes
    assert "the target 'y' is -999 in 20 rows" in column(texts(A), target=[*texts(Y[:-20]), *["-999"] * 20])[1]


@pytest.mark.parametrize(
    ("target", "about"),
    [
        (["3.25"] * 500, "The target 'y' is 3.25 in each row"),
        ([f"{n % 60} of 90" for n in WHOLE], "begin like numbers or dates: '0 of 90'"),
    ],
)
def test_targets_that_cannot_be_meant(target, about):
    fail("train", write("target.csv", "a b y", texts(A), texts(B), target), about=about)


def test_spellings_of_a_class_are_said():
    path = write("target.csv", "a y", texts(A), RANDOM.choice(["yes", "Yes", "no"], 500))
    assert "the target 'y' holds texts that differ only by case" in train(path, *SHORT)[1]


def test_a_column_may_be_called_as_a_number():
    path = write("years.csv", "2019 2020 2", texts(A), texts(B), texts(Y))
    for target in ("2020", "2", "-1"):
        assert (
            f"1 number to predict ({'2' if target == '-1' else target})" in run("train", path, "--target", target).out
        )
    assert "to predict (2019)" in run("train", path, "--target", "0").out


@pytest.mark.parametrize("first", ["sep=;\n", ""])
@pytest.mark.parametrize("header", ["a;y\n", "id;a;y\n"])
def test_first_lines_of_other_programs(first, header):
    rows = zip(range(1, 501), texts(A), texts(Y), strict=True)
    with open("export.csv", "w", encoding="utf-8") as file:
        file.write(first + header + "".join(f"{i};{a};{y}\n" for i, a, y in rows))
    out, notes = train("export.csv", *SHORT)
    assert "number to predict (y)" in out and re.search("^  a +number", out, re.M)
    assert ("without a name, counts the rows" in notes) == (header == "a;y\n")  # R gives the names of rows no name


@pytest.mark.parametrize(
    "row", ["39,tcp,blue,yes", "2023-01-05,tcp,blue,yes", '"29,0",tcp,blue,yes', "$29.0,tcp,blue,yes"]
)
def test_a_first_line_of_values_is_said(row):
    with open("rows.csv", "w", encoding="utf-8") as file:
        file.write(
            "\n".join(
                [
                    row,
                    *(
                        f"{a},udp,{c},no" if i % 2 else f"{a},tcp,{c},yes"
                        for i, (a, c) in enumerate(zip(texts(A), C, strict=True))
                    ),
                ]
            )
        )
    assert "names of columns look like values: " in train("rows.csv", "--epochs", 2)[1]


def test_bytes_of_another_encoding_are_named():
    with open("wide.csv", "wb") as file:
        file.write("a,y\n1,2\n".encode("utf-16-le"))
    fail("train", "wide.csv", about="encoding='utf-16-le'")


def test_rows_that_are_left_out_are_counted():
    train(plain(), *SHORT, "--out", "m.safetensors")
    result = run("evaluate", "m.safetensors", plain("new.csv", y=[*texts(Y[:-2]), "", ""]))
    assert result.code == 0 and "2 rows are left out: they lack a value" in result.err


def test_kept_columns_keep_their_types_and_a_file_without_rows_is_refused():
    day = pl.date_range(pl.date(2023, 1, 1), pl.date(2024, 5, 14), eager=True)
    frame = pl.DataFrame({"a": A, "day": day, "big": np.arange(500) + 2**60, "y": Y})
    frame.write_parquet("typed.parquet")
    train("typed.parquet", *SHORT, "--out", "m.safetensors")
    assert run("predict", "m.safetensors", "typed.parquet", "--keep", "day,big", "--out", "p.parquet").code == 0
    kept = pl.read_parquet("p.parquet")
    assert kept.schema == {"day": pl.Date, "big": pl.Int64, "prediction": pl.Float64}
    assert kept["big"].equals(frame["big"]) and kept["day"].equals(frame["day"])
    frame.head(0).write_parquet("none.parquet")
    fail("predict", "m.safetensors", "none.parquet", "--out", "q.parquet", about="holds no rows")
    # days as text, as a CSV file has them
    frame.with_columns(pl.col("day").cast(pl.String)).write_csv("typed.csv")
    assert predictions("m.safetensors", "typed.csv") == predictions("m.safetensors", "typed.parquet")


def test_files_of_other_programs_are_named():
    with open("table.xlsx", "wb") as file:
        file.write(b"PK")
    fail("train", "table.xlsx", about="Save it as CSV or Parquet")
