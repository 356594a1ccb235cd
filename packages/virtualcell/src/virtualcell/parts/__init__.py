"""Seven pieces of biology, each a `Part`: what it claims, what it reads, and what it tells."""

from virtualcell.parts.hierarchy import Hierarchy
from virtualcell.parts.memory import Memory
from virtualcell.parts.regulation import Regulation
from virtualcell.parts.resources import Resources
from virtualcell.parts.scales import Scales
from virtualcell.parts.stochastic import Stochastic
from virtualcell.parts.temporal import Temporal

__all__ = ["Hierarchy", "Memory", "Regulation", "Resources", "Scales", "Stochastic", "Temporal"]
