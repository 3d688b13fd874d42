"""Texts with the rare cases of tokenizers."""

TEXTS = ["one page of ordinary words, and more of them " * 6, "Größe 東京 한🙂🙃 naïve –\n\t  x", "a", "", "\n\n 🙂"]
