"""`python -m bench scale`: what one driver sustains, a thousand simulated slots, and what bounds a million runs."""
