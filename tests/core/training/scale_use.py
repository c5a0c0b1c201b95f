"""Which objectives read the logit scale, and which are refused where sources with scales of their own mix."""

import torch
from exactness_model import make_batch, make_module

from voxtile.errors import ConfigError


def scale_use(make, batch, settings):
    """Whether the loss depends on the scale, and whether a batch of several sources is refused."""
    losses = []
    for scale in (1.5, 2.5):
        module = make_module(make(), batch, False, **settings)
        module.encoder.log_scale.fill_(scale)
        losses.append(module.losses(module.features(batch))["it"])
    module = make_module(make(), batch, False, **settings, sources=True)
    try:
        module.losses(module.features(batch))
    except ConfigError as error:
        refused = "'it' gives no number for a batch of several sources" in str(error)
        return [not torch.equal(*losses), refused]
    return [not torch.equal(*losses), False]


def table(cases):
    """Of each case without sources of its own: [whether it reads the scale, whether it is refused]."""
    alone = {name: case for name, case in cases.items() if not case[2].get("sources")}
    with torch.no_grad():
        return {
            name: scale_use(make, make_batch(options.get("each", 1)), {"project": options.get("project", True)})
            for name, (make, _, options) in alone.items()
        }
