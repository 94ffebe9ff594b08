"""Finds the parameters with which kernels are fastest on this CPU: `python -m dynet_kernels.tune`.

`shapes` holds what is timed, `timing` compiles and times candidates, `search` chooses them.
"""
