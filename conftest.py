"""For every way to call pytest, the notebooks' kernels included: a claim that does not hold is a failure, and no
progress bar, which shows itself on a slow machine only, comes into an output that is compared."""

import os

os.environ.setdefault("CHECKS", "strict")
os.environ.setdefault("TQDM_DISABLE", "1")
