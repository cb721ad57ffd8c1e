"""What a signed status means for the delivery that it speaks of."""
