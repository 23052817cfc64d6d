"""Trained heads: the folder they lie in, and how they score.

heads.py     Heads: those of some rules; the shipped ones
sides.py     Side, Clear: the numbers for what is asked, and for what is answered
teaching.py  digests of what a rule was taught by
folder.py    HeadsError; safetensors beside a card
scoring.py   vectors and heads into scores by rule
shipped/     the heads of the packs that ship with the project
"""
