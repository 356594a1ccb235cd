"""How the network reads conditions of which some are missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cytosol.testing import assert_batch_independent, assert_state_round_trip
from mediacvae.parts import COMPONENTS, WIDE, ConditionReader, identity, reading_of

BLOCKS = [slice(0, 3), slice(3, 5), slice(5, 105)]
TOKENS = [True, False, False]


def conditions(n: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    tokens = (rng.random((n, 3)) < [0.5, 0.9, 0.01]).astype(float)
    wide = rng.standard_normal((n, 6)) @ rng.standard_normal((6, 100)) + 5
    made = np.concatenate([tokens, rng.normal([50, 6], [10, 0.5], (n, 2)), wide], axis=1).astype(np.float32)
    made[0, 5:], made[1, 3:5], made[2] = np.nan, np.nan, np.nan
    return made


@pytest.fixture
def reader() -> ConditionReader:
    return ConditionReader(reading_of(conditions(), BLOCKS, TOKENS))


def test_what_comes_out(reader):
    out = reader(torch.as_tensor(conditions()))
    assert out.shape == (40, reader.width)
    assert reader.width == 3 + 2 + COMPONENTS + 3
    assert out.isfinite().all()
    known = np.isfinite(conditions())[:, [0, 3, 5]]
    np.testing.assert_array_equal(out[:, -3:].numpy(), known)
    assert not out[2].any()  # of whom nothing is known
    assert not out[0, 5:-3].any()  # nothing of the wide block


def test_numbers_are_standardised(reader):
    out = reader(torch.as_tensor(conditions()))[:, 3:5].numpy()
    own = out[np.isfinite(conditions()[:, 3])]
    np.testing.assert_allclose(own.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(own.std(axis=0), 1, rtol=1e-5)


def test_rare_words_do_not_shout(reader):
    out = reader(torch.as_tensor(conditions()))[:, :3]
    assert float(out.abs().max()) < 1 / 0.15 + 1e-3


def test_wide_blocks_keep_their_distances_up_to_a_scale(reader):
    """Of six dimensions in a hundred features, the principal components lose nothing."""
    x = conditions()[3:]
    z = (x[:, 5:] - np.nanmean(conditions()[:, 5:], axis=0)) / np.nanstd(conditions()[:, 5:], axis=0)
    out = reader(torch.as_tensor(x))[:, 5:-3].double().numpy()
    apart = [np.linalg.norm(a[:, None] - a[None], axis=2)[np.triu_indices(len(a), 1)] for a in (z, out)]
    ratio = apart[0] / apart[1]
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=1e-3)
    assert WIDE < 100


@pytest.mark.parametrize("n", [0, 1])
def test_a_wide_block_that_hardly_anyone_has_is_read(n):
    x = conditions()[: 3 + n]
    x[n:, 5:] = np.nan
    reader = ConditionReader(reading_of(x, BLOCKS, TOKENS))
    assert reader(torch.as_tensor(x)).isfinite().all()


def test_each_row_is_read_alone_and_the_reading_is_kept(reader):
    inputs = {"condition": torch.as_tensor(conditions()[:8])}
    assert_batch_independent(reader, inputs)
    other = conditions() * 2
    assert_state_round_trip(reader, lambda: ConditionReader(reading_of(other, BLOCKS, TOKENS)), inputs)


def test_what_is_not_known_has_no_gradient(reader):
    x = torch.as_tensor(conditions()[:3]).requires_grad_()
    reader(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert not x.grad[2].any()
    assert x.grad[0, :5].all()


def test_identity_reads_as_it_is():
    x = torch.randn(4, 6)
    torch.testing.assert_close(ConditionReader(identity(6))(x), torch.cat([x, torch.ones(4, 1)], dim=1))


def test_blocks_are_forgotten_as_a_whole_and_as_often_as_asked(reader):
    x = torch.zeros(20_000, 105)
    gone = reader.drop(x, 0.2, torch.Generator().manual_seed(0)).isnan()
    for own in BLOCKS:
        assert (gone[:, own].all(dim=1) == gone[:, own].any(dim=1)).all()
    assert not x.isnan().any()  # what was given stays as it was
    rate = gone[:, [0, 3, 5]].double()
    torch.testing.assert_close(rate.mean(dim=0), torch.full((3,), 1 - 0.8 * 0.9).double(), atol=0.01, rtol=0)
    assert float(rate.all(dim=1).double().mean()) == pytest.approx(0.1 + 0.9 * 0.2**3, abs=0.01)
    assert not reader.drop(x[:100], 0.0, torch.Generator()).isnan().any()
    again = reader.drop(x, 0.2, torch.Generator().manual_seed(0)).isnan()
    assert torch.equal(gone, again)


def test_features_of_a_smaller_size_count_more_in_components():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2 * WIDE))
    sizes = np.ones(2 * WIDE)
    sizes[7] = 0.01
    plain, told = (reading_of(x, [slice(0, 2 * WIDE)], [False], given) for given in (None, sizes))
    first = np.abs(told.loadings[:, 0])
    assert first.argmax() == 7
    assert first[7] > 10 * np.delete(first, 7).max()
    assert np.abs(plain.loadings[:, 0]).argmax() != 7 or np.abs(plain.loadings[7, 0]) < first[7]
    np.testing.assert_array_equal(told.scale, sizes)
