"""Growth media generated for a genome."""
