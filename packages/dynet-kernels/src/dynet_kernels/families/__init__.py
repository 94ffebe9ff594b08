"""Kernel families: how to loop over columns, matrices and strides, on each kind of target."""
