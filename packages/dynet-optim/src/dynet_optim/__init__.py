"""Trainers (optimizers) of DyNet."""
