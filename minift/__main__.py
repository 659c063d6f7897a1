"""`python -m minift` is the command line."""

import sys

from minift.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
