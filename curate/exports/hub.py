"""The Hugging Face Hub: checked before the work, pushed to after it; each failure is one line and a hint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.errors import StorageError, UsageError
from curate.exports.formats.shards import TABLE_FORMATS, make_bucket_pattern
from curate.runtime.text import quote_word


def check_hub(name: str) -> None:
    """Find out before the work whether a push can succeed.

    Raises UsageError for a bad name, StorageError without a token.
    """
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except ValueError as error:
        raise UsageError(f"--push-to-hub {name}: {_first_line(error)}", "--push-to-hub me/my-dataset") from error
    _ask_hub(name, lambda api: api.whoami())


def push_dataset(folder: Path, name: str, private: bool) -> str:
    """Upload an export as a dataset repository and return its address; shards of an earlier push are replaced.

    Raises StorageError where the Hub refuses it or cannot be reached.
    """

    def upload(api: Any) -> None:
        api.create_repo(name, repo_type="dataset", private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            repo_type="dataset",
            folder_path=folder,
            commit_message="Export of curate",
            delete_patterns=_list_shard_patterns(),
        )

    quoted = quote_word(str(folder))
    hint = f"{folder} is complete; push it later with: hf upload --repo-type dataset {name} {quoted}"
    _ask_hub(name, upload, hint)
    return f"https://huggingface.co/datasets/{name}"


def _list_shard_patterns() -> list[str]:
    """Return the patterns of all shards that an export may have, those in the folders of buckets too."""
    patterns = [tables.pattern for tables in TABLE_FORMATS.values()]
    patterns += [make_bucket_pattern(name, "*") for name in TABLE_FORMATS]
    return [pattern.replace("{:05d}", "*") for pattern in patterns]


def _ask_hub(name: str, ask: Callable[[Any], object], hint: str | None = None) -> None:
    """Ask the Hub for something. Raises StorageError where it refuses, or cannot be reached."""
    from huggingface_hub import HfApi, errors

    try:
        ask(HfApi())
    except errors.LocalTokenNotFoundError as error:
        message = f"{name} cannot be pushed: there is no token for the Hugging Face Hub"
        raise StorageError(message, "hf auth login, or set HF_TOKEN") from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        hint = "the token needs the right to write there: hf auth login" if status in (401, 403, 404) else hint
        raise StorageError(f"the Hugging Face Hub refused {name}: {_first_line(error)}", hint) from error
    except (errors.HTTPError, OSError, RuntimeError) as error:  # Its Rust uploader raises RuntimeError.
        raise StorageError(f"the push to {name} failed: {_first_line(error)}", hint) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n", 1)[0]
