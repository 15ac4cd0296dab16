"""``python -m ccstream``: the same as the command ``ccstream``."""

from ccstream.cli import main

if __name__ == "__main__":
    main()
