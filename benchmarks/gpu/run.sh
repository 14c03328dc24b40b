#!/bin/sh
# All that is to be done with a GPU, in one call of less than ten minutes: tests/gpu, learning seen on unseen clips, then the benchmark.
# From the root of the repository: `sh benchmarks/gpu/run.sh [FOLDER]`; what is to be kept is written into that folder ($OUT, else
# gpu-results). `make -C benchmarks gpu-wheels` fetches beforehand what the machine may lack; it has torch and pytest.
set -u
cd "$(dirname "$0")/../.."
out=${1:-${OUT:-gpu-results}}
mkdir -p "$out"
python=${PYTHON:-python3}
if ls .whl/*.whl >/dev/null 2>&1; then
  "$python" -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --upgrade --target /tmp/deepsport-site .whl/*.whl || exit 1
  export PYTHONPATH="/tmp/deepsport-site${PYTHONPATH:+:$PYTHONPATH}"
fi
export PYTHONPATH="src:tests${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false
export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True PYTORCH_ALLOC_CONF=expandable_segments:True
"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "skipped: no CUDA device here"; exit 0; }
began=$(date +%s)
if "$python" -c 'import pytest' 2>/dev/null; then
  timeout 170 "$python" -m pytest -q -p no:cacheprovider --override-ini addopts= --rootdir . --confcutdir tests/gpu tests/gpu \
    "tests/e2e/test_learning.py::test_after_a_minute_of_perception_a_fresh_nano_names_the_sport_of_unseen_clips" >"$out/tests.txt" 2>&1
  tested=$?
  [ $tested = 124 ] && echo "stopped: the tests took more than 170 s" >>"$out/tests.txt"
  tail -n 15 "$out/tests.txt"
else
  echo "skipped: tests/gpu (no pytest here; pip install pytest)" | tee "$out/tests.txt"
  tested=0
fi
spent=$(($(date +%s) - began))
"$python" benchmarks/gpu --seconds $((575 - spent - 20)) --out "$out/gpu.json" 2>"$out/errors.txt"
measured=$?
tail -n 40 "$out/errors.txt"
[ $tested = 0 ] && [ $measured = 0 ]
