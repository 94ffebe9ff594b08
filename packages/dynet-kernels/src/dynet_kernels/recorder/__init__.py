"""The compiled recorder: machine code that CPython calls like C functions, and that appends operations to the graph.

A *recording function* is an op as a callable object, such as `dy.tanh`. Its table has a row for each kind of call that
it knows: a *key*, which is what the record depends on, mostly the Dims of the operands; the signature; the Dim of the
result; and a number called `limit`. Its *fast path*, which is compiled, handles calls with known keys. All other calls
go to its `slow`, a Python function. A graph's *version* changes when nodes are removed, so compiled code notices
expressions whose nodes were removed. A *word* is 64 bits. The *shared words* (`words.SHARED`) exist once per process.
"""
