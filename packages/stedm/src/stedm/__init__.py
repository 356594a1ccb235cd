"""Tissue geometry from gene expression, by EDM diffusion of point sets. Does nothing yet."""
