"""Load planner configurations, one JSON document a line, with Dynamo's own class.

Writes one JSON line for each: {"config": the class's dump} or {"error": text}.
With the argument "fields", writes every field instead: its path, then its spellings.
The package's __init__ imports Kubernetes and Dynamo's runtime, which the class
does not need, so the package is entered without it.
"""
import importlib.util
import json
import sys
import types
import typing

location = importlib.util.find_spec("dynamo").submodule_search_locations
package = types.ModuleType("dynamo.planner")
package.__path__ = [f"{path}/planner" for path in location]
sys.modules["dynamo.planner"] = package

from dynamo.planner.config.planner_config import PlannerConfig  # noqa: E402


def models(annotation):
    """Find the classes that a field's values may be of."""
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [m for part in typing.get_args(annotation) for m in models(part)]


def fields(cls, above=""):
    """Write the fields of a class, and below each those of its values."""
    for name, info in cls.model_fields.items():
        choices = getattr(info.validation_alias, "choices", None) or [info.alias or name, name]
        print(above + choices[0], *sorted(set(choices)))
        for model in models(info.annotation):
            fields(model, above + choices[0] + ".")


if sys.argv[1:] == ["fields"]:
    fields(PlannerConfig)
    sys.exit()

for line in sys.stdin:
    try:
        config = PlannerConfig.model_validate(json.loads(line))
        print(json.dumps({"config": json.loads(config.model_dump_json())}))
    except ValueError as error:
        print(json.dumps({"error": str(error)}))
