"""Measures a served model with AIPerf, whose flags are the arguments, and fails
where a latency is above its target."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request

endpoint, model = os.environ["ENDPOINT"], os.environ["MODEL"]
tolerance = float(os.environ["TOLERANCE"])


def served():
    try:
        with urllib.request.urlopen(endpoint + "/v1/models", timeout=10) as answer:
            return model in [m["id"] for m in json.load(answer)["data"]]
    except (OSError, ValueError, KeyError):
        return False


deadline = time.monotonic() + float(os.environ["WAIT_SECONDS"])
while not served():
    if time.monotonic() > deadline:
        sys.exit(f"{endpoint} does not serve {model}")
    time.sleep(2)

out = tempfile.mkdtemp()
command = ["aiperf", "profile", "--model", model, "--url", endpoint, "--artifact-dir", out, *sys.argv[1:]]
if status := subprocess.run(command).returncode:
    sys.exit(f"aiperf ended with status {status}")
with open(os.path.join(out, "profile_export_aiperf.json")) as file:
    measured = json.load(file)

faults = []
# AIPerf ends with status 0 where only some requests fail.
if failed := measured.get("error_request_count"):
    faults.append(f"{failed['avg']:.0f} requests failed")
for name, metric, variable in (
    ("time to first token", "time_to_first_token", "TTFT_MS"),
    ("inter-token latency", "inter_token_latency", "ITL_MS"),
    ("request latency", "request_latency", "E2E_MS"),
):
    if metric not in measured:
        if variable in os.environ:
            faults.append(f"{name} was not measured")
        continue
    mean, target = measured[metric]["avg"], os.environ.get(variable)
    line = f"{name}: {mean:.1f} ms" + (f", target {target} ms" if target else "")
    print(line)
    if target and mean > float(target) * (1 + tolerance):
        faults.append(line)
if faults:
    sys.exit("missed: " + "; ".join(faults))
