"""Step 4 of the runbook: sends card transactions to Kafka. All the work is in the module ccstream."""

from ccstream.cli import script

if __name__ == "__main__":
    script("produce")
