"""What computes, and where: devices and memory on them, tensors, the engine that runs the compiled passes, profiles."""
