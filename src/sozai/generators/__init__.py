"""How it is made: generator families behind one interface."""
