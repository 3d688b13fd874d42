"""Which chat template to render with: the tokenizer's own, one of ours, or a file of the user's.

    plain    ### System: / ### Question: / ### Answer: / ### Tool: on lines of their own, answers ended by the
             tokenizer's end of text. For base models, which know no other control token.
    chatml   <|im_start|>role, a line end, the text, <|im_end|>. Where the tokenizer knows no such control tokens they
             are plain text of several tokens each, all of which are scored where the end of turn is.

Ours write texts as they are, and tools as JSON in a system section of their own at the beginning.
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
CHOICE = "--template auto, plain, chatml or the path of a .jinja file"


def choose_template(tokenizer: Any, wanted: str = "auto", end_of_turn: bool = True, model: str = "") -> ChatTemplate:
    """The template that ``wanted`` names; auto is the tokenizer's own, and plain where it has none.

    ``model`` is named in messages. Raises UsageError for a file that cannot be read, for Jinja that cannot be compiled,
    and where the tokenizer lacks a control token that the template writes.
    """
    if wanted == "auto" and tokenizer.chat_template:
        template = _own(tokenizer, end_of_turn, model)
    elif wanted in ("auto", "plain"):
        template = ChatTemplate("plain", PLAIN, tokenizer, end_of_turn)
        if end_of_turn and not tokenizer.eos_token:
            raise UsageError(
                f"the plain template ends an answer with EOS, which the tokenizer{_of(model)} does not have",
                "--template chatml, or leave the end of turns out",
            )
    elif wanted == "chatml":
        template = ChatTemplate("chatml", CHATML, tokenizer, end_of_turn, ending=ENDING)
    else:
        template = ChatTemplate(wanted, _read(wanted), tokenizer, end_of_turn)
    _try(template, model)
    return template


def _own(tokenizer: Any, end_of_turn: bool, model: str) -> ChatTemplate:
    """Tokenizers may bring several templates, by name, of which transformers uses two of its own accord."""
    found = tokenizer.chat_template
    name = f"chat template{_of(model)}"
    if not isinstance(found, dict):
        return ChatTemplate(name, found, tokenizer, end_of_turn)
    if "default" not in found:
        message = f"the tokenizer{_of(model)} has several chat templates ({', '.join(sorted(found))}), none by default"
        raise UsageError(message, CHOICE)
    return ChatTemplate(name, found["default"], tokenizer, end_of_turn, tool_source=found.get("tool_use", ""))


def _of(model: str) -> str:
    return f" of {model}" if model else ""


def _read(path: str) -> str:
    if not Path(path).is_file():
        raise UsageError(f"there is no template file {path}", CHOICE)
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as a template: {error}", CHOICE) from error


def _try(template: ChatTemplate, model: str) -> None:
    """Render a question and an answer; what a template refuses for other reasons its conversations will say."""
    from jinja2 import TemplateSyntaxError, UndefinedError

    for tools in (None, "[{}]") if template.tool_source else (None,):
        try:
            template.apply([Turn("user", "?"), Turn("assistant", "!")], tools)
        except RenderRefusal as refusal:
            error = refusal.__cause__
            if isinstance(error, TemplateSyntaxError):
                message = f"{template.name}, line {error.lineno}: {error.message}"
                raise UsageError(message, "mend the Jinja, or choose another: " + CHOICE) from error
            lacking = [name for name in ("eos_token", "bos_token") if f"'{name}'" in str(error)]
            if isinstance(error, UndefinedError) and lacking:
                message = f"{template.name} writes {lacking[0]}, which the tokenizer{_of(model)} does not have"
                raise UsageError(message, CHOICE) from error
