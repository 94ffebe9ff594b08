"""Kernel families: each file holds the kernels of one kind, with the code that emits them for CPUs and for GPUs.

Kernels add to their targets; where an instruction is *fresh*, the target is uninitialized and is overwritten. `lanes`
is how many float32s a vector register holds; where fewer elements are left, a mask selects the lanes. A `role` is the
number of an address list: 2 v for the values of view v, 2 v + 1 for its gradients.
"""
