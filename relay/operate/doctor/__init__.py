"""The doctor: first every fact is gathered, each source for itself and with a limit of time; then each is judged.

``facts`` are the nouns of what was seen, ``look_*`` see it (the only I/O, and all of it reading), the files named after
an area judge it, ``run`` does the one after the other. What could not be seen is said, never taken for healthy.
"""
