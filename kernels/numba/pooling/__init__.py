"""Pools: windows whose elements are combined."""
