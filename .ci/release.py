"""Whether a member can be released under a tag: `uv run python .ci/release.py NAME-vX.Y.Z`.

The tag, the member's version, its newest changelog heading and its bound on the core must agree. Exit code 0 and the
member's folder on stdout, or 2 and one line on stderr.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CORE = "cytosol"


class ReleaseError(ValueError):
    """What does not agree, where, and what would."""


def numbers(text: str) -> tuple[int, ...]:
    """A version as numbers, so that 0.10 comes after 0.9."""
    return tuple(int(part) for part in text.split("."))


def members(root: Path) -> dict[str, Path]:
    """Folder by name of the distribution; the core is one of them."""
    folders = [root / "shared", *(root / "packages").iterdir()]
    return {_project(folder)["name"]: folder for folder in folders if (folder / "pyproject.toml").is_file()}


def check(tag: str, root: Path = ROOT) -> Path:
    """The folder of the member that a tag releases. Raises ReleaseError where something does not agree."""
    found = re.fullmatch(r"([a-z0-9]+)-v(\d+\.\d+\.\d+)", tag)
    known = members(root)
    if not found or found[1] not in known:
        msg = f"tag {tag}: expected NAME-vX.Y.Z, NAME one of {', '.join(sorted(known))}"
        raise ReleaseError(msg)
    name, version = found.groups()
    folder = known[name]
    own = _project(folder)["version"]
    if own != version:
        msg = f"tag {tag}: {_short(folder / 'pyproject.toml', root)} has version {own}"
        raise ReleaseError(msg)
    _check_changelog(folder / "CHANGELOG.md", version, root)
    if name != CORE:
        _check_bound(folder / "pyproject.toml", _project(known[CORE])["version"], root)
    return folder


def _check_changelog(file: Path, version: str, root: Path) -> None:
    """The newest heading is of this version, with a date."""
    headings = re.findall(r"^## (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    newest = headings[0] if headings else "none"
    if not re.fullmatch(rf"\[?{re.escape(version)}\]? - \d{{4}}-\d{{2}}-\d{{2}}", newest):
        msg = f"{_short(file, root)}: expected the newest heading `{version} - YYYY-MM-DD`, got {newest!r}"
        raise ReleaseError(msg)


def _check_bound(file: Path, core: str, root: Path) -> None:
    """The bound on the core has both ends and admits the core that lies beside it."""
    needs = _project(file.parent)["dependencies"]
    bounds = [need for need in needs if re.match(rf"{CORE}(?![\w-])", need)]
    found = (
        re.fullmatch(rf"{CORE}>=(\d+(?:\.\d+)*),<(\d+(?:\.\d+)*)", bounds[0]) if len(bounds) == 1 else None
    )
    if not found or not numbers(found[1]) <= numbers(core) < numbers(found[2]):
        told = ", ".join(bounds) or "none"
        msg = f"{_short(file, root)}: expected {CORE}>=X,<Y that admits {CORE} {core}, got {told}"
        raise ReleaseError(msg)


def _project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _short(file: Path, root: Path) -> str:
    return file.relative_to(root).as_posix()


def main() -> int:
    """Check the tag that is the only word."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: release.py NAME-vX.Y.Z\n")
        return 2
    try:
        sys.stdout.write(f"{_short(check(sys.argv[1]), ROOT)}\n")
    except ReleaseError as fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
