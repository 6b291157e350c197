"""The AIConfigurator side of the rapid profiler.

Requests and answers are JSON lines: {"id", "method", "params"} on stdin;
{"id", "progress"}, {"id", "result"} or {"id", "error"} on the original stdout.
Everything that libraries print goes to stderr. A worker answers facts; what to
make of them is decided by its caller.
"""

import contextlib
import copy
import functools
import hashlib
import importlib
import inspect
import json
import logging
import math
import os
import queue
import shlex
import sys
import threading
from types import SimpleNamespace
from unittest import mock

import yaml


def load_tool():
    """Imports AIConfigurator, from its home up to 0.12 or from its successor's.

    It reads a hundred YAML files again and again, and builds thousands of small tables:
    the parser of libyaml and plain strings in tables answer the same in half the time.
    """
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    cause = None
    for dist, cli, root in (
        ("aiconfigurator", "aiconfigurator.cli", "aiconfigurator"),
        ("aisimulate", "aisimulate.legacy_cli", "aisimulate"),
    ):
        try:
            load = importlib.import_module
            pandas = load("pandas")
            with contextlib.suppress(pandas.errors.OptionError):
                pandas.set_option("future.infer_string", False)
            database = load(f"{root}.sdk.perf_database")
            database.get_supported_databases = once(database.get_supported_databases)
            match_at_once(load(f"{root}.sdk.sweep"), load("numpy"))
            tasks = load(f"{root}.sdk.task_v2")
            # No engine that splits the context over GPUs: the flags cannot say so.
            tasks._default_cp_list_for = lambda *_: [1]
            return SimpleNamespace(
                name=dist,
                version=importlib.import_module("importlib.metadata").version(dist),
                main=load(f"{cli}.main"),
                api=load(f"{root}.generator.api"),
                estimate=load(f"{cli}.api").cli_estimate,
                bridge=load(f"{root}.generator.module_bridge"),
                enumerate=load(f"{root}.generator.enumerate"),
                naive=load(f"{root}.generator.naive"),
                common=load(f"{root}.sdk.common"),
                database=database,
                picking=load(f"{root}.sdk.picking"),
                task=tasks.Task,
                utils=load(f"{root}.sdk.utils"),
            )
        except ImportError as exc:
            cause = cause or exc
    raise cause


def once(read):
    """A function that reads the installed files the first time that it is called so.

    Callers get a copy, as some change what they get.
    """
    kept = {}

    def copied(*args, **kwargs):
        how = repr((args, sorted(kwargs.items())))
        if how not in kept:
            kept[how] = read(*args, **kwargs)
        return copy.deepcopy(kept[how])

    return copied


def match_at_once(sweep, numpy):
    """Has arrays say how many prefill and decode engines serve most per GPU.

    AIConfigurator tries one pair of numbers after the other, a third of the time of a
    sweep over experts. The products are those of its loop, and the first of the best wins.
    """
    name = "_find_best_disagg_under_constraint"
    counts = ("prefill_num_worker_list", "decode_num_worker_list")
    limits = ("num_gpu_set", "max_prefill_gpus", "max_decode_gpus")
    find = getattr(sweep, name, None)
    if find is None or not {*counts, *limits, "match_workers"} <= inspect.signature(find).parameters.keys():
        return  # another version, as fast as it is
    last = None, None

    def matcher(loop, prefill, decode, sizes, most_prefill, most_decode):
        @functools.cache
        def pairs(prefill_gpus, decode_gpus):
            d, p = (a.ravel() for a in numpy.meshgrid(decode, prefill, indexing="ij"))
            gpus = prefill_gpus * p + decode_gpus * d
            fits = numpy.isin(gpus, list(sizes)) if sizes else numpy.full(len(gpus), True)
            if most_prefill is not None and most_decode is not None:
                fits &= (prefill_gpus * p <= most_prefill) & (decode_gpus * d <= most_decode)
            return p[fits], d[fits], gpus[fits]

        @functools.cache
        def match(**kw):
            p_rate, d_rate = kw["prefill_throughput"], kw["decode_throughput"]
            if kw.get("encoder_throughput") or not (math.isfinite(p_rate) and math.isfinite(d_rate)):
                return loop(**kw)
            p, d, gpus = pairs(kw["prefill_gpus"], kw["decode_gpus"])
            if not len(gpus):
                return -1, -1, -1
            rate = numpy.minimum(p_rate * p * kw["prefill_deg"], d_rate * d * kw["decode_deg"]) / gpus
            best = rate.argmax()
            return (int(p[best]), int(d[best]), 0) if rate[best] > 0 else (-1, -1, -1)

        return match

    def found(**kw):
        nonlocal last
        if kw["match_workers"] is not last[0]:
            last = kw["match_workers"], matcher(kw["match_workers"], *(kw[k] for k in counts + limits))
        return find(**{**kw, "match_workers": last[1]})

    setattr(sweep, name, found)


