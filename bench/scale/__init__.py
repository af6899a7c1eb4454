"""What one driver sustains, how it feeds a thousand slots, and what bounds a million runs."""
