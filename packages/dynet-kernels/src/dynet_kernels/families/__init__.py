"""Kernel families. A file has the kernels of one family: what they compute, and their emitters for CPUs and GPUs."""
