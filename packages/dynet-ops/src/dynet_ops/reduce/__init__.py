"""Ops that make one number of many."""
