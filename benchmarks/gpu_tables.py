"""The results of gpu.py as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from contenders import OURS

__all__ = ["report"]

SHORT = 100e-6  # seconds: steps for which twice the best peer's speed is asked
WAYS = ("kernel", "library", "fused library", "bf16 library", "fused bf16 library")
ASKED_SHORT, ASKED_ONE, ASKED_PRODUCTS, ASKED_SECONDS = 2.0, 20.0, 0.9, 0.2
NOT_MEASURED = "**Run on the emulated device: nothing here is a measurement.** All numbers are of a CPU that plays GPU."


def report(record: dict[str, Any]) -> list[str]:
    """Markdown lines of all results."""
    parts = record["parts"]
    lines = ["# The CUDA backend on a GPU", ""]
    if not record["measured"]:
        lines += [NOT_MEASURED, ""]
    lines += [
        f"- began {record['began']}, {record.get('seconds', 0.0) / 60:.1f} minutes",
        f"- command: `{record['command']}`",
        *_environment(parts),
        "",
        "| part | came to | seconds | reason |",
        "|---|---|---|---|",
    ]
    for name, part in parts.items():
        lines.append(
            f"| {name} | {part['status']} | {part.get('seconds', 0.0):.0f} | {_cell(part.get('reason', ''))} |"
        )
    for name, table in _TABLES.items():
        result = parts.get(name, {}).get("result")
        if result and not result.get("left out"):
            mark = "" if record["measured"] else " (emulated: not a measurement)"
            try:
                lines += ["", f"## {name.capitalize()}{mark}", "", *table(result, record)]
            except Exception as error:  # a result that is not whole must not take the others with it
                lines += [
                    "",
                    f"This table could not be made: {type(error).__name__}: {error}; the numbers are in gpu.json.",
                ]
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")[:300]


def _spread(values: Iterable[float], digits: int = 2) -> str:
    """Median (lowest … highest)."""
    array = np.array(list(values))
    if not array.size:
        return "–"
    return f"{np.median(array):,.{digits}f} ({array.min():,.{digits}f} … {array.max():,.{digits}f})"


def _micro(seconds: Iterable[float]) -> str:
    return _spread((1e6 * s for s in seconds), 1)


def _reached(found: float, asked: float | None, measured: bool) -> str:
    if asked is None or not measured:
        return "–"
    return f"≥ {asked:g}: {'yes' if found >= asked else '**no**'}"


def _environment(parts: dict[str, Any]) -> list[str]:
    found = dict(parts.get("environment", {}).get("result") or {})
    versions = found.pop("versions", {})
    lines = [f"- {name}: {value}" for name, value in found.items()]
    return [*lines, f"- versions: {', '.join(f'{name} {number}' for name, number in versions.items())}"]


def _questions(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    lines = ["| question | case | answer |", "|---|---|---|"]
    answers = sorted(result["answers"], key=lambda one: one["question"])
    return [*lines, *(f"| {one['question']} | {one['case']} | {_cell(one['answer'])} |" for one in answers)]


def _agreement(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    lines = [
        "The same seed on the GPU and on the CPU (NumPy), with a penalty, and dropout but for plain SGD: the largest",
        "relative difference of an epoch's loss, and the largest difference of a weight in the end.",
        "",
        "| dtype | rule | batch | losses | allowed | weights |",
        "|---|---|---|---|---|---|",
    ]
    for case in result["cases"]:
        apart, allowed = case["relative difference"], case["allowed"]
        bold = "" if apart <= allowed else "**"
        where = f"{case['dtype']} | {case['rule']} | {case['batch']}"
        lines.append(f"| {where} | {bold}{apart:.1e}{bold} | {allowed:.0e} | {case['of weights']:.1e} |")
    return lines


def _repeats(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    other = (record["parts"].get("repeats in another process", {}).get("result") or {}).get("digests", {})
    lines = [
        "Parameters and losses of two runs in one process, and of one in another process.",
        "",
        "| run | in one process | in another |",
        "|---|---|---|",
    ]
    for name, digest in result["digests"].items():
        again = not any(name in failure for failure in result["failures"])
        elsewhere = "not run" if name not in other else "the same bits" if other[name] == digest else "**other bits**"
        lines.append(f"| {name} | {'the same bits' if again else '**other bits**'} | {elsewhere} |")
    return lines


def _left_out(result: dict[str, Any]) -> list[str]:
    lines = [f"- {name} is left out: {reason}" for name, reason in result["missing"].items()]
    return [*lines, ""] if lines else []


def _rates(cells: list[dict[str, Any]], measured: bool) -> list[str]:
    """Samples per second of all contenders, and of fastmlp relative to the best other one."""
    names = list(dict.fromkeys(name for cell in cells for name in cell["samples per second"]))
    head = f"| network | rule | batch | precision | {' | '.join(names)} |"
    lines = ["Samples per second: median of the rounds (lowest … highest).", "", head, "|---" * (4 + len(names)) + "|"]
    for cell in cells:
        rates = cell["samples per second"]
        shown = [_spread(rates.get(name, ()), 0) for name in names]
        lines.append(f"| {_where(cell)} | {' | '.join(shown)} |")
    lines += [
        "",
        "fastmlp's speed relative to the best other library of the round: median of the rounds (lowest … highest). The",
        "microseconds are those of a step of fastmlp, without the other costs of an epoch.",
        "",
        "| network | rule | batch | precision | step, µs | best peer | over the best peer | asked |",
        "|---" * 8 + "|",
    ]
    for cell in cells:
        rates = {name: np.array(values) for name, values in cell["samples per second"].items()}
        step, ours = cell["seconds of a step"], rates.pop(OURS)
        if not rates:
            lines.append(f"| {_where(cell)} | {_micro(step)} | no peer | – | – |")
            continue
        best = max(rates, key=lambda name: float(np.median(rates[name])))
        ratio = ours / np.max(list(rates.values()), axis=0)
        asked = ASKED_ONE if cell["batch"] == "1" else ASKED_SHORT if np.median(step) < SHORT else None
        verdict = _reached(float(np.median(ratio)), asked, measured)
        lines.append(f"| {_where(cell)} | {_micro(step)} | {best} | {_spread(ratio)} | {verdict} |")
    return lines


def _where(cell: dict[str, Any]) -> str:
    return f"{cell['network']} | {cell['optimizer']} | {cell['batch']} | {cell['precision']}"


def _throughput(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    lines = [*_left_out(result), *_rates(result["cells"], record["measured"]), ""]
    for name, check in result["checks"].items():
        losses = ", ".join(f"{who} {loss:.7f}" for who, loss in check["losses"].items())
        lines.append(f"Losses of an epoch without shuffling, {name}: {losses}.")
    return lines


def _large(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    lines = [*_left_out(result), *_rates(result["cells"], record["measured"]), ""]
    lines += [
        "Matrix products of a step by cublasLt alone, on random numbers, and their share of the step's time.",
        "",
        "| precision | products, ms | TFLOP/s of these | step, ms | TFLOP/s of the step | share | asked |",
        "|---" * 7 + "|",
    ]
    for cell in result["cells"]:
        bare, step = sum(product["seconds"] for product in cell["products"]), np.median(cell["seconds of a step"])
        rates = [cell["gigaflops of a step"] / seconds / 1e3 for seconds in (bare, step)]
        verdict = _reached(bare / step, ASKED_PRODUCTS, record["measured"])
        lines.append(
            f"| {cell['precision']} | {1e3 * bare:.3f} | {rates[0]:.1f} | {1e3 * step:.3f} | {rates[1]:.1f} "
            f"| {bare / step:.1%} | {verdict} |"
        )
    lines += ["", "| precision | product | rows x inputs x outputs | ms | TFLOP/s |", "|---" * 5 + "|"]
    for cell in result["cells"]:
        for product in cell["products"]:
            lines.append(
                f"| {cell['precision']} | {product['product']} | {product['shape']} | {1e3 * product['seconds']:.3f} "
                f"| {product['TFLOP/s']:.1f} |"
            )
    return lines


def _products(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    lines = [
        "Microseconds of each way to a product, with what follows it. A fit takes the fastest, but for batches of up",
        "to 32 rows, which are programs of our kernels alone. A product is named as in `products.py`: operation,",
        "activation's code, rows, inputs, outputs; after-n: together with the product of n inputs before, which can",
        "leave a mask; summed: the rows of delta have been summed.",
        "",
        f"| step | product | {' | '.join(WAYS)} | fastest |",
        "|---" * (3 + len(WAYS)) + "|",
    ]
    for step, shapes in result["times"].items():
        for name, ways in shapes.items():
            times = [f"{1e6 * ways[way]:.1f}" if way in ways else "–" for way in WAYS]
            lines.append(f"| {step} | {name} | {' | '.join(times)} | {min(ways, key=ways.__getitem__)} |")
    for device, ways in result["chosen"].items():
        kinds = {way: sum(chosen == way for chosen in ways.values()) for way in sorted(set(ways.values()))}
        counted = ", ".join(f"{way} {count}" for way, count in kinds.items())
        lines += ["", f"Chosen by the fits of this run ({device}): {counted}; each is in gpu.json."]
    return lines


def _programs(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    lines = ["Microseconds of a step, SGD: median of the rounds (lowest … highest).", ""]
    ways = list(dict.fromkeys(way for step in result["steps"] for way in step["seconds"]))
    lines += [f"| network | batch | {' | '.join(ways)} |", "|---" * (2 + len(ways)) + "|"]
    for step in result["steps"]:
        times = [_micro(step["seconds"].get(way, ())) for way in ways]
        lines.append(f"| {step['network']} | {step['batch']} | {' | '.join(times)} |")
    return lines


def _launches(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    lines = ["Microseconds per launch of a kernel that copies one number.", ""]
    lines += ["| launched | the host queues it in | it is done in | per kernel |", "|---|---|---|---|"]
    rows = {"directly": (result["direct"], 1)}
    rows |= {f"graph of {nodes}": (times, int(nodes)) for nodes, times in result["graphs"].items()}
    for name, (times, nodes) in rows.items():
        queued, done = 1e6 * times["queued"], 1e6 * times["done"]
        lines.append(f"| {name} | {queued:.2f} | {done:.2f} | {done / nodes:.2f} |")
    copy = result["copy"]
    rate = copy["bytes read and written"] / copy["seconds"] / 1e9
    return [*lines, "", f"Copy on the device: {rate:,.0f} GB/s, read and written."]


def _accuracy(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    lines = [
        "Seconds of training by the recipe for each target, to its end, and of the whole `fit`, which places the data",
        "and records the step: median of the seeds (lowest … highest); the first run is not counted.",
        "",
        "| target | seconds | whole fit | accuracy | reached | asked | recipe |",
        "|---" * 7 + "|",
    ]
    for recipe in result["recipes"]:
        runs = recipe["runs"]
        seconds, whole, reached = ([run[what] for run in runs] for what in ("seconds", "whole fit", "accuracy"))
        count = sum(accuracy >= recipe["target"] for accuracy in reached)
        asked = "–"
        if recipe["target"] == 0.98 and runs:
            asked = f"< {ASKED_SECONDS} s: {'yes' if np.median(seconds) < ASKED_SECONDS else '**no**'}"
        cells = [_spread(seconds, 3), _spread(whole, 3), _spread(reached, 4), f"{count} of {len(runs)}", asked]
        lines.append(f"| {recipe['target']:.1%} | {' | '.join(cells)} | {recipe['recipe']} |")
    return lines


def _command(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    return [f"`{' '.join(result['command'])}`: exit code {result['code']}; {result['summary']}"]


def _tests(result: dict[str, Any], record: dict[str, Any]) -> list[str]:
    return [f"- {line}" for ran in result["runs"] for line in _command(ran, record)]


_TABLES: dict[str, Callable[[dict[str, Any], dict[str, Any]], list[str]]] = {
    "questions": _questions,
    "agreement": _agreement,
    "repeats": _repeats,
    "tests": _tests,
    "throughput": _throughput,
    "large network": _large,
    "products": _products,
    "programs and graphs": _programs,
    "launches": _launches,
    "accuracy": _accuracy,
    "memcheck": _command,
    "racecheck": _command,
}
