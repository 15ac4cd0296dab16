"""Runs the command ``ccstream`` when it is started as ``python -m ccstream``."""

from ccstream.cli import main

if __name__ == "__main__":
    main()
