"""Batches of one sample: what replaces the general operations where every weight is used once a step."""
