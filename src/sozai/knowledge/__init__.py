"""What must be true: rules as data, each with a verdict."""
