"""What a fitted language model is asked, and how its answers are read."""
