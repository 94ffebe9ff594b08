"""Tasks in JAX: `make` gives the same steps as the task's file in `tasks/`.

Every step is one compiled function. Lengths are rounded up to multiples of four, so that few shapes occur; `prepare`
compiles all of them before anything is timed.

Left out are the TreeLSTM and the parser that reads its scores: a compiled function has fixed shapes, so trees would
have to be padded in the number of levels and in the width of each, most of which would be padding, and a parse that
waits for its scores would call a compiled function for every transition. Nobody would choose JAX for either. Lattices
and graphs are left out for the same reason as trees. The CRF, the biaffine parser, the translator, the beam search and
the transformer have not been written in JAX.
"""
