"""Finds the tuning parameters, such as tile sizes, with which kernels are fastest on this CPU, and on its GPU.

Run it by `python -m dynet_kernels.tune`. `shapes` has the computations that are timed, and `search` chooses the
parameters to try. `timing` compiles kernels with these parameters for the CPU and times them, `gpu_timing` for a GPU.
"""
