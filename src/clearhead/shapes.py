"""The axis legend: one letter per axis, the same in every signature and comment of the repository.

B batch                    T query positions           S key positions
D model width              H query heads               G key/value heads
C channels per head        F feed-forward width        V vocabulary
L layers                   R rank                      N samples or nodes        K classes

Annotations are jaxtyping's (`Float[Tensor, "B T D"]`). They document in normal use and are checked under pytest.
"""

LEGEND = {
    "B": "batch",
    "T": "query positions",
    "S": "key positions",
    "D": "model width",
    "H": "query heads",
    "G": "key/value heads",
    "C": "channels per head",
    "F": "feed-forward width",
    "V": "vocabulary",
    "L": "layers",
    "R": "rank",
    "N": "samples or nodes",
    "K": "classes",
}
