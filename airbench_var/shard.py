"""Shards: one campaign divided between jobs that know nothing of each other."""

from dataclasses import dataclass

from airbench_var.errors import UsageError


@dataclass(frozen=True)
class Shard:
    """The runs of one of `count` jobs: those whose id is congruent to `index`; by default all."""

    index: int = 0
    count: int = 1

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def run_ids(self, runs: int) -> range:
        """Return its run ids among 0 ... runs - 1.

        Raises: UsageError when there are none.
        """
        if self.index >= runs:
            raise UsageError(
                f"--shard {self} has no run among {runs}, which is the total of all shards. Give --runs of "
                f"{self.index + 1} or more, or start fewer jobs."
            )
        return range(self.index, runs, self.count)

    @property
    def suffix(self) -> str:
        """What tells its store from those of the other shards: .shard-003-of-100, in the order of a glob."""
        return f".shard-{self.index:0{len(str(self.count - 1))}}-of-{self.count}"


#: A campaign that is not divided.
WHOLE = Shard()
