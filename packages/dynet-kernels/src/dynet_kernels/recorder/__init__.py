"""The compiled recorder: machine code that CPython calls like C functions, and that appends operations to the graph.

A *recording function* is an op as a callable object, such as `dy.tanh`. Its table has one row per kind of call. A row
has a *key*, which is what the record depends on (mostly the Dims of the operands), the signature, the Dim of the
result, and a number called `limit`. The compiled *fast path* handles calls whose key is in the table. All other calls
go to `slow`, a Python function. A *word* is 64 bits. The *shared words* (`words.SHARED`) exist once per process.
"""
