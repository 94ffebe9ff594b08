"""Support for NVIDIA GPUs.

`codegen` turns kernels into CUDA C, `compiler` compiles it, `driver` calls the CUDA driver, and `machine` runs graphs.
"""
