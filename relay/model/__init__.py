"""The nouns of the relay: frozen values and the ports between rooms. No I/O, no clock, no randomness of its own."""
