"""The shortest way through each library's command line: data, a trained model, a prediction; seconds each.

Words are for a process, or `cytosol.cli.run`, whose current folder is where everything is to lie.
"""

from __future__ import annotations

from typing import NamedTuple

Words = tuple[str, ...]


class Flow(NamedTuple):
    """prepare: makes the data. train: takes `--out DIR` and keys. predict: takes a model and `--out FILE`."""

    prepare: tuple[Words, ...]
    train: Words
    keys: Words  # of `train`: few steps of a small network
    predict: Words  # {model} and {out} stand for what they are
    made: str  # name of the predicted file


FLOWS = {
    "o2diffusion": Flow(
        prepare=(
            ("simulate", "--out", "plate", "simulation.experiments=1", "simulation.drugs=1",
             "simulation.hours=120", "simulation.changes=2", "simulation.concentrations=3"),
        ),
        train=("train", "--data", "plate/data.csv", "--events", "plate/events.csv"),
        keys=("trainer.max_steps=4", "train.draw_steps=4", "trainer.val_every=2", "train.masks=1"),
        predict=("impute", "{model}", "--data", "plate/data.csv", "--events", "plate/events.csv",
                 "--draws", "4", "--out", "{out}"),
        made="filled.csv",
    ),
    "virtualcell": Flow(
        prepare=(("simulate", "--out", "world", "cells=40", "genes=40", "knockouts=2", "stimuli=1", "hours=[6]"),),
        train=("train", "--data", "world/cells.h5ad", "--task", "embedding"),
        keys=("trainer.max_steps=4", "trainer.batch_size=8", "genes=30"),
        predict=("embed", "{model}", "--data", "world/cells.h5ad", "--out", "{out}"),
        made="embedded.h5ad",
    ),
    "mediacvae": Flow(
        prepare=(
            ("simulate", "--out", "world", "genera=8", "media=30", "length=6000"),
            ("db", "init"),
            ("db", "import", "world"),
            ("db", "add-genomes", "world/genomes", "--table", "world/genomes.tsv"),
            ("embed", "--method", "kmer4"),
            ("build", "--method", "kmer4", "--out", "dataset"),
        ),
        train=("train", "--dataset", "dataset"),
        keys=("epochs=1", "draws=4"),
        predict=("rank", "{model}", "--genome", "world/genomes/SIMG_00001.1.fna.gz", "--out", "{out}"),
        made="ranks.csv",
    ),
    "stedm": Flow(
        prepare=(("simulate", "--out", "tissue.h5ad", "simulation.cells=100", "simulation.sections=3"),),
        train=("train", "--data", "tissue.h5ad"),
        keys=("trainer.max_steps=4", "networks.encoder_steps=4", "networks.refiner_steps=4",
              "networks.draws=1", "pairs.use=false"),
        predict=("reconstruct", "{model}", "--data", "tissue.h5ad", "--out", "{out}"),
        made="placed.h5ad",
    ),
}  # fmt: skip


def predict(name: str, model: str, out: str) -> list[str]:
    """The words that predict with a model."""
    return [word.format(model=model, out=out) for word in FLOWS[name].predict]


def train(name: str, out: str, *more: str) -> list[str]:
    """The words that train a model."""
    flow = FLOWS[name]
    return [*flow.train, "--out", out, "--device", "cpu", *more, *flow.keys]
