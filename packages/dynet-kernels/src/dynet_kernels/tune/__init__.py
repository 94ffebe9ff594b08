"""Finds the tuning parameters, such as tile sizes, with which kernels are fastest on this CPU.

Run it by `python -m dynet_kernels.tune`. `shapes` has the computations that are timed, `search` chooses the parameters
to try, and `timing` compiles kernels with these parameters and times the kernels.
"""
