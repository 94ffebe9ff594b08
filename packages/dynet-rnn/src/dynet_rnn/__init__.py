"""Recurrent networks of DyNet."""
