"""Scenes: tiles of terrain from a VQ-VAE and a masked prior."""
