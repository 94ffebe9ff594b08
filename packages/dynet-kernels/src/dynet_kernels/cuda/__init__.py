"""NVIDIA GPUs: the driver, CUDA C from the kernels, its compilation, and the machine that launches it."""
