"""Diffusion of oxygen curves: 1-4 replicates, media changes, drugs."""
