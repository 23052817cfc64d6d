"""What a dialogue model is measured by: criteria of the field, each with its definition, interval and items."""
