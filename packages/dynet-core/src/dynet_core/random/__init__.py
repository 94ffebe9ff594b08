"""Random numbers for initial values, random keys for dropout and noise, and the seed of both."""
