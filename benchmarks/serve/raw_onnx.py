"""JSON parsing, coding and ONNX Runtime in a loop, without HTTP and without validation: the floor of a batch.

Usage: python raw_onnx.py BODIES SECONDS, with one batch body a line; prints {"rows_per_second": ..., "p95_ms": ...}.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
import orjson

from app import bundle
from benchmarks.customers import encode


def main(bodies: Path, seconds: float) -> None:
    batches = bodies.read_bytes().splitlines()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(Path(os.environ["BENCH_ONNX"]).read_bytes(), options)
    took: list[float] = []
    rows = 0
    until = time.perf_counter() + seconds
    for body in itertools.cycle(batches):
        start = time.perf_counter()
        customers = orjson.loads(body)["customers"]
        output = session.run([bundle.OUTPUT_NAME], {bundle.INPUT_NAME: encode(customers)})[0]
        orjson.dumps(output[:, 1].tolist())
        took.append(time.perf_counter() - start)
        rows += len(customers)
        if time.perf_counter() > until:
            break
    sys.stdout.write(json.dumps({"rows_per_second": rows / sum(took), "p95_ms": float(np.percentile(took, 95)) * 1000}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
