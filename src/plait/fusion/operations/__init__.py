"""Operations of fusion cells, one file each; importing this package registers them."""

from plait.fusion.operations import concat, gate, low_rank, max, mean, product, tensor
from plait.fusion.operations._base import OPERATIONS, Operation

__all__ = ["OPERATIONS", "Operation", "concat", "gate", "low_rank", "max", "mean", "product", "tensor"]
