"""The compiled recorder: machine code that CPython calls like C functions, and that appends operations to the graph.

The module `words` names the data that this code shares with Python, and `compiled` loads the code. The other modules
are plain functions (see `plain`), which run as Python only in tests. Terms:

- Each thread has one *graph*: a list of records and a buffer of input values.
- A *record* is one operation as integers: a signature (which says what to compute), operands, attributes. It adds one
  *node* to the graph, or several. See `layout`.
- An *expression* is the Python object for a node or a parameter. A *Dim* is a shape.
- A *recording function* is a callable object that Python code uses as an op, such as `dy.tanh`. It has a table with a
  row for each kind of call that it knows. The *key* of a row is what the record depends on, mostly the Dims of the
  operands. The rest of the row is the signature, the Dim of the result, and a number called `limit`.
- The *fast path* is the compiled code of a recording function. It handles calls with known keys. For all other calls it
  calls the function's `slow`, which is a Python function.
- *Inputs* are numbers from the program, which are kept as floats in the input buffer of the graph.
- The *version* of a graph is a number that changes when nodes are removed. An expression has the version that its graph
  had when it was made. So compiled code notices expressions whose nodes were removed.
- A *pass* computes the values (forward) or gradients (backward) of a graph.
- A *word* is 64 bits. All structures consist of words; the module `words` names them. The *shared words*
  (`words.SHARED`) exist once per process, and all threads use them.
"""
