"""What is done to each text, and what it does: a file for each network."""
