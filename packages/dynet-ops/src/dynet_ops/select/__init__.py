"""Ops that choose some of the values."""
