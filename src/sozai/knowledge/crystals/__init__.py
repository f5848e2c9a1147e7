"""What must be true of a crystal: rules, wishes and element data."""
