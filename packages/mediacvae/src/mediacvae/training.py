"""From a dataset to a model: regression, network, ranks and odds of growth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cytosol import ranks
from mediacvae import dataset as datasets
from mediacvae.base import FOLDS, KernelBase
from mediacvae.config import TrainConfig
from mediacvae.expectation import expected
from mediacvae.folds import grouped_folds
from mediacvae.growth import MOST, GrowthModel, Who, plain
from mediacvae.predictor import MediaModel
from mediacvae.ranking import Ranker

if TYPE_CHECKING:
    from mediacvae.dataset import Dataset
    from mediacvae.kernels import Kernel
    from mediacvae.model import ConditionalMediaVAE

__all__ = ["TrainConfig", "fit", "train"]

SHARE = 0.4  # of the network in what is expected, where no pairs of a val split can say
SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
RUNS = "runs"  # directory of the checkpoints beside a model


def train(
    config: TrainConfig,
    *,
    dataset: Path | str = "dataset",
    out: Path | str = "model",
    resume: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Train on a dataset folder's `train` split and write the model to `out`.

    Returns elapsed_seconds, save_path and history (a DataFrame: a row a note of the network's run, with the phase and,
    as loss_<organism type>, what each phase has left of the others). Raises ValueError for a dataset that cannot be
    read or learned from and for a run in `out` that is neither to be resumed nor forced away, BundleError where a
    model is there already.
    """
    from mediacvae import saving

    began = time.monotonic()
    out = Path(out)
    if ranks.first() and not (force or resume):
        saving.refuse_existing(out)  # before hours of training, not after
    data = datasets.read(Path(dataset))
    model, history = fit(data, config, out=out / RUNS, resume=resume, force=force)
    if ranks.first():
        saving.save(model, out, force=force or resume)
    return {"elapsed_seconds": time.monotonic() - began, "save_path": str(out), "history": history}


def fit(
    data: Dataset,
    config: TrainConfig,
    *,
    rows: np.ndarray | None = None,
    records: np.ndarray | None = None,
    out: Path | None = None,
    resume: bool = False,
    force: bool = False,
) -> tuple[MediaModel, pd.DataFrame]:
    """Fit a model and give the history of the network's run, a row a note (none for a model without a network).

    rows, records: numbers (n,) of the pairs and (r,) of the growth records to learn from; without them, those of the
    train split. Media that only other pairs have are not shown to the network. out: directory of its checkpoints, from
    which `resume` goes on, and which `force` drops. Raises ValueError where there is no pair, for a run that is there
    and neither to be resumed nor forced away, and for `resume` without `out`.
    """
    # of chosen rows nobody knows what is left to choose the network's share by
    val = data.rows("val") if rows is None else np.zeros(0, dtype=np.int64)
    if rows is None:
        rows = data.rows("train")
    if records is None:
        train = data.organisms["split"].to_numpy() == "train"
        records = np.flatnonzero(train[data.records["organism"].to_numpy()])
    if not len(rows):
        msg = "no pair to learn from in the train split; build the dataset with a smaller test_size and val_size"
        raise ValueError(msg)
    pairs = data.pairs[["organism", "medium"]].to_numpy(np.int64)
    own, groups = pairs[rows], _groups(data)
    base = KernelBase.fit(
        data.conditioner, data.conditions, own[:, 0], data.media[own[:, 1]], groups, seed=config.seed
    )
    held = _held_out(data, base, own, groups, config.seed)
    alone = np.setdiff1d(np.arange(len(data.media)), pairs[:, 1])
    vae, history = _network(data, config, base, own, alone, out=out, resume=resume, force=force)
    used = np.unique(own[:, 0])
    named = data.organisms.iloc[used][["genome_id", "organism_name", "organism_type", "genus"]]
    model = MediaModel(
        ingredients=data.ingredients,
        conditioner=data.conditioner,
        base=base,
        vae=vae,
        ranker=Ranker.fit(base.kernel, data.conditions, own, data.media, groups, held, seed=config.seed),
        growth=_growth(data, base.kernel, records, config.seed),
        library=data.library,
        media=np.asarray(data.media, dtype=np.float32),
        organisms=named.reset_index(drop=True),
        conditions=np.asarray(data.conditions[used], dtype=np.float32),
        pairs=np.stack([np.searchsorted(used, own[:, 0]), own[:, 1]], axis=1),
        config=config,
        facts=_facts(data, base, own, records),
        share=_share(data, base, vae, val, config),
    )
    return model, history


def _groups(data: Dataset) -> np.ndarray:
    """Labels (o,) of relatives: the genus, or where it is not known the organism itself."""
    genus, alone = data.organisms["genus"], data.organisms["genome_id"]
    return np.where(genus.fillna("") == "", alone, genus)


