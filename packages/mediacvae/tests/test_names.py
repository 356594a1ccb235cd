"""Organism types and ids."""

from __future__ import annotations

import pytest

from mediacvae.names import ORGANISM_TYPES, checked_id, folded, nearest, nearest_medium, organism_type


@pytest.mark.parametrize("word", ORGANISM_TYPES)
def test_a_type_is_itself(word):
    assert organism_type(word.upper()) == word


def test_the_usual_misspelling_is_understood():
    assert organism_type("archea") == "archaea"


@pytest.mark.parametrize("word", ["", "plant", "nan", "bacteria\n; drop table"])
def test_another_type_is_refused(word):
    with pytest.raises(ValueError, match="expected one of bacteria"):
        organism_type(word)


@pytest.mark.parametrize("word", ["GCF_000005845.2", "mediadive.medium:J273", "514e"])
def test_ids_of_the_sources_are_good(word):
    assert checked_id(word, "genome") == word


@pytest.mark.parametrize(
    "word", ["", "../../etc/passwd", "a..b", "a\0", "a\nb", "it's", "-x", "a/b", "x" * 129, " a"]
)
def test_ids_that_would_do_harm_are_refused(word):
    with pytest.raises(ValueError, match="genome: expected"):
        checked_id(word, "genome")


def test_a_hint_names_what_was_meant():
    known = ["NaCl", "Yeast  extract"]
    assert nearest("NaCI", known) == "; did you mean 'NaCl'?"
    assert nearest("yeast extact", known, as_read=folded) == "; did you mean 'Yeast  extract'?"
    assert nearest("qqq", known, least=0.6) == nearest("qqq", []) == ""


def test_spellings_that_differ_in_capitals_and_blanks_are_one():
    assert folded(" Yeast \t EXTRACT") == folded("yeast extract") == "yeast extract"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("MRS", "; did you mean 'm:11' (MRS MEDIUM)?"),
        ("nutrient agr", "; did you mean 'm:1' (NUTRIENT AGAR)?"),
        ("t:99", "; did you mean 't:9'?"),
        ("M:11", "; did you mean 'm:11' (MRS MEDIUM)?"),
    ],
)
def test_a_medium_is_found_by_its_name_or_its_id(text, said):
    media = {"m:11": "MRS MEDIUM", "m:12": "MRS MEDIUM WITH SALT", "m:1": "NUTRIENT AGAR", "t:9": ""}
    assert nearest_medium(text, media) == said
    assert nearest_medium(text, {}) == ""
