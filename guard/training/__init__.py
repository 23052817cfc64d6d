"""Teaching the gate: rows in, trained heads out.

settings.py       Training: what to teach with, and how; recipe.py which source counts how much
rows.py           Row, and labelled files into rows; bank.py the twin bank that ships with the project
gathering.py      the rows of all sources; pool.py without repeats and what lies near a check prompt, and split
tune.py           encoder deltas and heads by gradient descent; fit.py heads alone on a frozen encoder
calibrate.py      scores into probabilities, thresholds with a promise
probabilities.py  that for the rows of a side; thresholds.py for the whole gate
clearing.py       the static tier's heads
card.py           what the folder of heads says of itself
train.py          all of it in order; onto.py for further rules, packs.py for the packs that ship
evaluate.py       the figures, metrics.py their definitions, plots.py their pictures
"""
