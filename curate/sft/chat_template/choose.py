"""The choice of a chat template: the tokenizer's, TRL's for it, one of ours, or a file of the user.

    plain    ### System: / ### Question: / ### Answer: / ### Tool: on separate lines, answers end with the
             tokenizer's end of text. For base models, which know no other control token.
    chatml   <|im_start|>role, a line end, the text, <|im_end|>. Where the tokenizer lacks these control tokens they
             are plain text of several tokens each, which are all scored with the end of turn.

    trl      what TRL trains on with ``assistant_only_loss``: its variant of the tokenizer's template, with an empty
             ``<think>`` block in every answer of Qwen 3, say; the tokenizer's own where that marks answers itself.

Our templates write texts unchanged, and tools as JSON in a separate system section at the beginning.
"""

from pathlib import Path
from typing import Any

from curate.corpus.chat.types import Turn
from curate.errors import UsageError
from curate.sft.chat_template.render import ChatTemplate, RenderRefusal

PLAIN = """\
{%- set names = {'system': 'System', 'user': 'Question', 'assistant': 'Answer', 'tool': 'Tool'} %}
{%- if tools %}{{ '### System:\\n' + (tools | tojson) + '\\n\\n' }}{% endif %}
{%- for message in messages %}
    {{- '### ' + names[message.role] + ':\\n' + message.content }}
    {%- if message.role == 'assistant' and eos_token %}{{ eos_token }}{% endif %}
    {{- '\\n\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '### Answer:\\n' }}{% endif %}"""

CHATML = """\
{%- if tools %}{{ '<|im_start|>system\\n' + (tools | tojson) + '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

ENDING = "<|im_end|>"
HINT = "use --template auto, trl, plain, chatml or the path of a .jinja file"


def choose_template(tokenizer: Any, choice: str = "auto", end_of_turn: bool = True, model: str = "") -> ChatTemplate:
    """Return the template named by ``choice``: auto, trl, plain, chatml, or the path of a Jinja file.

    auto is the tokenizer's template, and plain where it has none. ``model`` is named in messages. Raises UsageError for
    a file that cannot be read, for Jinja that cannot be compiled, where the tokenizer lacks a control token that the
    template writes, and for trl without TRL or without a variant of it.
    """
    if choice == "auto" and tokenizer.chat_template:
        template = _take_from_tokenizer(tokenizer, end_of_turn, model)
    elif choice in ("auto", "plain"):
        template = ChatTemplate("plain", PLAIN, tokenizer, end_of_turn, is_flat=True)
        if end_of_turn and not tokenizer.eos_token:
            raise UsageError(
                f"the plain template ends an answer with EOS, which the tokenizer{_of(model)} does not have",
                "use --template chatml or --no-end-of-turn",
            )
    elif choice == "trl":
        template = ChatTemplate(f"TRL's chat template{_of(model)}", _ask_trl(tokenizer, model), tokenizer, end_of_turn)
    elif choice == "chatml":
        template = ChatTemplate("chatml", CHATML, tokenizer, end_of_turn, ending=ENDING, is_flat=True)
    else:
        template = ChatTemplate(choice, _read_file(choice), tokenizer, end_of_turn)
    _try_rendering(template, model)
    return template


def _take_from_tokenizer(tokenizer: Any, end_of_turn: bool, model: str) -> ChatTemplate:
    """Return the tokenizer's template; of several, as transformers does, ``default`` with ``tool_use`` for tools."""
    source = tokenizer.chat_template
    name = f"chat template{_of(model)}"
    if not isinstance(source, dict):
        return ChatTemplate(name, source, tokenizer, end_of_turn)
    if "default" not in source:
        message = f"the tokenizer{_of(model)} has several chat templates ({', '.join(sorted(source))}), none by default"
        raise UsageError(message, HINT)
    return ChatTemplate(name, source["default"], tokenizer, end_of_turn, tool_source=source.get("tool_use", ""))


def _ask_trl(tokenizer: Any, model: str) -> str:
    """Return the template that TRL's SFTTrainer renders with ``assistant_only_loss``."""
    try:
        from trl.chat_template_utils import get_training_chat_template, has_generation_markers
    except ImportError as error:
        raise UsageError("--template trl: TRL is not installed", "pip install 'trl>=1.0' 'accelerate>=1.10'") from error
    if not tokenizer.chat_template:
        raise UsageError(f"--template trl: the tokenizer{_of(model)} has no chat template", HINT)
    if has_generation_markers(tokenizer.chat_template):
        return str(tokenizer.get_chat_template())
    try:
        return get_training_chat_template(tokenizer) or str(tokenizer.get_chat_template())
    except ValueError as error:
        message = f"--template trl: TRL has no training variant of the chat template{_of(model)}"
        raise UsageError(message, HINT) from error


def _of(model: str) -> str:
    return f" of {model}" if model else ""


def _read_file(path: str) -> str:
    if not Path(path).is_file():
        raise UsageError(f"the template file {path} does not exist", HINT)
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a template: {error}", HINT) from error


def _try_rendering(template: ChatTemplate, model: str) -> None:
    """Render a question and an answer. Raises UsageError for broken Jinja and for a control token that is missing.

    Other refusals of the template are counted when its conversations are rendered.
    """
    from jinja2 import TemplateSyntaxError, UndefinedError

    for tools in (None, "[{}]") if template.tool_source else (None,):
        try:
            template.apply([Turn("user", "?"), Turn("assistant", "!")], tools)
        except RenderRefusal as refusal:
            error = refusal.__cause__
            if isinstance(error, TemplateSyntaxError):
                message = f"{template.name}, line {error.lineno}: {error.message}"
                raise UsageError(message, "correct the Jinja, or " + HINT) from error
            missing = [name for name in ("eos_token", "bos_token") if f"'{name}'" in str(error)]
            if isinstance(error, UndefinedError) and missing:
                message = f"{template.name} writes {missing[0]}, which the tokenizer{_of(model)} does not have"
                raise UsageError(message, HINT) from error
