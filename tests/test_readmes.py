"""The blocks of every README run as they stand: Python and our own commands, in order, in an empty directory."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = Path(__file__).with_name("pages.py")
READMES = [ROOT / "README.md", ROOT / "shared/README.md", *sorted(ROOT.glob("packages/*/README.md"))]
MAIN = "if __name__ == '__main__':  # and not in processes that a library starts\n    exec(open('blocks.py').read())\n"
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def script(text: str) -> str:
    """A README as one Python program: names of one block are known in the next."""
    parts = [f"import runpy; _commands = runpy.run_path({str(PAGES)!r})['commands']"]
    parts += [
        block if language == "python" else f"_commands({block!r})" for language, block in BLOCK.findall(text)
    ]
    return "\n".join(parts)


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = folder / "readme.py"
    (folder / "blocks.py").write_text(script(text), encoding="utf-8")
    program.write_text(MAIN, encoding="utf-8")
    return subprocess.run(
        [sys.executable, program.name],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=900,  # on a busy machine
        check=False,
    )


@pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)
def test_the_blocks_run(readme: Path, tmp_path: Path) -> None:
    process = run(readme.read_text(encoding="utf-8"), tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr


def test_the_outputs_shown_in_the_readme_of_the_core_are_true(tmp_path: Path) -> None:
    text = (ROOT / "shared/README.md").read_text(encoding="utf-8")
    shown = re.findall(r"^# (command line: .*)$", text, re.MULTILINE)
    printed = run(text, tmp_path).stdout.splitlines()
    assert shown
    assert [line for line in shown if line not in printed] == []


@pytest.mark.parametrize(
    "readme", [*READMES, ROOT / "CONTRIBUTING.md"], ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_links_lead_somewhere(readme: Path) -> None:
    links = LINK.findall(readme.read_text(encoding="utf-8"))
    assert [link for link in links if not (readme.parent / link).exists()] == []


@pytest.mark.parametrize("readme", READMES[1:], ids=lambda path: path.parent.name)
def test_a_readme_that_is_a_page_of_the_index_needs_nothing_beside_it(readme: Path) -> None:
    """There, a relative link or picture leads nowhere; what lies in the repository is named instead."""
    assert LINK.findall(readme.read_text(encoding="utf-8")) == []


def test_the_runner_sees_a_block_that_fails(tmp_path: Path) -> None:
    text = """
        ```bash
        uv run pytest
        cytosol \\
            nonsense
        ```
        """
    assert run(textwrap.dedent(text), tmp_path).returncode == 1
    assert run("```python\nx = 1\n```\ntext\n```python\nassert x == 2\n```\n", tmp_path).returncode == 1
    assert run("```bash\nuv run nonsense\n```\n", tmp_path).returncode == 0


def test_ci_runs_the_readmes_own_test_command() -> None:
    assert "uv run pytest" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").count("\nuv run pytest\n") == 1
