from .captions.labels import facts_from_labels as facts_from_labels
from .converters.image import convert_image as convert_image
from .curation.scores.alignment import score_alignment as score_alignment
from .curation.scores.clip import score_clip as score_clip
from .curation.scores.image import score_images as score_images
from .curation.scores.language import score_languages as score_languages
from .curation.scores.learned import score_learned as score_learned
from .curation.scores.safety import score_safety as score_safety
from .curation.scores.text import score_texts as score_texts
from .recipes.medmnist import build_medmnist as build_medmnist
from .recipes.talks.commands import build_conversations as build_conversations

__all__ = [
    "build_conversations",
    "build_medmnist",
    "convert_image",
    "facts_from_labels",
    "score_alignment",
    "score_clip",
    "score_images",
    "score_languages",
    "score_learned",
    "score_safety",
    "score_texts",
]
