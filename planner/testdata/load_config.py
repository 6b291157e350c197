"""Load planner configurations, one JSON document a line, with Dynamo's own class.

Writes one JSON line for each: {"config": the class's dump} or {"error": text}.
The package's __init__ imports Kubernetes and Dynamo's runtime, which the class
does not need, so the package is entered without it.
"""
import importlib.util
import json
import sys
import types

location = importlib.util.find_spec("dynamo").submodule_search_locations
package = types.ModuleType("dynamo.planner")
package.__path__ = [f"{path}/planner" for path in location]
sys.modules["dynamo.planner"] = package

from dynamo.planner.config.planner_config import PlannerConfig  # noqa: E402

for line in sys.stdin:
    try:
        config = PlannerConfig.model_validate(json.loads(line))
        print(json.dumps({"config": json.loads(config.model_dump_json())}))
    except ValueError as error:
        print(json.dumps({"error": str(error)}))
