"""Kernel families: each file has the kernels of one kind, with the code that emits them for CPUs and GPUs.

A kernel's methods `on_cpu(instruction, lanes)` and `on_gpu(instruction)` emit TIR for the `count` columns of an
instruction. A vector register holds `lanes` float32s; if fewer elements are left, a mask selects the lanes to use
(None: all). An address is an index into `memory`, an array of float32. An address list has an address for each column.
The number of the list is its `role`: 2 v for the values of view v, 2 v + 1 for its gradients. A *fresh* instruction has
an uninitialized target, which its kernel overwrites instead of adding to it.
"""