def _network(
    data: Dataset,
    config: TrainConfig,
    base: KernelBase,
    pairs: np.ndarray,
    alone: np.ndarray,
    *,
    out: Path | None,
    resume: bool,
    force: bool,
) -> tuple[ConditionalMediaVAE | None, pd.DataFrame]:
    """The network that learns from pairs (n, 2) and media `alone` that no pair has, and its history; or none."""
    if config.model_type == "base":
        return None, pd.DataFrame()
    from mediacvae.training_vae import learn

    return learn(
        data.conditioner, data.conditions, data.media, pairs, data.organisms, alone, config,
        sizes=base.kernel.scale, out=out, resume=resume, force=force,
    )  # fmt: skip


def _facts(data: Dataset, base: KernelBase, pairs: np.ndarray, records: np.ndarray) -> dict[str, Any]:
    """What a model says of its training, as JSON types."""
    kinds = data.organisms["organism_type"].to_numpy()[pairs[:, 0]]
    return {
        "pairs": len(pairs),
        "organisms": len(np.unique(pairs[:, 0])),
        "results": len(records),
        "by_type": {str(kind): int((kinds == kind).sum()) for kind in np.unique(kinds)},
        "dataset": data.about,
        "settings": base.settings._asdict(),
    }


def _share(
    data: Dataset, base: KernelBase, vae: ConditionalMediaVAE | None, val: np.ndarray, config: TrainConfig
) -> float:
    """The network's share in what is expected: as asked, or with least error on pairs `val`."""
    if vae is None or config.share is not None or not len(val):
        return SHARE if config.share is None else config.share
    organism, medium = (data.pairs[name].to_numpy()[val] for name in ("organism", "medium"))
    used, back = np.unique(organism, return_inverse=True)
    own = base(data.conditions[used]).amount[back]
    its = expected(vae, np.asarray(data.conditions[used]), draws=config.draws, seed=config.seed).amount[back]
    truth = np.log1p(np.asarray(data.media[medium], dtype=np.float64))
    error = [float((((1 - share) * own + share * its - truth) ** 2).mean()) for share in SHARES]
    return SHARES[int(np.argmin(error))]


def _held_out(
    data: Dataset, base: KernelBase, pairs: np.ndarray, groups: np.ndarray, seed: int
) -> np.ndarray:
    """Chances of main ingredients (p, m) that regression expects of the pairs' organisms without their relatives."""
    used, first = np.unique(pairs[:, 0], return_index=True)
    fold = grouped_folds(groups[pairs[:, 0]], FOLDS, seed=seed)
    if not fold.any():  # one group: there is nobody else
        return base(data.conditions[used]).main
    made = np.zeros((len(used), len(data.ingredients)))
    for k in np.unique(fold):
        train, out = pairs[fold != k], fold[first] == k
        part = KernelBase.fit(
            data.conditioner, data.conditions, train[:, 0], data.media[train[:, 1]], groups,
            settings=base.settings, seed=seed,
        )  # fmt: skip
        made[out] = part(data.conditions[used[out]]).main
    return made


def _growth(data: Dataset, kernel: Kernel, rows: np.ndarray, seed: int) -> GrowthModel | None:
    """The odds of growth, of the records `rows`; None where none of them grew, or all did."""
    tried = data.records.iloc[rows]
    if tried.empty or tried["growth"].nunique() < 2:
        return None
    organism = tried["organism"].to_numpy()
    if len(tried) > MOST:  # whole organisms, in random order
        names, count = np.unique(organism, return_counts=True)
        order = np.random.default_rng(seed).permutation(len(names))
        kept = names[order][count[order].cumsum() <= MOST]
        tried = tried[np.isin(organism, kept)]
        organism = tried["organism"].to_numpy()
    used, row = np.unique(organism, return_inverse=True)
    media, column = np.unique(tried["medium_id"].astype(str), return_inverse=True)
    held = data.recipes.groupby("medium_id")["ingredient"].apply(lambda s: frozenset(map(plain, s))).to_dict()
    who = data.organisms.iloc[used]
    return GrowthModel(
        kernel=kernel,
        who=Who(
            who["genome_id"].astype(str).tolist(),
            who["genus"].fillna("").astype(str).tolist(),
            who["species"].fillna("").astype(str).tolist(),
            np.asarray(data.conditions[used], dtype=np.float64),
        ),
        media=tuple(media.tolist()),
        recipes={name: held.get(name, frozenset()) for name in media},
        organism=row,
        medium=column,
        grew=tried["growth"].to_numpy(bool),
    )
