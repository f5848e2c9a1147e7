"""What is made: each module reads and writes the community's own objects and files."""
