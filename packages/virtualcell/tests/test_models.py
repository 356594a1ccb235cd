"""What every enhanced model keeps: one test each, over all twelve and any that comes."""

from __future__ import annotations

import inspect

import pytest
import torch

from cytosol.testing import (
    assert_batch_independent,
    assert_every_parameter_trains,
    assert_padding_invariant,
    assert_state_round_trip,
)
from virtualcell.base import BaseEnhancedModel
from virtualcell.models import MODELS
from virtualcell.options import NetworkOptions
from virtualcell.parts import Hierarchy, Resources, Temporal
from virtualcell.state import StateEmbeddingModel

SHAPE = {"token_dim": 10, "d_model": 16, "nhead": 4, "d_hid": 20, "nlayers": 2, "output_dim": 6}
GENES, B, N = 9, 3, 8
EVERY = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def matrix() -> torch.Tensor:
    """Genes 0 to 2 regulate the others; both signs."""
    table = torch.zeros(GENES, GENES)
    table[0, 3:6], table[1, 4:8], table[2, 3] = 1.0, -0.5, 2.0
    return table


WORDS = {
    "num_pathways": 6,
    "num_compartments": 3,
    "pathway_dim": 8,
    "temporal_dim": 6,
    "gene_interaction_matrix": matrix(),
    "memory_size": 7,
    "memory_dim": 10,
    "noise_dim": 6,
    "resource_dim": 5,
    "num_resource_types": 3,
    "molecular_scale_dim": 8,
    "pathway_scale_dim": 10,
    "cellular_scale_dim": 12,
    "num_pathway_groups": 4,
}


def build(model: type[BaseEnhancedModel], *, open_gates: float = 0.0, **more) -> BaseEnhancedModel:
    torch.manual_seed(0)
    known = {name for part in model.parts for name in part.Options.__dataclass_fields__}
    made = model(**SHAPE, **{name: value for name, value in WORDS.items() if name in known}, **more).eval()
    with torch.no_grad():
        for gate in made.gates.values():
            gate.add_(open_gates)
    return made


