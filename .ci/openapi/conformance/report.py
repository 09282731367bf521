"""What was found and what was done, for people."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Report:
    findings: Counter = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    answers: Counter = field(default_factory=Counter)
    refusals: int = 0

    def found(self, kind: str, about: object, what: str) -> None:
        """Something that is not as the specification says."""
        self.findings[kind, str(about), what] += 1

    def note(self, text: str) -> None:
        """Something that could not be looked at, or that the specification leaves open."""
        if text not in self.notes:
            self.notes.append(text)

    def print_answers(self) -> None:
        """What each operation answered, and how often."""
        for (operation, status), times in sorted(self.answers.items()):
            print(f"  {operation}: {times} × {status}")

    def print(self, wanted: int) -> None:
        previous = None
        for (kind, about, what), times in sorted(self.findings.items()):
            if kind != previous:
                print(f"\n== {kind}")
                previous = kind
            print(f"  {about}\n      {what}{f'  ({times} times)' if times > 1 else ''}")
        if self.notes:
            print("\n== notes")
            for text in self.notes:
                print(f"  {text}")
        operations = len({operation for operation, _ in self.answers})
        statuses = Counter(status // 100 for _, status in self.answers.elements())
        kinds = ", ".join(f"{count} × {status}xx" for status, count in sorted(statuses.items()))
        print(
            f"\n{operations} of {wanted} operations called, {self.answers.total()} answers ({kinds}) checked, {self.refusals} of them for access"
        )
        print(f"{len(self.findings)} findings" if self.findings else "everything conforms")
