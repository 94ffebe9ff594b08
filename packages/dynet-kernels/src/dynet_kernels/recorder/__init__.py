"""The compiled recorder: C functions, compiled from Python, that append records to the graph.

Each row of a recording function's table has a key, the signature to record, the Dim of the result, and a number called
`limit`, whose meaning depends on the function. Calls whose key is not in the table go to `slow`, a Python function.
"""
