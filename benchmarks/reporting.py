"""Tables in Markdown, and targets that are met or missed."""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Targets:
    """Collects what was asked and what was measured; the last line is the verdict."""

    source: str
    checked: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def at_most(
        self, what: str, measured: float, target: float, unit: str = ""
    ) -> None:
        self._add(
            what, measured, f"≤ {target:g}{unit}", met=measured <= target, unit=unit
        )

    def below(self, what: str, measured: float, target: float, unit: str = "") -> None:
        self._add(
            what, measured, f"< {target:g}{unit}", met=measured < target, unit=unit
        )

    def at_least(
        self, what: str, measured: float, target: float, unit: str = ""
    ) -> None:
        self._add(
            what, measured, f"≥ {target:g}{unit}", met=measured >= target, unit=unit
        )

    def within(
        self, what: str, measured: float, low: float, high: float, unit: str = ""
    ) -> None:
        inside = low <= measured <= high
        self._add(what, measured, f"{low:g} to {high:g}{unit}", met=inside, unit=unit)

    def finish(self, *, check: bool) -> int:
        """Print the verdict; with `check` the exit code is 1 if a target is missed."""
        print_table(
            f"Targets: {self.source}",
            ("", "measured", "target", ""),
            (
                (what, measured, target, "met" if met else "MISSED")
                for what, measured, target, met in self.checked
            ),
        )
        n, missed = len(self.checked), sum(not met for *_, met in self.checked)
        print(f"{missed} of {n} targets missed." if missed else f"All {n} targets met.")
        return int(check and missed > 0)

    def _add(self, what: str, measured: float, target: str, *, met: bool, unit: str):
        self.checked.append((what, f"{measured:.3g}{unit}", target, bool(met)))


def print_table(
    title: str, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Print one Markdown table, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    width = [max(len(row[k]) for row in [header, *cells]) for k in range(len(header))]
    print(f"\n### {title}\n")
    print(_line(header, width))
    rules = ["-" * w if k == 0 else "-" * (w - 1) + ":" for k, w in enumerate(width)]
    print(_line(rules, width))
    for row in cells:
        print(_line(row, width))
    print(flush=True)


def _line(cells: Sequence[str], width: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(w) if k == 0 else cell.rjust(w)
        for k, (cell, w) in enumerate(zip(cells, width, strict=True))
    )
    return f"| {' | '.join([first, *others])} |"


def make_parser(module_doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(
        description=(module_doc or "").strip().splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--check", action="store_true", help="exit code 1 if a target is missed"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    return parser
