"""Ops that rearrange values, or pass them on."""
