"""`python -m jaxrl.cli` is the command `jaxrl`."""

import sys

from jaxrl_command import main

sys.exit(main())
