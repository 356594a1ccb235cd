"""Collected tables into the database: complete, once, and with a word for every row that is left out."""

from __future__ import annotations

import io
import os
import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediacvae import db
from mediacvae.db import DatabaseError
from mediacvae.db.organisms import organism_id
from mediacvae.names import checked_id

REAL = Path(os.environ.get("MEDIACVAE_DATA", "/nonexistent"))
MEDIA = pd.DataFrame(
    {
        "medium_id": ["mediadive.medium:1", "TOGO:M2", "komodo.medium:110_replace_rumen fluid, clarified"],
        "name": ["Nutrient agar", None, "RUMEN"], "source": ["MediaDive", "TogoMedium", "KOMODO"],
        "min_ph": [7.0, np.nan, 6.5], "max_ph": [7.2, np.nan, 6.5], "physical_state": "LIQUID", "n_ingredients": 2,
        "total_g_per_l": 8.0,
    }
)  # fmt: skip
AMOUNTS = pd.DataFrame(
    {
        "medium_id": ["mediadive.medium:1"] * 3 + ["TOGO:M2"] * 2,
        "ingredient": ["peptone", "NaCl", "Biotin", "NaCl", "sludge"],
        "ingredient_as_written": ["Peptone", "Sodium chloride", "biotin", "NaCl", "Sludge"],
        "chebi": [None, "CHEBI:26710", "CHEBI:15956", "CHEBI:26710", None],
        "g_per_l": [5.0, 3.0, 2e-6, 1.25, np.nan], "raw_value": [5.0, 3.0, 0.002, 1.25, 1000.0],
        "raw_unit": "G_PER_L", "flag": ["", "", "stock_x0.001", "merged_rest_x0.01", ""],
    }
)  # fmt: skip
GROWTH = pd.DataFrame(
    {
        "genus": ["Escherichia", "Escherichia", "Pseudomonas", "Haloferax"],
        "species": ["Escherichia coli", "Escherichia coli", "Pseudomonas", "Haloferax volcanii"],
        "strain": ["Escherichia coli IAI1", "Escherichia coli IAI1", "", "DS2"], "taxid": [585034, 585034, None, None],
        "assembly": ["GCA_1.1", "GCA_1.1", "", ""], "organism_type": ["bacteria", "bacteria", "bacteria", "archea"],
        "medium_id": ["TOGO:M2", "TRAM:BHI++", "TOGO:M2", "mediadive.medium:1"], "growth": [True, False, True, True],
        "max_od": [0.5, 0.0, np.nan, np.nan], "source": ["T", "T", "title", "title"],
        "rank": ["strain", "strain", "genus", "strain"],
    }
)  # fmt: skip
TAXA = pd.DataFrame(
    {
        "genus": ["Escherichia", "Haloferax"], "gc": [50.6, 65.1], "genome_size": [5.0e6, 4.0e6],
        "n_assemblies": [9, 2],
        "lineage": ["Bacteria;Proteobacteria", "Archaea;Euryarchaeota"], "domain": ["Bacteria", "Archaea"],
    }
)  # fmt: skip
ALL = {"media": MEDIA, "media_ingredients": AMOUNTS, "growth": GROWTH, "taxa": TAXA}


def folder(path, **tables):
    for name, frame in (tables or ALL).items():
        frame.to_parquet(path / f"{name}.parquet")
    return path


def written(done):
    return {part.table: (part.new, part.changed) for part in done.written}


def test_everything_comes_in_and_the_second_time_nothing_changes(url, tmp_path):
    done = db.import_folder(folder(tmp_path), url)
    assert done.notes == ["growth.parquet: 1 media have no recipe here, only growth: TRAM:BHI++"]
    before = db.read(url)
    again = db.import_folder(tmp_path, url)
    assert set(written(again).values()) == {(0, 0)}
    after = db.read(url)
    for name in vars(before):
        pd.testing.assert_frame_equal(getattr(before, name), getattr(after, name))
    media = before.media.set_index("medium_id")
    assert media.loc["TOGO:M2", "name"] == "TOGO:M2"
    assert media.loc["mediadive.medium:1", "max_ph"] == 7.2
    assert before.taxa["gc"].tolist() == [50.6, 65.1]


def test_recipes_keep_order_raw_values_and_what_is_guessed(url, tmp_path):
    db.import_folder(folder(tmp_path), url)
    found = db.read(url).amounts
    pd.testing.assert_series_equal(
        found["ingredient"],
        pd.Series(["NaCl", "sludge", "peptone", "NaCl", "Biotin"], dtype=object),
        check_names=False,
    )
    assert found["guessed"].tolist() == [True, False, False, False, True]
    assert found["raw_value"].tolist() == [1.25, 1000.0, 5.0, 3.0, 0.002]
    assert found["g_per_l"].isna().tolist() == [False, True, False, False, False]
    assert found["chebi"].tolist() == ["CHEBI:26710", None, None, "CHEBI:26710", "CHEBI:15956"]


