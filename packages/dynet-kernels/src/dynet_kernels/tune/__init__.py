"""`python -m dynet_kernels.tune` finds the tuning parameters with which kernels are fastest on this CPU and its GPU.

`shapes` has the computations to time, `search` chooses parameters to try, and `timing` compiles and times kernels.
"""
