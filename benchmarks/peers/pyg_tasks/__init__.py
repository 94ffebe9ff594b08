"""Tasks in PyTorch Geometric: `make` gives the same steps as the task's file in `tasks/`."""
