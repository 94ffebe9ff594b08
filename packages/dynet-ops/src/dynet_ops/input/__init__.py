"""Values from outside the graph."""
