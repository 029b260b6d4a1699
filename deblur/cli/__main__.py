"""`python -m deblur.cli`."""

import sys

from deblur.cli import main

sys.exit(main())
