"""What the course's numbers and speeds are held to; each module is a command, ``python -m benchmarks.NAME``."""
