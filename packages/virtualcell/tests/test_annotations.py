"""Gene sets, networks, compartments and gene names: what they say, and what is refused in one line."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from virtualcell.compartments import read_compartments
from virtualcell.faults import DataError
from virtualcell.genes import check_unique, match_genes
from virtualcell.network import BOTH, TARGET, TF, read_gene_types, read_network
from virtualcell.pathways import GeneSets, groups_of, read_gene_sets
from virtualcell.tables import read_lines


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def refused(call, *words):
    with pytest.raises(DataError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def test_a_gene_is_in_many_sets_smallest_first(tmp_path):
    path = written(
        tmp_path / "a.gmt", "big\tx\tA\tB\tC\nsmall\tx\tB\nempty\tx\nbig\tx\tC\tB\tA\nodd\tx\tQ\tQ\n"
    )
    found = read_gene_sets(path)
    assert list(found.sets) == ["big", "small", "odd"]
    assert [note.split(": ")[1][:1] for note in found.notes] == ["1", "1", "1"]
    made = found.membership(["C", "B", "Z"], most_sets=10, most_per_gene=5)
    assert made.names == ("big", "small")
    assert made.ids.tolist() == [[0, -1], [1, 0], [-1, -1]]
    assert made.matrix().tolist() == [[True, False], [True, True], [False, False]]


def test_order_of_genes_does_not_change_a_genes_sets():
    sets = GeneSets({"a": ("A", "B", "C"), "b": ("B", "C"), "c": ("C",)})
    genes = ["A", "B", "C", "D"]
    straight = sets.membership(genes, most_sets=9, most_per_gene=9)
    turned = sets.membership(genes[::-1], most_sets=9, most_per_gene=9)
    assert straight.ids[::-1].tolist() == turned.ids.tolist()


def test_what_is_dropped_is_said():
    sets = GeneSets({"a": ("A", "B"), "b": ("B",), "c": ("A", "B", "C")})
    made = sets.membership(["A", "B", "C"], most_sets=2, most_per_gene=1)
    assert made.names == ("a", "c")
    assert made.ids.tolist() == [[0], [0], [1]]
    assert any("2 sets with most" in note for note in made.notes)
    assert any("more than 1 sets" in note for note in made.notes)


def test_bad_gene_sets_are_refused(tmp_path):
    refused(lambda: read_gene_sets(written(tmp_path / "a.gmt", "s\tx\tA\ns\tx\tB\n")), "lines 1 and 2", "'s'")
    assert read_gene_sets(written(tmp_path / "t.tsv", "gene\tpathway\nA\ts\nB\ts\n")).sets == {
        "s": ("A", "B")
    }
    refused(lambda: read_gene_sets(written(tmp_path / "b.gmt", "")), "none")
    refused(lambda: read_gene_sets(written(tmp_path / "c.gmt", "no tabs here")), "line 1", "tabs")
    refused(lambda: read_gene_sets(tmp_path / "d.gmt"), "there is none")
    refused(lambda: read_gene_sets(written(tmp_path / "e.pt", "x")), ".pt", "npz")
    sets = GeneSets({"a": ("A",)}, "a.gmt")
    refused(lambda: sets.membership(["X"], most_sets=2, most_per_gene=2), "a.gmt", "none of its genes")
    packed = gzip.compress(b"a\tx\tA\n" * 1000)
    (tmp_path / "f.gmt.gz").write_bytes(packed[:-9])
    refused(lambda: read_gene_sets(tmp_path / "f.gmt.gz"), "f.gmt.gz")
    refused(lambda: read_lines(written(tmp_path / "g.txt", "x" * 99), largest=10), "10 bytes")


def test_text_is_read_packed_or_plain_whatever_its_name(tmp_path):
    data = b"\xef\xbb\xbfa\tx\tA\tB\r\n"
    for name, content in {"a.gmt": gzip.compress(data), "b.gmt.gz": data, "c.txt": data}.items():
        (tmp_path / name).write_bytes(content)
        assert read_gene_sets(tmp_path / name).sets == {"a": ("A", "B")}


def test_pathways_that_share_genes_are_one_group():
    sets = GeneSets({"a": ("A", "B", "C"), "b": ("A", "B", "D"), "c": ("X", "Y")})
    made = sets.membership(["A", "B", "C", "D", "X", "Y", "Z"], most_sets=9, most_per_gene=9)
    groups = groups_of(made, 2)
    assert len(set(groups[:4])) == 1
    assert len(set(groups[4:6])) == 1
    assert groups[0] != groups[4]
    assert groups[6] == -1


def test_edges_keep_direction_and_sign(tmp_path):
    rows = "A\tB\tActivation\nB\tC\tRepression\nC\tA\tUnknown\nA\tC\tActivation\nA\tC\tRepression\nA\tB\tUnknown\n"
    network = read_network(written(tmp_path / "n.tsv", "tf\ttarget\tmode\n" + rows))
    assert any("1 edges are given with both signs" in note and "A -> C" in note for note in network.notes)
    effect, known = network.edges(["A", "B", "C"]).matrix()
    assert effect.tolist() == [[0, 1, 0], [0, 0, -1], [0, 0, 0]]
    assert known.tolist() == [[False, True, True], [False, False, True], [True, False, False]]
    types = network.edges(["A", "B", "C", "D"]).types()
    assert types.tolist() == [BOTH, BOTH, BOTH, 0]


def test_two_signs_are_settled_by_papers(tmp_path):
    rows = "A\tB\tActivation\t1;2;3\nA\tB\tRepression\t4\nB\tA\tActivation\t1;2\nB\tA\tRepression\t4;5;6\n"
    network = read_network(written(tmp_path / "n.tsv", "tf\ttarget\tmode\tpmid\n" + rows))
    assert network.effects == {("A", "B"): (1.0, 1.0), ("B", "A"): (0.0, 1.0)}
    assert "2 edges are given with both signs: 1 have" in network.notes[0]


def test_edges_are_the_same_from_every_kind_of_file(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"tf": ["A", "B"], "target": ["B", "C"], "mor": [0.4, -1.0]})
    frame.to_csv(tmp_path / "n.csv", index=False)
    frame.to_csv(tmp_path / "n.tsv.gz", index=False, sep="\t")
    frame.to_parquet(tmp_path / "n.parquet")
    np.savez(
        tmp_path / "n.npz",
        **{name: frame[name].to_numpy(dtype="U" if name != "mor" else float) for name in frame},
    )
    matrix = np.array([[0, 0.4, 0], [0, 0, -1.0], [0, 0, 0]])
    np.savez(tmp_path / "m.npz", genes=np.array(["A", "B", "C"]), matrix=matrix)
    for name in ("n.csv", "n.tsv.gz", "n.parquet", "n.npz", "m.npz"):
        network = read_network(tmp_path / name)
        assert np.allclose(network.edges(["A", "B", "C"]).matrix()[0], matrix)
        assert network.edges(["A", "B", "C"], at_least=0.5).matrix()[1].sum() == 1


def test_bad_networks_are_refused(tmp_path):
    head = "tf\ttarget\tmor\n"
    with pytest.raises(DataError, match=r"there is gene, place$"):  # the columns, and nothing else
        read_network(written(tmp_path / "p.tsv", "gene\tplace\nA\tB\n"))
    refused(lambda: read_network(written(tmp_path / "a.tsv", head + "A\tB\tx\n")), "line 2", "'x'")
    refused(
        lambda: read_network(written(tmp_path / "a.tsv", head + "A\tB\t1\t2\n")), "line 2", "3 fields", "4"
    )
    refused(lambda: read_network(written(tmp_path / "a.tsv", head + "\tB\t1\n")), "line 2", "tf")
    refused(
        lambda: read_network(written(tmp_path / "a.tsv", "tf\ttargets\nA\tB\n")), "did you mean 'targets'"
    )
    refused(
        lambda: read_network(written(tmp_path / "b.tsv", "tf\ttarget\tmode\nA\tB\tup\n")), "line 2", "'up'"
    )
    np.savez(tmp_path / "c.npz", genes=np.array(["A", "B"]), matrix=np.zeros((2, 3)))
    refused(lambda: read_network(tmp_path / "c.npz"), "square", "(2, 3)")
    np.savez(tmp_path / "d.npz", matrix=np.array([{}], dtype=object))
    refused(lambda: read_network(tmp_path / "d.npz"), "plain arrays")
    np.savez(tmp_path / "f.npz", genes=np.array(["A", "B"]), matrix=np.array([["1", "x"], ["0", "1"]]))
    refused(lambda: read_network(tmp_path / "f.npz"), "matrix: expected numbers", "<U1")
    np.savez(tmp_path / "g.npz", tf=np.array(["A", "B"]), target=np.array(["C"]))
    refused(lambda: read_network(tmp_path / "g.npz"), "g.npz", "columns of one length, got tf 2, target 1")
    twice = pa.Table.from_arrays([pa.array(["A"])] * 3, names=["tf", "target", "tf"])
    pq.write_table(twice, tmp_path / "h.parquet")
    refused(lambda: read_network(tmp_path / "h.parquet"), "h.parquet", "parquet table")
    good = read_network(written(tmp_path / "e.tsv", head + "A\tB\t1\n"))
    refused(lambda: good.edges(["X", "Y"]), "e.tsv", "none")
    refused(lambda: read_network(tmp_path / "e.tsv", confidence="A"), "confidence")


def test_an_npz_that_cannot_be_unpacked_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", tf=np.array(["A"]), target=np.array(["B"]))
    packed = bytearray((tmp_path / "a.npz").read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flag of an encrypted member, in both of its heads
        start = -1
        while (start := packed.find(mark, start + 1)) >= 0:
            packed[start + at] |= 1
    (tmp_path / "a.npz").write_bytes(packed)
    refused(lambda: read_network(tmp_path / "a.npz"), "a.npz", "an .npz of plain arrays", "encrypted")


def test_gene_types_and_compartments(tmp_path):
    types = read_gene_types(written(tmp_path / "t.csv", "gene,type\nA,TF\nA,target\nb,target\n"))
    assert types == {"A": TF | TARGET, "B": TARGET}
    refused(lambda: read_gene_types(written(tmp_path / "u.csv", "gene,type\nA,TFF\n")), "line 2", "TFF")
    found = read_compartments(
        written(tmp_path / "c.tsv", "gene\tcompartment\nA\tnucleus\nA\tcytosol\nA\tnucleus\n")
    )
    assert found.sets == {"cytosol": ("A",), "nucleus": ("A",)}


def test_genes_match_by_symbol_or_ensembl_id_whatever_version_or_case():
    given = ["Cav2", "H19", "ENSG00000000003.14"]
    found = match_genes(["H19", "CAV2", "ENSG00000000003", "NONE"], given, what="m")
    assert found.index.tolist() == [1, 0, 2, -1]
    assert "1 genes are missing: NONE" in found.notes[1]
    ids = {"ensembl": ["ENSMUSG00000000058.6", "ENSMUSG00000000031.9", "x"]}
    found = match_genes(["ENSMUSG00000000031", "ENSMUSG00000000058"], given, ids, what="m")
    assert found.index.tolist() == [1, 0]
    assert "ensembl" in found.notes[0]
    assert match_genes(["abc", "ABC", "Abc"], ["Abc", "ABC"], what="m").index.tolist() == [-1, 1, 0]
    refused(lambda: match_genes(["ENSG00000000003"], ["A"], what="m"), "Ensembl ids", "symbols")
    refused(lambda: check_unique(["A", "B", "A"], "f.h5ad"), "columns 1 and 3", "'A'")


def test_collected_annotations_are_read(real):
    reactome = read_gene_sets(real / "reactome_pathways.gmt.gz")
    assert len(reactome.sets) == 1448
    assert len(read_gene_sets(real / "hallmark_msigdb_v7.0.gmt.gz").sets) == 50
    assert len(read_compartments(real / "compartments_go_cc.tsv.gz").sets) == 9
    for name in ("trrust_v2_human.tsv.gz", "dorothea_hs_ABC.tsv.gz"):
        network = read_network(real / name)
        effect, known = network.edges(["STAT1", "IRF1", "JAK2", "CD86", "SOCS1", "IRF7"]).matrix()
        assert known.any()
        assert effect[0, 1] > 0
