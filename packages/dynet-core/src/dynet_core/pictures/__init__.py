"""A graph shown to users: as a drawing, its numbers, and its plan as text."""
