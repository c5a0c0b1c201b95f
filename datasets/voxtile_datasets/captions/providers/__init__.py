"""Who writes a caption: one small protocol, the embedded model, endpoints over HTTP, and the cache in front of them."""
