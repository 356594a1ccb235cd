"""Loaders: pure per cell, fitted once, the words their models read, tallies of workers, and what is refused."""

from __future__ import annotations

import copy
import pickle

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import torch
from omegaconf import OmegaConf
from scipy import sparse
from sklearn.preprocessing import QuantileTransformer, RobustScaler, StandardScaler
from torch.utils.data import DataLoader

from virtualcell import loaders
from virtualcell.choosing import choose
from virtualcell.faults import DataError
from virtualcell.loader_files import batches, load_loader, model_words, save_loader
from virtualcell.loaders import LOADERS, BaseEnhancedLoader
from virtualcell.network import Network
from virtualcell.pathways import GeneSets
from virtualcell.sources import open_cells
from virtualcell.step_memory import parsed

# scanpy's own: it reads versions and settings in ways its libraries are about to take away
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
G = 30
SETS = GeneSets({f"p{i}": tuple(f"g{j}" for j in range(3 * i, 3 * i + 6)) for i in range(8)}, "p.gmt")
PLACES = GeneSets(
    {"nucleus": tuple(f"g{j}" for j in range(0, G, 2)), "cytosol": tuple(f"g{j}" for j in range(9))}
)
EDGES = Network(
    {("g0", f"g{j}"): (1.0 if j % 2 else -1.0, 1.0) for j in range(1, 8)} | {("g1", "g0"): (0.0, 1.0)}
)
WORDS = {
    "Pathways": {"pathway_annotation_file": SETS, "num_pathways": 6},
    "Compartments": {"compartment_annotation_file": PLACES},
    "Regulation": {"interaction_matrix_file": EDGES},
    "Scales": {"pathway_annotation_file": SETS, "num_pathway_groups": 4},
}


def cells(n=300, seed=0):
    rng = np.random.default_rng(seed)
    depth = rng.lognormal(0, 0.4, n)[:, None]
    rate = rng.gamma(1.0, 2.0, (1, G)) * np.exp(rng.normal(0, 0.5, (n, 3)) @ rng.normal(0, 0.6, (3, G)))
    counts = rng.poisson(depth * rate).astype(np.float32)
    counts[:, 0] += 1
    data = anndata.AnnData(
        X=sparse.csr_matrix(counts),
        obs=pd.DataFrame(
            {
                "batch": np.where(np.arange(n) % 3, "a", "b"),
                "type": np.where(np.arange(n) % 2, "T", "B"),
                "time": np.arange(n) % 7 * 4.0,
                "history": np.where(np.arange(n) % 2, "A@2", np.where(np.arange(n) % 4, "A@1+B@30", "none")),
            },
            index=[f"c{i}" for i in range(n)],
        ),
        var=pd.DataFrame(index=[f"g{i}" for i in range(G)]),
    )
    data.obsm["protein"] = rng.poisson(20, (n, 4)).astype(np.float32)
    return data


def made(kind=BaseEnhancedLoader, cfg=None, **words):
    for step in kind.steps:
        words = WORDS.get(step.__name__, {}) | words
    return kind({"token_dim": 8, **(cfg or {})}, **words)


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


@pytest.fixture(scope="module")
def data():
    return cells()


@pytest.fixture(scope="module")
def source(data):
    return open_cells(data)


@pytest.mark.parametrize("name", LOADERS)
def test_a_cell_does_not_depend_on_its_batch(name, source):
    loader = made(LOADERS[name], {"batch_key": "batch", "cell_type_key": "type"}).fit(source)
    together = loader(source.__getitems__(np.arange(40)))
    alone = [loader(source[i]) for i in (0, 7, 39)]
    turned = loader(source.__getitems__(np.arange(40)[::-1]))
    for word, values in together.items():
        for i, one in zip((0, 7, 39), alone, strict=True):
            assert torch.allclose(values[i].float(), one[word][0].float(), atol=1e-5), word
        assert torch.allclose(values.float(), turned[word].flip(0).float(), atol=1e-5), word


