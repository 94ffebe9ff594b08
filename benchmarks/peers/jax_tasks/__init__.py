"""Tasks in JAX: `make` gives the same steps as the task's file in `tasks/`.

Every step is one compiled function. Lengths are rounded up to multiples of four to keep the number of shapes low;
`prepare` compiles for all of them before anything is timed.

The TreeLSTM and the parser that reads its scores are left out. A compiled function has fixed shapes, so trees would
have to be padded in the number of levels and in the width of each level, and most of the result would be padding. A
parser that waits for its scores would call a compiled function for every transition. Nobody would choose JAX for
either. Lattices and graphs are left out for the same reason as trees. The CRF, the biaffine parser, the translator, the
beam search and the transformer have not been written in JAX.
"""
