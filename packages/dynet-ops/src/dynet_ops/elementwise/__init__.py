"""Ops that work on each element."""
