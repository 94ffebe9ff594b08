"""Elementary functions such as exp and tanh, emitted as polynomials and bit operations on whole vectors.

They replace TVM's own versions of these functions, which would call the C library for each element.
"""
