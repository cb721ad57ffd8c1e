"""Agencies: load and validate a directory file, resolve a code at a date, watch, search, write."""
