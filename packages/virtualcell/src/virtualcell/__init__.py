"""Transformer cell models: twelve enhanced models, nine loaders. Does nothing yet."""
