"""Side-by-side timings of what this package does, what users write, and what the machine can do."""
