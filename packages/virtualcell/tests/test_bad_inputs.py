"""The fourteen bad inputs of cell models: each gives one clear line, or a defined answer that is said."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import virtualcell as vc
from cytosol.cli import run
from virtualcell.cli import app

G = 24
GENES = [f"GENE{i}" for i in range(G)]
EVERY_LOADER = (
    "BaseEnhancedLoader", "HierarchicalDataLoader", "TemporalDataLoader", "RegulatoryDataLoader", "MemoryDataLoader",
    "StochasticDataLoader", "ResourceDataLoader", "MultiScaleDataLoader", "FullVirtualCellLoader",
)  # fmt: skip
SHAPE = {"token_dim": 8, "d_model": 8, "nhead": 2, "d_hid": 8, "nlayers": 1, "output_dim": 4}


def cells(n=40, genes=GENES, seed=0, **obs):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(2.0, (n, len(genes))).astype(np.float32)
    counts[:, 0] += 1
    frame = pd.DataFrame({"condition": ["control", "A"] * (n // 2) + ["A"] * (n % 2), "time": 6.0, **obs})
    frame.index = [f"c{i}" for i in range(n)]
    return anndata.AnnData(sparse.csr_matrix(counts), obs=frame, var=pd.DataFrame(index=list(genes)))


def loader(kind="BaseEnhancedLoader", cfg=None, **words):
    genes = {f"p{i}": tuple(GENES[3 * i : 3 * i + 6]) for i in range(6)}
    from virtualcell.network import Network
    from virtualcell.pathways import GeneSets

    files = {
        "pathway_annotation_file": GeneSets(genes, "p.gmt"),
        "compartment_annotation_file": GeneSets({"nucleus": tuple(GENES[:9])}, "c.tsv"),
        "interaction_matrix_file": Network({(GENES[0], gene): (1.0, 1.0) for gene in GENES[1:5]}),
    }
    cls = getattr(vc, kind)
    known = {name for step in cls.steps if step.Options for name in step.Options.__dataclass_fields__}
    return cls({"token_dim": 8, **(cfg or {})}, **{k: v for k, v in files.items() if k in known}, **words)


def refused(call, *words):
    with pytest.raises(ValueError, match=r"\w") as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def sh(*words):
    return run(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A trained model and the cells it has seen."""
    made = tmp_path_factory.mktemp("bad")
    cells().write_h5ad(made / "good.h5ad")
    small = ["trainer.max_steps=2", "trainer.batch_size=8", "network.d_model=8", "network.nhead=2"]
    words = ["--task", "embedding", "--out", made / "model", "--device", "cpu", *small]
    assert sh("train", "--data", made / "good.h5ad", *words) == 0
    return made


@pytest.fixture
def told(folder, capsys):
    """Embed, annotate and score a file: the exit code must be 2, and one line must tell why."""

    def check(data, *words):
        path = folder / "bad.h5ad"
        data.write_h5ad(path)
        capsys.readouterr()
        score = [
            "evaluate",
            "--baselines",
            "--data",
            path,
            "--hold-out",
            "cell_type=each",
            "--json",
            folder / "b.json",
        ]
        for command in (["embed", folder / "model", "--data", path, "--out", folder / "e.h5ad"], score):
            assert sh(*command) == 2
            last = capsys.readouterr().err.strip().splitlines()[-1]
            for word in words:
                assert word in last, last
        assert not (folder / "e.h5ad").exists()
        assert not (folder / "b.json").exists()

    return check


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_1_genes_given_twice_are_refused_or_summed(told):
    twice = cells(genes=["GENE1", *GENES[1:]])
    refused(lambda: vc.open_cells(twice), "'GENE1'", "columns 1 and 2", "duplicates='sum'")
    told(twice, "'GENE1'")
    source = vc.open_cells(twice, duplicates="sum")
    assert len(source.about.genes) == G - 1
    assert source[0].counts.sum() == twice.X[0].sum()


def test_2_ensembl_ids_with_versions_meet_symbols_of_any_case(folder, capsys):
    named = cells(genes=[f"ENSG{i:011d}.{i % 4}" for i in range(G)])
    named.var["symbol"] = [gene.lower() for gene in GENES]
    fitted = loader().fit(cells(), genes=GENES)
    own = fitted(vc.open_cells(cells()).__getitems__([0, 1]))
    there = fitted(vc.open_cells(named).__getitems__([0, 1]))
    torch.testing.assert_close(own["counts"], there["counts"])
    named.write_h5ad(folder / "named.h5ad")
    (folder / "p.gmt").write_text("P\tx\tgene1\tENSG00000000002\tGENE3\n")
    words = [
        "annotate",
        "--data",
        folder / "named.h5ad",
        "--pathways",
        folder / "p.gmt",
        "--out",
        folder / "a",
    ]
    assert sh(*words, "--force") == 0
    assert "found by var['symbol']" in capsys.readouterr().err
    bare = cells(genes=[f"ENSG{i:011d}" for i in range(G)])
    refused(lambda: fitted(vc.open_cells(bare)[0]), "Ensembl ids", "symbols")


