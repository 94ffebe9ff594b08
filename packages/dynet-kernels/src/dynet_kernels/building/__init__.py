"""Compiles kernels in separate processes, each with a temporary folder."""
