"""Compiled code on disk: the user's cache, what a wheel ships, and the sources on which their keys depend."""
