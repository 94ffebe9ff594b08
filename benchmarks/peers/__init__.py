"""The tasks in torch, JAX and MLX, as one who knows these libraries writes them for speed on one core of a CPU.

Models, data and training steps are those of `tasks/`: the same parameters (where weights are multiplied by the same
vectors, they are one matrix), minibatches and losses, Adam on dense parameters and on the rows of lookups that a
minibatch uses. What is free to choose is how a minibatch is batched. DyNet's clipping of gradients is left out.
"""
