"""Entry point: `credstore`, or `python -m credstore_pipeline.cli`."""

from credstore_pipeline.cli.app import app


def main() -> None:
    """Run the command that the command line names."""
    app()


if __name__ == "__main__":
    main()
