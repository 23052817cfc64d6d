"""Trained heads: the file they lie in, and how they score.

heads.py     Heads, HeadsError: a folder of safetensors beside a card
scoring.py   vectors and heads into scores by rule
shipped/     the heads of the packs that ship with the project
"""