@pytest.mark.parametrize("name", LOADERS)
def test_a_batch_is_what_a_model_takes(name, source):
    loader = made(LOADERS[name]).fit(source)
    batch = loader(source.__getitems__([3, 1, 4]))
    given = loader.inputs(batch)
    assert set(given) == set(loader.reads) - {"dataset_nums"}
    assert given["src"].shape == (3, G + 1, 8)
    assert given["mask"].dtype == torch.bool
    assert given["mask"].all()
    assert (given["counts"] >= 0).all()
    assert (given["counts"][:, 0] == 0).all()
    for word, values in given.items():
        assert len(values) == 3
        assert torch.isfinite(values.float()).all()
        if word.endswith("_ids") or word == "pathway_groups":
            assert values.dtype == torch.int64
            assert (values[:, 0] == -1).all()
            assert values.min() >= -1
    assert batch["rows"].tolist() == [3, 1, 4]


@pytest.mark.parametrize("name", LOADERS)
def test_a_loader_is_the_same_after_saving(name, source, tmp_path):
    loader = made(LOADERS[name], {"dataset_key": "batch", "batch_key": "batch"}).fit(source)
    save_loader(loader, tmp_path / "l")
    again = load_loader(tmp_path / "l")
    assert type(again) is type(loader)
    one, two = loader(source[5]), again(source[5])
    assert one.keys() == two.keys()
    assert all(torch.equal(one[word], two[word]) for word in one)
    assert again.get_comprehensive_stats().keys() == loader.get_comprehensive_stats().keys()
    assert model_words(again).keys() == model_words(loader).keys()


def test_totals_and_logarithms_are_those_of_scanpy(data, source):
    oracle = data.copy()
    sc.pp.normalize_total(oracle, target_sum=1e4)
    sc.pp.log1p(oracle)
    loader = made(normalization_type="total_count").fit(source)
    batch = loader(source.__getitems__(np.arange(len(source))))
    assert np.allclose(batch["counts"][:, 1:], oracle.X.toarray(), atol=1e-5)
    assert torch.equal(batch["raw_counts"][:, 1:], torch.from_numpy(data.X.toarray()))
    logged = open_cells(oracle)
    assert logged.about.kind == "log"
    again = made(normalization_type="total_count").fit(logged)
    assert np.allclose(again(logged[3])["counts"][:, 1:], oracle.X[3].toarray(), atol=1e-6)
    assert again.get_normalization_stats()["steps"]["cell"]["already_log"] == 1


@pytest.mark.parametrize(
    ("words", "oracle"),
    [
        ({}, StandardScaler()),
        ({"robust_normalization": True}, RobustScaler(quantile_range=(25, 75), unit_variance=False)),
        (
            {"normalization_type": "quantile"},
            QuantileTransformer(n_quantiles=101, output_distribution="normal"),
        ),
    ],
)
def test_genes_are_scaled_as_sklearn_does(data, source, words, oracle):
    loader = made(**words).fit(source)
    x = made(normalization_type="total_count").fit(source).values(source.__getitems__(np.arange(300)))
    found = loader.values(source.__getitems__(np.arange(300)))
    expected = oracle.fit_transform(x.astype(np.float64))
    if "robust_normalization" in words:
        middle = np.median(x, axis=0)
        mad = 1.4826 * np.median(np.abs(x - middle), axis=0)
        away = np.abs(x - middle).mean(axis=0) * 1.2533
        expected = (x - middle) / np.where(mad > 0, mad, away)
    inside = np.abs(expected) < 4
    assert np.allclose(found[inside], expected[inside], atol=2e-2 if "normalization_type" in words else 1e-3)


def test_batches_and_types_are_brought_together(data):
    moved = data.copy()
    shares = np.log1p(1e4 * moved.X.toarray() / moved.X.toarray().sum(axis=1, keepdims=True))
    far = (moved.obs["batch"] == "b").to_numpy()
    shares[far] = shares[far] * 0.5 + 2.0
    moved.X = sparse.csr_matrix(shares)
    source = open_cells(moved)
    everyone = source.__getitems__(np.arange(len(source)))
    values = made(cfg={"batch_key": "batch"}, normalization_type="none").fit(source).values(everyone)
    assert np.allclose(values[far].mean(axis=0), values[~far].mean(axis=0), atol=1e-4)
    assert np.allclose(values[far].std(axis=0), values[~far].std(axis=0), atol=1e-3)
    apart = made(batch_aware_normalization=False, normalization_type="none").fit(source).values(everyone)
    assert not np.allclose(apart[far].mean(axis=0), apart[~far].mean(axis=0), atol=0.5)