def batch(*, padded=True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    lengths = torch.tensor([N, N - 1, N - 3]) if padded else torch.full((B,), N)
    return {
        "src": torch.randn(B, N, SHAPE["token_dim"], generator=generator),
        "mask": torch.arange(N) < lengths[:, None],
        "counts": torch.randint(0, 30, (B, N), generator=generator).float(),
    }


def everything() -> dict[str, torch.Tensor]:
    """Every input that a part may read."""
    generator = torch.Generator().manual_seed(2)
    ids = torch.stack([torch.randperm(GENES, generator=generator)[:N] for _ in range(B)])
    ids[:, 0] = -1
    return {
        "gene_ids": ids,
        "pathway_ids": torch.randint(-1, 6, (B, N, 2), generator=generator),
        "compartment_ids": torch.randint(-1, 3, (B, N), generator=generator),
        "time_steps": torch.tensor([0.5, 6.0, 48.0]),
        "previous_states": torch.randn(B, 10, generator=generator),
        "gene_types": torch.randint(-1, 4, (B, N), generator=generator),
        "tf_mask": torch.ones(B, N, dtype=torch.bool),
        "target_mask": torch.ones(B, N, dtype=torch.bool),
        "previous_energy_state": torch.rand(B, 1, generator=generator),
        "previous_resource_state": torch.rand(B, 3, generator=generator),
        "pathway_groups": torch.randint(-1, 4, (B, N), generator=generator),
    }


def read_by(model: BaseEnhancedModel, **more) -> dict:
    return batch(**more) | {name: value for name, value in everything().items() if name in model.reads}


@EVERY
def test_a_fresh_model_is_the_plain_network(model) -> None:
    made = build(model)
    torch.manual_seed(0)
    plain = StateEmbeddingModel(**SHAPE).eval()
    found, expected = made(**read_by(made)), plain(**batch())
    # scores with a bias, be it zero, go through another kernel, which rounds otherwise
    near = 1e-6 if "regulation" in made.gates else 0.0
    torch.testing.assert_close(found[0], expected[0], atol=near, rtol=near)
    torch.testing.assert_close(found[1], expected[1], atol=near, rtol=near)
    assert found[2] is None


@EVERY
def test_its_parts_matter_once_their_gates_open(model) -> None:
    shut, made = build(model), build(model, open_gates=0.5)
    assert not torch.allclose(made(**read_by(made))[1], shut(**read_by(shut))[1], atol=1e-4)


@EVERY
def test_nothing_beside_the_batch_is_needed(model) -> None:
    made = build(model, open_gates=0.5)
    more = {"gene_ids": everything()["gene_ids"]} if "gene_ids" in made.reads else {}
    out, embedding, _, info = made(**batch(), **more)
    assert bool(out.isfinite().all())
    assert bool(embedding.isfinite().all())
    assert set(info) == {part.name for part in model.parts}


@EVERY
@pytest.mark.parametrize("garbage", [1e3, float("nan")])
def test_padding_does_not_leak(model, garbage) -> None:
    made = build(model, open_gates=0.5)
    assert_padding_invariant(made, read_by(made), padded=("src", "counts"), garbage=garbage)


@EVERY
def test_padding_may_be_cut_off(model) -> None:
    made = build(model, open_gates=0.5)
    given = read_by(made)
    whole = made(**given)
    real = given["mask"][2]
    alone = {k: x[2:, real] if x.ndim > 1 and x.shape[1] == N else x[2:] for k, x in given.items()}
    out, embedding, _, _ = made(**alone)
    torch.testing.assert_close(out[0], whole[0][2, real], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(embedding[0], whole[1][2], atol=1e-5, rtol=1e-5)


@EVERY
def test_ids_of_padding_do_not_leak(model) -> None:
    made = build(model, open_gates=0.5)
    given = read_by(made)
    names = {"gene_ids", "pathway_ids", "compartment_ids", "gene_types", "pathway_groups"} & set(given)
    assert_padding_invariant(made, given, padded=tuple(names), garbage=10_000) if names else None


@EVERY
def test_a_cell_does_not_depend_on_its_batch(model) -> None:
    made = build(model, open_gates=0.5)
    assert_batch_independent(made, read_by(made))


@EVERY
def test_every_parameter_trains_once_gates_are_open(model) -> None:
    made = build(model, open_gates=0.5)
    assert_every_parameter_trains(made, read_by(made, padded=False))


@EVERY
def test_shut_gates_can_open(model) -> None:
    made = build(model)
    made(**read_by(made))[1].square().mul(torch.arange(6.0)).sum().backward()
    assert all(gate.grad is not None and bool(gate.grad.any()) for gate in made.gates.values())


@EVERY
def test_state_round_trip(model) -> None:
    made = build(model, open_gates=0.5)
    assert_state_round_trip(made, lambda: build(model), read_by(made))


@EVERY
def test_the_order_of_parts_does_not_matter(model) -> None:
    made = build(model, open_gates=0.5)

    class Turned(BaseEnhancedModel):
        """The same parts from last to first."""

        parts = model.parts[::-1]

    turned = build(Turned)
    turned.load_state_dict(made.state_dict())
    a, b = made(**read_by(made)), turned(**read_by(made))
    assert torch.equal(a[0], b[0])
    assert torch.equal(a[1], b[1])


@EVERY
def test_info_has_the_parts_names_and_the_cells_first(model) -> None:
    made = build(model, open_gates=0.5)
    info = made(**read_by(made))[3]
    with made.detailed():
        more = made(**read_by(made))[3]
    assert set(info) == {part.name for part in model.parts}
    assert all(len(x) == B and bool(x.isfinite().all()) for told in more.values() for x in told.values())
    assert all(set(info[name]) <= set(more[name]) for name in info)


@EVERY
def test_embed_is_what_forward_says(model) -> None:
    made = build(model, open_gates=0.5)
    given = read_by(made)
    torch.testing.assert_close(made.embed(**given), made(**given)[1], atol=1e-5, rtol=1e-5)


@EVERY
def test_datasets_and_checkpointing_go_with_parts(model) -> None:
    plain, made = (build(model, open_gates=0.5, num_datasets=3, checkpointing=x) for x in (False, True))
    given = read_by(made) | {"dataset_nums": torch.tensor([0, 2, -1])}
    assert made(**given)[2].shape == (B, 6)
    assert_padding_invariant(made, given, padded=("src",))
    draws = {"generator": torch.Generator()} if "generator" in made.reads else {}
    grads = []
    for net in (plain, made):
        for generator in draws.values():
            generator.manual_seed(5)
        net.train()(**given, **draws)[1].square().mul(torch.arange(6.0)).sum().backward()
        grads.append({name: p.grad for name, p in net.named_parameters() if p.grad is not None})
    assert grads[0].keys() == grads[1].keys()
    assert all(torch.allclose(g, grads[1][name], atol=1e-5) for name, g in grads[0].items())


@EVERY
def test_half_precision_is_near(model) -> None:
    made = build(model, open_gates=0.3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = made(**read_by(made))[1]
    assert bool(((half - made(**read_by(made))[1]).norm(dim=-1) < 0.1).all())


@EVERY
def test_the_flat_constructor_is_told(model) -> None:
    told = inspect.signature(model).parameters
    known = {name for part in model.parts for name in part.Options.__dataclass_fields__}
    assert set(told) == {*SHAPE, *known, *NetworkOptions.__dataclass_fields__}
    assert model.__doc__
    assert set(build(model).config()) == set(told)


@pytest.mark.parametrize("training", [False, True])
def test_draws_follow_the_generator(training) -> None:
    made = build(MODELS["FullVirtualCellModel"], open_gates=0.5).train(training)

    def draw(seed):
        return made(**read_by(made), generator=torch.Generator().manual_seed(seed))[1]

    assert torch.equal(draw(1), draw(1))
    assert not torch.allclose(draw(1), draw(2), atol=1e-4)


def test_a_thirteenth_model_is_three_lines() -> None:
    class Hungry(BaseEnhancedModel):
        """Cells that run short over time."""

        parts = (Temporal, Resources)

    made = build(Hungry)
    assert made.reads == ("time_steps", "previous_energy_state", "previous_resource_state")
    assert set(made(**read_by(made))[3]) == {"temporal", "resources"}


def test_parts_that_share_a_word_do_not_meet() -> None:
    class Twin(Hierarchy):
        """The same words under another name."""

        name = "twin"

    with pytest.raises(TypeError, match="share the word 'compartment_info'"):
        type("Both", (BaseEnhancedModel,), {"parts": (Hierarchy, Twin)})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            {"num_pathway": 3},
            "HierarchicalGeneModel has no option 'num_pathway'; did you mean 'num_pathways'",
        ),
        ({"time_steps": 3}, "has no option 'time_steps'"),
        ({"num_pathways": 0}, "num_pathways: expected a whole number"),
        ({"pathway_info": torch.zeros(4, 5)}, r"pathway_info: expected a table \(genes, 1000\)"),
    ],
)
def test_a_wrong_word_is_refused(words, told) -> None:
    with pytest.raises(ValueError, match=told):
        MODELS["HierarchicalGeneModel"](**SHAPE, **words)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"pathway_id": torch.zeros(B, N)}, "has no input 'pathway_id'; did you mean 'pathway_ids'"),
        ({"pathway_ids": torch.full((B, N), 6)}, "pathway_ids: cell 0, token 0 is 6; expected -1"),
        ({"pathway_ids": torch.zeros(B, N)}, "pathway_ids: expected whole numbers"),
        ({"pathway_groups": torch.full((B, N), -2)}, "pathway_groups: cell 0, token 0 is -2"),
        ({"time_steps": torch.tensor([1.0, -1.0, 0.0])}, "time_steps: cell 1 holds"),
        ({"time_steps": torch.zeros(B, 2)}, "time_steps: expected shape"),
        ({"previous_states": torch.zeros(B, 4)}, "previous_states: expected shape"),
        ({"previous_energy_state": torch.full((B, 1), float("nan"))}, "previous_energy_state: cell 0"),
        ({"gene_ids": torch.full((B, N), GENES)}, "gene_ids: cell 0, token 0 is 9"),
        ({"gene_types": torch.full((B, N), 4)}, "gene_types: cell 0, token 0 is 4"),
        ({"tf_mask": torch.ones(B, N)}, "tf_mask: expected bool"),
        ({"gene_ids": None}, "gene_ids: needed"),
    ],
)
def test_a_wrong_input_is_refused_in_one_line(given, told) -> None:
    made = build(MODELS["FullVirtualCellModel"])
    with pytest.raises(ValueError, match=told) as error:
        made(**(read_by(made) | given))
    assert "\n" not in str(error.value)


def test_an_interaction_matrix_is_square() -> None:
    with pytest.raises(ValueError, match="gene_interaction_matrix: expected a square"):
        MODELS["RegulatoryConstrainedModel"](**SHAPE, gene_interaction_matrix=torch.zeros(3, 4))
