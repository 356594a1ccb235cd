"""Layers, types, errors and round trips of `cytosol.config`, and what hostile YAML meets."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytosol.config import MAX_BYTES, ConfigError, from_dict, load, read, save, show, to_dict


@dataclass(frozen=True, kw_only=True)
class Noise:
    low: float = 0.002
    high: float = 80.0

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            message = f"expected 0 < low < high, got {self.low} and {self.high}"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class Model:
    hidden: int = 64
    dropout: float = 0.1
    kind: Literal["small", "paper", "off"] = "small"
    widths: tuple[int, ...] = (1, 2)
    window: tuple[float, float] = (-2.0, 22.0)
    limit: float | None = None
    noise: Noise = field(default_factory=Noise)

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            message = f"dropout: expected a number in [0, 1), got {self.dropout}"
            raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class Config:
    model: Model = field(default_factory=Model)
    drug: str = "none"
    drugs: tuple[str, ...] = ()
    scale: dict[str, float] = field(default_factory=dict)
    fast: bool = False
    table: Path | None = None


def recipe(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(Config, file=recipe(folder, text))
    assert "recipe.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def word_refusal(*words: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(Config, overrides=words)
    assert "command line" in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_layers_the_defaults_come_out() -> None:
    assert load(Config) == Config()


def test_each_layer_covers_the_one_below(tmp_path: Path) -> None:
    file = recipe(tmp_path, "model: {hidden: 8, kind: paper, noise: {high: 10}}\ndrug: '012'\n")
    config = load(Config, file=file, overrides=["model.hidden=16", "model.widths=[4, 5,6]", "table=a/b.csv"])
    expected = Config(
        model=Model(hidden=16, kind="paper", widths=(4, 5, 6), noise=Noise(high=10.0)),
        drug="012",
        table=Path("a/b.csv"),
    )
    assert config == expected
    assert type(config.model.widths) is tuple
    assert type(config.model.noise.high) is float


def test_what_comes_out_is_frozen_and_plain() -> None:
    config = load(Config, overrides=["scale={a: 1.5}"])
    assert type(config) is Config
    assert type(config.scale) is dict
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.model.hidden = 3  # type: ignore[misc]


def test_a_file_is_read_before_its_class_is_known(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("task: other\nnet: {width: 3}\n")
    assert read(file) == {"task": "other", "net": {"width": 3}}
    file.write_text("- 1\n")
    with pytest.raises(ConfigError, match="expected `key: value`"):
        read(file)


def test_dotted_keys_work_in_a_file_too(tmp_path: Path) -> None:
    file = recipe(tmp_path, "model.noise.high: 3\nmodel: {hidden: 2}\n")
    assert load(Config, file=file).model == Model(hidden=2, noise=Noise(high=3.0))


@pytest.mark.parametrize("text", ["", "# only words\n", "---\n"])
def test_an_empty_recipe_changes_nothing(tmp_path: Path, text: str) -> None:
    assert load(Config, file=recipe(tmp_path, text)) == Config()


@pytest.mark.parametrize("text", ["012", "off", "null", "1e3", "10 uM", "a=b", "[x", "*x", "a: b # c", ""])
def test_text_on_the_command_line_is_taken_literally(text: str) -> None:
    assert load(Config, overrides=[f"drug={text}"]).drug == text


def test_a_choice_that_yaml_reads_as_a_flag_works_on_the_command_line() -> None:
    assert load(Config, overrides=["model.kind=off"]).model.kind == "off"


@pytest.mark.parametrize(
    ("key", "hint"), [("model.hiden", "model.hidden"), ("hidden", "model.hidden"), ("drgu", "drug")]
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, key: str, hint: str) -> None:
    assert f"unknown key {key!r}; did you mean {hint!r}?" in word_refusal(f"{key}=3")
    assert f"unknown key {key!r}; did you mean {hint!r}?" in refusal(tmp_path, f"{key}: 3")


def test_a_word_for_what_is_not_read_is_refused_and_a_file_may_hold_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.noise.low is not read here: expected drug, scale"):
        load(Config, overrides=["model.noise.low=1"], reads=("drug", "scale"))
    assert load(Config, file=recipe(tmp_path, "fast: true"), overrides=["drug=x"], reads=("drug",)).fast


def test_a_key_like_nothing_is_answered_with_keys_of_its_section() -> None:
    assert "such as model.hidden" in word_refusal("model.zzzzzzzz=3")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("model: {hidden: 2.5}", "model.hidden"),
        ("model: {hidden: '3'}", "model.hidden"),
        ("model: {hidden: true}", "model.hidden"),
        ("model: {hidden: null}", "model.hidden"),
        ("model: {hidden: [1]}", "model.hidden"),
        ("model: {dropout: x}", "model.dropout"),
        ("model: {kind: big}", "model.kind"),
        ("model: {kind: off}", "model.kind"),
        ("model: {widths: 3}", "model.widths"),
        ("model: {widths: [1, a]}", "model.widths"),
        ("model: {window: [1.0]}", "model.window"),
        ("drug: 012", "drug"),
        ("drug: 2026-01-01T00:00:00Z: 3", "recipe"),
        ("drugs: [a, off]", "drugs"),
        ("drugs: [a, null]", "drugs"),
        ("fast: 2", "fast"),
        ("table: 3", "table"),
        ("scale: {a: b}", "scale"),
        ("model: 3", "model"),
        ("model:", "model"),
        ("model: [1]", "model"),
    ],
)
def test_a_value_of_another_type_is_refused_by_key(tmp_path: Path, text: str, key: str) -> None:
    assert key in refusal(tmp_path, text)


def test_a_wrong_type_says_what_was_expected() -> None:
    assert word_refusal("model.kind=big").endswith(
        "model.kind: expected one of 'small', 'paper', 'off', got 'big'"
    )
    assert word_refusal("model.hidden=").endswith("model.hidden: expected a whole number, got None")


@pytest.mark.parametrize("word", ["hidden", "=3", "", "model", "model=3", "model.hidden=1\ndrug: x"])
def test_a_word_that_is_no_setting_is_refused(word: str) -> None:
    word_refusal(word)


def test_a_range_error_names_the_layer_that_set_the_key(tmp_path: Path) -> None:
    file = recipe(tmp_path, "model: {dropout: 1.5}")
    expected = "model.dropout: expected a number in [0, 1), got"
    with pytest.raises(ConfigError) as caught:
        load(Config, file=file, overrides=["drug=x", "model.hidden=3"])
    assert str(caught.value) == f"file {file}: {expected} 1.5"
    assert load(Config, file=file, overrides=["model.dropout=.5"]).model.dropout == 0.5
    assert word_refusal("model.dropout=.nan") == f"command line: {expected} nan"


def test_a_range_error_of_two_keys_names_both_layers(tmp_path: Path) -> None:
    file = recipe(tmp_path, "model: {noise: {low: 5}}")
    with pytest.raises(ConfigError) as caught:
        load(Config, file=file, overrides=["model.noise.high=1"])
    expected = "model.noise: expected 0 < low < high, got 5.0 and 1.0"
    assert str(caught.value) == f"file {file} and command line: {expected}"


def test_given_twice_is_refused(tmp_path: Path) -> None:
    assert "given twice" in word_refusal("drug=a", "drug=b")
    for words in (("model={hidden: 1}", "model.hidden=2"), ("model.hidden=2", "model={hidden: 1}")):
        assert "key 'model.hidden' is given twice" in word_refusal(*words)
    assert "line 2" in refusal(tmp_path, "drug: a\ndrug: b")
    assert "duplicate key hidden" in refusal(tmp_path, "model:\n  hidden: 1\n  hidden: 2")
    assert "given twice" in refusal(tmp_path, "model: {hidden: 1}\nmodel.hidden: 2")


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a${drug}", "${", "\\${drug}"])
def test_interpolation_is_refused_wherever_it_stands(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "a-secret")
    fault = refusal(tmp_path, f"model: {{hidden: 2}}\ndrug: '{text}'")
    assert "interpolation" in fault
    assert "line 2" in fault
    assert "a-secret" not in fault
    assert "interpolation" in word_refusal(f"drug={text}")
    assert "interpolation" in refusal(tmp_path, f"drugs: ['{text}']")
    assert "interpolation" in refusal(tmp_path, f"scale: {{'{text}': 1}}")
    with pytest.raises(ConfigError, match="interpolation"):
        from_dict(Config, {"scale": {"a": text}, "drugs": [text]})


@pytest.mark.parametrize(
    "text",
    [
        "- 1",
        "3",
        "just words",
        "drug: [1",
        "drug: !!python/object/apply:os.getcwd []",
        "? [1, 2]\n: 3",
        "null: 3",
        "1: 2",
        "\x00",
        "drug: a\n---\ndrug: b",
        "drug: ???",
        "<<: 3",
        "drug: &a x\ntable: *a",
        "drugs: " + "[" * 30_000,
        "drugs: " + "[" * 30_000 + "]" * 30_000,
        "scale: " + "{a: " * 5_000,
        "\n".join("  " * i + "model:" for i in range(200)),
        "# " + "x" * MAX_BYTES,
    ],
)
def test_yaml_that_is_no_recipe_gets_one_line(tmp_path: Path, text: str) -> None:
    refusal(tmp_path, text)


def test_a_bomb_is_refused_even_where_the_reader_was_told_to_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMEGACONF_MAX_YAML_EXPANDED_NODES", "none")
    rows = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert "alias" in refusal(tmp_path, "\n".join(rows))


def test_a_file_too_long_is_called_so_where_the_limit_cuts_a_letter(tmp_path: Path) -> None:
    assert f"at most {MAX_BYTES} bytes" in refusal(tmp_path, "# " + "é" * MAX_BYTES)


def test_files_that_cannot_be_read_get_one_line(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("drug: \xe9".encode("latin-1"))
    for name in ("absent.yaml", "latin.yaml", "."):
        with pytest.raises(ConfigError, match="file ") as caught:
            load(Config, file=tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "bom.yaml").write_bytes(b"\xef\xbb\xbfdrug: x\n")
    assert load(Config, file=tmp_path / "bom.yaml").drug == "x"


texts = st.text(max_size=20).filter(lambda text: "${" not in text and text != "???" and "\x00" not in text)
texts = texts.filter(lambda text: text.isprintable())
numbers = st.floats(allow_nan=False)
models = st.builds(
    Model,
    hidden=st.integers(-(2**60), 2**60),
    dropout=st.floats(0, 1, exclude_max=True),
    kind=st.sampled_from(["small", "paper", "off"]),
    widths=st.lists(st.integers(), max_size=3).map(tuple),
    window=st.tuples(numbers, numbers),
    limit=st.none() | numbers,
)
configs = st.builds(
    Config,
    model=models,
    drug=texts | st.sampled_from(["off", "1e3", "012", "null", "~", "12:30", "2026-01-01", "a: b", " x "]),
    drugs=st.lists(texts, max_size=3).map(tuple),
    scale=st.dictionaries(texts, numbers, max_size=3),
    fast=st.booleans(),
    table=st.none() | st.just(Path("a/b c.csv")),
)


@given(configs)
def test_save_and_load_give_the_same_object(tmp_path_factory: pytest.TempPathFactory, config: Config) -> None:
    path = tmp_path_factory.getbasetemp() / "saved.yaml"
    save(config, path)
    assert path.read_text(encoding="utf-8") == show(config)
    assert load(Config, file=path) == config


@given(configs)
def test_a_manifest_gives_the_same_object(config: Config) -> None:
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_a_manifest_of_another_shape_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"^manifest: unknown key 'modle'; did you mean 'model'"):
        from_dict(Config, {"modle": {}})
    with pytest.raises(ConfigError, match=r"^bundle x: model\.dropout: expected a number in"):
        from_dict(Config, {"model": {"dropout": 3}}, source="bundle x")


@given(st.text(max_size=60), st.binary(max_size=60))
def test_any_text_is_refused_in_one_line_or_taken(
    tmp_path_factory: pytest.TempPathFactory, word: str, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(b"model: {hidden: 3}\ndrug: " + data)
    for arguments in ({"file": path}, {"overrides": [word]}, {"overrides": [f"model.widths={word}"]}):
        try:
            assert isinstance(load(Config, **arguments), Config)
        except ConfigError as fault:
            assert len(str(fault).splitlines()) == 1  # noqa: PT017 - either outcome is right


@dataclass(frozen=True, kw_only=True)
class Required:
    table: str
    rows: int = 1


def test_a_required_key_that_nobody_gave_is_named() -> None:
    with pytest.raises(ConfigError, match="required and not given: table"):
        load(Required)
    assert load(Required, overrides=["table=x"]) == Required(table="x")


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, cytosol.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ, check=False).returncode == 0
