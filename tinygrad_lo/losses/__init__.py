"""The losses of the lectures: (prediction, target) in that order, options as keywords.

Only kl_divergence(p, q), kl_divergence_with_logits(p, scores) and distribution_cross_entropy(p, q) take the
truth first. Inputs are tensors, or arrays and lists of numbers: with a tensor among them, the loss is a
tensor, else an array. Losses never broadcast, and refuse empty batches. A plain array takes the dtype of the
tensor beside it; float16 is computed in float32.

    weights=               one for each sample, an element of the first axis: its L_i count that many times,
                           and "mean" and "batchmean" divide by the sum of the weights where they divided by
                           the number of samples. None counts alike; a tensor of weights can be learned
    reduction="none"       all L_i: of each element or, of scores, distributions and embeddings, of each row
    reduction="sum"        their sum
    reduction="mean"       their sum, divided by their number, or by the sum of their class weights
    reduction="batchmean"  their sum, divided by the length of the first axis: the lectures' 1/N Σ over
                           samples of several outputs
"""

from typing import Any

from tinygrad_lo.losses.binary import (
    binary_cross_entropy, binary_cross_entropy_with_logits, hinge, squared_hinge,
)  # fmt: skip
from tinygrad_lo.losses.classification import cross_entropy, focal, multiclass_hinge, nll
from tinygrad_lo.losses.information import (
    distribution_cross_entropy, entropy, information, kl_divergence, kl_divergence_with_logits,
)  # fmt: skip
from tinygrad_lo.losses.metric import (
    contrastive, cosine_similarity, hard_negatives, pairwise_distance, semi_hard_negatives, triplet,
)  # fmt: skip
from tinygrad_lo.losses.regression import gaussian_nll, huber, log_cosh, mae, mse, msle, quantile
from tinygrad_lo.losses.regularizers import elastic_net, l1, l2
from tinygrad_lo.options import missing

__all__ = [
    "mse", "mae", "msle", "huber", "log_cosh", "quantile", "gaussian_nll",
    "cross_entropy", "focal", "nll", "binary_cross_entropy", "binary_cross_entropy_with_logits",
    "hinge", "squared_hinge", "multiclass_hinge",
    "information", "entropy", "distribution_cross_entropy", "kl_divergence",
    "kl_divergence_with_logits",
    "triplet", "contrastive", "cosine_similarity", "pairwise_distance",
    "hard_negatives", "semi_hard_negatives",
    "l1", "l2", "elastic_net",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    raise missing("lo.losses", name, __all__)
