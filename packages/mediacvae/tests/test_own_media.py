"""One's own recipes and observations: units brought to g/L, all rows or none."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediacvae import db
from mediacvae.db import DatabaseError
from mediacvae.db.own_media import import_recipes

HEAD = "medium_id,name,ingredient,amount,unit,molar_mass,ph\n"


def table(path, text, name="m.csv"):
    file = path / name
    file.write_text(text, encoding="utf-8")
    return file


def test_units_are_brought_to_grams_per_litre(url, tmp_path):
    rows = (
        "m1,My medium,NaCl,10,g/L,,7.2\nm1,,yeast extract,0.5,% w/v,,\nm1,,Glucose,5,mM,,\nm1,,Biotin,20,µg/L,,\n"
        "m1,,secret,1,mM,100,\nm2,,NaCl,250,mg/L,,\n"
    )
    done = import_recipes(table(tmp_path, HEAD + rows), url)
    found = db.read(url)
    amounts = found.amounts.set_index(["medium_id", "ingredient"])["g_per_l"]
    expected = {"NaCl": 10, "yeast extract": 5, "Glucose": 0.90078, "Biotin": 2e-5, "secret": 0.1}
    for name, amount in expected.items():
        assert amounts["m1", name] == pytest.approx(amount, rel=1e-4)
    assert amounts["m2", "NaCl"] == 0.25
    assert not found.amounts["guessed"].any()
    medium = found.media.set_index("medium_id").loc["m1"]
    assert (medium["name"], medium["min_ph"], medium["max_ph"]) == ("My medium", 7.2, 7.2)
    assert done.notes == []
    again = import_recipes(tmp_path / "m.csv", url)
    assert {(part.new, part.changed) for part in again.written} == {(0, 0)}


def test_an_ingredient_named_twice_is_summed_and_said(file_url, tmp_path):
    done = import_recipes(table(tmp_path, HEAD + "m1,,NaCl,10,g/L,,\nm1,,NaCl,100,mM,,\n"), file_url)
    assert done.notes == ["m.csv: row 3: medium 'm1' names 'NaCl' again: summed to 15.844 g/L"]
    assert db.read(file_url).amounts["g_per_l"].tolist() == pytest.approx([15.844])


def test_another_spelling_of_a_known_ingredient_is_said(file_url, tmp_path):
    import_recipes(table(tmp_path, HEAD + "m1,,NaCl,10,g/L,,\n"), file_url)
    done = import_recipes(table(tmp_path, HEAD + "m2,,nacl,10,g/L,,\n"), file_url)
    assert done.notes == ["ingredient 'nacl' is new: 'NaCl' is known"]


def test_a_shorter_recipe_takes_the_place_of_the_longer(file_url, tmp_path):
    import_recipes(table(tmp_path, HEAD + "m1,,NaCl,10,g/L,,\nm1,,Agar,15,g/L,,\n"), file_url)
    import_recipes(table(tmp_path, HEAD + "m1,,Agar,12,g/L,,\n"), file_url)
    assert db.read(file_url).amounts[["ingredient", "g_per_l"]].to_numpy().tolist() == [["Agar", 12.0]]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("m1,,NaCl,-1,g/L,,", "row 2: column 'amount': expected a number from 0 up, got '-1'"),
        ("m1,,NaCl,nan,g/L,,", "row 2: column 'amount': expected a number from 0 up, got 'nan'"),
        ("m1,,NaCl,1e999,g/L,,", "row 2: column 'amount'"),
        ("m1,,NaCl,,g/L,,", "row 2: column 'amount': expected a value"),
        ("m1,,NaCl,ten,g/L,,", "row 2: column 'amount'"),
        ("m1,,NaCl,1,ml/L,,", "row 2: ingredient 'NaCl': unit: expected one of g/L"),
        ("m1,,NaCl,1,,,", "row 2: column 'unit': expected a value"),
        ("m1,,broth,1,mM,,", r"row 2: ingredient 'broth': amount in mM: .*\(column molar_mass\)"),
        ("m1,,broth,1,mM,-3,", "row 2: column 'molar_mass'"),
        ("m1,,NaCl,20000,g/L,,", "row 2: ingredient 'NaCl': expected at most 10000 g/L"),
        ("m1,,,1,g/L,,", "row 2: column 'ingredient': expected a value"),
        ("../m,,NaCl,1,g/L,,", "row 2: column 'medium_id': medium id: expected"),
        ("m1,,NaCl,1,g/L,,15", "row 2: column 'ph'"),
        ("m1,A,NaCl,1,g/L,,\nm1,B,Agar,1,g/L,,", "row 3: medium 'm1': name: expected 'A' as above, got 'B'"),
        ("m1,,NaCl,1,g/L,,,", "row 2: expected 7 fields, as the heading, got 8"),
        ("m1,,NaCl", "row 2: expected 7 fields"),
        ("", "expected at least one row"),
        ('m1,"a\0b",NaCl,1,g/L,,', "m.csv"),
    ],
)
def test_a_bad_row_refuses_the_file(file_url, tmp_path, row, said):
    file = table(tmp_path, HEAD + "".join(f"{line}\n" for line in row.split("\n") if line))
    with pytest.raises(DatabaseError, match=said):
        import_recipes(file, file_url)
    assert db.read(file_url).media.empty


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "medium,ingredient,amount,unit\nm,NaCl,1,g/L\n",
            "expected a column 'medium_id', .*did you mean 'medium'",
        ),
        ("medium_id,medium_id,ingredient,amount,unit\n", "column 'medium_id': expected once"),
        ("", "expected a column 'medium_id', there is none"),
    ],
)
def test_a_bad_heading_is_told(file_url, tmp_path, text, said):
    with pytest.raises(DatabaseError, match=said):
        import_recipes(table(tmp_path, text), file_url)


def test_tabs_and_a_byte_order_mark_are_read(file_url, tmp_path):
    text = "\ufeff" + HEAD.replace(",", "\t") + "NA\tNone\tnull\t1\tg/L\t\t\n"
    import_recipes(table(tmp_path, text, "m.tsv"), file_url)
    found = db.read(file_url)
    assert found.media[["medium_id", "name"]].to_numpy().tolist() == [["NA", "None"]]
    assert found.amounts["ingredient"].tolist() == ["null"]


def test_text_that_is_not_utf8_is_told(file_url, tmp_path):
    (tmp_path / "m.csv").write_bytes(HEAD.encode() + b"m1,,\xff,1,g/L,,\n")
    with pytest.raises(DatabaseError, match="expected a table as UTF-8 text"):
        import_recipes(tmp_path / "m.csv", file_url)


@settings(max_examples=60)
@given(st.text(max_size=200) | st.text('medium_idngrtaul,\n"1.', max_size=200).map(lambda t: HEAD + t))
def test_any_text_is_read_or_told(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text")
    try:
        file = table(path, text)
    except UnicodeEncodeError:
        return
    with suppress(DatabaseError):
        import_recipes(file, f"sqlite:///{path}/a.db")


@pytest.fixture
def observed(url, tmp_path):
    import_recipes(table(tmp_path, HEAD + "m1,,NaCl,10,g/L,,\nm2,,NaCl,10,g/L,,\n"), url)
    db.store_genome_metadata("g1", "G", "bacteria", url=url)
    db.store_genome_metadata("GCF_10", "G", "bacteria", url=url)
    return url


def test_observations_come_in(observed, tmp_path):
    text = "genome_id,medium_id,growth,confidence,source\ng1,m1,yes,0.9,me\ng1,m2,0,,\n"
    db.add_growth(table(tmp_path, text, "g.csv"), observed)
    growth = db.read(observed).growth
    assert growth[["medium_id", "growth", "confidence", "source"]].to_numpy().tolist() == [
        ["m1", True, 0.9, "me"], ["m2", False, 1.0, "own"],
    ]  # fmt: skip
    assert growth["growth"].dtype == np.bool_


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("g1,m1,true,1.5,me", "row 2: column 'confidence': expected a number from 0 to 1, got '1.5'"),
        ("g1,m1,perhaps,1,me", "row 2: column 'growth': expected true or false"),
        (
            "g1,m1,true,1,me\nGCF_19,m1,true,1,me",
            "row 3: genome 'GCF_19' is not in the database; did you mean 'GCF_10'",
        ),
        ("g1,m3,true,1,me", "row 2: medium 'm3' is not in the database"),
        ("g1,m1,true,1,me\ng1,m1,false,1,me", "rows 2 and 3: expected one answer"),
        ("g1' OR 1=1 --,m1,true,1,me", "row 2: column 'genome_id': genome id: expected"),
    ],
)
def test_a_bad_observation_refuses_the_file(observed, tmp_path, rows, said):
    file = table(tmp_path, f"genome_id,medium_id,growth,confidence,source\n{rows}\n", "g.csv")
    with pytest.raises(DatabaseError, match=said):
        db.add_growth(file, observed)
    assert db.read(observed).growth.empty


def test_a_change_of_mind_is_said_on_purpose(observed, tmp_path):
    head = "genome_id,medium_id,growth,source\n"
    db.add_growth(table(tmp_path, head + "g1,m1,true,me\n", "g.csv"), observed)
    other = table(tmp_path, head + "g1,m1,false,me\n", "h.csv")
    with pytest.raises(DatabaseError, match="growth=True is stored, got growth=False"):
        db.add_growth(other, observed)
    db.add_growth(other, observed, replace=True)
    assert db.read(observed).growth["growth"].tolist() == [False]
