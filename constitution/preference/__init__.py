"""AI feedback: answers compared two by two under the rules' choice principles, by a model, into soft labels.

Source: Bai et al. 2022, arXiv:2212.08073, section 4.
"""
