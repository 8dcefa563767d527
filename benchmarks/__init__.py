"""What `make bench` measures. Nothing of the book needs it."""


class BenchmarkError(RuntimeError):
    """Something that is measured did not run to its end."""
