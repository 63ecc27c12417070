"""Tables as they occur in practice: read correctly, with a note, or refused; never silently wrong."""

import csv
import datetime
import gzip
import io
import os
import re

import numpy as np
import polars as pl
import pytest

from cli.command import accuracy, fail, predictions, run, succeed

# Each row follows y = 3 a - 20 b + an offset by c, up to noise of 5.
RANDOM = np.random.RandomState(3)
OFFSETS = {"red": 0, "green": 30, "blue": -30}
A, B = RANDOM.uniform(10, 90, 500), RANDOM.randn(500)
C = RANDOM.choice([*OFFSETS], 500)
Y = 3 * A - 20 * B + np.array([OFFSETS[c] for c in C]) + 5 * RANDOM.randn(500)


def write(name, header, *columns, delimiter=","):
    """Write a CSV file with columns of texts."""
    with open(name, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([header.split(), *zip(*columns, strict=True)])
    return name


def texts(numbers, form=".2f"):
    return [format(number, form) for number in numbers]


def commas(numbers, form=".1f"):
    return [text.replace(".", ",") for text in texts(numbers, form)]


def plain(name="plain.csv", **changes):
    columns = {"a": texts(A), "b": texts(B, ".3f"), "c": C, "y": texts(Y)} | changes
    return write(name, " ".join(columns), *columns.values())


def train(*arguments):
    """Train briefly; return standard output and the notes."""
    result = run("train", *arguments, "--epochs", 40)
    assert result.code == 0, result
    assert all(line.startswith("fastmlp: note: ") for line in result.err.splitlines()), result.err
    return result.out, result.err


def r2(out):
    return [float(score) for score in re.findall(r"R² (-?[\d.]+)", out)]


@pytest.mark.parametrize(
    "mark", ["", "NA", "N/A", "n/a", "NULL", "null", "None", "-", "--", "?", "#N/A", "<NA>", "nan"]
)
def test_marks_of_missing_values_are_missing(mark):
    """The column stays one of numbers."""
    numbers = [mark if i % 100 == 7 else text for i, text in enumerate(texts(A))]
    out, notes = train(plain(a=numbers), "--epochs", 1)
    assert re.search(r"^  a +number +5$", out, re.M) and "14 features of 3 columns" in out and notes == ""


@pytest.mark.parametrize(
    ("name", "column"),
    {
        "marks": [("N/A", "-")[i % 200 > 100] if i % 100 == 7 else text for i, text in enumerate(texts(A))],
        "money": texts(A * 100, ",.0f"),
        "dollars": [f"${text}" for text in texts(A * 100, ",.2f")],
        "euros": [f"{text} €" for text in commas(A)],
        "per cent": [f"{text}%" for text in texts(A)],
        "spaces": [f"  {text} " for text in texts(A)],
        "thousands by spaces": [text.replace(",", " ") for text in texts(A * 1000, ",.0f")],
        "accounts": [f"({text})" for text in texts(A)],
        "exponents": texts(A, ".4e"),
    }.items(),
)
def test_numbers_in_other_clothes_are_numbers(name, column):
    out, _ = train(plain(a=column))
    assert re.search(r"^  a +number", out, re.M), out
    assert r2(out)[0] > 0.985


@pytest.mark.parametrize("target", ["y", "good"])
def test_decimal_commas_and_semicolons_are_found(target):
    columns = commas(A), commas(B, ".2f"), C, commas(Y) if target == "y" else texts(Y > 150, "d")
    path = write("comma.csv", f"a b c {target}", *columns, delimiter=";")
    out, _ = train(path, "--out", "m.safetensors")
    assert r2(out)[0] > 0.985 if target == "y" else accuracy(out) > 94
    new = "a b c", ["55,000", "55"], ["0,5", "0,50"], ["red", "red"]
    same, again = (row[0] for row in predictions("m.safetensors", write("new.csv", *new, delimiter=";")))
    assert same == again
    # a number that could have either mark, and training had none between thousands
    write("odd.csv", "a b c", ["55,0", "55.000"], ["0,5", "0,5"], ["red", "red"], delimiter=";")
    fail("predict", "m.safetensors", "odd.csv", about="Column 'a' holds '55.000' in line 3 of odd.csv, which may have")


def test_an_ambiguous_mark_is_decided_and_said():
    out, notes = train(plain(y=texts(Y * 1000, ",.0f")))
    assert r2(out)[0] > 0.985 and "is read as" in notes and "'y'" in notes
    same, _ = train("plain.csv", "--thousands", ",")
    assert r2(same) == r2(out)
    other, _ = train("plain.csv", "--decimal", ",", "--epochs", 1)
    assert "number to predict" in other


def test_dates_become_numbers_and_parts():
    day = datetime.date(2023, 1, 1)
    dates = [f"{day + datetime.timedelta(int(i))}" for i in range(500)]
    growing = texts(0.5 * np.arange(500) - 20 * B)
    out, _ = train(write("dates.csv", "date b y", dates, texts(B, ".3f"), growing), "--out", "m.safetensors")
    assert r2(out)[0] > 0.97 and "date or time (%Y-%m-%d)" in out
    later = [f"{day + datetime.timedelta(int(i))}" for i in range(500, 505)]
    values = np.array(predictions("m.safetensors", write("later.csv", "date b", later, ["0"] * 5)), float)
    assert (values > 225).all()
    fail(
        "predict", "m.safetensors", write("odd.csv", "date b", ["5.1.2023"], ["0"]), about="holds '5.1.2023' in line 2"
    )


def test_day_or_month_is_decided_and_said():
    dates = [f"{1 + i % 12:02d}/{1 + i % 11:02d}/2023" for i in range(500)]
    _, notes = train(plain(a=dates), "--epochs", 1)
    assert "the first number of '01/01/2023' is taken for the month" in notes


def test_months_are_dates():
    out, _ = train(plain(a=[f"{2020 + i // 12 % 4}-{1 + i % 12:02d}" for i in range(500)]), "--epochs", 1)
    assert "date or time (%Y-%m)" in out


def test_units_are_not_mixed():
    fail("train", plain(a=[f"{'$€'[i % 2]}{text}" for i, text in enumerate(texts(A))]), about="several units: '$', '€'")
    fail("train", plain(a=[f"{text}{'%' * (i % 2)}" for i, text in enumerate(texts(A))]), about="units: 'none', '%'")


def test_half_a_column_of_numbers_is_worth_a_word():
    _, notes = train(plain(a=["none given" if i % 4 else text for i, text in enumerate(texts(A))]), "--epochs", 1)
    assert "column 'a' is taken for categories, though 25 %" not in notes  # a quarter is not much
    _, notes = train(plain(a=[text if i % 4 else "none given" for i, text in enumerate(texts(A))]), "--epochs", 1)
    assert "column 'a' is left out, though 75 % of its values are each a finite number: 'none given' is not" in notes


def test_identifiers_are_left_out_with_a_note():
    out, notes = train(plain(a=texts(A), customer=[f"K{i * 7}" for i in range(500)]), "--target", "y", "--quiet")
    assert r2(out)[0] > 0.985 and "left out, as their texts differ in nearly every row: 'customer' ('K0', …)" in notes
    assert "kind" not in out
    out, _ = train(
        plain(a=texts(A), customer=[f"{i * 7 + 10**17}" for i in range(500)]), "--target", "y", "--epochs", 1
    )
    assert "customer  left out" in out  # numbers that float64 does not tell apart
    fail("train", write("ids.csv", "id y", [f"K{i}" for i in range(50)], texts(Y[:50])), about="identifier ('id')")


def test_every_seed_trains_and_a_class_of_one_row_is_said():
    kinds = np.where(np.arange(500) == 100, "purple", C)
    path = write("rare.csv", "a b kind", texts(A), texts(B), kinds)
    for seed in range(5):
        out, notes = train(path, "--seed", seed, "--epochs", 1)
        assert "4 classes (blue, green, purple, red)" in out
        assert "a single row has the class 'purple'" in notes


def test_marks_that_are_frequent_among_classes_are_classes():
    path = write("signs.csv", "a b sign", texts(A), texts(B), np.where(Y > 150, "+", "-"))
    out, notes = train(path)
    assert "2 classes (+, -)" in out and "'-' in so many rows" in notes
    assert accuracy(out) > 80


@pytest.mark.parametrize(("bad", "about"), [("inf", "'inf' in line 43"), ("x12", "'x12' in line 43")])
def test_a_bad_value_is_named_by_its_line(bad, about):
    column = texts(A)
    column[41] = bad
    fail("train", plain(a=column), about=about)


def test_measured_whole_numbers_are_no_classes():
    path = write("scores.csv", "hours score", texts(np.arange(25) / 2), texts(40 + 2 * np.arange(25), "d"))
    assert "1 number to predict (score)" in train(path, "--epochs", 1)[0]


def test_messages_are_short():
    names = [f"column with a long name {i}" for i in range(300)]
    with open("wide.csv", "w") as file:
        csv.writer(file).writerows([names, [*range(300)], [*range(1, 301)]])
    assert len(fail("train", "wide.csv", "--target", "nosuch")) < 600
    error = fail("train", plain(y=[f"t{i}" for i in range(500)]))
    assert len(error) < 300 and "500 different texts" in error and "task='classification'" in error
    out, _ = train("wide.csv", "--epochs", 1)
    assert "and 259 more columns" in out


def test_columns_are_chosen():
    out, _ = train(plain(), "--columns", "a,c", "--target", "y", "--split", "ordered")
    assert "400 training samples, 100 test samples, 8 features of 2 columns" in out
    fail("train", "plain.csv", "--columns", "a,d", "--target", "y", about="columns='d' are not in the table")
    fail("train", "plain.csv", "--columns", "a", about="a target that is named")


@pytest.fixture
def trained():
    """A model of plain.csv."""
    plain()
    succeed("train", "plain.csv", "--epochs", 40, "--out", "plain.safetensors")
    return "plain.safetensors"


def test_holes_and_unseen_values_are_filled_and_said(trained):
    write("new.csv", "a b c", ["50"] * 4, ["0", "", "0", "0"], ["red", "red", "violet", "pink"])
    result = run("predict", trained, "new.csv")
    assert result.code == 0 and len(result.out.splitlines()) == 5
    assert "missing in 'b' (1); training had none there: imputed" in result.err
    assert "column 'c' holds 2 values not seen in training, such as 'pink', 'violet'" in result.err


def test_codes_are_the_same_however_they_are_written():
    codes = np.where(A > 50, "1", "2")
    write("codes.csv", "code b label", codes, texts(B), np.where(A > 50, "0", "1"))
    succeed("train", "codes.csv", "--categorical", "code", "--epochs", 40, "--out", "m.safetensors")
    write("new.csv", "code b label", ["1.0", "2.0", "1"], ["0"] * 3, ["0.0", "1.0", "0"])
    assert predictions("m.safetensors", "new.csv") == [["0"], ["1"], ["0"]]
    assert accuracy(succeed("evaluate", "m.safetensors", "new.csv")) == 100
    pl.DataFrame({"code": [1, 2], "b": [0.0, 0.0]}).write_parquet("new.parquet")
    assert predictions("m.safetensors", "new.parquet") == [["0"], ["1"]]


def test_several_targets(tmp_path):
    plain(y=texts(Y), z=texts(B - Y))
    out, _ = train("plain.csv", "--target", "y,z", "--out", "m.safetensors")
    assert min(r2(out)) > 0.98 and len(r2(out)) == 2
    header, *rows = csv.reader(io.StringIO(succeed("predict", "m.safetensors", "plain.csv", "--keep", "c,a")))
    assert header == ["c", "a", "prediction_y", "prediction_z"]
    assert [row[:2] for row in rows[:9]] == [[c, a] for c, a in zip(C[:9], texts(A)[:9], strict=True)]
    assert len(r2(succeed("evaluate", "m.safetensors", "plain.csv"))) == 2
    fail("train", "plain.csv", "--target", "y,c", about="Column 'c' holds")


def test_other_formats_in_and_out(trained):
    expected = np.array(predictions(trained, "plain.csv"), float)[:, 0]
    frame = pl.read_csv("plain.csv")
    frame.write_parquet("plain.parquet")
    frame.write_ipc("plain.arrow")
    with gzip.open("plain.csv.gz", "wb") as file:
        frame.write_csv(file)
    for name in ("plain.parquet", "plain.arrow", "plain.csv.gz"):
        assert succeed("predict", trained, name, "--out", "p.parquet", "--keep", "c") == ""
        read = pl.read_parquet("p.parquet")
        assert read["c"].to_list() == C.tolist()
        np.testing.assert_allclose(read["prediction"].to_numpy(), expected, rtol=1e-6)
    assert r2(train("plain.parquet")[0]) == r2(train("plain.csv")[0])
    fail("predict", trained, "plain.csv", "--keep", "prediction", about="--keep 'prediction' is no column")


def test_predicting_goes_batch_by_batch(trained, monkeypatch):
    expected = predictions(trained, "plain.csv")
    from fastmlp.tables.reading import records

    monkeypatch.setattr(records, "_BLOCK", 1024)
    found = predictions(trained, "plain.csv")  # which rows go together may change a last digit
    np.testing.assert_allclose(np.array(found, float), np.array(expected, float), rtol=1e-5)
    with open("plain.csv", "a") as file:
        file.write("1,x,red,0\n")
    error = fail("predict", trained, "plain.csv", "--out", "p.csv", about="Column 'b' holds 'x' in line 502")
    assert "not a finite number" in error
    assert not os.path.exists("p.csv")


def test_a_model_of_an_earlier_version_says_what_to_do(trained):
    from fastmlp import MLP

    model = MLP.load(trained)
    encoder = model.metadata["fastmlp.cli"]["encoder"]
    del encoder["version"]
    model.save("old.safetensors")
    fail("predict", "old.safetensors", "plain.csv", about="reads version 2. Train the model anew")


@pytest.mark.parametrize(
    ("mark", "others", "said"),
    [
        ("-999", A, True),
        ("9999", A, True),
        ("-1", A + 200, True),
        ("-999", np.append(A[:-1], -800), False),
        ("-1", np.ones(500), False),
        ("100", A, False),
    ],
)
def test_marks_of_missing_values_among_numbers_are_suspected(mark, others, said):
    a = texts(others)
    a[::50] = [mark] * 10
    out, notes = train(plain(a=a), "--target", "y")
    line = f"column 'a' is {mark} in 10 rows, far from its other numbers"
    assert (line in notes) == said == bool(notes)
    if said:
        out, notes = train(plain(a=a), "--target", "y", "--missing-values", mark)
        assert re.search(r"^  a +number +10$", out, re.M) and not notes


def test_a_column_that_numbers_the_rows_is_named():
    numbered = write("numbered.csv", "id a y", map(str, range(1, 501)), texts(A), texts(Y))
    assert "column 'id' numbers the rows; --drop-columns leaves it out" in train(numbered, "--target", "y")[1]


def test_many_notes_are_cut_short():
    columns = {f"n{i}": texts(A)[:-10] + ["-999"] * 10 for i in range(50)}
    _, notes = train(plain(**columns), "--target", "y")
    assert notes.count("far from its other numbers") == 40 and "and 10 more notes like these" in notes
