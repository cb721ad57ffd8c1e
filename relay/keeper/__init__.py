"""The duties off the hot path, one file each, and the process that runs them."""
