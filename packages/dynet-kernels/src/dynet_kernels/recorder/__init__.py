"""The compiled recorder: machine code that CPython calls like C functions, and that appends operations to the graph.

A *recording function* is an op as a callable object, with a table of the calls that its *fast path* handles; `slow`, a
Python function, does the rest. A graph's *version* changes when nodes are removed, so that compiled code notices
expressions that outlived theirs. The *shared words* (`words.SHARED`) exist once per process. `compiled` loads the code;
other modules but `words` are plain functions.
"""
