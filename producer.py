"""Sends card transactions to Kafka (step 4 of the runbook). The implementation is in the module ccstream."""

from ccstream.cli import script

if __name__ == "__main__":
    script("produce")
