"""The whole path once, for real: train, export, serve, play in an engine. `python -m demo`."""
