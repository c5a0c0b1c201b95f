"""The remote-sensing domain: scenes to tiles with named bands, facts from the map, phantoms, configs and tasks."""