def test_a_batch_that_is_not_there_or_was_not_seen(data, source):
    refused(lambda: made(cfg={"batch_key": "batches"}).fit(source), "did you mean 'batch'")
    loader = made(cfg={"batch_key": "batch"}).fit(source)
    other = data.copy()
    other.obs["batch"] = "z"
    new = open_cells(other)
    assert torch.isfinite(loader(new[0])["counts"]).all()
    assert loader.get_normalization_stats()["steps"]["batch"]["unseen"] == 1


def test_constant_genes_one_cell_and_no_mad_are_finite(data):
    flat = data[:20].copy()
    counts = flat.X.toarray()
    counts[:, 5], counts[:, 6] = 0, np.arange(20) == 3
    flat.X = sparse.csr_matrix(counts)
    for words in ({}, {"robust_normalization": True}, {"quantile_normalization": True}):
        for part in (flat, flat[:1].copy()):
            source = open_cells(part)
            loader = made(**words).fit(source)
            assert torch.isfinite(loader(source.__getitems__(np.arange(len(source))))["counts"]).all()


@pytest.mark.parametrize("name", LOADERS)
def test_every_loader_fits_one_cell(name, data):
    source = open_cells(data[:1].copy())
    batch = made(LOADERS[name]).fit(source)(source[0])
    assert all(torch.isfinite(values.float()).all() for values in batch.values())


def test_the_data_may_choose(source):
    rng = np.random.default_rng(0)
    assert choose(rng.normal(5, 1, (500, 9)))[0] == "z_score"
    assert choose(rng.standard_t(2, (500, 9)) + 50)[0] == "robust"
    assert (
        choose(np.where(rng.random((500, 9)) < 0.5, 1.0, 9.0) + rng.normal(0, 0.1, (500, 9)))[0] == "quantile"
    )
    assert choose(rng.poisson(0.1, (500, 9)).astype(float))[0] == "z_score"
    loader = made(normalization_type="adaptive").fit(source)
    assert any("was chosen" in note for note in loader.notes)


def test_a_second_modality_is_tokens_too(source):
    loader = made(cfg={"modality_key": "protein"}, normalization_type="none").fit(source)
    batch = loader(source.__getitems__([0, 1]))
    assert batch["src"].shape == (2, G + 5, 8)
    protein = np.log1p(source.about.obsm["protein"][:2])
    assert np.allclose(batch["values"][:, -4:], protein - protein.mean(axis=1, keepdims=True), atol=1e-5)
    assert loader.features.names[-1] == "protein:3"
    assert (batch["counts"] >= 0).all()


def test_expressed_tokens_are_those_of_the_cell(data, source):
    loader = made(cfg={"tokens": "expressed", "max_genes": 12}).fit(source)
    batch = loader(source.__getitems__(np.arange(50)))
    dense = data.X.toarray()
    for row in range(50):
        ids = batch["gene_ids"][row][batch["mask"][row]][1:].numpy()
        assert len(ids) == min((dense[row] > 0).sum(), 12)
        assert (dense[row, ids] > 0).all()
        assert (np.diff(ids) > 0).all()
        assert dense[row, ids].min() >= np.sort(dense[row])[::-1][len(ids) - 1]
    assert (batch["src"][~batch["mask"]] == 0).all()
    assert (batch["counts"][~batch["mask"]] == 0).all()


def test_genes_in_another_order_or_missing(data, source):
    loader = made().fit(source)
    order = np.random.default_rng(1).permutation(G)
    turned = data[:, order].copy()
    turned.var_names = [f"{name}" for name in turned.var_names]
    assert torch.allclose(loader(source[4])["counts"], loader(open_cells(turned)[4])["counts"], atol=1e-5)
    fewer = open_cells(data[:, 3:].copy())
    batch = loader(fewer[0])
    assert batch["mask"][0].tolist() == [True, False, False, False] + [True] * (G - 3)
    assert loader.get_normalization_stats()["cells_missing_genes"] == 1
    strange = data.copy()
    strange.var_names = [f"ENSG{i:011d}" for i in range(G)]
    refused(lambda: loader(open_cells(strange)[0]), "Ensembl ids", "symbols")


