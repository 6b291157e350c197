"""Dynamo's profiler as a peer: dynamo.go says how it is called.

The wheel ai-dynamo leaves out the client that deploys candidates on a cluster, and
the rapid strategy does not need the Kubernetes library: both are replaced by
nothing, which costs Dynamo no time. It is offline, as ours is.

    profile SPEC OUTPUT        one request, as the operator's Job answers it
    capture SPEC OUTPUT PICK   the same, and keeps what its final assembly gets
    assemble PICK N            the final assembly of N requests, printed
"""

import asyncio
import copy
import importlib.util
import os
import pickle
import sys
import types

sys.path.append(os.environ["BENCH_DYNAMO_PACKAGES"])


class _Absent(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


async def _nothing_to_clean(*_):
    pass


_MODULES = ("deploy", "deploy.utils", "deploy.utils.dynamo_deployment", "kubernetes", "kubernetes.client",
            "kubernetes.config", "kubernetes.config.config_exception", "prometheus_api_client")
_MISSING = {name for name in _MODULES if "." not in name and importlib.util.find_spec(name) is None}
for _name in _MODULES:
    if _name.split(".")[0] in _MISSING:
        sys.modules[_name] = _Absent(_name)
        sys.modules[_name].__path__ = []
sys.modules["deploy.utils.dynamo_deployment"].cleanup_remaining_deployments = _nothing_to_clean


def offline(materialization):
    """Whether a model brings its own code is asked of a hub: none of these does."""
    materialization.model_has_auto_map = lambda _: False


def profile(spec, output, pick=None):
    import yaml

    from dynamo.profiler import profile_sla
    from dynamo.profiler.utils import dgd_materialization
    from dynamo.profiler.utils.dgdr_v1beta1_types import DynamoGraphDeploymentRequestSpec
    from dynamo.profiler.utils.profile_common import ProfilerOperationalConfig

    offline(dgd_materialization)
    with open(spec) as f:
        data = yaml.safe_load(f)
    if pick:
        assemble_final_config = profile_sla.assemble_final_config

        def keep(dgdr, ops, dgd, *args, **kwargs):
            with open(pick, "wb") as f:
                pickle.dump((data, dgd, args, kwargs), f)
            return assemble_final_config(dgdr, ops, dgd, *args, **kwargs)

        profile_sla.assemble_final_config = keep
    run_rapid = profile_sla.run_rapid

    def keep_pick(*args, **kwargs):
        result = run_rapid(*args, **kwargs)
        best = result["best_config_df"]
        with open(os.path.join(output, "pick.json"), "w") as f:
            f.write(best.iloc[0].to_json() if best is not None and not best.empty else "{}")
        return result

    profile_sla.run_rapid = keep_pick
    request = DynamoGraphDeploymentRequestSpec.model_validate(data)
    asyncio.run(profile_sla.run_profile(request, ProfilerOperationalConfig(output_dir=output)))


def assemble(pick, count):
    import tempfile

    import yaml

    from dynamo.profiler.utils.dgd_generation import assemble_final_config
    from dynamo.profiler.utils import dgd_materialization
    from dynamo.profiler.utils.dgd_materialization import DGDMaterializationPurpose, materialize_dgd
    from dynamo.profiler.utils.dgdr_v1beta1_types import DynamoGraphDeploymentRequestSpec
    from dynamo.profiler.utils.profile_common import ProfilerOperationalConfig, get_profiling_job_tolerations, resolve_model_path

    offline(dgd_materialization)
    with open(pick, "rb") as f:
        data, dgd, args, kwargs = pickle.load(f)
    with tempfile.TemporaryDirectory() as output:
        for _ in range(int(count)):
            request = DynamoGraphDeploymentRequestSpec.model_validate(data)
            final = assemble_final_config(request, ProfilerOperationalConfig(output_dir=output), copy.deepcopy(dgd), *args, **kwargs)
            final = materialize_dgd(
                final,
                purpose=DGDMaterializationPurpose.FINAL_OUTPUT,
                override=request.overrides.dgd if request.overrides else None,
                tolerations=get_profiling_job_tolerations(request),
                runtime_backend=kwargs["resolved_backend"],
                model_name_or_path=resolve_model_path(request),
            )
            documents = final if isinstance(final, list) else [final]
            yaml.safe_dump_all(documents, sys.stdout, explicit_start=True, sort_keys=False)


{"profile": profile, "capture": profile, "assemble": assemble}[sys.argv[1]](*sys.argv[2:])
