import sys

from geolab.modelserver.server import GRACE_S, main

main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else GRACE_S)
