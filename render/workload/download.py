"""Downloads a model into its claim. Files that are complete are kept, so that running
it again costs little."""

import os
import sys

from huggingface_hub import snapshot_download

want = os.environ["MODEL_PATH"]
got = snapshot_download(
    os.environ["MODEL"],
    revision=os.environ.get("REVISION"),
    cache_dir=os.environ.get("CACHE_DIR"),
    local_dir=os.environ.get("LOCAL_DIR"),
)
if os.path.realpath(got) != os.path.realpath(want):
    # A branch, a tag or a short hash: engines look below the hash of the commit.
    sys.exit(f"the model is in {got}, engines look in {want}; write the whole commit hash in spec.modelCache.pvcModelPath")
print(f"{want} is complete")
