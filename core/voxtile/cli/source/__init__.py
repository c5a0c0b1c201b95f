"""What modules say in their texts, read without importing them."""
