"""The documentation: blocks run and print what stands below them, examples run, the site builds and fetches nothing.

Blocks run in this process, page by page, each in an empty directory: a program for each of them would load torch anew.
"""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cytosol.testing import imported

ROOT = Path(__file__).parents[1]
pages: Any = imported(Path(__file__).with_name("pages.py"))
DOCS = ROOT / "docs"
FENCE = re.compile(r'^```(python|bash|text title="it prints")\n(.*?)^```$', re.MULTILINE | re.DOTALL)
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if FENCE.search(page.read_text(encoding="utf-8"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")
NUMBER = re.compile(r"[-+]?(?<![A-Za-z_])\d[\d.,]*(?:e[-+]?\d+)?")
FETCHED = re.compile(
    r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?(?:https?:)?//[^\s\"'>]+"
)


def run_page(text: str, capture: pytest.CaptureFixture[str], log: pytest.LogCaptureFixture) -> list[str]:
    """Run the blocks of a page in order; the lines it shows as printed that nothing printed, digits left out."""
    names: dict[str, object] = {"__name__": "__main__"}
    printed: set[str] = set()
    missing: list[str] = []
    for language, body in FENCE.findall(text):
        if language == "python":
            exec(compile(body, "block", "exec"), names)  # noqa: S102 - our own pages
        elif language == "bash":
            pages.commands(body)
        else:
            missing += [line for line in body.splitlines() if shape(line) not in {*printed, "", "..."}]
        said = capture.readouterr()
        printed |= {shape(line) for line in "\n".join([said.out, said.err, *log.messages]).splitlines()}
    return missing


def shape(line: str) -> str:
    """A line without its numbers and spaces: what another version of a library may print otherwise."""
    return re.sub(r"[\s#]+", " ", NUMBER.sub("#", line)).strip()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).with_suffix("").as_posix())
def test_the_blocks_of_a_page_run_and_print_what_it_shows(
    page: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert run_page(page.read_text(encoding="utf-8"), capsys, caplog) == []


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_an_example_runs_on_files_of_its_own_form(
    script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script.name])
    runpy.run_path(str(script), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) >= 2
    assert f"`{script.name}`" in (script.parent / "README.md").read_text(encoding="utf-8")


def test_there_is_an_example_a_library() -> None:
    libraries = {path.name for path in (ROOT / "packages").iterdir() if (path / "pyproject.toml").exists()}
    assert {script.stem.partition("_")[0] for script in EXAMPLES} == libraries


def test_the_runner_sees_what_fails_and_what_is_not_printed(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    page = '```python\nprint("found 12 cells")\n```\n```text title="it prints"\nfound 7 {}\n```\n'
    assert run_page(page.format("cells"), capsys, caplog) == []
    assert run_page(page.format("wells"), capsys, caplog) == ["found 7 wells"]
    with pytest.raises(AssertionError, match="nonsense"):
        run_page("```bash\nuv run pytest\ncytosol \\\n    nonsense\n```\n", capsys, caplog)


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: str(page.relative_to(DOCS)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="needs `uv sync --group docs`")
def test_the_site_builds_and_fetches_nothing(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path / "site"),
    ]
    process = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    made = {path: path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.html")}
    assert len(made) > len(list(DOCS.rglob("*.md")))
    assert {path.name: found for path, text in made.items() if (found := FETCHED.findall(text))} == {}
    styles = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*.css"))
    assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", styles)
    reference = made[tmp_path / "site/reference/stedm.html"]
    assert 'id="stedm.learning.fit"' in reference
    assert (
        "<td>neighbours in expression over which a query" in reference
    )  # the comment of a setting of a setting


def test_the_citation_says_what_is_released() -> None:
    import yaml

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    core = tomllib.loads((ROOT / "shared/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (cited["version"], cited["license"]) == (core["version"], core["license"])
    assert cited["authors"][0]["name"] in (ROOT / "LICENSE").read_text(encoding="utf-8")
