"""Datasets on disk: what was written is read, and a damaged folder is told in one line."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediacvae import dataset as datasets
from mediacvae.dataset import ABOUT, SPLITS, DatasetError, read, write
from mediacvae.names import ORGANISM_TYPES


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("written") / "dataset"
    write(dataset, made)
    return made


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "dataset"))


def test_what_was_written_is_read(dataset, folder):
    again = read(folder)
    assert (again.ingredients, again.notes, again.about) == (
        dataset.ingredients,
        dataset.notes,
        dataset.about,
    )
    assert again.conditioner == dataset.conditioner
    np.testing.assert_array_equal(again.media, dataset.media)
    np.testing.assert_array_equal(again.conditions, dataset.conditions)
    for name in datasets.TABLES:
        pd.testing.assert_frame_equal(getattr(again, name), getattr(dataset, name), check_dtype=False)
    for split in SPLITS:
        for ours, its in zip(again.arrays(split), dataset.arrays(split), strict=True):
            np.testing.assert_array_equal(ours, its)


def test_large_arrays_stay_on_disk(folder):
    made = read(folder)
    assert isinstance(made.media, np.memmap)
    assert isinstance(made.conditions, np.memmap)
    assert not made.media.flags.writeable


def test_the_files_are_those_of_the_specification(dataset, folder):
    samples = pd.read_parquet(folder / "samples.parquet")
    assert len(samples) == len(dataset.pairs)
    for split in SPLITS:
        x, c, y = (np.load(folder / f"{name}_{split}.npy", allow_pickle=False) for name in "XCy")
        own = samples[samples["split"] == split]
        assert len(x) == len(c) == len(y) == len(own) > 0
        assert (x.shape[1], c.shape[1]) == (len(dataset.ingredients), dataset.conditioner.width)
        assert (x.dtype, c.dtype, y.dtype) == (np.float32, np.float32, np.int64)
        assert list(own["row"]) == list(range(len(own)))
        assert [ORGANISM_TYPES[at] for at in y] == list(own["organism_type"])
        where = {name: at for at, name in enumerate(dataset.library["medium_id"])}
        np.testing.assert_array_equal(x, dataset.media[[where[name] for name in own["medium_id"]]])
        which = {name: at for at, name in enumerate(dataset.organisms["genome_id"])}
        np.testing.assert_array_equal(c, dataset.conditions[[which[name] for name in own["genome_id"]]])
    sides = samples.groupby("genus")["split"].nunique()
    assert (sides == 1).all()


def test_ingredient_order_and_what_was_left_out_are_in_the_folder(dataset, folder):
    said = json.loads((folder / ABOUT).read_text())
    assert said["ingredients"] == list(dataset.ingredients)
    assert said["notes"] == list(dataset.notes)
    assert said["about"]["group"] == "genus"


def test_it_may_be_written_again_over_itself(copy):
    made = read(copy)
    write(made, copy)
    np.testing.assert_array_equal(read(copy).media, made.media)


def test_a_folder_that_is_being_written_is_no_dataset(dataset, copy, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(datasets, "write_atomically", stop)
    with pytest.raises(KeyboardInterrupt):
        write(dataset, copy)
    with pytest.raises(DatasetError, match=r"it has no dataset\.json"):
        read(copy)


# ---- damage


def refused(folder: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message
    return message


def test_folders_that_are_none_are_told(tmp_path):
    assert "expected a dataset made by `mediacvae build`" in refused(tmp_path / "absent")
    assert "it has no dataset.json" in refused(tmp_path)


@pytest.mark.parametrize(
    "name", ["library.npy", "conditions.npy", "pairs.parquet", "organisms.parquet", "dataset.json"]
)
@pytest.mark.parametrize("damage", ["missing", "empty", "truncated", "text"])
def test_damaged_files_are_told(copy, name, damage):
    file = copy / name
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes({"empty": b"", "truncated": whole[: len(whole) // 2], "text": b"hello\n"}[damage])
    refused(copy)


def set_json(folder: Path, **keys: object) -> None:
    said = json.loads((folder / ABOUT).read_text())
    (folder / ABOUT).write_text(json.dumps({**said, **keys}))


def test_another_format_is_told(copy):
    set_json(copy, format=0)
    assert "of format 0, this program reads 1" in refused(copy)


def test_a_manifest_that_lacks_something_is_told(copy):
    said = json.loads((copy / ABOUT).read_text())
    del said["condition"]
    (copy / ABOUT).write_text(json.dumps(said))
    assert "there is no 'condition'" in refused(copy)
    for text in ("[]", "3", '{"format": 1, "condition": [1], "ingredients": 3}', "null"):
        (copy / ABOUT).write_text(text)
        refused(copy)


def test_shapes_that_do_not_fit_are_told(dataset, copy):
    set_json(copy, ingredients=list(dataset.ingredients)[1:])
    assert "library.npy: expected float32 (41, 18), got float32 (41, 19)" in refused(copy)


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("library", lambda x: x.astype(np.float64), "library.npy: expected float32"),
        ("library", lambda x: -x, "library.npy: rows 0 to 40: expected finite amounts of at least 0 g/L"),
        ("library", lambda x: x * np.nan, "expected finite amounts"),
        ("conditions", lambda x: x[1:], "conditions.npy: expected float32 (56,"),
    ],
)
def test_wrong_arrays_are_told(copy, name, array, message):
    np.save(copy / f"{name}.npy", array(np.load(copy / f"{name}.npy")))
    assert message in refused(copy)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("pairs", lambda t: t.assign(medium=41), "pairs.parquet: medium: expected rows from 0 to 40"),
        ("pairs", lambda t: t.assign(organism=-1), "pairs.parquet: organism: expected rows from 0 to 55"),
        ("records", lambda t: t.assign(organism=99), "records.parquet: organism: expected rows"),
        ("pairs", lambda t: t.drop(columns="medium"), "pairs.parquet: no column 'medium'"),
        ("organisms", lambda t: t.drop(columns="genus"), "organisms.parquet: no column 'genus'"),
        ("organisms", lambda t: t.assign(split="all"), "split: expected train, val, test, got 'all'"),
        ("organisms", lambda t: t.assign(organism_type="plant"), "organism_type: expected bacteria"),
        ("organisms", lambda t: t.head(3), "conditions.npy: expected float32 (3,"),
    ],
)
def test_wrong_tables_are_told(copy, name, change, message):
    file = copy / f"{name}.parquet"
    change(pd.read_parquet(file)).to_parquet(file)
    assert message in refused(copy)


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_bytes_change_only_our_error_comes_out(folder, tmp_path_factory, data):
    copy = Path(shutil.copytree(folder, tmp_path_factory.mktemp("fuzz") / "dataset"))
    file = copy / data.draw(
        st.sampled_from(sorted(p.name for p in folder.iterdir() if p.name[0] in "dlcopr"))
    )
    whole = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(bytes(whole))
    with suppress(DatasetError):
        made = read(copy)
        assert made.media.shape == (len(made.library), len(made.ingredients))
