"""Conversion by numpy, soundfile, soxr and lameenc, in a separate process.

The rest of the server runs without these libraries.
"""
