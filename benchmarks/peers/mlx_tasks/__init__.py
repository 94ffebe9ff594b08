"""Tasks in MLX, on the CPU: `make` gives the same steps as the task's file in `tasks/`.

Every step is one function compiled by `mx.compile`. That is up to 2.7 times as fast as the same function uncompiled,
and equally fast where products take most of the time. MLX traces the function once per combination of shapes, and fuses
elementwise operations into C++ code, which it compiles with g++ on first use. Lengths are rounded up to multiples of
four to keep the number of shapes low, and `prepare` runs a step of each shape before anything is timed. MLX has no
compiled loop, so LSTMs are unrolled.

The parser that reads its scores is left out, because it would call a compiled function for every transition. Tasks
without a file here have not been written in MLX.
"""

import mlx.core as mx

mx.set_default_device(mx.cpu)
