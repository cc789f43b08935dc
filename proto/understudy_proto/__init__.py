"""The protocol `understudy.v1`: the .proto files, and the code generated from them by `proto/generate.py`."""
