"""Tasks in torch: `make` gives the same steps as the task's file in `tasks/`."""
