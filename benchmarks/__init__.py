"""The benchmark harness: `python -m benchmarks WORKLOAD`.

Each repeat is a process of its own with a new store file on a real disk, so that repeats share neither memory nor
journal, and a figure is the median over the repeats. Durability is never turned off. Every workload warms
its node up first: start-up, imports and the first use of every code path are not what is measured.
"""
