"""Teaching the gate: rows in, trained heads out.

rows.py       Row, and labelled files into rows
bank.py       the twin bank that ships with the project
recipe.py     which source counts how much, and which of its categories mean which rules
pool.py       rows of all sources together: without repeats, without what lies near a check prompt, and split
tune.py       encoder deltas and heads by gradient descent; fit.py heads alone on a frozen encoder
static.py     the static tier's heads
calibrate.py  scores into probabilities, thresholds with a promise
evaluate.py   the figures, metrics.py their definitions, plots.py their pictures
train.py      all of it in order
"""
