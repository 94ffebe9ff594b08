"""Tasks: `ROWS` lists (name, sentences per graph, options); `make` gives a training step as a callable."""
