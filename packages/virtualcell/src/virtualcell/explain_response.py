"""Why a perturbation is predicted as it is: the change by stage, what it leans on, what the network's parts say of it.

Letters: g genes, y contexts that a perturbation was seen in, m known perturbations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from virtualcell import bases
from virtualcell.base import BaseEnhancedModel
from virtualcell.explain import Told, gates_of
from virtualcell.faults import few
from virtualcell.rows import seen_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from anndata import AnnData
    from torch import Tensor

    from virtualcell.experience import Experience, Profile
    from virtualcell.predictor import Question, ResponseModel
    from virtualcell.response import Responder
    from virtualcell.row_net import RowNet
    from virtualcell.rows import Rows
    from virtualcell.sources import CellSource

    Words = Mapping[str, Tensor]

CONTEXTS = ("term", "context", "untouched", "perturbed", "distance", "ridge", "similar")


class Explained(NamedTuple):
    """perturbation: its one name. tables: by name. notes: of the cells, and why some table is not there."""

    perturbation: str
    tables: dict[str, pd.DataFrame]
    notes: list[str]


def explain_response(
    responder: Responder,
    data: CellSource | AnnData | Path | str,
    perturbation: str,
    *,
    dose: float | None = None,
    context: str | None = None,
) -> Explained:
    """Tables of one prediction, as `Responder.perturb` makes it of the untouched cells of a context.

    changes: a row a gene, the largest answer first: `control`, the change by each stage (several at once and doses
    between: by each term, weighted; they sum to the answer), `answer`, the mean `after`; log1p of counts per 10,000.
    terms: what the answer is the weighted sum of. contexts: of terms seen, the weights of the contexts they were seen
    in; kin: of terms never seen, likeness by table and weight of the known perturbations. Of one term that a network
    with parts corrects also parts (gates, and the `effect` of each: root mean square, over the network's genes, of what
    shutting it moves), pathways, compartments, groups, slots, genes, states: means over networks and their draws of
    genes. Raises DataError as `perturb`.
    """
    name = responder.named(perturbation, dose)
    asked, words, notes = responder.asked(data, context)
    model, terms = responder.model, responder.model.terms(name)
    tables = {
        "changes": _changes(model, name, terms, asked, words),
        "terms": _terms(model, terms),
        **_leant(model, terms, asked),
    }
    if list(terms) == [name]:
        more, why = _parts(responder, name, asked, words)
        return Explained(name, tables | more, [*notes, *why])
    why = f"{name}: what parts of a network say is told of one term: ask for {few(terms) if terms else 'a dose'}"
    return Explained(name, tables, [*notes, why])


def _question(model: ResponseModel, term: str) -> Question:
    """How a term is answered: it is no sum of others."""
    return "seen" if len(model.seen.rows_of(term)) else "new"


def _changes(
    model: ResponseModel, name: str, terms: Mapping[str, float], asked: Profile, words: Words
) -> pd.DataFrame:
    """The change of each gene by stage, or by term."""
    if list(terms) == [name]:
        told = _stages(model, name, asked, words)
    else:
        told = {term: weight * model.change(term, asked, words) for term, weight in terms.items()}
        told["answer"] = np.sum([np.zeros(len(model.genes)), *told.values()], axis=0)
    after = np.maximum(asked.mean + told["answer"], 0.0)
    columns = {"control": asked.mean, **told, "after": after}
    table = pd.DataFrame(columns, index=pd.Index(model.genes.astype(str), name="gene"))
    return table.iloc[np.argsort(-np.abs(told["answer"]), kind="stable")]


def _stages(model: ResponseModel, name: str, asked: Profile, words: Words) -> dict[str, np.ndarray]:
    """Each simple prediction by its name, `kept` of it where noise shrinks one, and the stages that build on them."""
    if _question(model, name) == "new":
        kin = model.stages(name, asked)
        return {**kin, "answer": kin["kin"]}
    rows, own = seen_rows(model.seen, name, asked), model.seen.rows_of(name)
    told = dict(zip(("ridge", "similar"), rows.simple, strict=True))
    told["kept"] = bases.kept(model.seen, own, bases.similar_weights(model.seen, own, asked))
    return told | model.correction.stages(rows, words)


def _terms(model: ResponseModel, terms: Mapping[str, float]) -> pd.DataFrame:
    """A row a term: weight, question, by what it is corrected, and what held-out lessons took of a correction."""
    rows = []
    for term, weight in terms.items():
        question = _question(model, term)
        own = model.correction
        trees, network = own.trees is not None, bool(own.nets)
        by = [word for word, used in (("trees", trees), ("network", network)) if used and question == "seen"]
        rows.append((weight, question, " and ".join(by) or "nothing", own.share))
    columns = ["weight", "question", "corrected_by", "held_out_share"]
    return pd.DataFrame(rows, columns=pd.Index(columns), index=pd.Index(list(terms), name="term"))


def _leant(model: ResponseModel, terms: Mapping[str, float], asked: Profile) -> dict[str, pd.DataFrame]:
    """What simple predictions are the weighted sums of: contexts, or kin, largest weight first."""
    seen = [_contexts(model.seen, term, asked) for term in terms if _question(model, term) == "seen"]
    new = [_kin(model.seen, term) for term in terms if _question(model, term) == "new"]
    made = {"contexts": seen, "kin": new}
    return {name: pd.concat(tables, ignore_index=True) for name, tables in made.items() if tables}


def _contexts(seen: Experience, term: str, asked: Profile) -> pd.DataFrame:
    """A row a context that a perturbation was seen in: its cells, how far it is, what it counts."""
    pops, rows = seen.populations, seen.rows_of(term)
    names = [seen.conditions[row][0] for row in rows]
    table = pd.DataFrame(
        {
            "term": term,
            "context": names,
            "untouched": [int(pops.cells[pops.where(one, pops.control)]) for one in names],
            "perturbed": [int(pops.cells[pops.where(one, term)]) for one in names],
            "distance": np.linalg.norm(bases.untouched(seen, rows) - asked.mean, axis=1),
            "ridge": bases.ridge_weights(seen, rows, asked),
            "similar": bases.similar_weights(seen, rows, asked),
        },
        columns=pd.Index(CONTEXTS),
    )
    return table.sort_values("similar", ascending=False, kind="stable")


def _kin(seen: Experience, term: str) -> pd.DataFrame:
    """A row a known perturbation: how alike it is, by each table and on the whole, and what it counts."""
    names, known = list(bases.by_perturbation(seen)), seen.known
    alike = known.alike([term], names)[0]
    tables = {table: known.alike_by(i, [term], names)[0] for i, table in enumerate(known.tables)}
    weight = list(bases.kin_weights(seen, term).values())
    table = pd.DataFrame({"term": term, "perturbation": names, "likeness": alike, **tables, "weight": weight})
    return table.sort_values("weight", ascending=False, kind="stable")


def _parts(
    responder: Responder, name: str, asked: Profile, words: Words
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """What the parts of the network say of one prediction; or a note of why they say nothing."""
    model = responder.model
    own = model.correction
    if _question(model, name) == "new" or not own.nets:
        return {}, [f"{name}: no network corrects this answer (terms.csv), so no part of one says anything"]
    cells = [net.net.cell for net in own.nets]
    if responder.loader is None or not isinstance(cells[0], BaseEnhancedModel):
        return {}, [
            f"{name}: the network is a {model.biology.model}: it has no parts that could say anything"
        ]
    rows = seen_rows(model.seen, name, asked)
    told = Told([str(gene) for gene in model.genes], responder.loader)
    for net in own.nets:
        _listen(told, net, rows, words)
    made = told.tables(cells[0], None, None)
    gates = [gates_of(cell) for cell in cells if isinstance(cell, BaseEnhancedModel)]
    effect = np.mean([list(_effects(net, rows, words).values()) for net in own.nets], axis=0)
    parts = pd.DataFrame(
        {
            "stage": gates[0]["stage"],
            "gate": np.mean([one["gate"] for one in gates], axis=0),
            "gate_largest": np.max([one["gate_largest"] for one in gates], axis=0),
            "effect": effect,
        },
        index=gates[0].index,
    )
    made["parts"] = parts.sort_values("effect", ascending=False, kind="stable")
    if "cells" in made:
        draws = made.pop("cells")
        made["states"] = pd.DataFrame({"mean": draws.mean(), "sd": draws.std(ddof=0)}).rename_axis("state")
    if "genes" in made:
        made["genes"] = made["genes"].drop(columns="cells")
    return made, []


def _listen(told: Told, net: RowNet, rows: Rows, words: Words) -> None:
    """Add what the parts of a network say, in detail."""
    cell: Any = net.net.cell
    with cell.detailed():
        for genes, info in net.told(rows, words):
            ids = np.append(-1, genes)[None]
            told.add(info, ids, ids >= 0)


def _effects(net: RowNet, rows: Rows, words: Words) -> dict[str, float]:
    """By how much a network's answer differs with the gate of a part shut; the gates stay as they were."""
    whole = net(rows, words)[net.genes]
    gates: dict[str, Tensor] = dict(net.net.cell.gates.items())  # type: ignore[union-attr]
    made = {}
    for name, gate in gates.items():
        kept = gate.detach().clone()
        gate.data.zero_()
        try:
            made[name] = float(np.sqrt(((net(rows, words)[net.genes] - whole) ** 2).mean()))
        finally:
            gate.data.copy_(kept)
    return made
