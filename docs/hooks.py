"""What the site takes from beside `docs/`: benchmark tables as pages, public names as reference entries."""

from __future__ import annotations

import pkgutil
import re
from dataclasses import MISSING, fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
TABLE = re.compile(r"\]\((?:\.\./)+benchmarks/(\w+)\.md")
NAMES = re.compile(r"^<!-- public names of (\w+) -->$", re.MULTILINE)


def on_files(files: Files, *, config: Any) -> Files:
    """Every committed benchmark table is a page of its own below `tables/`, with its picture."""
    for path in sorted((ROOT / "benchmarks").glob("*.md")):
        if path.stem != "README":
            files.append(File.generated(config, f"tables/{path.name}", abs_src_path=str(path)))
    for path in sorted((ROOT / "benchmarks/pictures").glob("*.png")):
        files.append(File.generated(config, f"tables/{path.name}", abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Links to `benchmarks/` lead to these pages; the list of public names comes from the package itself."""
    up = "../" * page.file.src_uri.count("/")
    markdown = TABLE.sub(rf"]({up}tables/\1.md", markdown)
    if page.file.src_uri.startswith("tables/"):
        head, _, rest = markdown.partition("\n")
        markdown = f"{head}\n\n![The table below, drawn]({Path(page.file.src_uri).stem}.png)\n{rest}"
    return NAMES.sub(lambda found: entries(found[1]), markdown)


def entries(package: str) -> str:
    """A mkdocstrings entry for each public name, at its home; for a package without names, for each module."""
    root = import_module(package)
    homes = getattr(root, "_HOME", None)
    if homes is None:
        modules = sorted(m.name for m in pkgutil.iter_modules(root.__path__) if not m.name.startswith("_"))
        return "\n\n".join(
            f"::: {package}.{name}\n    options: {{show_root_full_path: true}}" for name in modules
        )
    places = {name: f"{package}.{homes[name]}" for name in root.__all__}
    for one in [getattr(root, name) for name in root.__all__]:
        places |= {name: home for name, home in inner(one).items() if name not in places}
    return "\n\n".join(
        f"::: {home}.{name}\n    options: {{show_root_full_path: false}}" for name, home in places.items()
    )


def inner(one: Any) -> dict[str, str]:
    """The dataclasses that are defaults of a dataclass's fields, and theirs: settings of settings, with modules."""
    found: dict[str, str] = {}
    for field in fields(one) if isinstance(one, type) and is_dataclass(one) else ():
        made = field.default_factory() if field.default_factory is not MISSING else field.default
        if is_dataclass(made) and not isinstance(made, type):
            kind = type(made)
            found |= {kind.__name__: kind.__module__} | inner(kind)
    return found
