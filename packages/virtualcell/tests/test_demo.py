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
    said = demo.run(tmp_path, options, config)
    for name in ("scores.png", "changes.png", "embedding.png", "explained.png"):
        assert (tmp_path / name).stat().st_size > 10_000
        assert name in said
    assert anndata.read_h5ad(tmp_path / "embedded.h5ad").obsm["X_virtualcell"].shape == (240, 8)
    scores = pd.read_csv(tmp_path / "scores.csv")
    best = scores.groupby("method")["pearson_delta"].mean()
    assert best["mean delta"] > best["mean of perturbations"]
    assert (tmp_path / "explained" / "pathways_by.csv").exists()
    assert "7 perturbations" in said
