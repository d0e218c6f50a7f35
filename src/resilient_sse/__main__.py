"""``python -m resilient_sse`` is the ``resilient-sse`` command."""

import sys

from resilient_sse.cli import main

sys.exit(main())
