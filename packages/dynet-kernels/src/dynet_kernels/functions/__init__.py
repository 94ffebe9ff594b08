"""Elementary functions such as exp and tanh, on whole vectors. TVM's own ones call the C library for each element."""
