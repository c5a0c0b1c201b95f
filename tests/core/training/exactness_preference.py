"""Tuning by preferences of an assistant with names: both answers of each pair by themselves and whole, then as now."""

import torch
from exactness_assist import InDoublePrecision, with_words
from exactness_generative import with_towers

from voxtile.assist.connector import Connector
from voxtile.assist.item_tokens.named_readings import NamedReadings
from voxtile.assist.preference import Preference


def begun(objective):
    """It begins with the assistant that it is itself, and has gone on from there."""
    setup_towers = objective.setup_towers

    def setup(image, text):
        setup_towers(image, text)
        weights = {f"it.{name}": part.detach().clone() for name, part in objective.state_dict().items()}
        objective.begin_with_states({"it": objective.state()})
        objective.begin_with(weights)
        with torch.no_grad():
            for part in objective.parameters():
                part.add_(0.2 * torch.randn_like(part))

    objective.setup_towers = setup
    return objective


def dense_preference(objective, f):
    """Equation 7 of the paper of each pair, each answer by itself and whole, with the likelihood of the better one."""
    drawn = [(item, pair) for item, pairs in enumerate(f.batch.preferences) for pair in pairs]
    kept = {name: part.detach().clone() for name, part in objective.named_parameters()}
    for name, part in objective.named_parameters():
        part.data = objective.reference.get_buffer(name.replace(".", "|")).clone()
    with torch.no_grad():  # by the assistant as it was
        before = [told_of_pair(objective, f, *one) for one in drawn]
    for name, part in objective.named_parameters():
        part.data = kept[name]
    now, losses = [told_of_pair(objective, f, *one) for one in drawn], []
    for (better, worse), (better_before, worse_before) in zip(now, before, strict=True):
        gain = (better.sum() - better_before.sum()) - (worse.sum() - worse_before.sum())
        losses.append((1 + (-objective.beta * gain).exp()).log() - objective.nll * better.mean())
    return torch.stack(losses).mean()


def told_of_pair(objective, f, item, pair):
    """Of each token of both answers and their ends log P; a token from the end of a name on has its reading."""
    language, words = objective.language, objective.words
    seen = objective.connector(objective.towers[0](f.batch.images, tokens=True))[item]
    names = list(objective.connector_settings.named.names)
    start = [language.embedded(torch.tensor([words.start, *words.encode("Image: ")])), seen,
             language.embedded(torch.tensor(words.encode("\n")))]  # fmt: skip
    found = []
    for text in (pair.chosen, pair.rejected):
        answer = [*words.encode(f" {text}"), words.end]
        tokens = [*words.encode(f"Question: {pair.question}\nAnswer:"), *answer]
        rows = list(language.embedded(torch.tensor(tokens)))
        for place in range(len(tokens)):
            so_far = words.decode(tokens[: place + 1])
            last = max(range(len(names)), key=lambda n: so_far.rfind(names[n]))  # no name ends in the midst of another
            if names[last] in so_far:
                rows[place] = rows[place] + seen[len(seen) - len(names) + last]
        whole = torch.cat([*start, torch.stack(rows)])[None]
        told = language.model(inputs_embeds=whole).logits[0, -len(answer) - 1 : -1].log_softmax(1)
        found.append(torch.stack([row[token] for row, token in zip(told, answer, strict=True)]))
    return found


CASES = {
    "Preference": (
        lambda: begun(
            with_words(
                with_towers(
                    Preference(
                        scratch=InDoublePrecision(vocabulary=280, width=8, depth=2, heads=2, context=64),
                        connector=Connector(
                            grid=[1, 2], pooled=1, hidden=8, named=NamedReadings(names={"t1": None, "t3": None}, rank=2)
                        ),
                        beta=0.3,
                        nll=0.7,
                    )
                )
            )
        ),
        dense_preference,
        {},
    ),
}
