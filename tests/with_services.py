"""Runs a command while an embedded broker and PostgreSQL are running: ``with_services.py cargo test``."""

import os
import subprocess
import sys

from services import embedded_services

if __name__ == "__main__":
    with embedded_services() as variables:
        environment = {
            **os.environ,
            "CCSTREAM_TEST_DATABASE_URL": variables["DATABASE_URL"],
            "CCSTREAM_TEST_BROKER": variables["KAFKA_BOOTSTRAP_SERVERS"],
        }
        status = subprocess.run(sys.argv[1:], env=environment, check=False).returncode
    sys.exit(status)
