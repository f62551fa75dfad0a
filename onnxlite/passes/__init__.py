"""Passes: pure functions from graph to graph, which run before a graph is bound."""
