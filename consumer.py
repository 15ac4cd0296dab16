"""Reads the topic into PostgreSQL (step 3 of the runbook). The implementation is in the module ccstream."""

from ccstream.cli import script

if __name__ == "__main__":
    script("consume")
