"""Ways to show a phrase by similarity; `SimilarityModel` says what each one is."""

from typing import Literal, get_args

Method = Literal["auto", "regions", "tokens", "concepts", "attributes", "maskclip", "gradcam", "legrad"]
METHODS: tuple[Method, ...] = get_args(Method)
