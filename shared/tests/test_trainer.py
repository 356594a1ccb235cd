"""What comes out of a run, and what is refused before it."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from cytosol.trainer import cosine_warmup, fit

LINE = torch.linspace(-1, 1, 12).reshape(-1, 1)
DATA = TensorDataset(LINE, 3 * LINE + 1)


def test_the_callers_random_state_is_left_alone(run, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(tmp_path)
    assert torch.get_rng_state().equal(before)


def test_the_history_is_exact_and_on_disk(Line, run, tmp_path):
    seen = []

    class Kept(Line):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)
            seen.append(loss.item())
            return loss

    module, history = run(tmp_path, Kept(), val_data=DATA, max_steps=10, val_every=5)
    assert history.step.tolist() == [4, 5, 8, 10]
    edges = [0, 4, 5, 8, 10]
    means = [np.mean(seen[a:b]) for a, b in pairwise(edges)]
    np.testing.assert_allclose(history.train_loss, means, rtol=1e-6)
    assert history.val_loss.isna().tolist() == [True, False, True, False]
    with torch.no_grad():
        expected = ((module.net(LINE) - 3 * LINE - 1) ** 2).mean().item()
    assert history.val_loss.iloc[-1] == pytest.approx(expected, rel=1e-6)
    read = pd.read_csv(tmp_path / "history.csv")
    pd.testing.assert_frame_equal(read, history, rtol=1e-7)


def test_validation_weighs_samples_not_batches(run, tmp_path):
    module, history = run(tmp_path, val_data=TensorDataset(LINE[:9], LINE[:9]), val_every=12)
    with torch.no_grad():
        expected = ((module.net(LINE[:9]) - LINE[:9]) ** 2).mean().item()
    assert history.val_loss.iloc[-1] == pytest.approx(expected, rel=1e-6)  # batches of 4, 4 and 1


def test_the_average_follows_its_formula(run, tmp_path):
    module, _ = run(tmp_path, ema_decay=0.7, max_steps=12)
    plain, _ = run(tmp_path / "plain", max_steps=12)
    assert module.trace == plain.trace  # averaging does not change training
    average, weights = plain.trace[0], [*plain.trace[1:], plain.net.weight.item()]
    for step, weight in enumerate(weights, start=1):
        decay = min(0.7, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weight
    assert module.net.weight.item() == pytest.approx(average, rel=1e-5)


def test_validation_is_of_the_averaged_weights(run, tmp_path):
    module, history = run(tmp_path, val_data=DATA, ema_decay=0.9, max_steps=12)
    with torch.no_grad():
        expected = ((module.net(LINE) - 3 * LINE - 1) ** 2).mean().item()
    assert history.val_loss.iloc[-1] == pytest.approx(expected, rel=1e-6)


def test_gradients_are_clipped_to_the_norm(Line, run, tmp_path):
    module, history = run(tmp_path, max_steps=1, clip_norm=0.01, log_every=1)
    assert history.grad_norm.iloc[0] > 0.1  # as it was before clipping
    start = Line().net
    moved = torch.cat([(module.net.weight - start.weight).flatten(), module.net.bias - start.bias]).norm()
    assert moved.item() == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_patience_keeps_the_best_weights(Line, run, tmp_path):
    """From step 4 on the sign of the loss is turned: validation gets worse again."""
    module = Line(hook=lambda step: -1.0 if step >= 4 else 1.0)
    module, history = run(
        tmp_path, module, val_data=DATA, max_steps=40, val_every=1, patience=3, log_every=50
    )
    losses = history.val_loss.tolist()
    assert losses.index(min(losses)) == 3
    assert len(losses) == 7  # the best, then three that were not better
    assert module.net.weight.item() == module.trace[4]
    again, repeated = run(
        tmp_path, val_data=DATA, max_steps=40, val_every=1, patience=3, log_every=50, resume=True
    )
    assert again.net.weight.item() == module.net.weight.item()
    pd.testing.assert_frame_equal(repeated, history)


def test_a_complete_run_is_returned_and_can_be_prolonged(run, tmp_path):
    first, history = run(tmp_path, ema_decay=0.5, max_steps=7)
    again, repeated = run(tmp_path, ema_decay=0.5, max_steps=7, resume=True)
    assert again.net.weight.equal(first.net.weight)
    assert again.trace == []
    pd.testing.assert_frame_equal(repeated, history)
    longer, _ = run(tmp_path, ema_decay=0.5, max_steps=12, resume=True)
    reference, _ = run(tmp_path / "reference", ema_decay=0.5, max_steps=12)
    assert longer.net.weight.equal(reference.net.weight)
    assert len(longer.trace) == 5


def test_nothing_to_resume_begins(run, tmp_path):
    assert run(tmp_path, resume=True)[1].step.iloc[-1] == 12


def test_memory_that_does_not_suffice_names_the_batch_size(Line, run, tmp_path):
    class Large(Line):
        def training_step(self, batch, index):
            return super().training_step(batch, index) + torch.empty(2**56).sum()

    with pytest.raises(
        RuntimeError, match=r"^out of memory \(asked for .*\): lower batch_size, or use a device"
    ):
        run(tmp_path, Large())


def test_a_schedule_is_stepped_every_step(Line, run, tmp_path):
    class Scheduled(Line):
        def configure_optimizers(self):
            optimizer = torch.optim.SGD(self.parameters(), lr=0.4)
            return {"optimizer": optimizer, "lr_scheduler": cosine_warmup(optimizer, 3, 8)}

    _, history = run(tmp_path, Scheduled(), max_steps=10, log_every=1)
    ramp = [0.1, 0.2, 0.3]
    fall = [0.2 * (1 + np.cos(np.pi * min(k / 5, 1))) for k in range(7)]
    np.testing.assert_allclose(history.lr, ramp + fall, atol=1e-9)
    with pytest.raises(ValueError, match="0 <= warmup_steps < total_steps, got 8 and 8"):
        cosine_warmup(torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=1), 8, 8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": TensorDataset(LINE[:0], LINE[:0])}, "training data is empty"),
        ({"val_data": TensorDataset(LINE[:0], LINE[:0])}, "validation data is empty"),
        ({"data": iter(DATA)}, "has no length"),
        ({"patience": 3}, "needs validation data"),
        ({"device": "mps"}, "device 'mps' is not available here"),
    ],
)
def test_what_cannot_be_trained_is_refused(run, tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        run(tmp_path, **changes)


def test_a_dataset_may_hand_out_whole_batches(Line, options, run, tmp_path):
    asked = Counter()

    class Whole(TensorDataset):
        def __getitems__(self, samples):
            asked[len(samples)] += 1
            return self[samples]

    module = Line()
    fit(module, Whole(*DATA.tensors), options=options(), out=tmp_path, seed=0, collate=lambda batch: batch)
    reference, _ = run(tmp_path / "reference")
    assert asked == {4: 12}
    assert module.net.weight.equal(reference.net.weight)
