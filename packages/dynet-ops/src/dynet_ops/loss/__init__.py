"""Losses, distances and probabilities."""
