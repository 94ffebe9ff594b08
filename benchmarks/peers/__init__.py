"""The tasks in torch, JAX and MLX, written idiomatically and for speed on one CPU core.

Models, data and training steps are those of `tasks/`: the same parameters (weights that are multiplied by the same
vectors are joined into one matrix), minibatches and losses, and Adam on dense parameters and on the lookup rows that a
minibatch uses. Each library is free in how it batches a minibatch. DyNet's gradient clipping is left out.
"""
