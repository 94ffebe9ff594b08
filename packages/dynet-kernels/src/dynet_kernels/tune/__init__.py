"""`python -m dynet_kernels.tune` finds the tuning parameters with which kernels are fastest on this CPU and its GPU.

`shapes` has the computations that are timed. `search` chooses the parameters to try. `timing` compiles
kernels with them and times them.
"""
