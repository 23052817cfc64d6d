"""Probes: prompts meant to draw out a broken rule, harmless ones that look like them, and trials of a live model."""
