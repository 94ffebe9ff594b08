"""`python -m dynet_kernels.tune` finds the tuning parameters with which kernels are fastest on this CPU and its GPU."""