def test_organisms_without_a_genome_get_a_row_without_a_sequence(url, tmp_path):
    db.import_folder(folder(tmp_path), url)
    genomes = db.read(url).genomes.set_index("genome_id")
    assert set(genomes.index) == {"GCA_1.1", "organism:Pseudomonas", "organism:Haloferax_volcanii_DS2"}
    assert not genomes["has_sequence"].any()
    assert genomes["gc_content"].isna().all()
    assert genomes.loc["GCA_1.1", "taxid"] == 585034
    assert genomes.loc["organism:Haloferax_volcanii_DS2", "organism_type"] == "archaea"
    growth = db.read(url).growth
    assert growth[growth["genome_id"] == "GCA_1.1"]["growth"].tolist() == [True, False]


def test_a_genome_that_is_there_keeps_what_is_known(url, tmp_path):
    db.store_genome_metadata("GCA_1.1", "E. coli IAI1", "bacteria", gc_content=50.8, fasta_path="/x", url=url)
    db.import_folder(folder(tmp_path), url)
    genome = db.read(url).genomes.set_index("genome_id").loc["GCA_1.1"]
    assert (genome["organism_name"], genome["gc_content"]) == ("E. coli IAI1", 50.8)


def test_a_changed_table_changes_what_differs(url, tmp_path):
    db.import_folder(folder(tmp_path), url)
    shorter = AMOUNTS.drop(index=1).reset_index(drop=True)
    shorter.loc[0, "g_per_l"] = 6.0
    done = db.import_folder(folder(tmp_path, media_ingredients=shorter), url)
    found = db.read(url).amounts
    assert found[found["medium_id"] == "mediadive.medium:1"]["ingredient"].tolist() == ["peptone", "Biotin"]
    assert found["g_per_l"].max() == 6.0
    assert written(done)["media_ingredients"] == (0, 3)  # one changed, one moved up, one taken away


def test_tables_are_optional_but_one_is_needed(file_url, tmp_path):
    with pytest.raises(DatabaseError, match=r"expected one or more of media\.parquet"):
        db.import_folder(tmp_path, file_url)
    db.import_folder(folder(tmp_path, taxa=TAXA), file_url)
    assert len(db.read(file_url).taxa) == 2


def test_columns_are_checked(file_url, tmp_path):
    done = db.import_folder(folder(tmp_path, media=MEDIA.assign(colour="red", smell=1)), file_url)
    assert "media.parquet: columns that are not read: colour, smell" in done.notes
    with pytest.raises(DatabaseError, match=r"expected a column 'medium_id', .*did you mean 'medium_ids'"):
        db.import_folder(folder(tmp_path, media=MEDIA.rename(columns={"medium_id": "medium_ids"})), file_url)


BAD = [
    ("media", "medium_id", "../../etc/passwd", "medium id: expected"),
    ("media", "medium_id", "", "expected a value"),
    ("media", "medium_id", "TOGO:M2", "expected each once, got 'TOGO:M2' again"),
    ("media", "min_ph", 15.0, "expected a number from 0 to 14"),
    ("media", "min_ph", 8.0, "expected at most max_ph"),
    ("media", "name", "a\0b", "printable characters"),
    ("media_ingredients", "ingredient", "", "column 'ingredient': expected a value"),
    ("media_ingredients", "ingredient", None, "column 'ingredient': expected a value"),
    ("media_ingredients", "g_per_l", -1.0, "expected a number from 0 up, got -1.0"),
    ("media_ingredients", "g_per_l", np.inf, "expected a number from 0 up, got inf"),
    ("media_ingredients", "medium_id", "TOGO:M3", r"expected a medium of media\.parquet, got 'TOGO:M3'"),
    ("taxa", "gc", 120.0, "expected a number from 0 to 100, got 120"),
    ("taxa", "genus", "Haloferax", "expected each once, got 'Haloferax' again"),
    ("growth", "organism_type", "plant", "expected one of bacteria"),
    ("growth", "medium_id", "a\nb", "medium id: expected"),
    ("growth", "max_od", -0.5, "expected a number from 0 up"),
    ("growth", "taxid", -3, "expected a whole number"),
    ("growth", "assembly", "x/../y", "genome id: expected"),
]