def test_memberships_are_those_of_the_annotations(source):
    loader = made(loaders.HierarchicalDataLoader).fit(source)
    batch = loader(source[0])
    names = list(loader.get_pathway_stats()["genes_in"])
    for token in range(1, G + 1):
        ids = batch["pathway_ids"][0, token]
        found = {names[i] for i in ids[ids >= 0].tolist()}
        assert found == {name for name in names if f"g{token - 1}" in SETS.sets[name]}
    info = model_words(loader)
    assert info["pathway_info"].shape == (G, len(names))
    assert info["num_compartments"] == 2


def test_regulators_and_their_matrix(source):
    loader = made(loaders.RegulatoryDataLoader).fit(source)
    batch = loader(source[0])
    assert batch["gene_types"][0, :4].tolist() == [0, 1, 1, 2]
    assert batch["tf_mask"][0, :4].tolist() == [False, True, True, False]
    assert batch["target_mask"][0, :4].tolist() == [False, True, True, True]
    matrix = model_words(loader)["gene_interaction_matrix"]
    assert matrix[0, 1] == 1
    assert matrix[0, 2] == -1
    assert matrix[1, 0] == 1
    assert loader.get_regulatory_stats()["unknown_signs"] == 1


def test_times_are_hours(data):
    source = open_cells(data)
    loader = made(loaders.TemporalDataLoader, {"time_unit": "d"}, time_steps=3).fit(source)
    assert loader(source.__getitems__([0, 1]))["time_steps"].tolist() == [0.0, 96.0]
    stats = loader.get_temporal_stats()
    assert stats["knots_h"] == [0.0, 288.0, 576.0]
    assert sum(stats["cells_at_knots"]) == 300
    for strategy in ("log", "quantile"):
        made(loaders.TemporalDataLoader, time_steps=3, temporal_sampling_strategy=strategy).fit(source)
    bad = data.copy()
    bad.obs.loc[["c4", "c7"], "time"] = -1, -5
    refused(lambda: made(loaders.TemporalDataLoader).fit(open_cells(bad)), "cell c4", "0 or later, got -1")
    refused(lambda: made(loaders.TemporalDataLoader, {"time_key": "tim"}).fit(source), "did you mean 'time'")


def test_memory_fades(source):
    loader = made(loaders.MemoryDataLoader, memory_dim=40, num_memory_types=2).fit(source)
    states = loader(source.__getitems__([0, 1, 2]))["previous_states"]
    assert (states[0] == 0).all()
    short, long = states[1].split(20)
    whole = made(loaders.MemoryDataLoader, memory_dim=40, num_memory_types=2, memory_decay_rate=1.0).fit(
        source
    )
    fresh = whole(source[1])["previous_states"][0]
    assert torch.allclose(fresh.norm(), torch.tensor(1.0))
    assert torch.allclose(short, fresh[:20] * 0.9**2, atol=1e-5)
    assert torch.allclose(long, fresh[20:] * 0.9 ** (2 / 4), atol=1e-5)
    stats = loader.get_memory_stats()
    assert stats["names"] == ["A", "B"]
    assert stats["cells_with_memory"] == 2
    assert parsed("none", "x") == []
    refused(lambda: parsed("A24", "f: obs['history']"), "A@24+B@6", "'A24'")


def test_states_may_come_from_an_earlier_call(data):
    with_states = data.copy()
    with_states.obsm["m"], with_states.obsm["r"] = np.ones((300, 6)), np.full((300, 5), 0.5)
    source = open_cells(with_states)
    loader = made(loaders.MemoryDataLoader, {"memory_key": "m"}, memory_dim=6).fit(source)
    assert (loader(source[0])["previous_states"] == 1).all()
    loader = made(loaders.ResourceDataLoader, {"resource_key": "r"}).fit(source)
    assert (loader(source[0])["previous_resource_state"] == 0.5).all()
    refused(lambda: made(loaders.MemoryDataLoader, {"memory_key": "m"}).fit(source), "64 columns", "got 6")


def test_rich_cells_have_more_resources(data, source):
    loader = made(loaders.ResourceDataLoader).fit(source)
    batch = loader(source.__getitems__(np.arange(300)))
    totals = (
        data.X.sum(axis=1).A1 if hasattr(data.X.sum(axis=1), "A1") else np.asarray(data.X.sum(axis=1)).ravel()
    )
    state = batch["previous_resource_state"].numpy()
    assert state.shape == (300, 5)
    assert state.min() >= 0.1 - 1e-6
    assert state.max() <= 1 + 1e-6
    assert np.corrcoef(np.log(totals), state[:, 0])[0, 1] > 0.9
    follows = np.corrcoef(np.log(totals), batch["values"][:, 1:].numpy().T)[0, 1:]
    assert np.abs(follows[np.isfinite(follows)]).max() < 1e-3


