"""The loop closed: rules -> probes -> rows -> taught and calibrated gate -> guard, step by step, each only where its
inputs changed."""
