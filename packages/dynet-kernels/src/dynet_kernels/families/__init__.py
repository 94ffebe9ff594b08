"""Kernel families: each file holds the kernels of one kind, with the code that emits them for CPUs and for GPUs.

These terms are used in all of the files:

- Column: one unit of work, such as one batch element, one column of a matrix, or one of many batched graph nodes. An
  instruction applies a kernel to `count` columns. The kernel's parameters are integers that all of them share.
- Address: an index into `memory`, one array of float32 that holds all values, gradients and parameters.
- Address list: one address for each column of an instruction, where an operand or result of the column begins. These
  are numbered: list 2 v holds the addresses of value number v, and list 2 v + 1 those of its gradient. The number of a
  list is called its role.
- Emitter: the method `cpu(lanes)` or `cuda()` of a kernel, which returns its code as a TIR function. `lanes` is how
  many float32s a vector register holds. A mask selects the lanes that are used, where fewer are left than fit.
- Fresh: said of an instruction whose target is uninitialised. Its kernel overwrites the target instead of adding to it.
- Threads of a CPU share an instruction by columns, or by rows, which are ranges of the elements of the result.
"""
