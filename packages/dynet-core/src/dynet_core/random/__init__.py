"""Random numbers: those of initial values, the keys of dropout and noise, and the seed of both."""
