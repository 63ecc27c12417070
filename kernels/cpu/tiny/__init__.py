"""Tiny networks, whose layers would leave most lanes of a vector idle."""
