"""What a demo tells, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cytosol.story import WIDTH, Picture, Story, Table

if TYPE_CHECKING:
    from pathlib import Path

TABLE = Table(
    caption="Errors",
    header=("method", "all", "late"),
    rows=(("simple", "10.00", "-"), ("a longer name", "2.50", "13.1")),
    note="Less is better.",
)


def test_columns_stand_under_each_other() -> None:
    assert TABLE.text().splitlines() == [
        "Errors:",
        "  method           all  late",
        "  simple         10.00     -",
        "  a longer name   2.50  13.1",
        "  Less is better.",
    ]


def test_a_row_that_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="Errors, row 2: expected 3 cells, got 2"):
        Table(caption="Errors", header=("a", "b", "c"), rows=(("1", "2", "3"), ("4", "5")))


@pytest.mark.parametrize(
    ("name", "alt", "said"),
    [("p.png", " ", "alt text"), ("p.bmp", "dots", "ending in"), ("absent.png", "dots", "that is there")],
)
def test_a_picture_is_there_and_has_words_for_who_cannot_see_it(
    tmp_path: Path, name: str, alt: str, said: str
) -> None:
    for made in ("p.png", "p.bmp"):
        (tmp_path / made).touch()
    with pytest.raises(ValueError, match=said) as error:
        Picture(path=tmp_path / name, caption="c", alt=alt)
    assert str(tmp_path / name) in str(error.value)


def test_a_terminal_shows_everything_in_order_and_folds_prose_only(tmp_path: Path) -> None:
    picture = tmp_path / "p.png"
    picture.touch()
    command = "tool do --data mine.csv " + "--word value " * 12
    story = Story(
        question="What?",
        setting="word " * 60,
        answer="This.",
        tables=(TABLE,),
        pictures=(Picture(path=picture, caption="c", alt="dots"),),
        own="a table.",
        commands=(command,),
    )
    lines = story.text().splitlines()
    assert lines[0] == "What?"
    assert f"  {command}" in lines
    assert max(len(line) for line in lines if line.startswith("word")) <= WIDTH
    order = [
        "What?",
        "word",
        "Errors:",
        "This.",
        f"Look at {picture}; what else was made lies beside.",
        "With a file of your own: a table.",
    ]
    text = " ".join(story.text().split())  # a long path folds its line
    assert [text.index(part) for part in order] == sorted(text.index(part) for part in order)
