"""`python -m plait` is the command `plait`."""

from plait.cli.main import entry

if __name__ == "__main__":
    entry()
