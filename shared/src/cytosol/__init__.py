"""The small core that four libraries of cell biology share."""
