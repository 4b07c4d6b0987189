"""The command line: parses, calls, shows progress, prints."""


def main() -> None:
    """Run the command line."""