ALL = 1_000_000  # rows: no limit


class Refusal(Exception):
    """An answer that is no: kind tells the caller which."""

    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Worker:
    def __init__(self, tool, say):
        self.tool = tool
        self.say = say
        self.swept = None  # what the last autoscale task had to pick from

    def hello(self, _):
        return {"tool": self.tool.name, "version": self.tool.version, "python": sys.version.split()[0]}

    def system(self, params):
        """What AIConfigurator knows of a GPU system; known is false without a system file."""
        name = params["system"]
        roots = self.tool.database.get_systems_paths()
        known = any(os.path.isfile(os.path.join(root, f"{name}.yaml")) for root in roots)
        spec = self.tool.naive._get_system_config(name)
        backends = self.tool.database.get_supported_databases().get(name, {})
        return {
            "known": known,
            "vramBytes": spec["vram_per_gpu"],
            "gpusPerNode": spec["gpus_per_node"],
            "backends": sorted(name for name, versions in backends.items() if versions),
        }

    def model(self, params):
        """Facts of a model's config.json; path is what to hand to AIConfigurator."""
        model, path = params["model"], params.get("dir") or params["model"]
        shipped = self.tool.utils._get_model_config_path() / f"{model.replace('/', '--')}_config.json"
        file = os.path.join(path, "config.json") if params.get("dir") else shipped
        known = params.get("dir") or model in self.tool.common.DefaultHFModels
        if not known and os.environ.get("HF_HUB_OFFLINE") == "1":
            # AIConfigurator would download it all the same.
            raise Refusal("model", "downloads are off, unless HF_HUB_OFFLINE=0 is set")
        try:
            raw = self.tool.utils._load_model_config_from_model_path(path)
        except Exception as exc:
            raise Refusal("model", str(exc).replace(path, model)) from exc
        if os.path.isfile(file):
            with open(file, "rb") as f:
                data = f.read()
            # A copy of the shipped configuration is the model of that name.
            if params.get("dir") and shipped.is_file() and json.loads(shipped.read_bytes()) == json.loads(data):
                path = model
        else:
            data = json.dumps(raw, sort_keys=True).encode()
        meta = {}
        try:
            weights = self.tool.naive._estimate_model_weight_bytes(path, model_metadata=meta)
        except RuntimeError:
            weights = 0  # only the memory fit needs it
        text = raw.get("text_config") if isinstance(raw.get("text_config"), dict) else {}
        return {
            "path": path,
            "architecture": (raw.get("architectures") or [""])[0],
            "moe": bool(meta.get("is_moe")),
            "contextLength": int(raw.get("max_position_embeddings") or text.get("max_position_embeddings") or 0),
            "customCode": "auto_map" in raw,
            "configDigest": "sha256:" + hashlib.sha256(data).hexdigest(),
            "parameters": weights // 2,
            "embeddings": int(raw.get("vocab_size") or text.get("vocab_size") or 0)
            * int(raw.get("hidden_size") or text.get("hidden_size") or 0),
            "quantization": quantization(raw),
        }

    def support(self, params):
        """Per backend, the tables that cover the model: silicon, hybrid, sol or none.

        Silicon is Dynamo's own check. Hybrid is what AIConfigurator's support matrix
        calls so, sol a system of which AIConfigurator has the specification alone.
        """
        path, system = params["path"], params["system"]
        measured = self.tool.database.get_supported_databases().get(system, {})
        hybrid = {
            row["Backend"]
            for row in self.tool.common.get_support_matrix()
            if (row["HuggingFaceID"].lower(), row["System"].lower()) == (path.lower(), system)
            and (row["Mode"], row["Status"]) == ("disagg", "HYBRID_PASS")
        }
        cover = {}
        for backend in params["backends"]:
            if self.tool.enumerate.check_model_hardware_support(path, system, backend):
                cover[backend] = "silicon"
            elif backend in hybrid:
                cover[backend] = "hybrid"
            elif not any(measured.values()) and self.system({"system": system})["known"]:
                cover[backend] = "sol"
            else:
                cover[backend] = ""
        return cover

    def version(self, params):
        """None for the version of the tables, else the one that estimates speak of."""
        if params["database"] != "sol":
            return None
        root = self.tool.database.get_systems_paths()[0]
        with open(os.path.join(root, "query_versions.yaml"), encoding="utf-8") as f:
            return yaml.safe_load(f)["defaults"][params["backend"]]["current"]

    def tables(self, params):
        """The version of the tables that a sweep would take; empty without any."""
        latest = self.tool.database.get_latest_database_version
        return self.version(params) or latest(system=params["system"], backend=params["backend"]) or ""

    def sweep(self, params):
        """Runs the sweeps of the default and the load-match picking rules."""
        tasks = self.default_tasks(params)
        load = {}
        if params.get("requestRate") or params.get("concurrency"):
            load = {
                "target_request_rate": params.get("requestRate") or None,
                "target_concurrency": params.get("concurrency") or None,
                "max_total_gpus": params["totalGpus"],
            }
        chosen, best, pareto, _, _, outcomes = self.tool.main._execute_tasks(
            tasks, mode="default", top_n=params["topN"], **load
        )
        return {
            "chosen": chosen,
            "best": {k: self.picks(tasks, k, df, params) for k, df in best.items() if df is not None},
            "pareto": {k: rows(df) for k, df in pareto.items() if df is not None},
            "files": csv_files({"best": best, "pareto": pareto}, params),
            "errors": {k: f"{type(o.error).__name__}: {o.error}" for k, o in outcomes.items() if o.error},
        }

    def autoscale(self, params):
        """Picks prefill and decode engines apart from each other, one worker each.

        Task.run(autoscale=True) holds the pick against the largest ITL of its sweep in
        place of the wanted one, and knows no end-to-end bound. Its pick stands where it
        keeps the targets all the same; else it is made again, with them.
        """
        task, bound, osl = self.autoscale_task(params), params.get("requestLatency"), params["osl"]
        df = self.run_autoscale(task)
        if bound and len(df) and df.iloc[0]["request_latency"] > bound and osl > 1:
            left = (bound - self.pick_again(top_n=ALL)["ttft"].min()) / (osl - 1)
            every = self.pick_again(target_tpot=left, top_n=ALL)
            within = every[every["request_latency"] <= bound]
            df = (within if len(within) else every).head(params["topN"])
        elif params["itlBinds"] and not bound and len(df) and df.iloc[0]["tpot"] > params["tpot"]:
            df = self.pick_again(target_tpot=params["tpot"])
        return {
            "chosen": "disagg" if len(df) else "none",
            "best": {"disagg": self.picks({"disagg": task}, "disagg", df, params)},
            "pareto": {},
            "files": csv_files({"best": {"disagg": df}}, params),
            "errors": {},
        }

    def run_autoscale(self, task, **changes):
        """Runs an autoscale task, with other arguments for the picker of its candidates."""
        pick = self.tool.picking.pick_autoscale

        def keep(**kw):
            self.swept = kw
            return pick(**{**kw, **changes})

        self.tool.picking.pick_autoscale = keep
        try:
            return task.run(autoscale=True)
        except RuntimeError as exc:
            raise Refusal("empty", str(exc)) from exc
        finally:
            self.tool.picking.pick_autoscale = pick

    def pick_again(self, **changes):
        """Picks from the candidates of the last autoscale task, with other arguments."""
        return self.tool.picking.pick_autoscale(**{**self.swept, **changes})["best_config_df"]

    def autoscale_task(self, params):
        path, system, backend, version = params["path"], params["system"], params["backend"], self.version(params)
        task = self.tool.task(
            serving_mode="disagg",
            prefill_model_path=path,
            decode_model_path=path,
            prefill_system_name=system,
            decode_system_name=system,
            prefill_backend_name=backend,
            decode_backend_name=backend,
            prefill_backend_version=version,
            decode_backend_version=version,
            total_gpus=params["totalGpus"],
            **targets(params),
        )
        self.announce("disagg", task)
        return task

    def naive(self, params):
        """Engine flags of a configuration that is only known to fit."""
        n, moe = params["gpus"], params["moe"]
        engine = {"gpus_per_worker": n, "tensor_parallel_size": 1 if moe else n, "moe_tensor_parallel_size": n if moe else 1}
        cfg = self.tool.naive.build_naive_generator_params(
            model_name=params["path"],
            total_gpus=params["totalGpus"],
            system_name=params["system"],
            backend_name=params["backend"],
            generator_overrides={
                "SlaConfig": {"isl": params["isl"], "osl": params["osl"]},
                "NodeConfig": {"num_gpus_per_node": params["gpusPerNode"]},
                "Workers": {"agg": engine},
            },
        )
        return {"batchSize": cfg["params"]["agg"]["max_batch_size"], "args": self.arguments(cfg, params["backend"], None)}

    def flags(self, params):
        """Engine flags of a configuration that AIConfigurator's command line saved."""
        return self.arguments(params["config"], params["backend"], params["version"])

    def engines(self, params):
        """The prefill and decode engines that a measuring search tries.

        AIConfigurator enumerates them, told what it would assume: the memory of a GPU,
        the size of the checkpoint, and whether there are experts. It would also write a
        deployment for each, by rules that lose the expert parallelism; the flags are
        those that a picked configuration gets.
        """
        enum = self.tool.enumerate
        known = {
            "_get_system_config": lambda _: {"gpus_per_node": params["gpusPerNode"], "vram_per_gpu": params["vramBytes"]},
            "_estimate_model_weight_bytes": lambda _: params["weightBytes"],
            "check_is_moe": lambda _: params["moe"],
            "_build_agg_dgd_for_candidate": lambda **limits: limits,
        }
        with mock.patch.multiple(enum, **known):
            prefill, decode, fits, required = enum.enumerate_profiling_configs(
                params["path"],
                params["system"],
                params["backend"],
                isl=params["isl"],
                osl=params["osl"],
                num_gpus_per_node=params["gpusPerNode"],
                total_gpus=params["totalGpus"],
            )
        return {
            "fits": fits,
            "required": required,
            "prefill": [self.engine(params, "prefill", one) for one in prefill],
            "decode": [self.engine(params, "decode", one) for one in decode],
        }

    def predict(self, params):
        """What engines are expected to do under single loads; None without a table for one."""
        return [self.prediction(params, point) for point in params["points"]]

    def prediction(self, params, point):
        par, prefill = point["parallelism"], point["role"] == "prefill"
        try:
            row = self.tool.estimate(
                params["path"],
                params["system"],
                mode="static_ctx" if prefill else "static_gen",
                backend_name=params["backend"],
                backend_version=self.version(params),
                database_mode=params["database"].upper(),
                isl=point["isl"],
                osl=point["osl"],
                batch_size=point["batch"],
                tp_size=par["tp"],
                pp_size=par["pp"],
                attention_dp_size=par["dp"],
                moe_tp_size=par["moeTp"],
                moe_ep_size=par["moeEp"],
            ).get()
        except Exception as exc:  # the sweep was measured all the same
            logging.getLogger(__name__).warning("predict: %s", exc)
            return None
        if prefill:
            return {"ttft": plain(row["ttft"])}
        return {"itl": plain(row["tpot"]), "throughput": plain(row["tokens/s/gpu"])}

    def engine(self, params, role, one):
        limits = {k: one.dgd_config[k] for k in ("max_batch_size", "max_num_tokens") if one.dgd_config[k]}
        cfg = self.tool.naive.build_naive_generator_params(
            model_name=params["path"],
            total_gpus=params["totalGpus"],
            system_name=params["system"],
            backend_name=params["backend"],
            mode="disagg",
            generator_overrides={
                "SlaConfig": {"isl": params["isl"], "osl": params["osl"]},
                "NodeConfig": {"num_gpus_per_node": params["gpusPerNode"]},
                "ModelConfig": {"is_moe": params["moe"]},
                "Workers": {
                    role: {
                        "tensor_parallel_size": one.tp,
                        "pipeline_parallel_size": one.pp,
                        "data_parallel_size": one.dp,
                        "moe_tensor_parallel_size": one.moe_tp,
                        "moe_expert_parallel_size": one.moe_ep,
                        "gpus_per_worker": one.num_gpus,
                        **limits,
                    }
                },
            },
        )
        parallelism = {"tp": one.tp, "pp": one.pp, "dp": one.dp, "moeTp": one.moe_tp, "moeEp": one.moe_ep}
        return {"parallelism": parallelism, "args": self.arguments(cfg, params["backend"], None)[role]}

    def limits(self, params):
        """The best latencies that any candidate reaches, each alone and under the other target."""
        low = {}
        for df in self.candidates(params):
            for name, limited in (
                ("ttft", df),
                ("tpot", df),
                ("request_latency", df),
                ("ttft_within", df[df["tpot"] <= params["wantTpot"]]),
                ("tpot_within", df[df["ttft"] <= params["wantTtft"]]),
            ):
                if len(limited):
                    value = float(limited[name.removesuffix("_within")].min())
                    low[name] = min(low.get(name, math.inf), value)
        return low

    def candidates(self, params):
        if params["autoscale"]:
            # Where no engine meets its target, the fastest of each kind are paired.
            yield self.run_autoscale(self.autoscale_task(params), target_ttft=0, target_tpot=0, top_n=ALL)
            return
        for task in self.default_tasks(params).values():
            try:
                yield task.run()
            except Exception as exc:  # a mode that has no candidate sets no limit
                logging.getLogger(__name__).warning("limits: %s", exc)

    def default_tasks(self, params):
        tasks = self.tool.main.build_default_tasks(
            model_path=params["path"],
            total_gpus=params["totalGpus"],
            system=params["system"],
            backend=params["backend"],
            backend_version=self.version(params),
            serving_mode=params["servingMode"],
            **targets(params),
        )
        for name, task in tasks.items():
            self.announce(name, task)
        return tasks

    def announce(self, name, task):
        run = task.run

        def announced(*args, **kwargs):
            self.say(f"sweeping {name}")
            return run(*args, **kwargs)

        task.run = announced

    def picks(self, tasks, name, df, params):
        """The rows of a ranking, each with the flags of its engines."""
        out = []
        for (_, series), row in zip(df.iterrows(), rows(df)):
            task = tasks[row.get("_task_key") or name]
            cfg = self.tool.bridge.task_config_to_generator_config(
                task_config=task, result_df=series, num_gpus_per_node=params["gpusPerNode"]
            )
            backend, version = task.primary_backend_name, task.primary_backend_version
            out.append({
                "row": row,
                "backend": backend,
                "version": version,
                "args": self.arguments(cfg, backend, version),
            })
        return out

    def arguments(self, cfg, backend, version):
        artifacts = self.tool.api.generate_backend_artifacts(
            params=cfg, backend=backend, backend_version=version, use_dynamo_generator=True
        )
        # The DGD itself is made by Dynamo's package, which is not needed here.
        return {
            role: shlex.split(artifacts[f"cli_args_{role}"])
            for role in ("agg", "prefill", "decode")
            if artifacts.get(f"cli_args_{role}")
        }


