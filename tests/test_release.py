"""What a tag must agree with, and what the workflows may do."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / ".ci" / "release.py"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
_SPEC = importlib.util.spec_from_file_location("release", SCRIPT)
assert _SPEC is not None
assert _SPEC.loader is not None
release: Any = importlib.util.module_from_spec(_SPEC)  # not by `cytosol.testing`, which would load torch
_SPEC.loader.exec_module(release)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The papers of all members, with a date on the newest changes, to be spoiled."""
    for folder in (ROOT / "shared", *(ROOT / "packages").iterdir()):
        own = tmp_path / folder.relative_to(ROOT)
        own.mkdir(parents=True)
        for name in ("pyproject.toml", "CHANGELOG.md"):
            shutil.copy(folder / name, own)
        log = (own / "CHANGELOG.md").read_text(encoding="utf-8")
        dated = re.sub(r"^(## \S+ - ).*$", r"\g<1>2030-01-31", log, count=1, flags=re.MULTILINE)
        (own / "CHANGELOG.md").write_text(dated, encoding="utf-8")
    return tmp_path


def spoil(file: Path, pattern: str, text: str) -> None:
    old = file.read_text(encoding="utf-8")
    new = re.sub(pattern, text, old, count=1, flags=re.MULTILINE)
    assert new != old
    file.write_text(new, encoding="utf-8")


def version(name: str) -> str:
    return release._project(release.members(ROOT)[name])["version"]


@pytest.mark.parametrize("name", ["cytosol", "mediacvae", "o2diffusion", "stedm", "virtualcell"])
def test_every_member_can_be_released_once_its_changelog_has_a_date(name: str, tree: Path) -> None:
    folder = "shared" if name == "cytosol" else f"packages/{name}"
    assert release.check(f"{name}-v{version(name)}", tree) == tree / folder


@pytest.mark.parametrize(
    "tag", ["stedm", "stedm-0.1.0", "stedm-v0.1", "nobody-v0.1.0", "v0.1.0", "../stedm-v0.1.0"]
)
def test_a_tag_of_another_form_is_refused(tag: str) -> None:
    done = subprocess.run([sys.executable, SCRIPT, tag], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(f"tag {tag}: expected NAME-vX.Y.Z, NAME one of cytosol, ")
    assert done.stderr.count("\n") == 1


def test_a_tag_of_another_version_is_refused(tree: Path) -> None:
    with pytest.raises(ValueError, match=r"^tag stedm-v9\.9\.9: packages/stedm/pyproject\.toml has version "):
        release.check("stedm-v9.9.9", tree)


@pytest.mark.parametrize(
    "heading", ["## Unreleased", "## 0.0.1 - 2020-01-01", "## {version}", "## {version} - unreleased"]
)
def test_a_changelog_without_the_version_is_refused(tree: Path, heading: str) -> None:
    told = version("stedm")
    spoil(tree / "packages/stedm/CHANGELOG.md", r"^## .*$", heading.format(version=told))
    with pytest.raises(ValueError, match=r"^packages/stedm/CHANGELOG\.md: expected the newest heading"):
        release.check(f"stedm-v{told}", tree)


@pytest.mark.parametrize(
    "bound", ["cytosol", "cytosol>=0.1", "cytosol==0.1.0", "cytosol>=9.0,<10", "cytosol>=0.0,<0.1"]
)
def test_a_bound_that_does_not_admit_the_core_is_refused(tree: Path, bound: str) -> None:
    spoil(tree / "packages/stedm/pyproject.toml", r'"cytosol[^"]*"', f'"{bound}"')
    with pytest.raises(
        ValueError, match=r"^packages/stedm/pyproject\.toml: expected cytosol>=X,<Y that admits"
    ):
        release.check(f"stedm-v{version('stedm')}", tree)


def test_versions_are_numbers_and_not_letters(tree: Path) -> None:
    spoil(tree / "packages/stedm/pyproject.toml", r'"cytosol[^"]*"', '"cytosol>=0.9,<0.11"')
    spoil(tree / "shared/pyproject.toml", r"^version = .*$", 'version = "0.10.0"')
    assert release.check(f"stedm-v{version('stedm')}", tree) == tree / "packages/stedm"


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_asks_for_little_and_pins_what_it_uses(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set((workflow["permissions"] or {}).items()) <= {("contents", "read")}
    for job in workflow["jobs"].values():
        assert set(job.get("permissions", {}).items()) <= {("contents", "read"), ("id-token", "write")}
        assert job["timeout-minutes"] <= 60
    for step in steps(workflow):
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+(\.\d+)*", step.get("uses", "a/b@v1")), step
        # a tag's name is written by whoever pushes it: never into a script's text
        assert "${{" not in step.get("run", ""), step


def test_only_the_publishing_job_may_ask_for_a_token() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8"))
    assert workflow[True]["push"]["tags"] == ["*-v*"]  # yaml reads `on` as a truth
    jobs = workflow["jobs"]
    able = [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})]
    assert able == ["publish"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert [step["uses"].partition("@")[0] for step in jobs["publish"]["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]
    runs = "\n".join(step.get("run", "") for step in jobs["build"]["steps"])
    assert ".ci/release.py" in runs
    assert 'uv build --package "$NAME"' in runs
