"""TensorFlow's settings that are no flags. Import it before TensorFlow reads them.

A variable that the user has set already keeps its value.
"""

import os
import time

BEGAN = time.perf_counter()  # when the process did, about: scripts import this first

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # fatal messages alone
# Without this TensorFlow takes oneDNN's kernels on some Intel processors only. On AMD
# they nearly halve the time of a step.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# Otherwise the first process takes all of a GPU's memory, and --jobs=2 of the benchmark
# fails.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
