"""Support for NVIDIA GPUs.

`codegen` emits CUDA C from kernels, `compiler` compiles it, `driver` calls the CUDA driver, and `machine` plans graphs
and runs them. `precision` has the setting for TF32.
"""
