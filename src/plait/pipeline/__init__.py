"""The stages of a fit, and the run folder they write."""
