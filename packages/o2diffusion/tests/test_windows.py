"""Windows around media changes: true times, level, borders, missing replicates, padding."""

import numpy as np
import pytest
import torch

from o2diffusion.conditions import Condition
from o2diffusion.events import Events
from o2diffusion.windows import MediaResponseDataset, collate_windows

NAN = np.nan


def condition(time, oxygen, changes, *, kinds=None, drug="a", concentration=1.0, series="s") -> Condition:
    oxygen = np.asarray(oxygen, dtype=float)
    oxygen = oxygen[:, None] if oxygen.ndim == 1 else oxygen
    kinds = tuple(kinds or ["media_change"] * len(changes))
    return Condition(
        experiment_id="e",
        series_id=series,
        drug=drug,
        concentration_um=concentration,
        unit="%air",
        replicates=tuple(str(i) for i in range(oxygen.shape[1])),
        time_h=np.asarray(time, dtype=float),
        oxygen=oxygen,
        wanted=np.zeros(oxygen.shape, dtype=bool),
        events=Events(np.asarray(changes, dtype=float), kinds, np.ones(len(changes), dtype=bool)),
    )


def test_a_window_runs_from_two_hours_before_to_twenty_two_after_on_true_times():
    time = np.sort(np.random.default_rng(0).uniform(0, 100, 400))
    window = MediaResponseDataset([condition(time, 10 + time, [50.3])])[0]
    inside = time[(time >= 48.3) & (time < 72.3)]
    np.testing.assert_allclose(window.time_relative, inside - 50.3)
    before = time[(time >= 48.3) & (time < 50.3)]
    np.testing.assert_allclose(window.level, 10 + before.mean())
    np.testing.assert_allclose(window.oxygen[:, 0] + window.level, 10 + inside)
    longer = time[(time >= 40.3) & (time < 50.3)]
    np.testing.assert_allclose(window.reference, 10 + longer.mean())
    assert (window.drug, window.concentration_um, window.change_time_h) == ("a", 1.0, 50.3)


def test_a_window_ends_before_the_next_change_and_a_level_starts_after_the_last():
    time = np.arange(0, 60, 0.5)
    oxygen = np.where(time < 20, 0.0, np.where(time < 25, 100.0, 7.0))
    first, second = MediaResponseDataset([condition(time, oxygen, [20, 25])])
    assert first.time_relative.max() == 4.5
    assert first.reference == first.level == 0.0
    assert second.level == second.reference == 100.0  # nothing from before the first change


def test_lengths_and_kinds_may_be_chosen():
    time = np.arange(0, 1, 0.01)
    flush = condition(time, time, [0.3, 0.5], kinds=["flush", "injection"])
    assert len(MediaResponseDataset([flush])) == 0
    windows = MediaResponseDataset([flush], before_h=0.05, after_h=0.4, reference_h=0.1, kinds=("flush",))
    assert len(windows) == 1
    assert windows[0].time_relative.min() >= -0.05
    assert 0.38 < windows[0].time_relative.max() < 0.4
    for wrong in ({"before_h": 0}, {"after_h": -1}, {"reference_h": 1}):
        with pytest.raises(ValueError, match="expected before_h > 0"):
            MediaResponseDataset([flush], **wrong)


def test_replicates_without_a_level_or_a_response_are_masked():
    time = np.arange(0, 40, 1.0)
    oxygen = np.tile(time[:, None], (1, 4))
    oxygen[(time >= 18) & (time < 20), 1] = NAN  # last level 3 h before: the longer reference
    oxygen[(time >= 10) & (time < 20), 2] = NAN
    oxygen[time >= 20, 3] = NAN
    window = MediaResponseDataset([condition(time, oxygen, [20])])[0]
    assert window.replicate_mask.tolist() == [True, True, False, False]
    assert not window.observed[:, 2:].any()
    assert window.level[0] == 18.5
    assert window.level[1] == np.arange(10, 18).mean()
    assert np.isfinite(window.oxygen).all()


def test_changes_outside_the_samples_are_dropped_and_counted():
    time = np.arange(10, 30, 1.0)
    windows = MediaResponseDataset(
        [condition(time, time, [-5, 5, 10, 20, 29.5, 100]), condition(time, time, [])]
    )
    assert [w.change_time_h for w in windows] == [20.0]
    assert windows.dropped == 5


def test_the_order_of_replicates_does_not_matter():
    rng = np.random.default_rng(1)
    time = np.arange(0, 60, 0.9)
    oxygen = np.where(rng.random((len(time), 3)) < 0.3, NAN, rng.normal(size=(len(time), 3)))
    order = [2, 0, 1]
    plain, moved = (MediaResponseDataset([condition(time, o, [30])])[0] for o in (oxygen, oxygen[:, order]))
    np.testing.assert_array_equal(plain.oxygen[:, order], moved.oxygen)
    np.testing.assert_array_equal(plain.replicate_mask[order], moved.replicate_mask)


def test_a_batch_is_padded_with_nothing():
    time = np.arange(0, 60, 1.0)
    one = condition(time, np.stack([time, time + 1], axis=1), [20], drug=None, concentration=None)
    two = condition(time[::3], time[::3], [40.5, 45.0], concentration=0.0)
    windows = MediaResponseDataset([one, two])
    batch = collate_windows(list(windows))
    assert batch["oxygen"].shape == batch["observed"].shape == (3, 24, 2)
    assert batch["replicate_mask"].tolist() == [[True, True], [True, False], [True, False]]
    assert batch["drug"] == [None, "a", "a"]
    assert torch.isnan(batch["concentration"][0])
    assert batch["concentration"][1:].tolist() == [0, 0]
    for i, window in enumerate(windows):
        n = len(window.time_relative)
        assert batch["time_mask"][i].sum() == n
        assert (batch["oxygen"][i, n:] == 0).all()
        assert not batch["observed"][i, n:].any()
        np.testing.assert_allclose(batch["oxygen"][i, :n, 0], window.oxygen[:, 0])
    loader = torch.utils.data.DataLoader(windows, batch_size=2, collate_fn=collate_windows)
    assert [len(b["drug"]) for b in loader] == [2, 1]
