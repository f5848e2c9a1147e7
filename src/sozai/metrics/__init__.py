"""Numbers on two sets of rows: how near they are, and how much one tells of the other. Knows tables only."""
