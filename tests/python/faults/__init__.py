"""What goes wrong, done for real."""
