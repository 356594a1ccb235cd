"""One's own recipes and what grew on them: media to try for an organism of which the lineage is known.

`media.csv`: medium_id, name, ingredient, amount, unit, ph. `growth.csv`: strain, organism, lineage, medium_id, growth.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import mediacvae
from mediacvae.db.own_media import import_recipes

FAMILIES = {
    "Bacillaceae": {"Peptone": "5 g/L", "Yeast extract": "0.3 % w/v", "NaCl": "5 g/L"},
    "Halobacteriaceae": {"NaCl": "4 M", "Yeast extract": "5 g/L", "MgSO4": "80 mM"},
    "Lactobacillaceae": {
        "Glucose": "20 g/L",
        "Peptone": "10 g/L",
        "Yeast extract": "5 g/L",
        "MnSO4": "50 mg/L",
    },
}
DOMAIN = {"Halobacteriaceae": "Archaea"}


def make(folder: Path) -> None:
    """Files of this form: three media a family, ten strains each, which grow on media of their family."""
    rng = np.random.default_rng(0)
    recipes, grew = [], []
    for family, base in FAMILIES.items():
        for i in range(3):
            for name, text in {**base, **({"Agar": "15 g/L"} if i == 2 else {})}.items():
                amount, unit = text.split(" ", 1)
                recipes.append(
                    (f"{family[:4]}{i}", f"{family} {i}", name, float(amount) * (1 + i / 4), unit, 7.0)
                )
        for strain in range(10):
            lineage = f"{DOMAIN.get(family, 'Bacteria')};{family};Genus{family[:4].lower()}{strain}"
            for other in FAMILIES:
                medium, yes = f"{other[:4]}{rng.integers(3)}", other == family
                grew.append((f"{family[:4]}.{strain}", lineage, medium, "yes" if yes else "no"))
    columns = ["medium_id", "name", "ingredient", "amount", "unit", "ph"]
    pd.DataFrame(recipes, columns=columns).to_csv(folder / "media.csv", index=False)
    pd.DataFrame(grew, columns=["strain", "lineage", "medium_id", "growth"]).to_csv(
        folder / "growth.csv", index=False
    )


def main(folder: Path) -> None:
    """Into a database, a dataset, a model; then ask."""
    url = f"sqlite:///{folder / 'own.db'}"
    growth = pd.read_csv(folder / "growth.csv", dtype=str, keep_default_na=False)
    for strain, lineage in growth.groupby("strain")["lineage"].first().items():
        domain, _, genus = lineage.split(";")
        words = {
            "organism_type": "archaea" if domain == "Archaea" else "bacteria",
            "lineage": lineage,
            "url": url,
        }
        mediacvae.store_genome_metadata(str(strain), f"{genus} sp.", genus=genus, **words)
    import_recipes(folder / "media.csv", url)
    for row in growth.itertuples():
        mediacvae.store_genome_growth_observation(
            row.strain, row.medium_id, growth=row.growth == "yes", url=url
        )

    words = {
        "condition": ["lineage"],
        "test_size": 0.0,
        "val_size": 0.0,
        "url": url,
        "out": folder / "dataset",
    }
    data = mediacvae.build_genome_media_dataset(None, **words)["dataset"]
    model, _ = mediacvae.fit(data, mediacvae.TrainConfig(epochs=3, draws=8, share=0.2))
    organism = mediacvae.Organism("mine", lineage="Archaea;Halobacteriaceae;Newgenus")
    print(model.rank(model.condition(organism), 3).to_string(index=False))
    for medium in ("Halo0", "Lact0"):
        odds = model.predict_growth(organism, [medium])
        print(f"grows on {medium}: {float(odds['probability'].iloc[0]):.2f}")


if __name__ == "__main__":
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as made:
        if given is None:
            make(Path(made))
        main(given or Path(made))
