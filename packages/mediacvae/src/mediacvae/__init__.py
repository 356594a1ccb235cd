"""Growth media generated for a genome. Does nothing yet."""
