"""Chaos: a cluster of real nodes under load, whose parts are killed, stopped and cut at random. See `__main__`."""
