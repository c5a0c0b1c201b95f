"""What a conversion takes in beside pixels: names and keys, reports, splits; shared by the domains' converters."""
