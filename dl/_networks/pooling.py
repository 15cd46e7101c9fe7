"""From any number of a patient's images to one answer, by learned attention (Ilse et al. 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from usstats.errors import PairingError

__all__ = ["AttentionPool", "PatientNetwork", "patient_bags"]


def patient_bags(features: Tensor, patient: Tensor) -> tuple[Tensor, Tensor]:
    """Images in a row, sorted into one padded row a patient.

    Parameters
    ----------
    features : (n_images, D) Tensor
    patient : (n_images,) int Tensor
        Codes 0 to n_patients - 1, every one of them at least once, in any order.

    Returns
    -------
    bags : (n_patients, most images, D) Tensor
        Zeros where a patient has fewer images.
    present : (n_patients, most images) bool Tensor

    Raises
    ------
    PairingError
        Codes of another length than the features, or a patient without an image.

    Examples
    --------
    >>> bags, present = patient_bags(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([1, 0, 1]))
    >>> bags[:, :, 0].tolist(), present.tolist()
    ([[2.0, 0.0], [1.0, 3.0]], [[True, False], [True, True]])
    """
    counts = _counts(features, patient)
    order = torch.argsort(patient, stable=True)
    starts = counts.cumsum(0) - counts
    place = torch.arange(len(patient), device=patient.device) - starts[patient[order]]
    present = torch.arange(int(counts.max()), device=patient.device) < counts[:, None]
    bags = features.new_zeros(*present.shape, *features.shape[1:])
    return bags.index_put((patient[order], place), features[order]), present


def _counts(features: Tensor, patient: Tensor) -> Tensor:
    """Images of every patient."""
    if patient.ndim != 1 or len(patient) != len(features) or len(patient) == 0:
        msg = (
            f"`patient` must give one code for each of the {len(features)} images (at least one); "
            f"got shape {tuple(patient.shape)}."
        )
        raise PairingError(msg)
    counts = torch.bincount(patient)
    if bool((counts == 0).any()):
        msg = (
            f"`patient` must be codes 0 to n - 1; patient {int((counts == 0).nonzero()[0])} of "
            f"{len(counts)} has no image. Recode with pandas.factorize."
        )
        raise PairingError(msg)
    return counts


class AttentionPool(nn.Module):
    """Weighted mean of a patient's images, with weights that the images' features decide.

    weight_i = softmax_i(w . (tanh(V h_i) * sigmoid(U h_i))), over the images that are there.

    Parameters
    ----------
    n_features : int
    width : int
        Of the attention.

    Examples
    --------
    >>> pooled, weights = AttentionPool(4)(torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool))
    >>> pooled.shape, weights.sum(dim=1).tolist()
    (torch.Size([2, 4]), [1.0, 1.0])
    """

    def __init__(self, n_features: int, *, width: int = 128) -> None:
        super().__init__()
        self.what = nn.Linear(n_features, width)
        self.whether = nn.Linear(n_features, width)
        self.weigh = nn.Linear(width, 1, bias=False)

    def forward(self, bags: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Pool.

        Parameters
        ----------
        bags : (n_patients, n_images, n_features) Tensor
        present : (n_patients, n_images) bool Tensor
            At least one image a patient. What stands in the other places is not looked at.

        Returns
        -------
        pooled : (n_patients, n_features) Tensor
        weights : (n_patients, n_images) Tensor
            Of sum 1, and 0 where there is no image.
        """
        bags = bags.where(present[:, :, None], torch.zeros_like(bags))
        raw = self.weigh(self.what(bags).tanh() * self.whether(bags).sigmoid())[:, :, 0]
        weights = raw.masked_fill(~present, -torch.inf).softmax(dim=1)
        return (weights[:, :, None] * bags).sum(dim=1), weights


class PatientNetwork(nn.Module):
    """A classifier of images made one of patients: features, attention, head.

    Parameters
    ----------
    network : Module
        With `features` (images -> (n_images, n_features)), `dropout` and a linear `head`, as
        `ImageClassifier` has. Its parts go on to be used; a patient's only image is answered as
        `network` answers it.
    width : int
        Of the attention.

    Examples
    --------
    >>> from dl.registry import build
    >>> network = PatientNetwork(build("resnet18", n_classes=1, in_channels=1)).eval()
    >>> network(torch.zeros(5, 1, 64, 64), torch.tensor([0, 0, 1, 1, 1])).shape
    torch.Size([2, 1])
    """

    def __init__(self, network: nn.Module, *, width: int = 128) -> None:
        super().__init__()
        self.network = network
        self.pool = AttentionPool(network.head.in_features, width=width)

    @property
    def head(self) -> nn.Linear:
        """The classifying layer."""
        return self.network.head

    def forward(self, images: Tensor, patient: Tensor) -> Tensor:
        """Logits (n_patients, n_classes) from (n_images, C, H, W) and codes (n_images,)."""
        pooled, _ = self.pool(*patient_bags(self.network.features(images), patient))
        return self.network.head(self.network.dropout(pooled))

    def weights(self, images: Tensor, patient: Tensor) -> Tensor:
        """How much each image counts for its patient, (n_images,), in the images' order."""
        bags, present = patient_bags(self.network.features(images), patient)
        _, weights = self.pool(bags, present)
        order = torch.argsort(patient, stable=True)
        return torch.empty_like(weights[present]).index_copy(0, order, weights[present])
