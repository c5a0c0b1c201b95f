"""What sentences about scenes tell beyond names: changes, ways, acts, and whose a share or a place is."""
