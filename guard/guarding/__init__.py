"""What happens round one request to a model: the prompt let in or not, the answer checked, mended or replaced."""
