"""Kernel families: each file holds the kernels of one kind, with the code that emits them for CPUs and for GPUs.

A kernel's methods `on_cpu(instruction, lanes)` and `on_gpu(instruction)` emit in TIR what it does for the `count`
columns of an instruction. `lanes` is how many float32s a vector register holds; if fewer elements are left, a mask
selects the lanes to use (None: all). An address is an index into `memory`, an array of float32. An address list has one
for each column; its number is its `role`: 2 v for the values of view v, 2 v + 1 for its gradients. A *fresh*
instruction has an uninitialized target, which its kernel overwrites instead of adding to it.
"""
