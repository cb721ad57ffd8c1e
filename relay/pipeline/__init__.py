"""The hot path: accept, verify, route, deliver, report, settle — one file each, in that order, and the worker."""
