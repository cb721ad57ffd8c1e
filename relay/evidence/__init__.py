"""Evidence: what the relay says it did, in a form that anyone can check without it. Receipts, written and read."""
