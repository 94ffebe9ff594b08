"""Tasks: `ROWS` lists (name, sentences per graph, options); `make` gives its steps, `examples` the minibatches."""
