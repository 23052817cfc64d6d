"""What the server tells of itself: metrics, log and traces. No text of a client or a model is in any of them."""