@pytest.mark.parametrize(("table", "column", "value", "said"), BAD)
def test_a_bad_row_is_left_out_and_told_with_its_number(file_url, tmp_path, table, column, value, said):
    tables = {name: frame.copy() for name, frame in ALL.items()}
    tables[table][column] = tables[table][column].astype(object)
    tables[table].loc[0, column] = value
    if said.startswith("expected each once"):  # the row that comes second is left out
        tables[table] = tables[table].iloc[::-1].reset_index(drop=True)
    done = db.import_folder(folder(tmp_path, **tables), file_url)
    (note,) = [one for one in done.notes if f"{table}.parquet: 1 row left out" in one]
    row = len(tables[table]) if said.startswith("expected each once") else 1
    assert re.search(rf"\(row {row}\): .*{said}", note)


def test_answers_that_contradict_each_other_are_left_out(file_url, tmp_path):
    twice = pd.concat([GROWTH, GROWTH.iloc[:2].assign(growth=[False, False])], ignore_index=True)
    done = db.import_folder(folder(tmp_path, media=MEDIA, growth=twice), file_url)
    assert any("2 rows left out (row 1, 5): expected one answer" in note for note in done.notes)
    assert any("1 rows repeat others" in note for note in done.notes)
    assert len(db.read(file_url).growth) == 3


def test_a_record_against_the_stored_one_is_refused_unless_replaced(url, tmp_path):
    db.import_folder(folder(tmp_path), url)
    other = folder(tmp_path, growth=GROWTH.assign(growth=False))
    with pytest.raises(
        DatabaseError, match=r"'GCA_1\.1' on medium 'TOGO:M2' by source 'T': growth=True is stored"
    ):
        db.import_folder(other, url)
    assert db.read(url).growth["growth"].sum() == 3
    db.import_folder(other, url, replace=True)
    assert db.read(url).growth["growth"].sum() == 0


NAMES = st.fixed_dictionaries(
    {"genus": st.text(max_size=20), "species": st.text(max_size=40), "strain": st.text(max_size=200)}
)


@given(NAMES)
def test_ids_of_organisms_are_safe_and_stable(one):
    found = organism_id(one)
    assert found == organism_id(dict(one))
    if found:
        assert checked_id(found, "x") == found


def test_different_organisms_have_different_ids():
    names = ("DS2", "DS 2", "DS_2", "DS/2", "ds2", "D S2", "", "Haloferax volcanii DS3")
    ids = {
        organism_id({"genus": "Haloferax", "species": "Haloferax volcanii", "strain": one}) for one in names
    }
    assert len(ids) == len(names)


def _bytes(frame):
    stream = io.BytesIO()
    frame.to_parquet(stream)
    return stream.getvalue()


GOOD = {name: _bytes(frame) for name, frame in ALL.items()}


@settings(max_examples=60)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_damaged_files_are_told_and_nothing_else(tmp_path_factory, name, data):
    """Mutated valid bytes: only our own error comes out."""
    raw = bytearray(GOOD[name])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    path = tmp_path_factory.mktemp("fuzz")
    (path / f"{name}.parquet").write_bytes(bytes(raw))
    url = f"sqlite:///{path}/a.db"
    with suppress(DatabaseError):
        db.import_folder(path, url)


CELLS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10))


@settings(max_examples=40)
@given(st.sampled_from(sorted(ALL)), st.data())
def test_any_cells_are_stored_or_told(tmp_path_factory, name, data):
    """Columns of any one type with any values."""
    frame = ALL[name].copy()
    for column in data.draw(st.lists(st.sampled_from(list(frame)), min_size=1, max_size=4, unique=True)):
        kind = data.draw(
            st.sampled_from(
                [st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=10)]
            )
        )
        frame[column] = pd.Series(
            data.draw(st.lists(kind | st.none(), min_size=len(frame), max_size=len(frame))), dtype=object
        )
    path = tmp_path_factory.mktemp("cells")
    try:
        folder(path, **{name: frame})
    except (OSError, ValueError, UnicodeError):
        return  # what Arrow itself does not write
    with suppress(DatabaseError):
        db.import_folder(path, f"sqlite:///{path}/a.db")


@pytest.mark.skipif(
    not (REAL / "media.parquet").is_file(), reason="MEDIACVAE_DATA names no folder of collected tables"
)
def test_the_collected_tables_come_in_whole(tmp_path):
    url = f"sqlite:///{tmp_path}/a.db"
    done = db.import_folder(REAL, url)
    found = db.read(url)
    source = pd.read_parquet(REAL / "media_ingredients.parquet")
    named = source[source["ingredient"].str.strip() != ""]
    assert len(found.amounts) == len(named)
    assert found.amounts["g_per_l"].sum() == pytest.approx(named["g_per_l"].sum())
    assert found.amounts["guessed"].sum() == (named["flag"] != "").sum()
    growth = pd.read_parquet(REAL / "growth.parquet")
    assert (len(found.growth), found.growth["growth"].sum()) == (len(growth), growth["growth"].sum())
    assert any("34 rows left out" in note for note in done.notes)