def test_3_genes_in_another_order_are_found_and_missing_ones_are_said(folder, capsys):
    order = np.random.default_rng(0).permutation(G)
    turned = cells()[:, order].copy()
    turned.write_h5ad(folder / "turned.h5ad")
    for name in ("good", "turned"):
        assert (
            sh(
                "embed",
                folder / "model",
                "--data",
                folder / f"{name}.h5ad",
                "--out",
                folder / f"{name}_e.h5ad",
                "--force",
            )
            == 0
        )
    one, two = (anndata.read_h5ad(folder / f"{name}_e.h5ad") for name in ("good", "turned"))
    np.testing.assert_allclose(one.obsm["X_virtualcell"], two.obsm["X_virtualcell"], atol=1e-5)
    assert two.var_names.tolist() == turned.var_names.tolist()
    fitted = loader().fit(cells())
    some = vc.open_cells(cells()[:, :10].copy())
    assert not fitted(some[0])["mask"][0, 11:].any()
    assert fitted.get_normalization_stats()["cells_missing_genes"] == 1
    capsys.readouterr()
    foreign = cells(genes=[f"other{i}" for i in range(G)])
    foreign.write_h5ad(folder / "foreign.h5ad")
    assert sh("embed", folder / "model", "--data", folder / "foreign.h5ad", "--out", folder / "f.h5ad") == 2
    assert "none of 24 genes" in capsys.readouterr().err


def test_4_values_that_are_no_counts_are_refused_or_recognised(told):
    negative = cells()
    negative.X[3, 5] = -1.0
    told(negative, "cell c3", "gene GENE5", "-1")
    scaled = cells()
    scaled.X = np.asarray((scaled.X.toarray() - 2.0) / 1.4)
    told(scaled, "cell c", "scaled data has lost its counts")
    logs = cells()
    logs.X = sparse.csr_matrix(np.log1p(logs.X.toarray() * 0.37))
    source = vc.open_cells(logs)
    assert source.about.kind == "log"
    assert "not normalised again" in source.notes[0]
    refused(lambda: vc.open_cells(logs, kind="counts"), "kind='counts'", "log values")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_5_what_is_not_finite_is_refused_with_cell_and_gene(value, told):
    bad = cells()
    bad.X[7, 2] = value
    told(bad, "cell c7", "gene GENE2")


def test_6_cells_without_counts_are_refused(told):
    bad = cells()
    bad.X = sparse.csr_matrix(bad.X.toarray() * (np.arange(40) != 9)[:, None])
    told(bad, "cell c9", "no count")


@pytest.mark.parametrize("kind", EVERY_LOADER)
def test_7_one_cell_alone_is_finite_and_none_is_refused(kind):
    refused(lambda: loader(kind).fit(cells()[:0].copy()), "at least one cell")
    one = vc.open_cells(cells(1))
    batch = loader(kind).fit(one)(one[0])
    assert all(torch.isfinite(values.float()).all() for values in batch.values())
    every = vc.open_cells(cells(6, batch=list("abcdef")))
    fitted = loader(kind, cfg={"batch_key": "batch"}).fit(every)
    assert torch.isfinite(fitted(every.__getitems__(np.arange(6)))["counts"]).all()


def test_8_a_gene_whose_median_deviation_is_0_is_finite():
    rare = cells()
    dense = rare.X.toarray()
    dense[:, 4], dense[:, 5] = 0.0, np.arange(40) == 3
    rare.X = sparse.csr_matrix(dense)
    source = vc.open_cells(rare)
    for words in (
        {"robust_normalization": True},
        {"quantile_normalization": True},
        {"normalization_type": "adaptive"},
    ):
        batch = loader(**words).fit(source)(source.__getitems__(np.arange(40)))
        assert torch.isfinite(batch["counts"]).all()
        assert (batch["values"][:, 5] == batch["values"][0, 5]).all()  # a gene without spread says nothing


def test_9_gene_sets_are_checked(folder, capsys):
    text = "EMPTY\tx\nSOME\tx\tGENE1\tGENE1\tNOWHERE\nBOTH\tx\tGENE1\tGENE2\nBOTH\tx\tGENE2\tGENE1\n"
    (folder / "p.gmt").write_text(text)
    words = [
        "annotate",
        "--data",
        folder / "good.h5ad",
        "--pathways",
        folder / "p.gmt",
        "--out",
        folder / "a",
    ]
    assert sh(*words, "--force") == 0
    said = capsys.readouterr().err
    for note in (
        "1 sets without genes",
        "1 sets are given twice",
        "1 genes are given twice",
        "1 genes are missing",
    ):
        assert note in said
    sets = vc.read_gene_sets(folder / "p.gmt")
    member = sets.membership(GENES, most_sets=9, most_per_gene=9)
    assert sorted(member.ids[1].tolist()) == [0, 1]
    assert (member.ids[9] == -1).all()
    (folder / "p.gmt").write_text("BOTH\tx\tGENE1\nBOTH\tx\tGENE2\n")
    refused(lambda: vc.read_gene_sets(folder / "p.gmt"), "'BOTH'", "lines 1 and 2")
    (folder / "p.gmt").write_text("ELSE\tx\tX1\n")
    assert sh(*words, "--force") == 2
    assert "none of 1 genes" in capsys.readouterr().err


