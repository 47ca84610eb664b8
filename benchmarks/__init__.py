"""What is promised about speed, measured in turn with the peers."""
