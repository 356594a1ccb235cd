"""The state embedding network: its invariants, its fast paths, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from cytosol.testing import (
    assert_batch_independent,
    assert_every_parameter_trains,
    assert_padding_invariant,
    assert_permutation_equivariant,
    assert_state_round_trip,
)
from virtualcell.layers import Block
from virtualcell.state import StateEmbeddingModel

SHAPE = {"token_dim": 12, "d_model": 16, "nhead": 4, "d_hid": 24, "nlayers": 3, "output_dim": 6}
B, N = 3, 7


def network(**words) -> StateEmbeddingModel:
    torch.manual_seed(0)
    return StateEmbeddingModel(**SHAPE, **words).eval()


def inputs(*, seed=0, padded=True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([N, N - 2, N - 4]) if padded else torch.full((B,), N)
    return {
        "src": torch.randn(B, N, SHAPE["token_dim"], generator=generator),
        "mask": torch.arange(N) < lengths[:, None],
        "counts": torch.randint(0, 50, (B, N), generator=generator).float(),
    }


KINDS = [{}, {"norm_first": True}, {"num_datasets": 4}, {"num_datasets": 4, "own_tokens": False}]


@pytest.mark.parametrize("words", KINDS)
def test_shapes_and_length_of_the_embedding(words) -> None:
    out, embedding, dataset = network(**words)(**inputs())
    assert out.shape == (B, N, 6)
    assert torch.allclose(embedding.norm(dim=-1), torch.ones(B))
    assert torch.allclose(embedding, torch.nn.functional.normalize(out[:, 0], dim=-1))
    assert (dataset is not None) == ("num_datasets" in words)


@pytest.mark.parametrize("words", KINDS[:3])
@pytest.mark.parametrize("garbage", [1e3, float("nan")])
def test_padding_never_leaks(words, garbage) -> None:
    assert_padding_invariant(network(**words), inputs(), padded=("src", "counts"), garbage=garbage)


def test_a_cell_without_its_padding_is_the_same_cell() -> None:
    given, net = inputs(), network()
    for i in range(B):
        real = given["mask"][i]
        out, embedding, _ = net(**{name: x[i : i + 1, real] for name, x in given.items()})
        whole, embeddings, _ = net(**given)
        torch.testing.assert_close(out[0], whole[i, real], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(embedding[0], embeddings[i], atol=1e-5, rtol=1e-5)


def test_nan_in_padding_reaches_no_gradient() -> None:
    given, net = inputs(), network()
    given["src"][~given["mask"]] = float("nan")
    out, embedding, _ = net(**given)
    (out[given["mask"]].sum() + embedding.sum()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters() if p.grad is not None)


@pytest.mark.parametrize("words", KINDS)
def test_invariants(words) -> None:
    given = inputs(padded=False) | (
        {"dataset_nums": torch.tensor([0, 1, -1])} if "num_datasets" in words else {}
    )
    assert_batch_independent(network(**words), given)
    head = tuple(name for name, _ in network(**words).named_parameters() if name.startswith("dataset_head"))
    assert_every_parameter_trains(network(**words), given, but=head)
    assert_state_round_trip(network(**words), lambda: StateEmbeddingModel(**SHAPE, **words), given)


def test_genes_have_no_order() -> None:
    given, net = inputs(padded=False), network()

    class Genes(torch.nn.Module):
        def forward(self, src, counts):
            whole = torch.cat([given["src"][:, :1], src], 1), torch.cat([given["counts"][:, :1], counts], 1)
            return net(whole[0], given["mask"], whole[1])[0][:, 1:]

    rest = {"src": given["src"][:, 1:], "counts": given["counts"][:, 1:]}
    assert_permutation_equivariant(Genes(), rest, dims={"src": 1, "counts": 1}, out_dim=1)


@pytest.mark.parametrize("words", KINDS)
def test_embed_is_what_forward_says(words) -> None:
    given = inputs()
    torch.testing.assert_close(
        network(**words).embed(**given), network(**words)(**given)[1], atol=1e-6, rtol=1e-5
    )


def test_embed_from_a_table_of_genes_is_what_vectors_give() -> None:
    net, given = network(num_datasets=2), inputs()
    vectors = torch.randn(20, SHAPE["token_dim"])
    rows = torch.randint(0, 20, (B, N))
    rows[:, 0] = -1
    src = torch.where(rows[..., None] < 0, 0.0, vectors[rows.clamp_min(0)])
    with torch.no_grad():
        told = net.embed(rows, given["mask"], given["counts"], table=net.gene_table(vectors))
        torch.testing.assert_close(told, net.embed(src, given["mask"], given["counts"]), atol=1e-5, rtol=1e-5)


def test_checkpointing_changes_no_gradient() -> None:
    grads = []
    for words in ({}, {"checkpointing": True}):
        net = network(**words).train()
        net(**inputs())[1].sum().backward()
        grads.append([p.grad for p in net.parameters()])
    for a, b in zip(*grads, strict=True):
        assert (a is None) == (b is None)
        assert a is None or torch.allclose(a, b, atol=1e-6)


def test_compiled_layers_are_told_to_compile(monkeypatch) -> None:
    told = []
    monkeypatch.setattr(Block, "compile", lambda self: told.append(self))
    assert list(network(compile=True).layers) == told


def test_half_precision_is_near() -> None:
    net, given = network(), inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(**given)[1]
    assert half.dtype == torch.float32
    assert bool(((half - net(**given)[1]).norm(dim=-1) < 0.05).all())


def test_dropout_is_of_training_only() -> None:
    net, given = network(dropout=0.5), inputs()
    assert torch.equal(net(**given)[0], net(**given)[0])
    net.train()
    assert not torch.equal(net(**given)[0], net(**given)[0])


def test_a_dataset_that_is_known_may_matter_and_unknown_is_nothing() -> None:
    net, given = network(num_datasets=3), inputs()
    unknown = net(**given, dataset_nums=torch.full((B,), -1))[0]
    assert torch.equal(unknown, net(**given)[0])
    assert net.dataset_logits(net(**given)[2]).shape == (B, 3)


REFUSED = [
    ({"mask": torch.ones(B, N)}, "mask: expected bool"),
    ({"mask": torch.zeros(B, N, dtype=torch.bool)}, "mask: cell 0 has no real CLS slot"),
    ({"src": torch.zeros(B, N, 5)}, "src: expected float"),
    ({"src": torch.full((B, N, 12), float("nan"))}, "src: cell 0, token 0 holds NaN"),
    ({"counts": torch.full((B, N), -1.0)}, "counts: cell 0, token 0 is -1"),
    ({"counts": torch.zeros(B, N + 1)}, "counts: expected shape"),
    ({"src": torch.zeros(0, N, 12), "mask": torch.zeros(0, N, dtype=torch.bool)}, "at least one cell"),
    ({"dataset_nums": torch.zeros(B, dtype=torch.long)}, "knows no datasets"),
]


@pytest.mark.parametrize(("wrong", "told"), REFUSED)
def test_bad_batches_are_refused_in_one_line(wrong, told) -> None:
    with pytest.raises(ValueError, match=told) as error:
        network()(**(inputs() | wrong))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"droput": 0.1}, "did you mean 'dropout'"),
        ({"dropout": 1.0}, "dropout: expected a number from 0"),
        ({"num_datasets": 0}, "num_datasets: expected a whole number"),
        ({"nhead": 3}, "d_model: expected a multiple"),
        ({"nlayers": 0}, "nlayers: expected a whole"),
    ],
)
def test_bad_words_are_refused(words, told) -> None:
    with pytest.raises(ValueError, match=told):
        StateEmbeddingModel(**(SHAPE | words))
