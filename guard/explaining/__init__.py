"""Why the gate judges as it does: who looks for a rule, and what each stage made of a text.

looking.py     who looks for a rule in which part, from which score, and what that score rests on
explanation.py explain(): all of it about one text; seen.py what it is made of
patterns.py    which pattern a finding comes from, and which came nearest where none hit
windows.py     what the meaning detector read of a text, with its scores
nearest.py     the examples and neighbours of a rule that a text is nearest to
words.py       the words without which the score would be lowest
otherwise.py   what the verdict would be without this or that
advice.py      what would help where the verdict is not as it should be

Nothing here decides: every figure is asked of the gate's own detectors.
"""
