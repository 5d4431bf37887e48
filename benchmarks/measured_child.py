"""Run the command line, then say how much memory it took: kilobytes, on stdout."""

import resource
import sys

from estimator.operations.commands.main import main

if __name__ == "__main__":
    try:
        main()
    finally:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sys.stdout.write(f"{used}\n")
