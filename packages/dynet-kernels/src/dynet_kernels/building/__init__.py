"""Processes that compile, and the folders in which they do."""
