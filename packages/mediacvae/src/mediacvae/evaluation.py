"""How good a model is, beside the simplest methods."""

from __future__ import annotations

from mediacvae.metrics import reconstruction_metrics

__all__ = ["reconstruction_metrics"]
