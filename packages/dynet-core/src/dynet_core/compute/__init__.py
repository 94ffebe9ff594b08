"""Devices and their memory, tensors, the engine that runs the compiled passes, and the profiler."""
