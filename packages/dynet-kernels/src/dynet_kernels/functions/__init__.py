"""Elementary functions of vectors, as polynomials: TVM would call the C library for each element."""
