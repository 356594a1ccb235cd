import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o2diffusion.conditions import iter_conditions, read_conditions, split_replicates
from o2diffusion.tables import write_table

SUFFIXES = [".csv", ".csv.gz", ".parquet"]
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=6)


@st.composite
def tables(draw):
    """A legal table of some series, rows in any order, and its rows by (series, replicate, time)."""
    rows, truth = [], {}
    series = draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
    for name in series:
        drug, dose = (
            draw(st.sampled_from(["", "None", "NA", "Drug B"])),
            draw(st.sampled_from([np.nan, 0.0, 0.1, 22.5])),
        )
        for replicate in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
            for when in draw(st.lists(st.integers(-50, 500), min_size=1, max_size=8, unique=True)):
                value = draw(st.none() | st.floats(-50, 300))
                value = np.nan if value is None else value
                rows.append(["p", name, replicate, drug, dose, when / 7, value, "%air"])
                truth[name, replicate, when / 7] = value
    columns = [
        "experiment_id",
        "series_id",
        "replicate",
        "drug",
        "concentration_um",
        "time_h",
        "oxygen",
        "unit",
    ]
    return pd.DataFrame(draw(st.permutations(rows)), columns=columns), truth


def back(conditions):
    """The rows a list of conditions says the table had."""
    found = {}
    for c in conditions:
        present = np.isfinite(c.oxygen) | c.wanted
        for i, j in np.argwhere(present):
            found[c.series_id, c.replicates[j], float(c.time_h[i])] = float(c.oxygen[i, j])
    return found


@settings(max_examples=40, deadline=None)
@given(table=tables())
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read(tmp_path_factory, suffix, table):
    frame, truth = table
    path = tmp_path_factory.mktemp("trip") / f"t{suffix}"
    write_table([frame.iloc[:3], frame.iloc[3:]], path)
    conditions = read_conditions(path, notes=[])
    found = back(conditions)
    assert found.keys() == truth.keys()
    np.testing.assert_array_equal([found[k] for k in truth], list(truth.values()))
    first = frame.drop_duplicates("series_id")
    assert [c.series_id for c in conditions] == first["series_id"].tolist()
    assert [c.drug or "" for c in conditions] == first["drug"].tolist()
    doses = [np.nan if c.concentration_um is None else c.concentration_um for c in conditions]
    np.testing.assert_array_equal(doses, first["concentration_um"])


@settings(max_examples=40, deadline=None)
@given(table=tables())
def test_conditions_keep_their_promises(table):
    frame, truth = table
    assert back(read_conditions(frame, notes=[])) == pytest.approx(truth, nan_ok=True)
    for c in read_conditions(frame, notes=[]):
        n, r = len(c.time_h), len(c.replicates)
        assert (np.diff(c.time_h) > 0).all()
        assert c.oxygen.shape == c.wanted.shape == (n, r)
        assert (c.time_h.dtype, c.oxygen.dtype, c.wanted.dtype) == (np.float64, np.float64, np.bool_)
        assert not (c.wanted & np.isfinite(c.oxygen)).any()
        assert (np.isfinite(c.oxygen) | c.wanted).any(axis=1).all()
        rows = frame[frame["series_id"] == c.series_id]
        assert list(c.replicates) == rows["replicate"].unique().tolist()


def wide(replicates, times=5, series="s"):
    """A frame of one series in which replicate i reads i everywhere."""
    labels = np.repeat(np.arange(replicates), times)
    return pd.DataFrame(
        {
            "series_id": series,
            "replicate": labels,
            "time_h": np.tile(np.arange(times), replicates),
            "oxygen": labels,
        }
    )


@given(replicates=st.integers(1, 40), most=st.integers(1, 6), seed=st.integers(0, 9))
@settings(deadline=None)
def test_a_split_loses_no_replicate_and_is_even(replicates, most, seed):
    (whole,) = read_conditions(wide(replicates, 2), notes=[], max_replicates=None)
    parts = split_replicates(whole, seed, most)
    sizes = [len(p.replicates) for p in parts]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1
    assert sorted(int(label) for p in parts for label in p.replicates) == list(range(replicates))
    for part in parts:
        np.testing.assert_array_equal(part.oxygen, np.tile(np.array(part.replicates, float), (2, 1)))


