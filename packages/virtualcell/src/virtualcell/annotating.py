"""Annotations brought to the genes of a file: what matches, under the file's own names, as tables to train with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from virtualcell.compartments import read_compartments
from virtualcell.faults import refuse
from virtualcell.genes import match_genes
from virtualcell.network import read_network
from virtualcell.pathways import GeneSets, read_gene_sets

if TYPE_CHECKING:
    import os

    from virtualcell.cells import About
    from virtualcell.network import Network


@dataclass(frozen=True, eq=False)
class Annotated:
    """Tables under the names of g genes: pathway, gene; tf, target, mor; gene, compartment; and what is to be said.

    tables: by name, in the form that the readers of annotations take. genes: one row a gene, how many it has of each.
    """

    tables: dict[str, pd.DataFrame]
    genes: pd.DataFrame
    notes: tuple[str, ...]  # what did not match, for who gave the files

    def write(self, folder: str | os.PathLike[str], form: Literal["parquet", "npz"] = "parquet") -> Path:
        """A file a table and genes.csv, in a folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        for name, table in self.tables.items():
            if form == "parquet":
                table.to_parquet(path / f"{name}.parquet", index=False)
            else:
                columns = {str(c): table[c].to_numpy() for c in table}
                texts = {c: a.astype(str) if a.dtype == object else a for c, a in columns.items()}
                np.savez_compressed(path / f"{name}.npz", **texts)  # pyright: ignore[reportArgumentType]
        self.genes.to_csv(path / "genes.csv", index_label="gene")
        return path

    def report(self) -> list[str]:
        """What was matched, a line a table."""
        lines = []
        for name, table in self.tables.items():
            group, *members = (
                ("tf", "tf", "target") if name == "network" else (name.removesuffix("s"), "gene")
            )
            touched = len(set().union(*(table[column] for column in members)))
            groups = f"{table[group].nunique()} {'regulators' if name == 'network' else name}"
            lines.append(f"{name:<14}{len(table):>8} rows  {groups:<20}{touched} of {len(self.genes)} genes")
        return lines


def annotate(
    about: About,
    pathways: str | os.PathLike[str] | None = None,
    network: str | os.PathLike[str] | None = None,
    compartments: str | os.PathLike[str] | None = None,
) -> Annotated:
    """Files of annotations for the genes of a source; DataError for no file at all, and where no gene matches."""
    if pathways is None and network is None and compartments is None:
        refuse("annotate: expected at least one of --pathways, --network, --compartments")
    genes = about.genes.tolist()
    count = pd.DataFrame(index=pd.Index(genes))
    tables: dict[str, pd.DataFrame] = {}
    notes: list[str] = []
    for name, file, read in (
        ("pathways", pathways, read_gene_sets),
        ("compartments", compartments, read_compartments),
    ):
        if file is not None:
            sets = read(file)
            table, said = _sets(sets, about, name.removesuffix("s"))
            notes += [*sets.notes, *said]
            tables[name] = table
            count[name] = table["gene"].value_counts().reindex(count.index, fill_value=0)
    if network is not None:
        edges = read_network(network)
        table, said = _edges(edges, about)
        notes += [*edges.notes, *said]
        tables["network"] = table
        for name, column in (("targets", "tf"), ("regulators", "target")):
            count[name] = table[column].value_counts().reindex(count.index, fill_value=0)
    return Annotated(tables, count, tuple(notes))


def _sets(sets: GeneSets, about: About, word: str) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows of set and gene, under the names of the file."""
    rows = [(name, gene) for name, members in sets.sets.items() for gene in members]
    wanted = list(dict.fromkeys(gene for _, gene in rows))
    match = match_genes(wanted, about.genes.tolist(), about.others, what=sets.name)
    at = dict(zip(wanted, match.index.tolist(), strict=True))
    kept = [(name, str(about.genes[at[gene]])) for name, gene in rows if at[gene] >= 0]
    lost = len(sets.sets) - len({name for name, _ in kept})
    said = (f"{sets.name}: {lost} of {len(sets.sets)} sets have no gene here",) if lost else ()
    table = pd.DataFrame(kept, columns=pd.Index([word, "gene"])).drop_duplicates(ignore_index=True)
    return table, match.notes + said


def _edges(network: Network, about: About) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Rows of tf, target and mor, under the names of the file."""
    wanted = list(dict.fromkeys(gene for edge in network.effects for gene in edge))
    match = match_genes(wanted, about.genes.tolist(), about.others, what=network.name)
    at = dict(zip(wanted, match.index.tolist(), strict=True))
    kept = [
        (str(about.genes[at[tf]]), str(about.genes[at[target]]), sign * strength)
        for (tf, target), (sign, strength) in network.effects.items()
        if at[tf] >= 0 and at[target] >= 0
    ]
    if not kept:
        refuse(f"{network.name}: none of its {len(network.effects)} edges is between two genes of the data")
    note = f"{network.name}: {len(kept)} of {len(network.effects)} edges are between genes of the data"
    return pd.DataFrame(kept, columns=pd.Index(["tf", "target", "mor"])), (*match.notes, note)
