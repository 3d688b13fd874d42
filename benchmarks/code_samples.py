"""Draw source files of programming languages from git repositories, for builtin.py --code.

    python benchmarks/code_samples.py --out FOLDER python=CLONE/psf/requests c=CLONE/libuv/libuv …

Writes LANGUAGE.jsonl for each, with the text and the path of a file a line, the same files for the same commit. A path
is a clone, bare or not; tests and files below 500 characters are left out.
"""

import argparse
import json
import random
import subprocess
from pathlib import Path

ENDINGS = {
    "c": (".c", ".h"),
    "go": (".go",),
    "java": (".java",),
    "javascript": (".js", ".mjs"),
    "python": (".py",),
    "rust": (".rs",),
}
SHORTEST = 500


def git(clone: str, *words: str) -> str:
    """Return what a command of git prints of a clone; bytes that are no UTF-8 are replaced."""
    done = subprocess.run(["git", "-C", clone, *words], check=True, capture_output=True)
    return done.stdout.decode(errors="replace")


def draw_files(clone: str, language: str, most: int, seed: int) -> list[dict[str, str]]:
    """Return up to ``most`` source files of a language, as path and text."""
    names = git(clone, "ls-tree", "-r", "--name-only", "HEAD").splitlines()
    names = [name for name in names if name.endswith(ENDINGS[language]) and "test" not in name.lower()]
    random.Random(seed).shuffle(names)
    rows: list[dict[str, str]] = []
    for name in names:
        text = git(clone, "show", f"HEAD:{name}")
        if len(text) >= SHORTEST and len(rows) < most:
            rows.append({"id": name, "text": text})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", nargs="+", metavar="LANGUAGE=CLONE")
    parser.add_argument("--out", required=True)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    Path(options.out).mkdir(parents=True, exist_ok=True)
    for pair in options.clones:
        language, _, clone = pair.partition("=")
        rows = draw_files(clone, language, options.files, options.seed)
        path = Path(options.out) / f"{language}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        print(f"{language}: {len(rows)} files of {git(clone, 'rev-parse', '--short', 'HEAD').strip()}")


if __name__ == "__main__":
    main()
