"""States made of states come back from their flat arrays, also where they hold states themselves."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from igc.stats.nested import join_parts, split_parts


@dataclass
class Leaf:
    value: float

    def to_arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        return {"value": np.array([self.value]), "square": np.array([self.value**2])}


@dataclass
class Pair:
    left: Leaf
    right: Leaf

    def to_arrays(self) -> dict[str, npt.NDArray[np.float64]]:
        return join_parts(left=self.left, right=self.right)


def test_parts_of_parts_come_back_under_their_names() -> None:
    arrays = join_parts(outer=Pair(Leaf(2), Leaf(3)), single=Leaf(5))
    assert set(arrays) == {
        *("outer.left.value", "outer.left.square", "outer.right.value", "outer.right.square"),
        *("single.value", "single.square"),
    }
    parts = split_parts(arrays | {"plain": np.zeros(1)})
    assert set(parts) == {"outer", "single"}
    assert split_parts(parts["outer"])["right"] == {"value": np.array([3.0]), "square": np.array([9.0])}
    assert parts["single"]["value"].tolist() == [5.0]
