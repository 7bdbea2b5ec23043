# SPDX-License-Identifier: Apache-2.0
"""The result as a table: for each row and side the median and the worst of the runs, and its share of what it is
compared with, taken inside each run."""
import statistics


def summary(steps, rows):
    """[{row, side, ...}] in the order of the rows."""
    out = []
    for row in rows:
        sides = [s for s in dict.fromkeys(s["side"] for s in steps if s["row"] == row.name)]
        base = {s["run"]: s for s in steps if s["row"] == row.name and s["side"] == row.against and "failed" not in s}
        for side in sides:
            mine = [s for s in steps if s["row"] == row.name and s["side"] == side]
            out.append(one(row, side, mine, base))
    return out


def one(row, side, mine, base):
    good = [s for s in mine if "failed" not in s]
    line = {"row": row.name, "side": side, "runs": len(good), "failed": [s["failed"] for s in mine if "failed" in s]}
    if not good:
        return line
    speed = [s["ops_per_s"] for s in good]
    line.update(ops_per_s=statistics.median(speed), ops_per_s_min=min(speed), ops=good[0]["ops"],
                seconds=statistics.median(s["seconds"] for s in good))
    shares = [s["ops_per_s"] / base[s["run"]]["ops_per_s"] for s in good if s["run"] in base]
    if shares and side != row.against:
        line["share"], line["share_min"] = statistics.median(shares), min(shares)
        line["against"] = row.against
    for key in ("mb_per_s", "p50_ms", "p99_ms", "first_byte_ms", "requests_per_op", "bytes_up", "bytes_down", "cpu_seconds",
                "rss_anon_mib", "durable_at_return", "drain_seconds"):
        values = [s[key] for s in good if isinstance(s.get(key), (int, float))]
        if values:
            line[key] = statistics.median(values)
    if "requests" in good[-1]:
        line["requests"] = good[-1]["requests"]
    return line


def number(v, digits=3):
    if v is None:
        return ""
    if v == 0:
        return "0"
    return f"{v:.{digits}g}" if abs(v) < 1000 else f"{v:.0f}"


def markdown(lines):
    head = ["row", "side", "ops/s median (min)", "seconds", "MB/s", "p99 ms", "share", "of", "requests", "CPU s", "RssAnon MiB"]
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for line in lines:
        if not line["runs"]:
            out.append(f"| {line['row']} | {line['side']} | failed: {(line['failed'] or ['?'])[0][:80]} |" + " |" * (len(head) - 3))
            continue
        asked = ", ".join(f"{n} {k}" for k, n in sorted(line.get("requests", {}).items(), key=lambda kn: -kn[1]))
        share = f"{number(line['share'])} ({number(line['share_min'])})" if "share" in line else ""
        out.append(" | ".join([
            f"| {line['row']}", line["side"], f"{number(line['ops_per_s'])} ({number(line['ops_per_s_min'])})",
            number(line["seconds"]), number(line.get("mb_per_s")), number(line.get("p99_ms")), share, line.get("against", ""),
            asked, number(line.get("cpu_seconds")), number(line.get("rss_anon_mib"))]) + " |")
    return "\n".join(out)
