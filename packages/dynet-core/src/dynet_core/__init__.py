"""Dynamic computation graphs, parameters and execution of DyNet."""
