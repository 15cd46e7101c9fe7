"""All fold networks of a run as one module, with everything a prediction is made of."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dl._augmenting.variants import Variant, variants
from dl._networks.attention import AttentionNet
from dl._networks.multitask import MultiTaskUNet
from dl.channels import ChannelLayout
from dl.layers import ImageClassifier
from dl.network import tasks_of
from dl.run_folder import Run

__all__ = ["RunNetwork", "run_network"]


class RunNetwork(nn.Module):
    """Answers of several networks to the variants of an image, averaged as predictions are.

    Parameters
    ----------
    networks : sequence of Module
        Each is called with one tensor (N, C, H, W).
    shown : sequence of Variant
    tasks : sequence of {"classify", "segment"}
    layout : ChannelLayout, optional
    heads : int
        Networks that share a trunk are one network whose head has the logits of all of them side
        by side; their number.

    Attributes
    ----------
    outputs : tuple of str
        What `forward` returns: logits (N, K), mask (N, L, H, W), members (N, M, K) and evidence
        (N, K, h, w), as far as there are any.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        shown: Sequence[Variant],
        *,
        tasks: Sequence[str] = ("classify",),
        layout: ChannelLayout | None = None,
        heads: int = 1,
    ) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.shown, self.layout, self.heads = tuple(shown), layout, heads
        linear = isinstance(networks[0], ImageClassifier | MultiTaskUNet | AttentionNet)
        classifies = "classify" in tasks
        there = {
            "logits": classifies,
            "mask": "segment" in tasks,
            "members": classifies,
            "evidence": classifies and linear,
        }
        self.outputs = tuple(name for name, is_there in there.items() if is_there)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        images = torch.stack([each.show(x, self.layout) for each in self.shown], dim=1)
        images = images.flatten(0, 1)
        answers = [_answer(network, images) for network in self.networks]
        found = {}
        if "members" in self.outputs:
            found["members"] = self._members([answer["logits"] for answer in answers])
            found["logits"] = found["members"].mean(dim=1)
        if "mask" in self.outputs:
            found["mask"] = self._turned_back(_mean(answers, "mask"))
        if "evidence" in self.outputs:
            found["evidence"] = self._evidence(_mean(answers, "evidence"))
        return tuple(found[name] for name in self.outputs)

    def _members(self, logits: Sequence[Tensor]) -> Tensor:
        """(N * variants, heads * K) of every network -> (N, networks * heads, K)."""
        means = [torch.stack(self._by_variant(each), dim=0).mean(dim=0) for each in logits]
        return torch.cat([mean.unflatten(1, (self.heads, -1)) for mean in means], dim=1)

    def _by_variant(self, y: Tensor) -> tuple[Tensor, ...]:
        return y.unflatten(0, (-1, len(self.shown))).unbind(dim=1)

    def _turned_back(self, masks: Tensor) -> Tensor:
        pairs = zip(self.shown, self._by_variant(masks), strict=True)
        turned = [variant.undo(y) for variant, y in pairs]
        return sum(y * known for y, known in turned) / sum(known for _, known in turned)

    def _evidence(self, evidence: Tensor) -> Tensor:
        """Of the image and its mirror image: no variant that would blur it."""
        own = evidence.unflatten(1, (self.heads, -1)).mean(dim=1)
        pairs = zip(self.shown, self._by_variant(own), strict=True)
        sharp = [v.undo(y)[0] for v, y in pairs if (v.rotate, v.zoom, v.gain) == (0, 1, 0)]
        return sum(sharp) / len(sharp)


def run_network(run: Run) -> RunNetwork:
    """The networks of all folds of a finished run.

    Raises
    ------
    CheckpointError, ResumeError
        The run is damaged or not finished.
    """
    networks = [run.network(fold) for fold in range(run.folds.n_folds)]
    shown = variants(flip=run.config.flip_views, tta=run.config.tta)
    layout, tasks = getattr(networks[0], "layout", None), tasks_of(run.config.architecture)
    if run.config.route == "frozen":
        joined = _joined(networks)
        return RunNetwork([joined], shown, tasks=tasks, layout=layout, heads=len(networks))
    return RunNetwork(networks, shown, tasks=tasks, layout=layout)


def _joined(networks: Sequence[nn.Module]) -> nn.Module:
    """Networks that differ in their linear heads alone as one."""
    one = copy.deepcopy(networks[0])
    heads = [network.head for network in networks]
    one.head = nn.Linear(heads[0].in_features, sum(head.out_features for head in heads))
    with torch.no_grad():
        one.head.weight.copy_(torch.cat([head.weight for head in heads]))
        one.head.bias.copy_(torch.cat([head.bias for head in heads]))
    return one.eval()


def _mean(answers: Sequence[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([answer[name] for answer in answers]).mean(dim=0)


def _answer(network: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Logits, mask logits and, where the logits are the mean of a map, that map."""
    if isinstance(network, MultiTaskUNet):
        classes, masks, last = network.answer(x)
        return {"logits": classes, "mask": masks, "evidence": _shares(network.head, last)}
    if isinstance(network, ImageClassifier):
        last = network.trunk(network.standardise(x))
        logits = network.head(last.mean(dim=(2, 3)))
        return {"logits": logits, "evidence": _shares(network.head, last)}
    if isinstance(network, AttentionNet):
        maps = network.evidence(x)
        logits = sum(share.mean(dim=(2, 3)) for share in maps) + network.head.bias
        return {"logits": logits, "evidence": _at_one_size(maps)}
    answer = network(x)
    if isinstance(answer, tuple):
        return {"logits": answer[0], "mask": answer[1]}
    return {"logits" if answer.ndim == 2 else "mask": answer}


def _shares(head: nn.Linear, last: Tensor) -> Tensor:
    """What each place adds to each logit, (N, K, h, w): its mean plus the bias is the logit."""
    return torch.einsum("kc,nchw->nkhw", head.weight, last)


def _at_one_size(maps: Sequence[Tensor]) -> Tensor:
    """The sum of maps at the size of the first and finest; means stay where sizes divide."""
    size = maps[0].shape[-2:]
    return sum(interpolate(each, size=size, mode="nearest") for each in maps)
