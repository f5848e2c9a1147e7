"""Language models of any provider behind one small protocol."""
