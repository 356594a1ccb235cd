"""What the demos showed, as one page: nothing is fetched, pictures and style are inside, and it prints.

The page is a tree of elements until it is written, so every text in it is escaped.
"""

from __future__ import annotations

import base64
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata, resources
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from cytosol.files import write_atomically
from cytosol.story import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cytosol.demos import Shown
    from cytosol.story import Picture, Story, Table

NAME = "report.html"
TITLE = "What the installed libraries can do"
NOTHING_OUTSIDE = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
Element = ET.Element


def write(shown: Sequence[Shown], path: Path) -> None:
    """Write the page, atomically."""
    write_atomically(path, page(shown).encode())


def page(shown: Sequence[Shown]) -> str:
    """HTML of a section for each demo, those that failed too."""
    head = _tag(
        "head",
        _tag("meta", charset="utf-8"),
        _tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _tag("meta", {"http-equiv": "Content-Security-Policy", "content": NOTHING_OUTSIDE}),
        _tag("title", TITLE),
        _tag("style", resources.files("cytosol").joinpath("report.css").read_text(encoding="utf-8")),
    )
    top = _tag(
        "header",
        _tag("h1", TITLE),
        _tag("p", "Each library ran on its own example; every number and picture below comes from that run."),
        _tag("nav", _tag("ul", *(_entry(one) for one in shown)), {"aria-label": "Libraries"}),
    )
    body = _tag("body", top, _tag("main", *(_section(one) for one in shown)), _tag("footer", _made_by(shown)))
    html = ET.tostring(_tag("html", head, body, lang="en"), encoding="unicode", method="html")
    return f"<!doctype html>\n{html}\n"


def _entry(one: Shown) -> Element:
    """A line of the contents: the library and what it is asked."""
    words = f"failed: {one.fault}" if one.story is None else one.story.question
    return _tag("li", _tag("a", one.name, href=f"#{one.name}"), f" {words}")


def _section(one: Shown) -> Element:
    """A library: its name and promise, then its story, or why there is none."""
    told = (
        [_tag("p", f"This demo failed: {one.fault}", {"class": "fault"})]
        if one.story is None
        else _told(one.name, one.story)
    )
    took = _tag("p", f"version {one.version}, {one.seconds:.0f} s", {"class": "small"})
    return _tag(
        "section",
        _tag("h2", one.name),
        _tag("p", one.summary, {"class": "summary"}),
        *told,
        took,
        id=one.name,
    )


def _told(name: str, story: Story) -> list[Element]:
    """Question, answer, tables, pictures, commands."""
    return [
        _tag("h3", story.question),
        _prose(story.setting),
        _prose(story.answer, "answer"),
        *(_table(table, name) for table in story.tables),
        *(_figure(picture) for picture in story.pictures),
        _tag("h3", "With a file of your own"),
        _prose(story.own[:1].upper() + story.own[1:]),
        _scrolled("Commands", _tag("pre", _tag("code", "\n".join(story.commands)))),
    ]


def _table(table: Table, own: str) -> Element:
    """A table that scrolls by itself where it is too wide, its note below; own: the row that stands out."""
    head = _tag("tr", *(_tag("th", word, scope="col") for word in table.header))
    rows: list[Element] = []
    for name, *cells in table.rows:
        rows.append(_tag("tr", _tag("th", name, scope="row"), *(_tag("td", cell) for cell in cells)))
        if name == own:
            rows[-1].set("class", "own")
    made = _tag("table", _tag("caption", table.caption), _tag("thead", head), _tag("tbody", *rows))
    note = [_prose(table.note, "small")] if table.note else []
    return _tag("div", _scrolled(table.caption, made), *note, {"class": "numbers"})


def _figure(picture: Picture) -> Element:
    """A picture inside the page, with its caption."""
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    image = _tag("img", src=f"data:{KINDS[picture.path.suffix.lower()]};base64,{data}", alt=picture.alt)
    return _tag("figure", _scrolled(picture.alt, image), _tag("figcaption", picture.caption))


def _prose(text: str, kind: str = "prose") -> Element:
    """A paragraph in which words between backticks are code."""
    parts = text.split("`")
    return _tag(
        "p", *(_tag("code", part) if k % 2 else part for k, part in enumerate(parts)), {"class": kind}
    )


def _scrolled(label: str, inner: Element) -> Element:
    """A box that scrolls sideways, by keys too."""
    return _tag("div", inner, {"class": "wide", "role": "region", "aria-label": label, "tabindex": "0"})


def _made_by(shown: Sequence[Shown]) -> Element:
    """When and with what the page was made."""
    packages = ("cytosol", *(one.name for one in shown), "numpy", "torch")
    words = [f"{name} {metadata.version(name)}" for name in packages]
    words += [f"Python {sys.version.split()[0]}", f"{platform.system()} {platform.machine()}"]
    return _tag(
        "p", f"Made on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC with {', '.join(words)}.", {"class": "small"}
    )


def _tag(element: str, /, *inner: Element | str | dict[str, str], **attributes: str) -> Element:
    """An element; a dict among what is inside holds attributes whose names are no words of Python."""
    made = Element(element, attributes)
    for part in inner:
        if isinstance(part, dict):
            made.attrib.update(part)
        elif isinstance(part, str) and len(made):
            made[-1].tail = (made[-1].tail or "") + part
        elif isinstance(part, str):
            made.text = (made.text or "") + part
        else:
            made.append(part)
    return made
