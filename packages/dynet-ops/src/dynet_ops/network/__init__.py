"""Cells and other parts of networks."""