def test_a_split_follows_its_seed_and_not_the_rest_of_the_table():
    def groups(frame, seed):
        return [c.replicates for c in read_conditions(frame, notes=[], seed=seed) if c.series_id == "s"]

    alone, among = wide(16), pd.concat([wide(7, series="a"), wide(16)])
    assert groups(alone, 1) == groups(alone, 1) == groups(among, 1)
    assert groups(alone, 1) != groups(alone, 2)


def test_a_group_has_only_the_times_of_its_own_rows():
    frame = wide(5).assign(time_h=lambda f: f["time_h"] + 100 * f["replicate"])
    for part in read_conditions(frame, notes=[]):
        assert len(part.time_h) == 5 * len(part.replicates)


def test_series_of_one_name_in_two_experiments_are_two():
    frame = pd.concat([wide(1).assign(experiment_id="p"), wide(2).assign(experiment_id="q")])
    assert [(c.experiment_id, len(c.replicates)) for c in read_conditions(frame, notes=[])] == [
        ("p", 1),
        ("q", 2),
    ]


def test_frames_with_categories_and_nullable_types_are_read():
    frame = wide(2).convert_dtypes().astype({"series_id": "category"})
    (condition,) = read_conditions(frame, notes=[])
    assert condition.replicates == ("0", "1")
    np.testing.assert_array_equal(condition.oxygen[0], [0, 1])


def test_the_stated_unit_and_the_source_reach_the_condition():
    (condition,) = read_conditions(wide(1).assign(source="lab"), notes=[], unit="kPa")
    assert (condition.unit, condition.source, condition.drug) == ("kPa", "lab", None)
    notes = []
    assert read_conditions(wide(1), notes=notes)[0].unit is None
    assert any("no oxygen unit" in n for n in notes)


def test_reading_loads_no_torch():
    code = "import sys, o2diffusion.prepare, o2diffusion.describe; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        == "False\n"
    )


MEASURE = """
import resource, sys, time
from o2diffusion.conditions import iter_conditions
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cells = sum(c.oxygen.size for c in iter_conditions(sys.argv[1], notes=[]))
print(cells, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024, time.process_time())
"""


def plate(wells, points, *, by_time=False):
    """Frames of `wells` traces of `points` samples, four a series; `by_time`: all wells of a time together."""
    rng = np.random.default_rng(0)
    for part in range(0, points, 1000) if by_time else range(0, wells, 4):
        of = np.arange(wells) if by_time else np.arange(part, part + 4)
        when = np.arange(part, part + 1000) if by_time else np.arange(points)
        grid = [a.ravel() for a in np.meshgrid(when, of, indexing="ij" if by_time else "xy")]
        yield pd.DataFrame(
            {
                "series_id": np.char.add("s", (grid[1] // 4).astype(str)),
                "replicate": grid[1] % 4,
                "drug": "a drug",
                "concentration_um": 7.5,
                "time_h": np.round(grid[0] * 0.0412, 4),
                "oxygen": np.round(rng.normal(50, 5, grid[0].size), 3),
            }
        )


def measure(path):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    return [float(x) for x in done.stdout.split()]


@pytest.mark.parametrize("by_time", [False, True])
def test_memory_stays_near_the_bytes_of_the_rows(tmp_path, by_time):
    path = tmp_path / "plate.parquet"
    rows = write_table(plate(100, 10_000, by_time=by_time), path)
    cells, grown, _ = measure(path)
    assert cells == rows == 1_000_000
    assert grown < 450  # MB: 24 bytes a row and two chunks in flight


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seconds"), [("plate.csv", 60), ("plate.csv.gz", 60), ("plate.parquet", 15)]
)
def test_a_thousand_wells_of_ten_thousand_points(tmp_path, name, seconds):
    path = tmp_path / name
    write_table(plate(1000, 10_000), path)
    cells, grown, took = measure(path)
    assert cells == 10_000_000
    assert grown < 1500  # MB
    assert took < seconds


def test_an_iterator_gives_the_first_condition_before_it_builds_the_last():
    conditions = iter_conditions(pd.concat([wide(1), wide(1, series="t")]), notes=[])
    assert next(conditions).series_id == "s"
    assert [c.series_id for c in conditions] == ["t"]


def test_a_hundred_thousand_rows_a_second_at_least():
    frame = pd.concat(plate(40, 5000))
    start = time.process_time()
    read_conditions(frame, notes=[])
    assert time.process_time() - start < 2.0
