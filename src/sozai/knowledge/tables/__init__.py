"""What must be true of a row, of several rows and of a whole table: rules as data."""
