"""What operators do by hand: looking at what is held and giving it back."""