def test_shares_of_noise_add_to_one_and_follow_the_truth():
    rng = np.random.default_rng(0)
    shared = np.exp(rng.normal(0, 1.0, (400, 1)))
    counts = np.concatenate([rng.poisson(20 * shared, (400, 15)), rng.poisson(20, (400, 15))], axis=1) + 0.0
    source = open_cells(anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32))))
    words = {"per_cell_normalization": False}
    step = made(loaders.StochasticDataLoader, **words).fit(source).fitted[-1]
    total = step.arrays["technical"] + step.arrays["intrinsic"] + step.arrays["extrinsic"]
    assert np.allclose(total, 1, atol=1e-5)
    assert step.arrays["extrinsic"][:15].min() > 0.8
    assert step.arrays["technical"][15:].min() > 0.7
    assert (step.arrays["factor"][:15] > step.arrays["factor"][15:].max()).all()


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_tallies_hold_what_workers_have_seen(context, source):
    loader = made(loaders.TemporalDataLoader, {"model": {"batch_size": 32}}).fit(source)
    loading = DataLoader(
        source, batch_size=25, collate_fn=loader, num_workers=2, multiprocessing_context=context
    )
    for _ in range(2):
        loader.reset_normalization_stats()
        seen = list(loading)
        stats = loader.get_normalization_stats()
        assert (stats["cells"], stats["batches"]) == (300, 12)
        assert stats["tokens"] == 300 * G
        values = torch.cat([batch["values"][:, 1:] for batch in seen])
        assert np.isclose(stats["mean"], float(values.mean()), atol=1e-5)
        assert np.isclose(stats["sd"], float(values.std()), atol=1e-3)
    assert loader.get_temporal_stats()["time_sum"] > 0


def test_copies_of_a_loader_count_for_themselves(source):
    loader = made().fit(source)
    loader(source[0])
    for other in (copy.deepcopy(loader), pickle.loads(pickle.dumps(loader))):  # noqa: S301 - our own
        other(source[1])
        assert other.get_normalization_stats()["cells"] == 2
    assert loader.get_normalization_stats()["cells"] == 1


def test_batches_do_not_depend_on_workers(source):
    loader = made(cfg={"model": {"batch_size": 32}}).fit(source)
    one = list(batches(loader, source, steps=6))
    two = list(batches(loader, source, steps=6, workers=2))
    late = list(batches(loader, source, steps=6, start=4))
    assert all(
        torch.equal(a["rows"], b["rows"]) and torch.equal(a["src"], b["src"])
        for a, b in zip(one, two, strict=True)
    )
    assert torch.equal(one[4]["counts"], late[0]["counts"])


def test_cfg_is_a_mapping_or_a_dictconfig_and_is_taken_at_once(source):
    cfg = OmegaConf.create({"token_dim": 4, "model": {"batch_size": 7}, "batch_key": "batch"})
    loader = BaseEnhancedLoader(cfg=cfg, normalization_type="robust")
    cfg.token_dim = 99
    assert loader.config.token_dim == 4
    assert loader.config.model.batch_size == 7
    assert loader.fit(source)(source[0])["src"].shape[-1] == 4
    assert BaseEnhancedLoader({"normalization_type": "none"}).normalization.gene_scale == "none"


