"""One step of training, made of parts that `ContrastiveModule` holds and calls in this order.

`seeds` keys its randomness and `texts` reads the texts. `encoding` encodes the batch in one pass, `large_batch` in
micro-batches, and `locked_images` has what a locked tower gives. `distributed` brings together what several processes
encoded, `losses` weighs the terms, `distributed` averages the gradients, and `logged_steps` writes the figures down.
`held_out` is for batches that nothing is learned from.
"""
