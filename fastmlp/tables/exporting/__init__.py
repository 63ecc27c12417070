"""Trained models with their preparation for other programs."""
