"""Published models by name, with the preprocessing of their own code: `hub:NAME[/FILE or FOLDER]`."""
