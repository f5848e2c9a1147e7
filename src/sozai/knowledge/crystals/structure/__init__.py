"""What a crystal structure shall be: space group, sites, polyhedra and how they share."""
