"""`python -m dynet_kernels.tune` finds the tuning parameters with which kernels are fastest on this CPU and GPU.

`shapes.py` has the computations to time, `search.py` chooses parameters to try, and `timing.py` times kernels.
"""
