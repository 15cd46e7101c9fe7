"""The networks of a study file: what of a training run an author may choose, and what fits.

The choices are the fields of `dl.config.TrainConfig`, derived from it, so that whatever a run can
do a study file can say; the study itself gives name, outcome and seed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from dataclasses import Field as DataField
from functools import reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from dl.config import TrainConfig

__all__ = ["Name", "Network", "Strict", "resolve_ensembles", "resolve_gates"]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$")]
#: Given by the study: the network's name, the outcome, the seed.
_OF_STUDY = ("name", "positive", "classes", "seed")


class Strict(BaseModel):
    """A part of a study file: frozen, nothing coerced, no key it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _settings_of(kind: type, *, leave_out: tuple[str, ...] = ()) -> type[Strict]:
    """A strict model with the fields, types and defaults of a dataclass."""
    hints = get_type_hints(kind)
    chosen = [item for item in fields(kind) if item.name not in leave_out]
    content: dict[str, Any] = {
        item.name: (_written(hints[item.name]), _default(item, hints[item.name])) for item in chosen
    }
    return create_model(f"{kind.__name__}Settings", __base__=Strict, **content)


def _written(hint: Any) -> Any:
    """The type as YAML writes it: lists for tuples, keys for the fields of a dataclass."""
    if isinstance(hint, UnionType):
        return reduce(or_, map(_written, get_args(hint)))
    if get_origin(hint) is tuple:
        return Annotated[hint, Field(strict=False)]
    return _SETTINGS.setdefault(hint, _settings_of(hint)) if is_dataclass(hint) else hint


_SETTINGS: dict[Any, type[Strict]] = {}


def _default(item: DataField[Any], hint: Any) -> Any:
    if is_dataclass(hint):
        return Field(default_factory=_SETTINGS[hint])
    return (
        item.default if item.default is not MISSING else Field(default_factory=item.default_factory)
    )


class Network(_settings_of(TrainConfig, leave_out=_OF_STUDY)):  # type: ignore[misc]
    """One image network and everything about it that a study may choose.

    Beside the fields of `dl.config.TrainConfig`:

    Attributes
    ----------
    modality : str, optional
        Shows the network images of this modality alone (column `modality`). By default a network
        of one image sees all but Doppler images, and one of two images sees the pairs.
    gate : str, optional
        A segmenter of the same study whose out-of-fold outlines gate this network of two images.

    Examples
    --------
    >>> Network(epochs=3, augment={"photo": 0.5}).augment.photo
    0.5
    >>> Network(optimiser="lion")
    Traceback (most recent call last):
    pydantic_core._pydantic_core.ValidationError: 1 validation error for Network
      Value error, `optimiser` must be one of 'adamw', 'sgd', 'adam'; got 'lion'. ...
    """

    modality: str | None = None
    gate: Name | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Network:
        self.train_config(name="network", positive="1", seed=0)
        return self

    def train_config(self, *, name: str, positive: str, seed: int) -> TrainConfig:
        """The configuration that determines a training run.

        Raises
        ------
        ConfigError
            Values out of range, or that make no sense together.
        """
        chosen = self.model_dump(mode="json", exclude={"modality", "gate"})
        return TrainConfig.from_dict({**chosen, "name": name, "positive": positive, "seed": seed})

    def frozen(self) -> Network:
        """The same network by the route "frozen"."""
        config = self.train_config(name="network", positive="1", seed=0).frozen().to_dict()
        chosen = {name: value for name, value in config.items() if name not in _OF_STUDY}
        return type(self)(**chosen, modality=self.modality)


def resolve_gates(networks: Mapping[str, Network]) -> None:
    """Every gate is another network with the same folds, and has no gate itself.

    Raises
    ------
    ValueError
    """
    for name, network in networks.items():
        if network.gate is None:
            continue
        outliner = networks.get(network.gate)
        if outliner is None or network.gate == name:
            msg = f"networks.{name}.gate names no other network of the study: {network.gate}"
            raise ValueError(msg)
        if outliner.gate is not None:
            msg = f"networks.{name}.gate: {network.gate} is gated itself; name a segmenter"
            raise ValueError(msg)
        if outliner.folds != network.folds:
            msg = (
                f"networks.{name}.folds is {network.folds} and that of its gate {network.gate} "
                f"{outliner.folds}; outlines must come from the same folds"
            )
            raise ValueError(msg)


def resolve_ensembles(
    ensembles: Mapping[str, tuple[str, ...]], networks: Mapping[str, Network]
) -> None:
    """Every ensemble has two or more different networks of the study, with the same folds.

    Raises
    ------
    ValueError
    """
    for name, members in ensembles.items():
        unknown = sorted(set(members) - set(networks))
        if name in networks:
            msg = f"ensembles.{name} has the name of a network; choose another"
        elif unknown:
            msg = f"ensembles.{name} names networks that are not declared: {', '.join(unknown)}"
        elif len(set(members)) < max(2, len(members)):
            msg = f"ensembles.{name} must list two or more different networks"
        elif len({networks[member].folds for member in members}) > 1:
            msg = f"ensembles.{name}: its networks differ in `folds`, and must share them"
        else:
            continue
        raise ValueError(msg)
