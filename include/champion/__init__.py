"""What is in production: a version's files, the pointer, the alias, and what answers from them."""
