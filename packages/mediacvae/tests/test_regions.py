"""Windows of a genome that carry an attribution: where the markers lie, and that nothing is lost or counted twice."""

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mediacvae import kmers
from mediacvae.explain import explain
from mediacvae.regions import regions


def test_windows_lie_where_the_markers_are(ruled: Any) -> None:
    own, model = ruled.world(), ruled.model("base", "kmer6c")
    inside, usual = [], []
    for name in ruled.held(("kmer6c",))[:8]:
        genome = own.genomes[name]
        rules = [rule for rule in own.truth.rules if rule.marker and rule.name in own.truth.organisms[name]]
        why = explain(model, own.organisms[name], ingredients=[rule.moves[0][0] for rule in rules], steps=8)
        found = regions(model, why, genome, top=1, size=500)
        for rule in rules:
            best = found[found["ingredient"] == rule.moves[0][0]].iloc[0]
            places = [p for p in own.truth.regions[name] if p.marker == rule.marker]
            inside.append(
                any(
                    p.contig == best["contig"] and p.start < best["end"] and best["start"] < p.end
                    for p in places
                )
            )
            usual.append(sum(p.end - p.start + 500 for p in places) / genome.length)
    assert len(inside) > 10
    assert np.mean(inside) > 0.6 > 3 * np.mean(usual)


@pytest.mark.parametrize("method", ["kmer4", "kmer6c"])
def test_scores_share_out_what_the_genome_has_more_of(ruled: Any, method: str) -> None:
    own, model = ruled.world(), ruled.model("base", method)
    name = ruled.held((method,))[0]
    genome = own.genomes[name]
    why = explain(model, own.organisms[name], ingredients=["NaCl", "Agar"], steps=4)
    found = regions(model, why, genome, top=10**6, size=300, step=300)
    made = why.attribution
    counts = kmers.count(genome.sequences, int(method[4]), canonical=method.endswith("c"))
    more = (made.condition[0] > made.baseline[0]) & (counts > 0)
    for j, ingredient in enumerate(("NaCl", "Agar")):
        mine = found[found["ingredient"] == ingredient]
        assert mine["score"].sum() == pytest.approx(made.features.amount[more, j].sum())
        assert (mine["end"] - mine["start"]).sum() == sum(map(len, genome.sequences))
        assert (np.diff(mine["score"].abs()) <= 1e-12).all()
        assert mine["times"].mean() == pytest.approx(1.0)


def test_windows_do_not_overlap(ruled: Any) -> None:
    own, model = ruled.world(), ruled.model("base", "kmer4")
    name = ruled.held(("kmer4",))[0]
    why = explain(model, own.organisms[name], ingredients=["NaCl"], steps=4)
    found = regions(model, why, own.genomes[name], top=12, size=800, step=100)
    assert len(found) == 12
    places = sorted(zip(found["contig"], found["start"], found["end"], strict=True))
    assert all(a[0] != b[0] or a[2] <= b[1] for a, b in itertools.pairwise(places))
    assert set(found["contig"]) <= set(own.genomes[name].names)


def test_a_model_without_kmers_is_refused(ruled: Any) -> None:
    own, model = ruled.world(), ruled.model("base", "lineage", "names", "stats", "kmer4")
    name = ruled.held(("lineage", "names", "stats", "kmer4"))[0]
    why = explain(model, replace(own.organisms[name], vectors={}), ingredients=["NaCl"], steps=2)
    with pytest.raises(ValueError, match="regions: the model reads no k-mers"):
        regions(model, why, own.genomes[name])


def test_a_genome_shorter_than_a_window_is_one_window(ruled: Any) -> None:
    own, model = ruled.world(), ruled.model("base", "kmer4")
    why = explain(model, own.organisms[ruled.held(("kmer4",))[0]], ingredients=["NaCl"], steps=2)
    genome = SimpleNamespace(sequences=[b"ACGTTTGACCANNNACGT"], names=("one",))
    found = regions(model, why, genome, size=1000, step=1000)  # pyright: ignore[reportArgumentType]
    assert found[["contig", "start", "end"]].to_numpy().tolist() == [["one", 0, 18]]
