"""`python -m geolab` is the command `geolab`."""

from geolab.cli import main

raise SystemExit(main())
