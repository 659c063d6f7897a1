"""One example through every stage, and the exercises."""
