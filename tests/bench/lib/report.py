"""What was measured, for people, for documents and for programs."""
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re

from measure import Row, Sample, Series


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

def _tool_cell(row, series):
    if not series or not series.samples:
        return series.failure or "" if series else ""
    spread, times = series.seconds(), ratio(row, series)
    cell = f"{seconds(series.median())} ({seconds(min(spread))}–{seconds(max(spread))})"
    return cell if times is None else f"{cell} × {times:.3g}"


def _cost_cell(series):
    if not series or not series.samples:
        return ""
    figures = (seconds(series.median("cpu")), mebibytes(series.median("peak")), size(series.median("written")))
    return " · ".join(filter(None, figures))


def _floor_figures(series):
    return f"{seconds(series.median())} ({seconds(series.median('cpu'))})"


def _machine_line(facts, runs):
    return (f"Seen on {facts['date']}: {facts['cores']} cores ({facts['cpu']}), {facts['memory'] / (1 << 30):.0f} GiB, Linux "
            f"{facts['kernel']}, ext4 in a loop image; medians of {runs} rounds, fastest and slowest in brackets,\n"
            "× how many times as long as imgbuild.\n")


def markdown(rows, facts, runs):
    """The tools, their costs, and the floors."""
    tools = list(dict.fromkeys(series.name for row in rows for series in row.series if series.kind == "tool"))
    out = [_machine_line(facts, runs), f"| workload | what | {' | '.join(tools)} | target | |",
           "|---|---|" + "---|" * (len(tools) + 2)]
    by_name = [(row, {series.name: series for series in row.series}) for row in rows]
    for row, series in by_name:
        cells = " | ".join(_tool_cell(row, series.get(name)) for name in tools)
        out.append(f"| {row.name} | {row.title} | {cells} | {row.target:g} | {verdict(row)} |")
    out += ["", "CPU seconds · peak memory · bytes written:", "", f"| workload | {' | '.join(tools)} |",
            "|---|" + "---|" * len(tools)]
    for row, series in by_name:
        out.append(f"| {row.name} | {' | '.join(_cost_cell(series.get(name)) for name in tools)} |")
    out += ["", "Floors: seconds (CPU seconds) that plain tools take for the same data in the same rounds.", "",
            "| workload | floors |", "|---|---|"]
    for row in rows:
        floors = [f"`{s.name}` {s.failure or _floor_figures(s)}" for s in row.series if s.kind == "floor"]
        if floors:
            out.append(f"| {row.name} | {', '.join(floors)} |")
    return "\n".join(out) + "\n"


BEGIN, END = "<!-- tests/bench/run --markdown: begin -->\n", "<!-- end -->\n"


def write_markdown(path, text):
    """The file, or what it has between the two marks."""
    path = pathlib.Path(path)
    old = path.read_text() if path.exists() else ""
    if BEGIN in old:
        text = re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: BEGIN + text + END, old, flags=re.S)
    path.write_text(text)


# ------------------------------------------------------------ JSON

def machine():
    """What was measured on."""
    cpu = next((line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"date": datetime.date.today().isoformat(), "cpu": cpu, "cores": len(os.sched_getaffinity(0)), "memory": memory,
            "kernel": platform.release()}


def as_json(rows, facts, runs):
    return json.dumps({"version": 1, "machine": facts, "runs": runs,
                       "rows": [{**dataclasses.asdict(row), "verdict": verdict(row)} for row in rows]}, indent=1) + "\n"


def from_json(text):
    """(rows, machine, runs) of what as_json() wrote."""
    document = json.loads(text)
    rows = [Row(row["name"], row["title"], row["target"],
                [Series(series["name"], series["kind"], [Sample(**sample) for sample in series["samples"]], series["failure"])
                 for series in row["series"]]) for row in document["rows"]]
    return rows, document["machine"], document["runs"]
