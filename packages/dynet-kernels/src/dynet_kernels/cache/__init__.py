"""Compiled code on disk: the user's cache, the files in a wheel, and the digest of source files in the keys of both."""
