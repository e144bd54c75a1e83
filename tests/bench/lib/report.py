"""What was measured, for people, for documents and for programs."""
import dataclasses
import json
import os
import pathlib
import platform


def seconds(value):
    return "" if value is None else f"{value:.3f}" if value < 1 else f"{value:.2f}"


def size(value):
    """Bytes in the unit that leaves few digits."""
    if value is None:
        return ""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def mebibytes(value):
    return "" if value is None else f"{value / (1 << 20):.0f} MiB"


def ours(row):
    return next((series for series in row.series if series.name == "imgbuild"), None)


def ratio(row, series):
    """How many times as long as imgbuild; None for itself and where one of them has no figure."""
    mine = ours(row)
    if not mine or mine is series or not mine.samples or not series.samples:
        return None
    return series.median() / mine.median()


def verdict(row):
    mine = ours(row)
    if not mine or not mine.samples:
        return ""
    return "met" if mine.median() <= row.target else "missed"


# ------------------------------------------------------------ plain text

HEADER = (f"{'workload':16}{'tool or floor':38}{'median':>9}{'fastest':>9}{'slowest':>9}{'CPU':>9}{'peak':>10}{'written':>10}"
          f"{'times':>8}  target")


def text_lines(row):
    lines = []
    for series in row.series:
        name = row.name if series is row.series[0] else ""
        label = series.name if series.kind == "tool" else f"  floor: {series.name}"
        if series.failure:
            lines.append(f"{name:16}{label:38}failed: {series.failure}")
            continue
        times = ratio(row, series)
        spread = series.seconds()
        line = (f"{name:16}{label:38}{seconds(series.median()):>9}{seconds(min(spread)):>9}{seconds(max(spread)):>9}"
                f"{seconds(series.median('cpu')):>9}{mebibytes(series.median('peak')):>10}{size(series.median('written')):>10}"
                f"{'' if times is None else f'{times:.3g}':>8}")
        if series is ours(row):
            line += f"  {row.target:g} {verdict(row)}"
        lines.append(line.rstrip())
    return lines


# ------------------------------------------------------------ Markdown

def _tool_cell(series):
    if series.failure:
        return "failed"
    spread = series.seconds()
    return f"{seconds(series.median())} ({seconds(min(spread))}–{seconds(max(spread))})"


def markdown(rows):
    """Two tables: the tools, and the floors."""
    tools = list(dict.fromkeys(series.name for row in rows for series in row.series if series.kind == "tool"))
    out = [f"| workload | what | target | {' | '.join(tools)} | {' | '.join(f'{name}, CPU · peak · written' for name in tools)} |",
           "|" + "---|" * (3 + 2 * len(tools))]
    for row in rows:
        by_name = {series.name: series for series in row.series}
        times = [_tool_cell(by_name[name]) for name in tools]
        for index, name in enumerate(tools):
            factor = ratio(row, by_name[name])
            if factor:
                times[index] += f", × {factor:.3g}"
        rest = [" · ".join(filter(None, (seconds(s.median("cpu")), mebibytes(s.median("peak")), size(s.median("written")))))
                for s in (by_name[name] for name in tools)]
        out.append(f"| {row.name} | {row.title} | {row.target:g} {verdict(row)} | {' | '.join(times)} | {' | '.join(rest)} |")
    out += ["", "| workload | floor | seconds | CPU |", "|---|---|---|---|"]
    for row in rows:
        for series in row.series:
            if series.kind == "floor":
                out.append(f"| {row.name} | `{series.name}` | {series.failure or seconds(series.median())} | "
                           f"{seconds(series.median('cpu'))} |")
    return "\n".join(out) + "\n"


# ------------------------------------------------------------ JSON

def machine():
    """What was measured on."""
    cpu = next((line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cpu": cpu, "cores": len(os.sched_getaffinity(0)), "memory": memory, "kernel": platform.release()}


def as_json(rows, runs):
    return json.dumps({"version": 1, "machine": machine(), "runs": runs,
                       "rows": [{**dataclasses.asdict(row), "verdict": verdict(row)} for row in rows]}, indent=1) + "\n"
