"""Growth media for a microbe from its genome: what to try first, with what odds, and new recipes with reasons.

Legend, the same in every module: n media or pairs, m ingredients, d features of a condition, l features of the latent,
b media of a library, o organisms. Media are in g/L, GC in percent, genomes in bases.
"""

from __future__ import annotations

__version__ = "0.1.0"
