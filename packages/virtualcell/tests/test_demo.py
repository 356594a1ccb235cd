"""The demo from end to end, small: its files, and what it says of them."""

from __future__ import annotations

from dataclasses import replace

import anndata
import pandas as pd

from virtualcell import demo


def test_the_demo_shows_what_it_says(tmp_path):
    options = replace(demo.WORLD, cells=240, genes=40, regulators=5, targets=4, pathways=4)
    network = replace(demo.CONFIG.network, d_model=16, nhead=2, d_hid=16, output_dim=8)
    config = replace(
        demo.CONFIG,
        genes=30,
        network=network,
        trainer=replace(demo.CONFIG.trainer, max_steps=3, device="cpu"),
    )
    response = replace(
        demo.RESPONSE,
        trees=replace(demo.RESPONSE.trees, trees=10),
        network=replace(demo.RESPONSE.network, members=1, d_model=16, nhead=2, d_hid=16, nlayers=1),
        trainer=replace(demo.RESPONSE.trainer, max_steps=2),
    )
    story = demo.run(tmp_path, options, config, response)
    assert [picture.path.stem for picture in story.pictures] == [
        "scores",
        "changes",
        "embedding",
        "explained",
    ]
    for name in ("scores.png", "changes.png", "embedding.png", "explained.png"):
        assert (tmp_path / name).stat().st_size > 10_000
    assert anndata.read_h5ad(tmp_path / "embedded.h5ad").obsm["X_virtualcell"].shape == (240, 8)
    scores = pd.read_csv(tmp_path / "scores.csv")
    best = scores.groupby("method")["pearson_delta"].mean()
    assert best["mean delta"] > best["mean of perturbations"]
    assert best["virtualcell"] > best["no change"]
    assert len(list((tmp_path / "predicted").iterdir())) == 7
    assert (tmp_path / "explained" / "pathways_by.csv").exists()
    assert "7 perturbations" in story.setting
    told = {row[0]: row[1] for row in story.tables[0].rows}
    assert told == {name: f"{best[name.partition(' (')[0]]:.3f}" for name in told}
    assert {"virtualcell", "no change", "mean delta", "additive (1 of them)"} <= told.keys()
    assert f"{best['virtualcell']:.2f} (mean of 7 perturbations)" in story.answer
    assert [row[0] for row in story.tables[1].rows] == ["cell type", "perturbation"]
    assert all(0 <= float(x) <= 1 for row in story.tables[1].rows for x in row[1:])
    assert "by chance 1.00 of 40 genes" in story.tables[0].note
    gates = pd.read_csv(tmp_path / "explained" / "parts.csv")["gate"]
    assert f"no gate is open by more than {gates.max():.2g}" in story.pictures[-1].caption
