"""`python -m bontea`."""

import sys

from bontea.cli import main

if __name__ == "__main__":
    sys.exit(main())
