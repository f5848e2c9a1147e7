"""Finding what is wrong in a table: single values, several columns together, whole samples."""
