"""What every room may use: files, digests, words for people, signals."""
