"""For every way to call pytest, the notebooks' kernels included: a claim that does not hold is a failure."""

import os

os.environ.setdefault("CHECKS", "strict")
