"""Holds match_at_once against AIConfigurator's own loop, in a whole sweep.

Prints how many matches were compared; ends with an error at the first that differs.
"""

import contextlib
import functools
import os
import sys

sys.path.insert(0, sys.argv[1])
with contextlib.redirect_stdout(sys.stderr):
    import worker
    from aiconfigurator.sdk import sweep

    find, loop, compared = sweep._find_best_disagg_under_constraint, None, 0

    @functools.wraps(find)
    def inner(**kw):
        """Gets the match that replaces the loop."""

        def both(**pair):
            global compared
            compared += 1
            got, want = kw["match_workers"](**pair), loop(**pair)
            if got != want:
                sys.exit(f"{pair}: {got}, and AIConfigurator says {want}")
            return got

        return find(**{**kw, "match_workers": both})

    sweep._find_best_disagg_under_constraint = inner
    tool = worker.load_tool()
    at_once = sweep._find_best_disagg_under_constraint

    def outer(**kw):
        """Gets the loop."""
        global loop
        loop = kw["match_workers"]
        return at_once(**kw)

    sweep._find_best_disagg_under_constraint = outer
    os.environ["HF_HUB_OFFLINE"] = "1"
    tasks = tool.main.build_default_tasks(
        model_path="Qwen/Qwen3-32B", total_gpus=32, system="h200_sxm", backend="vllm", isl=3000, osl=500, ttft=2000, tpot=30
    )
    tasks["disagg"].run()
print(compared if at_once is not inner else 0)
