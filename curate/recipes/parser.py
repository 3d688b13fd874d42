"""The steps of a recipe while they are read, with every mistake that is met, so that one reading finds them all."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from curate.recipes.parameters import Parameter
from curate.recipes.stage_graph import Problem, Step
from curate.recipes.yaml_nodes import EXAMPLE, FOUND_CHARS, describe, is_null, line_of, place_of, suggest
from curate.runtime.text import fold, shorten

if TYPE_CHECKING:
    from yaml import MappingNode, Node

TOP = ("description", "run", "steps")

Verbs = Mapping[str, Mapping[str, Parameter]]
VerbFunctions = Mapping[str, Callable[..., Any]]
"""The functions of the verbs by name: recipes call them, and import none."""
"""Every verb that a step may name, by its Python name, with its parameters."""


@dataclass(slots=True)
class ParsedRecipe:
    """A step while it is read: what it was given, and what it was given wrongly."""

    verb: str
    line: int
    values: dict[str, Any] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)


@dataclass(slots=True)
class RecipeParser:
    """Reads the nodes of a recipe, and notes every mistake that it meets."""

    path: str
    verbs: Verbs
    problems: list[Problem] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Verbs whose options were mistaken."""

    def hint(self) -> str:
        if self.asked:
            return f"curate {self.asked[0].replace('_', '-')} --help lists what it takes"
        return f"a step reads: {EXAMPLE}"

    def note(self, node: "Node", text: str) -> None:
        self.problems.append((place_of(node), text))

    def options(self, verb: str) -> dict[str, Parameter]:
        """What a step of this verb may give, by the names that are typed; the run directory is the recipe's."""
        found = {one.option: one for name, one in self.verbs[verb].items() if name != "run"}
        return {old: one for one in found.values() for old in one.old_options} | found

    def names(self) -> list[str]:
        return [verb.replace("_", "-") for verb in self.verbs]

    def read_top(self, root: "Node") -> tuple[str | None, str | None, list[ParsedRecipe]]:
        """run, description, steps"""
        from yaml import MappingNode, SequenceNode

        if isinstance(root, SequenceNode):
            return None, None, self.read_steps(root)
        if not isinstance(root, MappingNode):
            self.note(root, f"a recipe is a list of steps, as in {EXAMPLE}; {describe(root)}")
            return None, None, []
        found = {}
        for name, key, value in self.pairs(root, "the recipe"):
            if name in TOP:
                found[name] = value
            else:
                self.refuse_top(name, key)
        texts = {key: self.text(key, found[key]) for key in ("run", "description") if key in found}
        steps = found.get("steps")
        if steps is None and not self.problems:
            self.note(root, f"there are no steps; a recipe has a list of them below steps:, as in {EXAMPLE}")
        drafts = [] if steps is None else self.read_steps(steps)
        return texts.get("run"), texts.get("description"), drafts

    def refuse_top(self, key: str, node: "Node") -> None:
        if key.replace("-", "_") in self.verbs:
            self.note(node, f"{key} is a verb and belongs below steps:, as in - {key}: …")
        else:
            known = suggest(key, TOP)
            self.note(node, f'a recipe has no "{key}"{known or "; it has description, run and steps"}')

    def text(self, key: str, node: "Node") -> str | None:
        from yaml import ScalarNode

        if not isinstance(node, ScalarNode):
            self.note(node, f"{key}: expected a text, {describe(node)}")
            return None
        return None if is_null(node) else str(node.value)

    def pairs(self, node: "MappingNode", what: str) -> Iterator[tuple[str, "Node", "Node"]]:
        """The keys of a mapping as they are typed, - for _, with the nodes of key and value; each key once."""
        from yaml import ScalarNode

        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.note(key, f"{what}: expected the name of an option, {describe(key)}")
                continue
            name = fold(str(key.value)).replace("_", "-")
            if name in seen:
                self.note(key, f"{what}: {name} is given twice, here and in line {seen[name]}")
                continue
            seen[name] = line_of(key)
            yield name, key, value

    def read_steps(self, node: "Node") -> list[ParsedRecipe]:
        from yaml import SequenceNode

        if not isinstance(node, SequenceNode):
            self.note(node, f"steps is a list: begin each step with a dash, as in {EXAMPLE}; {describe(node)}")
            return []
        found = (self.read_step(child) for child in node.value)
        return [draft for draft in found if draft is not None]

    def read_step(self, node: "Node") -> ParsedRecipe | None:
        from yaml import MappingNode, ScalarNode

        if isinstance(node, ScalarNode) and not is_null(node):
            return self.begin(node, str(node.value))
        if not isinstance(node, MappingNode) or not node.value or not isinstance(node.value[0][0], ScalarNode):
            self.note(node, f"expected a verb with its options, as in {EXAMPLE}; {describe(node)}")
            return None
        (key, value), *more = node.value
        draft = self.begin(key, str(key.value))
        if draft is not None and more:
            self.refuse_more(draft, more)
        elif draft is not None and not is_null(value):
            self.read_options(draft, value)
        return draft

    def begin(self, node: "Node", text: str) -> ParsedRecipe | None:
        """A step of the verb that is named, which is none of another recipe."""
        verb = text.strip().replace("-", "_")
        if verb == "run":
            self.note(node, "a recipe runs no recipe, so that none can loop: write the other's steps here instead")
            return None
        if verb in self.verbs:
            return ParsedRecipe(verb, line_of(node))
        first = text.split()[0].replace("-", "_") if text.split() else ""
        if first in self.verbs:
            self.note(node, f'options stand behind a colon: {EXAMPLE}; found "{shorten(fold(text), FOUND_CHARS)}"')
            return None
        near = suggest(text, self.names()) or f"; there are {', '.join(self.names())}"
        self.note(node, f'unknown verb "{shorten(fold(text), FOUND_CHARS)}"{near}')
        return None

    def refuse_more(self, draft: ParsedRecipe, more: Sequence[tuple["Node", "Node"]]) -> None:
        """Several keys in one step: options that were not indented, or verbs without a dash."""
        draft.wrong |= set(self.verbs[draft.verb])
        for key, _ in more:
            name, verb = fold(str(key.value)), draft.verb.replace("_", "-")
            if str(key.value).replace("-", "_") in self.verbs:
                self.note(key, f"{name} is a step of its own: begin its line with a dash")
            else:
                self.note(key, f"{name} stands beside {verb}, not below it: indent it deeper than {verb}")

    def read_options(self, draft: ParsedRecipe, node: "Node") -> None:
        """The options of a step, or its argument alone."""
        from yaml import MappingNode

        if isinstance(node, MappingNode):
            for name, key, value in self.pairs(node, draft.verb.replace("_", "-")):
                self.read_option(draft, name, key, value)
            return
        argument = next((one for one in self.options(draft.verb).values() if one.argument), None)
        if argument is None:
            verb = draft.verb.replace("_", "-")
            self.asked.append(draft.verb)
            self.note(node, f"{verb}: expected options, as in - {verb}: {{OPTION: VALUE}}; {describe(node)}")
        else:
            self.take(draft, argument, node)

    def read_option(self, draft: ParsedRecipe, name: str, key: "Node", value: "Node") -> None:
        options = self.options(draft.verb)
        if name in options and options[name].name in draft.values:
            old, new = options[name].old_options[0], options[name].option
            self.note(key, f"{draft.verb.replace('_', '-')}: {old} is the old name of {new}, and both are given")
        elif name in options:
            self.take(draft, options[name], value)
        else:
            self.asked.append(draft.verb)
            self.note(key, self.unknown(draft.verb, name))

    def unknown(self, verb: str, name: str) -> str:
        """What to say of an option that a verb does not have."""
        said, options = f'{verb.replace("_", "-")} has no option "{shorten(name, FOUND_CHARS)}"', self.options(verb)
        if name == "run":
            return f"{said}: the run directory is the recipe's, run: at the top"
        if name.split(":")[0] in options and ":" in name:
            return f"{said}; a space belongs behind the colon"
        if near := suggest(name, options):
            return said + near
        others = [one.replace("_", "-") for one in self.verbs if name in self.options(one)]
        return f"{said}; {', '.join(others)} {'has' if len(others) == 1 else 'have'}" if others else said

    def take(self, draft: ParsedRecipe, parameter: Parameter, node: "Node") -> None:
        """Read a value into the draft, or note what is wrong with it."""
        from yaml import ScalarNode, SequenceNode

        if isinstance(node, ScalarNode) and is_null(node) and node.value:
            return
        try:
            if parameter.many and isinstance(node, SequenceNode):
                draft.values[parameter.name] = [self.value(parameter, child) for child in node.value]
            elif parameter.several and isinstance(node, SequenceNode) and node.value:
                one = replace(parameter, several=False)
                numbers = tuple(self.value(one, child) for child in node.value)
                draft.values[parameter.name] = numbers[0] if len(numbers) == 1 else numbers
            else:
                one = self.value(parameter, node)
                draft.values[parameter.name] = [one] if parameter.many else one
        except _WrongError as wrong:
            draft.wrong.add(parameter.name)
            self.asked.append(draft.verb)
            self.note(
                wrong.node, f"{draft.verb.replace('_', '-')}: {parameter.option}: {wrong}, {describe(wrong.node)}"
            )

    def value(self, parameter: Parameter, node: "Node") -> Any:
        from yaml import ScalarNode

        if not isinstance(node, ScalarNode) or is_null(node):
            raise _WrongError(f"expected {parameter.expected()}", node)
        try:
            return parameter.read(str(node.value))
        except ValueError as error:
            raise _WrongError(str(error), node) from None

    def finish(self, draft: ParsedRecipe) -> Step:
        """The step with its defaults; what is required and missing is noted."""
        parameters = self.verbs[draft.verb]
        for one in parameters.values():
            if one.required and not draft.values.get(one.name) and one.name not in draft.wrong:
                verb = draft.verb.replace("_", "-")
                example = f"- {verb}: {one.option.upper()}" if one.argument else f"- {verb}: {{{one.option}: …}}"
                self.problems.append((f"line {draft.line}", f"{verb}: {one.option} is missing, as in {example}"))
        values = {name: draft.values.get(name, one.default) for name, one in parameters.items() if name != "run"}
        return Step(draft.verb, values, draft.line)

    # Values that the command line gives instead.

    def apply(self, settings: Sequence[str], drafts: Sequence[ParsedRecipe]) -> None:
        """Replace single values; a list that is set more than once takes them all."""
        lists: set[tuple[int, str]] = set()
        for setting in settings:
            found = re.fullmatch(r"([\w-]+)\.([\w-]+)=(.*)", setting, re.DOTALL)
            place = f"--set {shorten(fold(setting), 60)}"
            if found is None:
                self.problems.append((place, "expected STEP.OPTION=VALUE, as in filter.max-ppl=60"))
                continue
            try:
                self.set(self.find(found[1], drafts), found[2].replace("_", "-"), found[3], lists)
            except ValueError as error:
                self.problems.append((place, str(error)))

    def find(self, name: str, drafts: Sequence[ParsedRecipe]) -> ParsedRecipe:
        """The step of this verb, or of this number. ValueError, in words, where it is not one step."""
        if name.isdigit():
            if not 1 <= int(name) <= len(drafts):
                raise ValueError(f"there is no step {name}; there are {len(drafts)}")
            return drafts[int(name) - 1]
        found = [draft for draft in drafts if draft.verb == name.replace("-", "_")]
        if not found:
            here = [draft.verb.replace("_", "-") for draft in drafts]
            raise ValueError(f"the recipe has no step {name}{suggest(name, here) or '; it has ' + ', '.join(here)}")
        if len(found) > 1:
            numbers = [str(drafts.index(draft) + 1) for draft in found]
            raise ValueError(
                f"{name} is step {' and '.join(numbers)}; name the number, as in {numbers[0]}.OPTION=VALUE"
            )
        return found[0]

    def set(self, draft: ParsedRecipe, name: str, text: str, lists: set[tuple[int, str]]) -> None:
        options = self.options(draft.verb)
        if name not in options:
            self.asked.append(draft.verb)
            raise ValueError(self.unknown(draft.verb, name))
        parameter = options[name]
        draft.wrong.discard(parameter.name)
        if text == "null":
            draft.values.pop(parameter.name, None)
            return
        try:
            value = parameter.read(text)
        except ValueError as error:
            draft.wrong.add(parameter.name)
            raise ValueError(f'{error}, found "{shorten(fold(text), FOUND_CHARS)}"') from None
        key = (id(draft), name)
        before = draft.values.get(parameter.name, []) if key in lists else []
        lists.add(key)
        draft.values[parameter.name] = [*before, value] if parameter.many else value


class _WrongError(Exception):
    """A value that its option does not take, and where it stands."""

    def __init__(self, text: str, node: "Node"):
        super().__init__(text)
        self.node = node