@pytest.mark.parametrize("form", [sparse.csc_matrix, sparse.csr_matrix, np.asarray])
@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float64])
def test_10_every_kind_of_matrix_gives_the_same_tokens(form, dtype, tmp_path):
    plain = cells()
    fitted = loader().fit(plain)
    expected = fitted(vc.open_cells(plain).__getitems__([0, 20]))["counts"]
    other = cells()
    other.X = form(other.X.toarray().astype(dtype))
    other.write_h5ad(tmp_path / "x.h5ad")
    backed = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    for data in (other, other[:30], backed, tmp_path / "x.h5ad"):
        torch.testing.assert_close(fitted(vc.open_cells(data).__getitems__([0, 20]))["counts"], expected)
    backed.file.close()


def test_11_batches_that_are_missing_unnamed_or_new():
    refused(lambda: loader(cfg={"batch_key": "batch"}).fit(cells()), "expected a column 'batch'")
    some = cells(batch=pd.Categorical(["a"] * 20 + [None] + ["b"] * 19))
    refused(lambda: loader(cfg={"batch_key": "batch"}).fit(some), "obs['batch']", "cell c20", "NaN")
    fitted = loader(cfg={"batch_key": "batch", "dataset_key": "batch"}).fit(cells(batch=["a", "b"] * 20))
    batch = fitted(vc.open_cells(cells(batch=["new"] * 40))[0])
    assert torch.isfinite(batch["counts"]).all()
    assert batch["dataset_nums"].tolist() == [-1]
    assert fitted.get_normalization_stats()["steps"]["batch"]["unseen"] == 1


def test_11_conditions_and_contexts_that_are_missing(folder, capsys):
    half = cells(cell_type=["T", None] * 20)
    half.write_h5ad(folder / "half.h5ad")
    score = ["evaluate", "--baselines", "--json", folder / "b.json"]
    for data, words, told in (
        ("half", "cell_type=each", "obs['cell_type']: cell c1: expected a value"),
        ("good", "cell_type=each", "expected a column 'cell_type'"),
        ("good", "conditions=A --condition-key conditions", "there is condition"),
        ("good", "condition=A --control-word ctrl", "expected control cells 'ctrl'"),
    ):
        assert sh(*score, "--data", folder / f"{data}.h5ad", "--hold-out", *words.split()) == 2
        assert told in capsys.readouterr().err.strip().splitlines()[-1]


def test_12_ids_out_of_range_and_matrices_that_are_not_square(tmp_path):
    model = vc.HierarchicalGeneModel(**SHAPE, num_pathways=5)
    batch = {"src": torch.randn(2, 4, 8), "mask": torch.ones(2, 4, dtype=torch.bool)}
    ids = torch.tensor([[-1, 0, 1, 2], [-1, 0, 5, 1]])
    refused(lambda: model(**batch, pathway_ids=ids), "pathway_ids", "cell 1, token 2 is 5")
    refused(lambda: model(**batch, pathway_ids=ids[:, :3]), "pathway_ids", "(2, 4)")
    oblong = {"gene_interaction_matrix": torch.zeros(3, 4)}
    refused(lambda: vc.RegulatoryConstrainedModel(**SHAPE, **oblong), "square")
    np.savez(tmp_path / "m.npz", matrix=np.zeros((3, 4)), genes=np.array(["a", "b", "c"]))
    refused(lambda: vc.read_network(tmp_path / "m.npz"), "square (g, g), got (3, 4)")


def test_13_damaged_files_are_one_line(folder, capsys):
    whole = (folder / "good.h5ad").read_bytes()
    for name, content in {
        "cut.h5ad": whole[: len(whole) // 2],
        "none.h5ad": b"",
        "text.h5ad": b"hello" * 99,
    }.items():
        (folder / name).write_bytes(content)
        refused(lambda name=name: vc.open_cells(folder / name), name)
        assert sh("embed", folder / "model", "--data", folder / name, "--out", folder / "e.h5ad") == 2
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert name in last
        assert "cannot be read" in last


@pytest.mark.parametrize(
    "model", ["HierarchicalGeneModel", "StochasticCellularModel", "FullVirtualCellModel"]
)
def test_14_a_mask_without_anything_real_is_refused(model):
    made = getattr(vc, model)(**SHAPE)
    src = torch.randn(2, 4, 8)
    none = torch.tensor([[True] * 4, [False] * 4])
    refused(lambda: made(src, none), "cell 1 has no real CLS slot")
    alone = torch.tensor([[True] * 4, [True] + [False] * 3])
    genes, embedding, *_ = made.eval()(src, alone)
    assert torch.isfinite(embedding).all()
    assert torch.isfinite(genes[alone]).all()
