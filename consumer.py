"""Step 3 of the runbook: reads the topic into PostgreSQL. All the work is in the module ccstream."""

from ccstream.cli import script

if __name__ == "__main__":
    script("consume")