def targets(params):
    return {
        "database_mode": params["database"].upper(),
        "isl": params["isl"],
        "osl": params["osl"],
        "ttft": params["ttft"],
        "tpot": params["tpot"],
        "request_latency": params.get("requestLatency") or None,
    }


def quantization(raw):
    """The declared quantization: {} for a checkpoint in its plain dtype."""
    declared = raw.get("quantization_config") or {}
    groups = [g.get("weights") or {} for g in (declared.get("config_groups") or {}).values() if isinstance(g, dict)]
    bits = [w["num_bits"] for w in groups if isinstance(w.get("num_bits"), int)]
    return {
        "method": str(declared.get("quant_method") or "").lower(),
        "algorithm": str(declared.get("quant_algo") or raw.get("quant_algo") or "").lower(),
        "bits": max(bits, default=int(declared.get("bits") or 0)),
    }


def rows(df):
    """The rows of a table as objects: plain numbers, no NaN."""
    return [{k: plain(v) for k, v in row.items()} for row in df.to_dict(orient="records")]


def plain(value):
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def csv_files(tables, params):
    """Tables as CSV, with the model's name in place of a local path."""
    files = {}
    for kind, frames in tables.items():
        for mode, df in frames.items():
            if df is None or df.empty:
                continue
            if "model" in df.columns:
                df = df.assign(model=params["model"])
            files[f"{kind}_{mode}.csv"] = df.to_csv(index=False, lineterminator="\n")
    return files


