"""Support for NVIDIA GPUs: CUDA C (`codegen`), its compilers, calls to the driver, and `machine`, which runs graphs."""
