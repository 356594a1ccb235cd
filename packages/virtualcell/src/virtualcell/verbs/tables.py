"""`models` and `loaders`: what there is, what it reads, and what it may be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", help="One of them, with its settings.")]


def models(*, name: Name = None) -> None:
    """The twelve models: their parts, what they read, what for; of one, its settings and their defaults."""
    from virtualcell.models import MODELS

    if name is not None:
        model = _named(name, MODELS, "model")
        typer.echo(f"{name}: {_first(model)}")
        typer.echo(f"parts: {', '.join(part.name for part in model.parts)}")
        typer.echo(_settings(_told(model)))
        return
    rows = [
        (name, " ".join(part.name for part in model.parts), " ".join(_reads(model.parts)), _first(model))
        for name, model in MODELS.items()
    ]
    typer.echo(_table(("model", "parts", "reads", "for"), rows))


def loaders(*, name: Name = None) -> None:
    """The loaders: their model, their steps, what for; of one, its settings and their defaults."""
    from virtualcell.loaders import LOADERS

    by_name = {loader.__name__: (loader, model) for model, loader in LOADERS.items()}
    if name is not None:
        loader, model = _named(name, by_name, "loader")
        typer.echo(f"{name}: {_first(loader)}")
        typer.echo(f"model: {model}")
        typer.echo(_settings(_loader_settings(loader)))
        return
    rows = [
        (name, model, " ".join(step.name for step in loader.steps) or "normalisation", _first(loader))
        for name, (loader, model) in by_name.items()
    ]
    typer.echo(_table(("loader", "model", "steps", "for"), rows))


def _named(name: str, known: dict[str, Any], kind: str) -> Any:
    from virtualcell.faults import nearest, refuse

    if name not in known:
        refuse(f"{kind} {name!r}: {nearest(name, known)}")
    return known[name]


def _first(thing: type) -> str:
    return (thing.__doc__ or "").strip().partition("\n")[0]


def _reads(parts: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(word for part in parts for word in part.reads))


def _told(model: type) -> list[tuple[str, str]]:
    """Constructor words of a model with defaults; the sizes that have none are marked."""
    import inspect

    words = inspect.signature(model).parameters.values()
    return [(word.name, "required" if word.default is word.empty else repr(word.default)) for word in words]


def _loader_settings(loader: Any) -> list[tuple[str, str]]:
    """Settings of a loader and of its steps, with defaults."""
    from dataclasses import MISSING, fields

    from virtualcell.loader_options import LoaderConfig, NormalizationOptions

    own = [LoaderConfig, NormalizationOptions, *(s.Options for s in loader.steps if s.Options is not None)]
    every = [field for options in own for field in fields(options)]
    found = {f.name: "a section" if f.default is MISSING else repr(f.default) for f in every}
    return list(found.items())


def _settings(words: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"  {name:<32}{default}" for name, default in words)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, columns as wide as they must be; the last one, without its head, below its row."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head) - 1)]
    lines = ["  ".join(word.ljust(w) for word, w in zip(head[:-1], widths, strict=True)).rstrip()]
    for *row, last in rows:
        lines.append("  ".join(word.ljust(w) for word, w in zip(row, widths, strict=True)).rstrip())
        lines.append(f"    {last}")
    return "\n".join(lines)