def serve(requests, answers):
    def send(message):
        answers.write(json.dumps(message, sort_keys=True, allow_nan=False) + "\n")
        answers.flush()

    worker = None
    for line in requests:
        request = json.loads(line)
        ident = request["id"]
        try:
            if worker is None:
                worker = Worker(load_tool(), None)
                logging.disable(logging.INFO)
                # Without Dynamo's package the generator cannot write the DGD, and says so each time.
                logging.getLogger(worker.tool.api.__name__.rpartition(".")[0]).setLevel(logging.ERROR)
            worker.say = lambda text: send({"id": ident, "progress": text})
            method = getattr(worker, request["method"])
            send({"id": ident, "result": method(request["params"])})
        except Refusal as exc:
            send({"id": ident, "error": {"kind": exc.kind, "message": str(exc)}})
        except (Exception, SystemExit) as exc:
            logging.getLogger(__name__).error("%s", request["method"], exc_info=True)
            send({"id": ident, "error": {"kind": type(exc).__name__, "message": str(exc)}})


def main():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    os.dup2(2, 1)
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    serve(arriving(requests), answers)


def arriving(stream):
    """The lines of the stream as they come; its end ends the process at once.

    A caller that was killed cannot end a sweep that runs for minutes.
    """
    lines = queue.SimpleQueue()

    def read():
        for line in stream:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return iter(lines.get, None)


if __name__ == "__main__":
    main()
