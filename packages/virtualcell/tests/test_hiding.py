"""What is hidden of a cell: counts are split, never made; a cell's randomness is its own."""

import pytest
import torch

from virtualcell.config import ObjectiveConfig
from virtualcell.hiding import TOKEN_WORDS, dense, gathered, split, taken
from virtualcell.models import MODELS

GENES = 12


def batch(cells=40, *, seed=0, most=30):
    """Cells that express half of the genes, as a loader gives them: CLS first, padding at the end."""
    draw = torch.Generator().manual_seed(seed)
    n = GENES // 2
    ids = torch.stack([torch.randperm(GENES, generator=draw)[:n].sort().values for _ in range(cells)])
    raw = torch.randint(1, most, (cells, n), generator=draw).float()
    raw[0, -2:], ids[0, -2:] = 0.0, -1
    ids = torch.cat([torch.full((cells, 1), -1), ids], 1)
    raw = torch.cat([torch.zeros(cells, 1), raw], 1)
    mask = ids >= 0
    mask[:, 0] = True
    outside = 100.0  # counts of genes that are no tokens
    return {"gene_ids": ids, "raw_counts": raw, "mask": mask, "total_counts": raw.sum(1) + outside}


def made(cells, *, seed=0, step=0, first=0, target_sum=1e4, **words):
    return split(
        cells, GENES, ObjectiveConfig(**words), target_sum=target_sum, seed=seed, step=step, first=first
    )


def whole(cells):
    return dense(cells["raw_counts"], cells["gene_ids"], GENES)


def test_what_is_seen_and_what_is_hidden_are_the_cell():
    cells = batch()
    found = made(cells)
    depth = cells["total_counts"][:, None] * (1 - found.share.min(1, keepdim=True).values)
    seen = torch.expm1(found.values) * depth / 1e4
    torch.testing.assert_close(seen + found.rest, whole(cells), rtol=1e-4, atol=1e-3)
    assert (found.rest == found.rest.round()).all()
    assert (seen[~found.known] == 0).all()
    ids = taken(cells["gene_ids"], found.order)
    assert (found.mask[:, 0] & (ids[:, 0] == -1)).all()
    real = found.mask & (ids >= 0)
    torch.testing.assert_close(found.values.gather(1, ids.clamp_min(0))[real], found.counts[real])
    assert (found.counts[real] > 0).all()  # a gene without a seen count is no token
    assert (real.sum(1) == (seen > 0.5).sum(1)).all()


def test_the_hidden_share_is_what_it_says():
    cells = batch(4000, most=60)
    found = made(cells, hidden_genes=0.25)
    want = whole(cells) * found.share
    error = (found.rest - want).mean(0) / (want.var(0) / len(want)).sqrt()
    assert error.abs().max() < 4
    wholly = ~found.known
    assert (found.share[wholly] == 1).all()
    assert abs(float(wholly.float().mean()) - 0.25) < 0.01
    assert (found.rest[wholly] == whole(cells)[wholly]).all()
    partly = found.share[~wholly]
    assert 0.1 <= float(partly.min()) < 0.15
    assert 0.65 < float(partly.max()) <= 0.7


def test_no_more_tokens_than_asked_for_are_looked_at_and_others_each_time():
    cells = batch()
    found, other = (made(cells, step=step, max_tokens=3) for step in (0, 1))
    assert found.order.shape[1] == 4
    assert (found.order != other.order).any()


def test_a_cell_is_split_alike_wherever_it_is_in_a_batch_of_whatever_padding():
    cells = batch()
    alone = made(cells, seed=3, step=5)
    half = made({word: x[20:] for word, x in cells.items()}, seed=3, step=5, first=20)
    torch.testing.assert_close(alone.rest[20:], half.rest, rtol=0, atol=0)
    wide = {word: torch.nn.functional.pad(x, (0, 3), value=-1 if word == "gene_ids" else 0) if x.ndim > 1 else x
            for word, x in cells.items()}  # fmt: skip
    padded = made(wide, seed=3, step=5)
    torch.testing.assert_close(padded.rest, alone.rest, rtol=0, atol=0)
    torch.testing.assert_close(padded.counts, alone.counts, rtol=0, atol=0)
    assert (made(cells, seed=4, step=5).rest != alone.rest).any()


def test_words_of_tokens_follow_their_tokens_and_words_of_cells_stay():
    cells = batch()
    n = cells["gene_ids"].shape[1]
    cells |= {"pathway_ids": cells["gene_ids"][..., None] * 10, "previous_states": torch.rand(40, n)}
    found = made(cells)
    words = gathered(cells, found, ("gene_ids", "pathway_ids", "previous_states", "time_steps"))
    assert (words["pathway_ids"][..., 0] == 10 * words["gene_ids"]).all()
    assert words["previous_states"] is cells["previous_states"]
    assert "time_steps" not in words


CELL_WORDS = {
    "time_steps",
    "previous_states",
    "previous_energy_state",
    "previous_resource_state",
    "generator",
}


@pytest.mark.parametrize("name", MODELS)
def test_every_word_that_a_part_reads_is_known_to_be_of_tokens_or_of_cells(name):
    reads = {word for part in MODELS[name].parts for word in part.reads}
    assert reads <= {*TOKEN_WORDS, "gene_ids"} | CELL_WORDS
