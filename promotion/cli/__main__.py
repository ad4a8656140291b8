"""`python -m promotion.cli`, for where the script is not on PATH; nothing else."""

import sys

from promotion.cli import main

sys.exit(main())
