"""What was measured, beside what it is compared with."""

import statistics


class Samples:
    """Numbers of one unit. What is shown is divided by `scale`; `base` is the unit
    of the numbers themselves."""

    def __init__(self, values, unit, scale, base="seconds"):
        self.values, self.unit, self.scale, self.base = values, unit, scale, base

    def text(self, value):
        """With its unit."""
        shown = value / self.scale
        digits = 0 if not self.unit else 1 if shown >= 10 else 2
        return f"{shown:.{digits}f} {self.unit}".rstrip()


def seconds(values):
    """Samples in seconds, shown as such."""
    return Samples(values, "s", 1)


def milliseconds(values):
    """Samples in seconds, shown in milliseconds."""
    return Samples(values, "ms", 1e-3)


def microseconds(values):
    """Samples in seconds, shown in microseconds."""
    return Samples(values, "µs", 1e-6)


def mebibytes(values):
    """Samples in bytes, shown in MiB."""
    return Samples(values, "MiB", 1024 * 1024, "bytes")


def percent(values):
    """Samples that are parts of one, shown in per cent."""
    return Samples(values, "%", 0.01, "share")


def counts(values):
    """Samples that are numbers of things."""
    return Samples(values, "", 1, "count")


def rates(values):
    """Samples in requests a second."""
    return Samples(values, "/s", 1, "perSecond")


class Result:
    """One line of the table. Ratios are of medians."""

    def __init__(self, name, samples):
        self.name, self.samples = name, samples
        self.ratio, self.target, self.met = "", "", None
        self.median = statistics.median(samples.values)

    def faster_than(self, peer, target=None):
        """How many times faster than the peer, and how many it should be."""
        factor = statistics.median(peer) / self.median
        self.ratio = f"{factor:.1f}× faster"
        if target is not None:
            self.target, self.met = f"≥ {target}×", factor >= target
        return self

    def times_as_often(self, peer, target=None):
        """How many times the rate of the peer, and how many it should be."""
        factor = self.median / statistics.median(peer)
        self.ratio = f"{factor:.1f}×"
        if target is not None:
            self.target, self.met = f"≥ {target}×", factor >= target
        return self

    def times_of(self, peer, target=None):
        """How many times as long as the peer, and how many it may be."""
        factor = self.median / statistics.median(peer)
        self.ratio = f"{factor:.2f}×"
        if target is not None:
            self.target, self.met = f"≤ {target}×", factor <= target
        return self

    def under(self, limit=None):
        """What the median must stay below, if anything."""
        if limit is not None:
            self.target = f"< {self.samples.text(limit)}"
            self.met = self.median < limit
        return self

    def at_most(self, limit):
        """What the median may be."""
        self.target, self.met = f"≤ {self.samples.text(limit)}", self.median <= limit
        return self

    def row(self):
        """Cells of the table."""
        values = self.samples.values
        spread = ""
        if len(values) > 1:
            low, high = self.samples.text(min(values)), self.samples.text(max(values))
            spread = f"{low} – {high} ({len(values)})"
        verdict = {None: "", True: "met", False: "MISSED"}[self.met]
        return [
            self.name, self.samples.text(self.median), spread, self.ratio, self.target, verdict
        ]

    def data(self):
        """For the file."""
        return {
            "name": self.name,
            "unit": self.samples.base,
            "median": self.median,
            "samples": self.samples.values,
            "ratio": self.ratio,
            "target": self.target,
            "met": self.met,
        }


HEADINGS = ["what", "median", "range (samples)", "ratio", "target", ""]


def table(results):
    """A Markdown table that also reads well as it is."""
    rows = [HEADINGS] + [result.row() for result in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    rows.insert(1, ["-" * width for width in widths])
    cells = (
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows
    )
    return "\n".join(f"| {line} |" for line in cells)
