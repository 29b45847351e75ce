"""The command line; `plait.cli.main.main` runs it."""
