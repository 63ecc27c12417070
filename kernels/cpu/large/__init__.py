"""Layers whose weights are larger than a cache."""
