"""Elementary functions such as exp and tanh, emitted as polynomials and bit operations on whole vectors.

TVM's own versions of these functions would call the C library for each element.
"""
