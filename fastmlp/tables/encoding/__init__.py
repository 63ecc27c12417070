"""Columns to arrays of numbers and codes, learned from training rows, repeated on later ones."""
