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
from curate.runtime.calls import find_call, repeat_command
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
KNOWN = ("auto", "plain", "chatml")
"""Templates that may be taken in place of another one, those nearer to training first."""


class UnusableTemplateError(ValueError):
    """A template cannot be used with a tokenizer; ``hint`` mends it where another template is not what is needed."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


def choose_template(tokenizer: Any, choice: str = "auto", end_of_turn: bool = True, model: str = "") -> ChatTemplate:
    """Return the template named by ``choice``: auto, trl, plain, chatml, or the path of a Jinja file.

    auto is the tokenizer's template, and plain where it has none. ``model`` is named in messages. Raises UsageError for
    a file that cannot be read, for Jinja that cannot be compiled, where the tokenizer lacks a control token that the
    template writes, and for trl without TRL or without a variant of it. Its hint is the command with a template that
    can be used.
    """
    try:
        return _build_template(tokenizer, choice, end_of_turn, model)
    except UnusableTemplateError as error:
        hint = error.hint or repeat_with_other(tokenizer, choice, end_of_turn)
        raise UsageError(str(error), hint) from error


def repeat_with_other(tokenizer: Any, refused: str, end_of_turn: bool = True) -> str:
    """Return the command under way without a template that cannot be used: with the others, else with one that can."""
    call = find_call("rank_sft")
    named = str(call.values.get("template") or "auto") if call is not None else refused
    kept = [one for one in map(str.strip, named.split(",")) if one and one != refused]
    if kept:
        return repeat_command("rank_sft", template=",".join(kept))
    same = "plain" if refused == "auto" and not tokenizer.chat_template else refused
    for other in KNOWN if tokenizer.chat_template else KNOWN[1:]:
        if other in (same, refused):
            continue
        try:
            _build_template(tokenizer, other, end_of_turn, "")
        except UnusableTemplateError:
            continue
        return repeat_command("rank_sft", template=None if other == "auto" else other)
    return repeat_command("rank_sft", template="chatml", end_of_turn=False)


def find_choice(template: ChatTemplate) -> str:
    """Return the choice that gives a template, by its name."""
    if template.name.startswith("chat template"):
        return "auto"
    return "trl" if template.name.startswith("TRL's chat template") else template.name


def _build_template(tokenizer: Any, choice: str, end_of_turn: bool, model: str) -> ChatTemplate:
    """Return a template that has rendered a conversation. Raises UnusableTemplateError where it cannot be used."""
    if choice == "auto" and tokenizer.chat_template:
        template = _take_from_tokenizer(tokenizer, end_of_turn, model)
    elif choice in ("auto", "plain"):
        template = ChatTemplate("plain", PLAIN, tokenizer, end_of_turn, is_flat=True)
        if end_of_turn and not tokenizer.eos_token:
            message = f"the plain template ends an answer with EOS, which the tokenizer{_of(model)} does not have"
            raise UnusableTemplateError(message)
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
        raise UnusableTemplateError(message)
    return ChatTemplate(name, source["default"], tokenizer, end_of_turn, tool_source=source.get("tool_use", ""))


def _ask_trl(tokenizer: Any, model: str) -> str:
    """Return the template that TRL's SFTTrainer renders with ``assistant_only_loss``."""
    if not tokenizer.chat_template:
        raise UnusableTemplateError(f"--template trl: the tokenizer{_of(model)} has no chat template")
    try:
        from trl.chat_template_utils import get_training_chat_template, has_generation_markers
    except ImportError as error:
        message = "--template trl: TRL is not installed"
        raise UnusableTemplateError(message, "pip install 'trl>=1.0' 'accelerate>=1.10'") from error
    source = tokenizer.get_chat_template() if _has_default(tokenizer) else ""
    if not source:
        raise UnusableTemplateError(f"--template trl: the tokenizer{_of(model)} has no chat template by default")
    if has_generation_markers(source):
        return str(source)
    try:
        return get_training_chat_template(tokenizer) or str(source)
    except ValueError as error:
        message = f"--template trl: TRL has no training variant of the chat template{_of(model)}"
        raise UnusableTemplateError(message) from error


def _has_default(tokenizer: Any) -> bool:
    return not isinstance(tokenizer.chat_template, dict) or "default" in tokenizer.chat_template


def _of(model: str) -> str:
    return f" of {model}" if model else ""


def _read_file(path: str) -> str:
    if not Path(path).is_file():
        raise UnusableTemplateError(f"the template file {path} does not exist")
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableTemplateError(f"{path} cannot be read as a template: {error}") from error


def _try_rendering(template: ChatTemplate, model: str) -> None:
    """Render a question and an answer. Raises UnusableTemplateError for broken Jinja and for a missing control token.

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
                raise UnusableTemplateError(message) from error
            missing = [name for name in ("eos_token", "bos_token") if f"'{name}'" in str(error)]
            if isinstance(error, UndefinedError) and missing:
                message = f"{template.name} writes {missing[0]}, which the tokenizer{_of(model)} does not have"
                raise UnusableTemplateError(message) from error
