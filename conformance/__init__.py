"""Runs the onnx backend suite and differential tests on any provider or engine, and keeps the scoreboard."""
