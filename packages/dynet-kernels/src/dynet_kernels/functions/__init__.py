"""Elementary functions of expressions, as polynomials of vectors: TVM would call those of the C library, one by one."""
