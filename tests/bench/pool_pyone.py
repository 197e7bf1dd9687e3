"""What pyone's own parse of a pool costs, in pages as large as the operator's: `python pool_pyone.py ENDPOINT COUNT`."""

import json
import resource
import sys
from time import process_time

import pyone

PAGE = 1000


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main(endpoint, count):
    base, one, at, found = megabytes(), pyone.OneServer(endpoint, session="oneadmin:opennebula"), process_time(), []
    while len(found) < count:
        found += one.vmpool.infoextended(-2, len(found), -PAGE, -1).VM
    took = {"pool.pyone_cpu_seconds": process_time() - at, "pool.pyone_peak_above_base_megabytes": megabytes() - base}
    print(json.dumps(took))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
