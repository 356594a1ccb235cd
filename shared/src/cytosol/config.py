"""Configuration in three layers: dataclass defaults < a YAML file < `key=value` words of a command line.

The classes are frozen keyword-only dataclasses, nested at will; fields are numbers, bool, str, Path, Literal,
tuples, dicts of these, and Optionals. What comes out is the plain dataclass. Ranges are checked by each
class's own `__post_init__`, whose ValueError (`name: expected ..., got ...`) is passed on with the layer that
set the key.

User text is data: no interpolation (`${oc.env:TOKEN}` would write a secret into the saved file), no YAML
aliases (bombs), no deep nesting (libyaml's reader crashes on it).
"""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cytosol.files import write_atomically
from cytosol.keys import describe, explain, hint, key_types, wants_text

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Config = TypeVar("Config")

COMMAND_LINE = "command line"
MAX_BYTES = 100_000
MAX_DEPTH = 20


class ConfigError(ValueError):
    """A configuration that cannot be used; one line that names the layer, the file and the key."""


class _Setting(NamedTuple):
    """A value that a user gave, and where."""

    value: Any
    source: str


def load(
    cls: type[Config],
    *,
    file: Path | None = None,
    overrides: Sequence[str] = (),
    reads: Collection[str] | None = None,
) -> Config:
    """The defaults of `cls`, changed by a YAML file and then by `key=value` words (dotted keys).

    reads: the keys and sections that the caller looks at, where not at all of them: a word for another is refused; a
    file may be of more. Raises ConfigError for a file that cannot be read, an unknown or repeated key, a value of the
    wrong type or out of range.
    """
    types = key_types(cls)
    settings: dict[str, _Setting] = {}
    if file is not None:
        settings |= _flatten(read(file), types, f"file {file}")
    words = _from_words(overrides, types)
    for key in words:
        if reads is not None and key.partition(".")[0] not in reads:
            _fail(COMMAND_LINE, f"{key} is not read here: expected {', '.join(reads)}")
    return _build(cls, settings | words)


def read(file: Path) -> dict[Any, Any]:
    """What a YAML file says, as a plain nested dict that no class has checked yet: for who must know which class it is.

    Raises ConfigError for a file that cannot be read or is no mapping of plain values.
    """
    source = f"file {file}"
    return _parse(_read(file, source), source)


def from_dict(cls: type[Config], values: Mapping[str, Any], *, source: str = "manifest") -> Config:
    """The dataclass of a plain nested dict, checked as a file is; absent keys keep their default.

    Raises ConfigError, which names `source`.
    """
    return _build(cls, _flatten(values, key_types(cls), source))


def to_dict(config: Any) -> dict[str, Any]:
    """A plain nested dict of JSON types: tuples as lists, paths as text."""
    return _plain(dataclasses.asdict(config))


def show(config: Any) -> str:
    """Every key with its value, as YAML that `load` reads back to an equal object. config: a dataclass."""
    return OmegaConf.to_yaml(OmegaConf.create(to_dict(config)))


def save(config: Any, path: Path) -> None:
    """Write `show(config)` to `path`, wholly or not at all; raises OSError where that cannot be."""
    write_atomically(path, show(config).encode())


def _build(cls: type[Config], settings: Mapping[str, _Setting]) -> Config:
    """Type-check the settings one by one, then build the dataclasses from the innermost out."""
    types = key_types(cls)
    sections = ["", *(key for key, kind in types.items() if dataclasses.is_dataclass(kind))]
    tree = OmegaConf.structured(cls)
    for section in sections:
        OmegaConf.set_readonly(_select(tree, section), value=False)  # frozen dataclasses start read-only
    for key, (value, source) in settings.items():
        if fault := _unsafe(value):
            _fail(source, f"{key}: {fault}")
        if not _set(tree, key, value):
            _fail(source, f"{key}: expected {describe(types[key])}, got {value!r}")
    if missing := sorted(OmegaConf.missing_keys(tree)):
        _fail("defaults", f"required and not given: {', '.join(missing)}")
    built: Any = None
    for section in reversed(sections):  # a section stands before those inside it
        try:
            built = OmegaConf.to_object(_select(tree, section))
        except ValueError as fault:
            sources = {key: setting.source for key, setting in settings.items()}
            raise ConfigError(explain(str(fault), section, types, sources)) from fault
    return built


def _set(tree: DictConfig, key: str, value: Any) -> bool:
    """Set a key; False where its type refuses the value or would change the value's own type."""
    try:
        OmegaConf.update(tree, key, value, merge=False)
    except (OmegaConfBaseException, ValueError):
        return False
    return _same(value, OmegaConf.select(tree, key))


