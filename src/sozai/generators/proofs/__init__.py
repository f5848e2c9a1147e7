"""One proof per recipe: checks against exact results, and the mutations that must make them fail."""
