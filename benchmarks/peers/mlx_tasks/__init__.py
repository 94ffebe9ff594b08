"""Tasks in MLX, on the CPU: `make` gives the same steps as the task's file in `tasks/`.

A step is one function compiled by `mx.compile`, which is faster than the same function uncompiled in all rows. MLX
compiles once per combination of shapes, and fuses operations one by one on numbers into C++, for which it needs g++.
Lengths are rounded up to multiples of four, so that few shapes occur; `prepare` runs a step of each shape before
anything is timed. MLX has no loop that it compiles, so LSTMs are unrolled.

Written are small, xor, the tagger, the language model and the blind parser. The tagger with characters is left out
because its shapes are too many to unroll; the parser that reads its scores would call a compiled function for every
transition. The others have not been written in MLX.
"""

import mlx.core as mx

mx.set_default_device(mx.cpu)
