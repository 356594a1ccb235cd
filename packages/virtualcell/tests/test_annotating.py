"""Annotations under the names of a file: what is written is read back as what was matched."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from virtualcell.annotating import annotate
from virtualcell.compartments import read_compartments
from virtualcell.faults import DataError
from virtualcell.network import read_network
from virtualcell.pathways import read_gene_sets
from virtualcell.sources import open_cells


@pytest.fixture
def files(tmp_path):
    (tmp_path / "p.gmt").write_text("P1\tx\tstat1\tIRF1\tGONE\nP2\tx\tIRF1\nP3\tx\tELSE\n")
    (tmp_path / "n.tsv").write_text(
        "tf\ttarget\tmode\nSTAT1\tIRF1\tActivation\nIRF1\tMYC\tRepression\nX\tMYC\tUnknown\n"
    )
    (tmp_path / "c.tsv").write_text("gene\tcompartment\nSTAT1\tnucleus\nMYC\tnucleus\nMYC\tcytoplasm\n")
    return tmp_path


def about(names=("STAT1", "IRF1", "MYC", "ACTB")):
    x = np.ones((3, len(names)), dtype=np.float32)
    return open_cells(anndata.AnnData(x, var=pd.DataFrame(index=list(names)))).about


@pytest.mark.parametrize("form", ["parquet", "npz"])
def test_what_is_written_is_read_as_what_matched(files, form):
    found = annotate(about(), files / "p.gmt", files / "n.tsv", files / "c.tsv")
    folder = found.write(files / "out", form)
    assert read_gene_sets(folder / f"pathways.{form}").sets == {"P1": ("STAT1", "IRF1"), "P2": ("IRF1",)}
    assert read_network(folder / f"network.{form}").effects == {
        ("STAT1", "IRF1"): (1.0, 1.0),
        ("IRF1", "MYC"): (-1.0, 1.0),
    }
    assert read_compartments(folder / f"compartments.{form}").sets == {
        "cytoplasm": ("MYC",),
        "nucleus": ("STAT1", "MYC"),
    }
    genes = pd.read_csv(folder / "genes.csv", index_col="gene")
    assert genes.loc["IRF1"].to_dict() == {"pathways": 2, "compartments": 0, "targets": 1, "regulators": 1}
    assert genes.loc["ACTB"].sum() == 0


def test_what_matches_and_what_does_not_is_said(files):
    found = annotate(about(), files / "p.gmt", files / "n.tsv")
    said = "\n".join(found.notes)
    assert "p.gmt: 2 of 4 genes found" in said
    assert "1 of 3 sets have no gene here" in said
    assert "2 of 3 edges are between genes of the data" in said
    assert [line.split() for line in found.report()] == [
        ["pathways", "3", "rows", "2", "pathways", "2", "of", "4", "genes"],
        ["network", "2", "rows", "2", "regulators", "3", "of", "4", "genes"],
    ]


def test_a_network_that_does_not_say_its_signs_stays_without(files):
    (files / "n.tsv").write_text("tf\ttarget\nSTAT1\tIRF1\n")
    folder = annotate(about(), network=files / "n.tsv").write(files / "out")
    assert read_network(folder / "network.parquet").effects == {("STAT1", "IRF1"): (0.0, 1.0)}


def test_annotations_of_other_genes_are_refused(files):
    others = about(("A", "B"))
    for words in (
        {"pathways": files / "p.gmt"},
        {"network": files / "n.tsv"},
        {"compartments": files / "c.tsv"},
    ):
        with pytest.raises(DataError, match="none of"):
            annotate(others, **words)
    with pytest.raises(DataError, match="none of its 3 edges"):
        annotate(about(("STAT1", "MYC")), network=files / "n.tsv")
    with pytest.raises(DataError, match="at least one"):
        annotate(others)
