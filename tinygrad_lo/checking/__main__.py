"""python -m tinygrad_lo.checking my_file.py::svm_loss checks a function from the shell."""

import sys

from tinygrad_lo.checking.command import main

if __name__ == "__main__":
    sys.exit(main())
