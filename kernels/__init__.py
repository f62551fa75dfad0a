"""What each operator computes: plain functions over arrays that know nothing of graphs, sessions or providers."""
