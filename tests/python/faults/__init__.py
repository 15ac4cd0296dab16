"""Contains tests that cause real faults."""
