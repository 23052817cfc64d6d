"""What the detectors that ask a model share: prompts, fences, the reading of answers, and bounds on what is asked."""
