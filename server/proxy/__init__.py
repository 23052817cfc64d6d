"""The way of a request through the server: who asks, what may go in, what may come out, and what is kept of it."""
