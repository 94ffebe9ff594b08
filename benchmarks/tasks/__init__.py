"""Tasks: `ROWS` lists (name, sentences per graph, options); `make` returns the steps, `examples` the minibatches."""