def test_misspelt_and_impossible_settings_are_refused(source):
    refused(lambda: BaseEnhancedLoader({"token_dims": 4}), "'token_dims'", "did you mean 'token_dim'")
    refused(lambda: loaders.HierarchicalDataLoader(num_pathway=4), "did you mean 'num_pathways'")
    refused(lambda: BaseEnhancedLoader(num_pathways=4), "BaseEnhancedLoader", "num_pathways")
    refused(lambda: BaseEnhancedLoader({"model": {"batchsize": 4}}), "did you mean 'batch_size'")
    refused(lambda: BaseEnhancedLoader(normalization_type="zscore"), "did you mean 'z_score'")
    refused(lambda: BaseEnhancedLoader(per_gene_normalization=1), "true or false")
    refused(lambda: BaseEnhancedLoader({"max_genes": 0}), "max_genes", ">= 1")
    refused(lambda: BaseEnhancedLoader([1]), "mapping")
    refused(lambda: loaders.RegulatoryDataLoader(regulatory_strength_threshold=np.inf), ">= 0, got inf")
    refused(
        lambda: made().fit(source, rows=np.ones(300, dtype=bool)), "rows", "places of cells", "bool (300,)"
    )
    refused(lambda: loaders.StochasticDataLoader(noise_dim=10), "noise_dim", "64")
    refused(lambda: loaders.StochasticDataLoader(noise_strength_range=(0.9, 0.1)), "rising")
    refused(lambda: BaseEnhancedLoader(robust_normalization=True, quantile_normalization=True), "at most one")
    refused(lambda: BaseEnhancedLoader()(source[0]), "fitted first")
    refused(lambda: made().fit(source).get_pathway_stats(), "pathway")
    refused(lambda: loaders.loader_for("HierarchicalGenModel"), "did you mean 'HierarchicalGeneModel'")
    with pytest.raises(DataError, match=r"\.pt"):
        loaders.RegulatoryDataLoader(interaction_matrix_file="interactions.pt").fit(source)


def test_the_words_of_the_first_design_are_understood():
    loaders.MemoryDataLoader(
        memory_dim=512, memory_size=1000, num_memory_types=5, num_epigenetic_states=3, memory_decay_rate=0.9
    )
    loaders.ResourceDataLoader(
        resource_dim=32,
        num_resource_types=5,
        energy_dim=16,
        nutrient_dim=16,
        resource_efficiency_range=(0.1, 1.0),
    )
    loaders.MultiScaleDataLoader(
        molecular_scale_dim=128,
        pathway_scale_dim=256,
        cellular_scale_dim=512,
        num_hierarchy_levels=3,
        num_scales=3,
    )
    loaders.TemporalDataLoader(time_steps=5, max_sequence_length=100, temporal_sampling_strategy="uniform")
    loaders.FullVirtualCellLoader(
        num_pathways=1000, num_compartments=5, time_steps=5, memory_dim=512, noise_dim=64, resource_dim=32
    )


def test_given_vectors_are_the_tokens(source, tmp_path):
    vectors = {f"G{i}": np.full(5, i, dtype=np.float32) for i in range(G - 1)}
    np.savez(tmp_path / "v.npz", ids=np.array(list(vectors)), vectors=np.stack(list(vectors.values())))
    loader = made().fit(source, vectors=tmp_path / "v.npz")
    batch = loader(source[0])
    assert batch["src"].shape == (1, G, 5)
    assert (batch["src"][0, 3] == 2).all()
    assert any("1 genes are missing: g29" in note for note in loader.notes)
    np.savez(tmp_path / "twice.npz", ids=np.array(["g0", "g1", "g0"]), vectors=np.ones((3, 2)))
    refused(
        lambda: made().fit(source, vectors=tmp_path / "twice.npz"),
        "twice.npz",
        "'g0' is there more than once",
    )
    refused(lambda: made().fit(source, vectors={"g0": np.array([np.nan])}), "'g0'", "finite")
    refused(
        lambda: made().fit(source, vectors={"g0": np.array(["x"])}), "gene vectors: expected numbers", "'x'"
    )


def test_collected_cells_go_through_every_loader(real):
    source = open_cells(real / "kang_ifnb.h5ad")
    files = {
        "Pathways": {"pathway_annotation_file": real / "hallmark_msigdb_v7.0.gmt.gz"},
        "Compartments": {"compartment_annotation_file": real / "compartments_go_cc.tsv.gz"},
        "Regulation": {"interaction_matrix_file": real / "dorothea_hs_ABC.tsv.gz"},
        "Scales": {"pathway_annotation_file": real / "hallmark_msigdb_v7.0.gmt.gz"},
    }
    kind = loaders.FullVirtualCellLoader
    words = {k: v for step in kind.steps for k, v in files.get(step.__name__, {}).items()}
    loader = kind({"max_genes": 400, "cell_type_key": "cell_type"}, **words).fit(source)
    batch = loader(source.__getitems__(np.arange(64)))
    assert all(torch.isfinite(values.float()).all() for values in batch.values())
    assert set(loader.inputs(batch)) == set(loader.reads) - {"dataset_nums", "time_steps", "previous_states"}