def _same(given: Any, taken: Any) -> bool:
    """Whether the type was kept: no text from a number (a drug `012` is not 10), no flag from a number."""
    if isinstance(given, dict):
        return all(_same(value, taken[key]) for key, value in given.items())
    if isinstance(given, list | tuple):
        return len(given) == len(taken) and all(map(_same, given, taken))
    if isinstance(taken, float):
        return type(given) in (int, float)
    return type(given) is type(taken) or isinstance(taken, Path)


def _select(tree: DictConfig, section: str) -> Any:
    return OmegaConf.select(tree, section) if section else tree


def _flatten(
    values: Mapping[Any, Any], types: Mapping[str, Any], source: str, prefix: str = ""
) -> dict[str, _Setting]:
    """Nested values as dotted keys; unknown and repeated keys are refused."""
    settings: dict[str, _Setting] = {}
    for name, value in values.items():
        key = f"{prefix}{name}"
        if key not in types:
            _fail(source, f"unknown key {key!r}; {hint(key, types)}")
        below = {key: _Setting(value, source)}
        if dataclasses.is_dataclass(types[key]):
            if not isinstance(value, dict):
                _fail(source, f"{key}: expected keys below it, {hint(key + '.', types)}; got {value!r}")
            below = _flatten(value, types, source, f"{key}.")
        settings = _joined(settings, below, source)
    return settings


def _from_words(words: Sequence[str], types: Mapping[str, Any]) -> dict[str, _Setting]:
    """The settings of `key=value` words; a value is YAML, except where the key wants text."""
    settings: dict[str, _Setting] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (key and equals) or "\n" in word:
            _fail(COMMAND_LINE, f"expected key=value, got {word!r}")
        if key not in types:
            _fail(COMMAND_LINE, f"unknown key {key!r}; {hint(key, types)}")
        value = {key: text} if wants_text(types[key]) else _parse(f"{key}: {text}", COMMAND_LINE)
        settings = _joined(settings, _flatten(value, types, COMMAND_LINE), COMMAND_LINE)
    return settings


def _joined(
    settings: Mapping[str, _Setting], more: Mapping[str, _Setting], source: str
) -> dict[str, _Setting]:
    """Settings of one layer together; a key that is in both is refused."""
    for repeated in more.keys() & settings.keys():
        _fail(source, f"key {repeated!r} is given twice")
    return {**settings, **more}


def _read(file: Path, source: str) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as fault:
        _fail(source, fault.strerror or str(fault), fault)
    if len(data) > MAX_BYTES:  # before it is decoded: the cut may go through a letter
        _fail(source, f"expected at most {MAX_BYTES} bytes; keep long lists in a table")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        _fail(source, f"expected UTF-8 text, got a byte that is not at position {fault.start}", fault)


def _parse(text: str, source: str) -> dict[Any, Any]:
    """A YAML mapping as a dict; raises ConfigError for anything else."""
    try:
        _scan(text, source)
        tree = OmegaConf.load(io.StringIO(text))  # refuses repeated keys and all but plain tags
    except (yaml.YAMLError, OmegaConfBaseException) as fault:
        mark = getattr(fault, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark and source != COMMAND_LINE else ""
        problem = getattr(fault, "problem", None) or getattr(fault, "reason", None) or str(fault)
        _fail(f"{source}{line}", f"not valid YAML: {problem.splitlines()[0]}", fault)
    values = OmegaConf.to_container(tree)
    return values if isinstance(values, dict) else {}


def _scan(text: str, source: str) -> None:
    """Refuse what must not reach a YAML reader: aliases, depth, interpolation, a root that is no mapping."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        where = f"{source}, line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent):
            _fail(where, f"alias *{event.anchor}: write the value out")
        if isinstance(event, yaml.ScalarEvent) and (fault := _unsafe(event.value)):
            _fail(where, fault)
        bare = isinstance(event, yaml.ScalarEvent) and event.value
        if depth == 0 and (bare or isinstance(event, yaml.SequenceStartEvent)):
            _fail(where, "expected `key: value`, got a list or a single value")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            _fail(where, f"nested deeper than {MAX_DEPTH} levels")


def _unsafe(value: Any) -> str:
    """Why a value, or a text inside it, is refused; empty for good ones."""
    if isinstance(value, dict):
        return next(filter(None, map(_unsafe, (*value, *value.values()))), "")
    if isinstance(value, list | tuple):
        return next(filter(None, map(_unsafe, value)), "")
    if isinstance(value, str) and "${" in value:
        return f"interpolation is not allowed, got {value!r}; write the value itself"
    return "'???' stands for no value; write the value itself" if value == "???" else ""


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _fail(source: str, message: str, cause: Exception | None = None) -> NoReturn:
    error = f"{source}: {message}"
    raise ConfigError(error) from cause
