"""One HTML file a person can read, with no network."""
