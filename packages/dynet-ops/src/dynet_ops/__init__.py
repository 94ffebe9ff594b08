"""The operations of DyNet, each with its gradient, reference and tests in one place."""
