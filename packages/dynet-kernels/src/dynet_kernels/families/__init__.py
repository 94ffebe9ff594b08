"""Kernel families: each file holds the kernels of one kind, with the code that emits them for CPUs and for GPUs.

A *fresh* instruction has an uninitialized target, which is overwritten, not added to. `lanes` is how many float32s a
vector register holds. A `role` is the number of an address list: 2 v for the values of view v, 2 v + 1 for gradients.
"""
