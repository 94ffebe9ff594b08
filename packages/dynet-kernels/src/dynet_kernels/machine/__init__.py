"""The tape machine: modules of compiled functions, the planner's among them, and the threads that share a tape."""
