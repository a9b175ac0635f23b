"""Conversion by libraries, in a process of its own: the rest of the server runs without them.

Only `job` may be imported where numpy, soundfile, soxr and lameenc are missing.
"""
