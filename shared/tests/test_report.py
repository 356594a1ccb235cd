"""The page of the demos: balanced, escaped, self-contained, and whole where a demo failed."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from cytosol import report
from cytosol.demos import Shown
from cytosol.story import Picture, Story, Table

if TYPE_CHECKING:
    from pathlib import Path

EVIL = "<script>alert('x')</script> & \"quoted\""
VOID = {"meta", "img"}


class Page(HTMLParser):
    """What a browser would see: every element with its attributes, and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.said: dict[str, list[str]] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.said.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.seen if name == tag]


@pytest.fixture
def shown(tmp_path: Path) -> list[Shown]:
    """One that tells a story with words that must be escaped, one that failed."""
    figure = Figure(figsize=(1, 1), dpi=20)
    figure.subplots().plot([0, 1])
    figure.savefig(tmp_path / "p.png")
    figure.savefig(tmp_path / "p.svg")
    table = Table(
        caption=EVIL, header=("method", "error"), rows=(("simple", "2.0"), ("numpy", EVIL)), note=EVIL
    )
    story = Story(
        question=f"What? {EVIL}",
        setting=EVIL,
        answer=EVIL,
        tables=(table,),
        pictures=tuple(Picture(path=tmp_path / f"p.{s}", caption=EVIL, alt=EVIL) for s in ("png", "svg")),
        own="a table, made by `tool <prepare>`",
        commands=("tool --data mine.csv > out.csv", EVIL),
    )
    good = Shown(name="numpy", story=story, seconds=1.4)  # any installed package
    return [good, Shown(name="typer", story=None, fault=f"cannot draw {EVIL}", seconds=0.2)]


@pytest.fixture
def page(shown: list[Shown]) -> Page:
    return Page(report.page(shown))


def test_tags_are_balanced_and_what_is_said_is_text(page: Page) -> None:
    assert page.open == []
    assert page.all("script") == []
    said = {tag: "".join(parts) for tag, parts in page.said.items()}
    assert "A table, made by " in said["p"]
    assert "tool <prepare>" in said["code"]
    for tag in ("h3", "p", "caption", "td", "figcaption", "code"):
        assert EVIL in said[tag]
    assert "mine.csv > out.csv\n" in said["code"]


def test_nothing_is_fetched(page: Page) -> None:
    for _, attributes in page.seen:
        for name in ("src", "href", "srcset", "action", "data"):
            assert attributes.get(name, "data:").startswith(("data:", "#"))
    css = "".join(page.said["style"])
    assert "url(" not in css
    assert "@import" not in css
    assert {"link", "iframe", "object"}.isdisjoint(tag for tag, _ in page.seen)
    (policy,) = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; img-src data:")


def test_pictures_are_inside_as_they_were_drawn(page: Page, tmp_path: Path) -> None:
    png, svg = (image["src"].partition(",") for image in page.all("img"))
    assert [png[0], svg[0]] == ["data:image/png;base64", "data:image/svg+xml;base64"]
    (tmp_path / "back.png").write_bytes(base64.b64decode(png[2], validate=True))
    assert np.array_equal(imread(tmp_path / "back.png"), imread(tmp_path / "p.png"))
    assert base64.b64decode(svg[2], validate=True) == (tmp_path / "p.svg").read_bytes()


def test_who_cannot_see_hears_it(page: Page) -> None:
    assert page.all("html") == [{"lang": "en"}]
    assert [image["alt"] for image in page.all("img")] == [EVIL, EVIL]
    assert [head["scope"] for head in page.all("th")] == ["col", "col", "row", "row"]
    levels = [int(tag[1]) for tag, _ in page.seen if tag in ("h1", "h2", "h3")]
    assert levels == [1, 2, 3, 3, 2]
    assert all(box["aria-label"] and box["tabindex"] == "0" for box in page.all("div") if "role" in box)


def test_the_contents_lead_to_sections_and_the_failed_one_says_why(page: Page) -> None:
    assert [link["href"][1:] for link in page.all("a")] == [part["id"] for part in page.all("section")]
    assert f"This demo failed: cannot draw {EVIL}" in "".join(page.said["p"])
    assert page.all("tr")[-1] == {"class": "own"}  # the library's own row stands out


def test_it_is_written_in_one_go(shown: list[Shown], tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    report.write(shown, path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>\n<html")
    assert [file.name for file in tmp_path.glob("report*")] == ["report.html"]
