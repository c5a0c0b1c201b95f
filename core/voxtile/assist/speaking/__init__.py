"""How a trained model speaks: what it is shown, what it says, and what each sentence rests on."""
