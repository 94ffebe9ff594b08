"""Kernel families: each file holds the kernels of one kind, with the code that emits them for CPUs and for GPUs.

These terms are used in all of the files:

- Instruction: one call of a kernel, which works on `count` columns. Its parameters are a few integers, such as the size
  of a column, that hold for all of them.
- Column: one unit of work, such as one batch element, one column of a matrix, or one of many batched graph nodes.
- Address: an index into `memory`, one array of float32 that holds all values, gradients and parameters.
- Address list: for one operand or result of the kernel, the address at which it begins, once for each column. The lists
  of an instruction are numbered: list 2 v is for the values of operand (or result) v, and list 2 v + 1 for its
  gradients. The number of a list is called its role.
- Emitter: the method `on_cpu(instruction, lanes)` or `on_gpu(instruction)` of a kernel, which emits in TIR, TVM's
  intermediate code, what the kernel does. `lanes` is how many float32s a vector register holds. If fewer elements are
  left than lanes, a mask selects the lanes to use.
- Fresh: said of an instruction whose target is uninitialised. Its kernel overwrites the target instead of adding to it.
- Sharing: CPU threads share an instruction by columns, so that each thread works on some of them, or by rows. Then each
  thread computes a part of the result of every column.
"""
