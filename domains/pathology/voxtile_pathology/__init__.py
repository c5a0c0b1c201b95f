"""The pathology domain: whole slides to patches, annotations, the H&E phantom, configs and tasks."""
