"""Products and other ops of matrices."""
