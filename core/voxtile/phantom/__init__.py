"""What the phantoms of all domains are made with."""
