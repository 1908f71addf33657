"""Benchmarks: `make bench`. Every figure in docs/benchmarks.md is printed by one of these modules."""
