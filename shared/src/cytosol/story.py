"""What a demo has to tell: a question, an answer, tables and pictures, and the way there with a file of one's own.

From one `Story` come the text that a terminal shows and the section of the report. Nothing heavy is imported here.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path

WIDTH = 110  # characters of a line on a terminal
KINDS = {".png": "image/png", ".svg": "image/svg+xml"}  # of pictures


@dataclass(frozen=True, kw_only=True)
class Table:
    """Numbers under a heading, as they are to be read; raises ValueError where a row does not fit the header.

    The first column names the rows. caption: a few words. note: what the columns mean and which way is better.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.header):
                message = f"{self.caption}, row {number}: expected {len(self.header)} cells, got {len(row)}"
                raise ValueError(message)

    def text(self) -> str:
        """Aligned columns under the caption: names to the left, numbers to the right."""
        lines = (self.header, *self.rows)
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  "
            + line[0].ljust(widths[0])
            + "".join(f"  {c:>{w}}" for c, w in zip(line[1:], widths[1:], strict=True))
            for line in lines
        ]
        return "\n".join([f"{self.caption}:", *table, *([_filled(self.note, "  ")] if self.note else [])])


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that a demo has drawn; raises ValueError where there is none, or no words for who cannot see it.

    path: PNG or SVG. caption: what it shows and how to read it. alt: what one sees in it.
    """

    path: Path
    caption: str
    alt: str

    def __post_init__(self) -> None:
        message = ""
        if self.path.suffix.lower() not in KINDS or not self.path.is_file():
            message = f"{self.path}: expected a picture that is there, ending in {' or '.join(KINDS)}"
        elif not self.alt.strip():
            message = f"{self.path}: expected an alt text, what one sees in the picture"
        if message:
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class Story:
    """What a demo was asked, on what, what came out, and how to ask it of a file of one's own.

    question: as its users would put it. setting: the example, and what was hidden in it. answer: what the run found.
    own: what a file must hold. commands: lines of a shell that do the same with it. Numbers come from the run.
    """

    question: str
    setting: str
    answer: str
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    own: str
    commands: tuple[str, ...]

    def text(self) -> str:
        """All of it for a terminal; of the pictures, where they lie."""
        pictures = [str(picture.path) for picture in self.pictures]
        return "\n".join(
            [
                _filled(self.question),
                _filled(self.setting),
                *(table.text() for table in self.tables),
                _filled(self.answer),
                *(
                    [_filled(f"Look at {', '.join(pictures)}; what else was made lies beside.")]
                    if pictures
                    else []
                ),
                _filled(f"With a file of your own: {self.own}"),
                *(f"  {command}" for command in self.commands),
            ]
        )


def _filled(text: str, indent: str = "") -> str:
    """Words folded at `WIDTH`; a path is never broken."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
