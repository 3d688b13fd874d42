"""YAML nodes to the steps of a recipe. Every mistake is collected, so that one reading finds them all."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from curate.errors import UsageError
from curate.recipes.parameters import Parameter
from curate.recipes.stage_graph import Problem, Step
from curate.recipes.yaml_nodes import EXAMPLE, FOUND_CHARS, describe, is_null, line_of, name_line, suggest
from curate.runtime.redaction import parse_choice
from curate.runtime.text import fold_whitespace, shorten

TOP = ("description", "run", "engine", "redact", "steps")
"""The keys of a recipe that is a mapping."""
ENGINE = ("address", "workers", "gpus-per-worker", "cpus-per-worker")
"""The keys of an engine that is a mapping: options of the verbs that have one."""

Verbs = Mapping[str, Mapping[str, Parameter]]
"""The parameters of every verb that a step may name, by Python names."""
VerbFunctions = Mapping[str, Callable[..., Any]]
"""The functions of the verbs by Python name. Recipes call them without importing any."""


@dataclass(slots=True)
class ParsedStep:
    """A step while the recipe is read: the values that were read, and the options whose values are mistaken."""

    verb: str
    line: int
    values: dict[str, Any] = field(default_factory=dict)
    """By Python names, without the defaults."""
    mistaken: set[str] = field(default_factory=set)
    """Python names of the parameters whose values could not be read."""


@dataclass(slots=True)
class RecipeParser:
    """Reads the nodes of a recipe, and collects every mistake."""

    verbs: Verbs
    problems: list[Problem] = field(default_factory=list)
    has_mistaken_engine: bool = False
    has_mistaken_redaction: bool = False
    mistaken_verbs: list[str] = field(default_factory=list)
    """Verbs of which an option or a value was mistaken."""

    def hint(self) -> str:
        """Return the hint that fits the mistakes so far."""
        if self.has_mistaken_engine:
            return "engine: ray; or engine: {address: auto, workers: 8}"
        if self.has_mistaken_redaction:
            return "redact: default"
        if self.mistaken_verbs:
            return f"curate {self.mistaken_verbs[0].replace('_', '-')} --help"
        return f"write a step as {EXAMPLE}"

    def note(self, node: Node, text: str) -> None:
        """Collect a mistake, with the line of its node."""
        if (name_line(node), text) not in self.problems:  # an engine at the top is read for every step
            self.problems.append((name_line(node), text))

    def options(self, verb: str) -> dict[str, Parameter]:
        """Return the parameters that a step of this verb may give, by their options and the old names of these.

        The run directory is not among them: it is the recipe's.
        """
        named = {parameter.option: parameter for name, parameter in self.verbs[verb].items() if name != "run"}
        return {old: parameter for parameter in named.values() for old in parameter.old_options} | named

    def names(self) -> list[str]:
        """Return the names of the verbs as they are typed."""
        return [verb.replace("_", "-") for verb in self.verbs]

    def read_top(self, root: Node) -> tuple[str | None, str | None, list[ParsedStep]]:
        """Return run, description and steps of a recipe."""
        if isinstance(root, SequenceNode):
            return None, None, self.read_steps(root)
        if not isinstance(root, MappingNode):
            self.note(root, f"a recipe is a list of steps, as in {EXAMPLE}; {describe(root)}")
            return None, None, []
        values = {}
        for name, key, value in self.pairs(root, "the recipe"):
            if name in TOP:
                values[name] = value
            else:
                self.refuse_top(name, key)
        texts = {key: self.text(key, values[key]) for key in ("run", "description") if key in values}
        steps = values.get("steps")
        if steps is None and not self.problems:
            self.note(root, f"there are no steps; a recipe has a list of them below steps:, as in {EXAMPLE}")
        parsed = [] if steps is None else self.read_steps(steps)
        if "engine" in values:
            self.read_engine(values["engine"], parsed)
        if "redact" in values:
            self.read_redaction(values["redact"], parsed)
        return texts.get("run"), texts.get("description"), parsed

    def read_engine(self, node: Node, steps: Sequence[ParsedStep]) -> None:
        """Give the engine of a recipe to every step whose verb has one and that names none."""
        options: dict[str, Node] = {}
        if isinstance(node, MappingNode):
            for name, key, value in self.pairs(node, "engine"):
                if name in ENGINE:
                    options[name] = value
                else:
                    self.has_mistaken_engine = True
                    self.note(key, f'engine has no "{name}"{suggest(name, ENGINE) or "; it has " + ", ".join(ENGINE)}')
        elif not isinstance(node, ScalarNode) or str(node.value) not in ("ray", "local"):
            self.has_mistaken_engine = True
            self.note(node, f"engine: expected ray, or {{address: auto, workers: 8}}, {describe(node)}")
            return
        kind = "ray" if isinstance(node, MappingNode) else str(node.value)
        for step in steps:
            known = self.options(step.verb)
            if "engine" not in known or "engine" in step.values:
                continue
            step.values["engine"] = kind
            for name, value in options.items():
                if name in known and known[name].name not in step.values:
                    self.read_into(step, known[name], value)

    def read_redaction(self, node: Node, steps: Sequence[ParsedStep]) -> None:
        """Give what a recipe redacts to every step whose verb shows or writes text and that names nothing."""
        if is_null(node):
            return
        try:
            if not isinstance(node, ScalarNode):
                raise UsageError(f"redact: expected default, presidio, or kinds as in email,ip, {describe(node)}")
            parse_choice(str(node.value))
        except UsageError as error:
            self.has_mistaken_redaction = True
            self.note(node, error.message.removeprefix("--"))
            return
        for step in steps:
            known = self.options(step.verb)
            if "redact" in known and "redact" not in step.values:
                self.read_into(step, known["redact"], node)

    def refuse_top(self, key: str, node: Node) -> None:
        """Collect the mistake of a key that a recipe does not have."""
        if key.replace("-", "_") in self.verbs:
            self.note(node, f"{key} is a verb and belongs below steps:, as in - {key}: …")
        else:
            known = suggest(key, TOP)
            self.note(node, f'a recipe has no "{key}"{known or "; it has description, run, engine, redact and steps"}')

    def text(self, key: str, node: Node) -> str | None:
        """Return the text of a key, None where it is null or no text, which is collected."""
        if not isinstance(node, ScalarNode):
            self.note(node, f"{key}: expected a text, {describe(node)}")
            return None
        return None if is_null(node) else str(node.value)

    def pairs(self, node: MappingNode, what: str) -> Iterator[tuple[str, Node, Node]]:
        """Yield the keys of a mapping, with - for _, and the nodes of key and value.

        A key that comes twice is collected and left out. ``what`` names the mapping in errors.
        """
        seen: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.note(key, f"{what}: expected the name of an option, {describe(key)}")
                continue
            name = fold_whitespace(str(key.value)).replace("_", "-")
            if name in seen:
                self.note(key, f"{what}: {name} is given twice, here and in line {seen[name]}")
                continue
            seen[name] = line_of(key)
            yield name, key, value

    def read_steps(self, node: Node) -> list[ParsedStep]:
        """Return the steps of a list, those that cannot be read left out."""
        if not isinstance(node, SequenceNode):
            self.note(node, f"steps is a list: begin each step with a dash, as in {EXAMPLE}; {describe(node)}")
            return []
        parsed = (self.read_step(child) for child in node.value)
        return [step for step in parsed if step is not None]

    def read_step(self, node: Node) -> ParsedStep | None:
        """Return one step, None where it names no verb."""
        if isinstance(node, ScalarNode) and not is_null(node):
            return self.begin_step(node, str(node.value))
        if not isinstance(node, MappingNode) or not node.value or not isinstance(node.value[0][0], ScalarNode):
            self.note(node, f"expected a verb with its options, as in {EXAMPLE}; {describe(node)}")
            return None
        (key, value), *more = node.value
        step = self.begin_step(key, str(key.value))
        if step is not None and more:
            self.refuse_more(step, more)
        elif step is not None and not is_null(value):
            self.read_options(step, value)
        return step

    def begin_step(self, node: Node, text: str) -> ParsedStep | None:
        """Return a step of the verb that ``text`` names, None where there is no such verb."""
        verb = text.strip().replace("-", "_")
        if verb == "run":
            self.note(node, "a recipe runs no recipe, so that none can loop: write the steps of the other one here")
            return None
        if verb in self.verbs:
            return ParsedStep(verb, line_of(node))
        first = text.split()[0].replace("-", "_") if text.split() else ""
        if first in self.verbs:
            self.note(
                node, f'options come after a colon: {EXAMPLE}; found "{shorten(fold_whitespace(text), FOUND_CHARS)}"'
            )
            return None
        near = suggest(text, self.names()) or f"; there are {', '.join(self.names())}"
        self.note(node, f'unknown verb "{shorten(fold_whitespace(text), FOUND_CHARS)}"{near}')
        return None

    def refuse_more(self, step: ParsedStep, more: Sequence[tuple[Node, Node]]) -> None:
        """Collect the mistake of several keys in one step: options that were not indented, or verbs without a dash."""
        step.mistaken |= set(self.verbs[step.verb])
        for key, _ in more:
            name, verb = fold_whitespace(str(key.value)), step.verb.replace("_", "-")
            if str(key.value).replace("-", "_") in self.verbs:
                self.note(key, f"{name} is a step: begin its line with a dash")
            else:
                self.note(key, f"{name} is not below {verb}: indent it deeper than {verb}")

    def read_options(self, step: ParsedStep, node: Node) -> None:
        """Read the options of a step, or its argument alone."""
        if isinstance(node, MappingNode):
            for name, key, value in self.pairs(node, step.verb.replace("_", "-")):
                self.read_option(step, name, key, value)
            return
        argument = next((parameter for parameter in self.options(step.verb).values() if parameter.argument), None)
        if argument is None:
            verb = step.verb.replace("_", "-")
            self.mistaken_verbs.append(step.verb)
            self.note(node, f"{verb}: expected options, as in - {verb}: {{OPTION: VALUE}}; {describe(node)}")
        else:
            self.read_into(step, argument, node)

    def read_option(self, step: ParsedStep, name: str, key: Node, value: Node) -> None:
        """Read one option of a step. One that the verb does not have, or has under two names, is collected."""
        options = self.options(step.verb)
        if name in options and options[name].name in step.values:
            old, new = options[name].old_options[0], options[name].option
            self.note(key, f"{step.verb.replace('_', '-')}: {old} is the old name of {new}, and both are given")
        elif name in options:
            self.read_into(step, options[name], value)
        else:
            self.mistaken_verbs.append(step.verb)
            self.note(key, self.explain_unknown(step.verb, name))

    def explain_unknown(self, verb: str, name: str) -> str:
        """Return the message for an option that a verb does not have."""
        message, options = f'{verb.replace("_", "-")} has no option "{shorten(name, FOUND_CHARS)}"', self.options(verb)
        if name == "run":
            return f"{message}: the run directory is the recipe's, run: at the top"
        if name.split(":")[0] in options and ":" in name:
            return f"{message}; put a space after the colon"
        if near := suggest(name, options):
            return message + near
        others = [other.replace("_", "-") for other in self.verbs if name in self.options(other)]
        return f"{message}; {', '.join(others)} {'has' if len(others) == 1 else 'have'}" if others else message

    def read_into(self, step: ParsedStep, parameter: Parameter, node: Node) -> None:
        """Read a value into a step, or collect what is wrong with it."""
        if isinstance(node, ScalarNode) and is_null(node) and node.value:
            return
        try:
            if parameter.many and isinstance(node, SequenceNode):
                step.values[parameter.name] = [self.read_value(parameter, child) for child in node.value]
            elif parameter.several and isinstance(node, SequenceNode) and node.value:
                single = replace(parameter, several=False)
                numbers = tuple(self.read_value(single, child) for child in node.value)
                step.values[parameter.name] = numbers[0] if len(numbers) == 1 else numbers
            else:
                value = self.read_value(parameter, node)
                step.values[parameter.name] = [value] if parameter.many else value
        except _WrongError as wrong:
            step.mistaken.add(parameter.name)
            self.mistaken_verbs.append(step.verb)
            self.note(wrong.node, f"{step.verb.replace('_', '-')}: {parameter.option}: {wrong}, {describe(wrong.node)}")

    def read_value(self, parameter: Parameter, node: Node) -> Any:
        """Return one value of a parameter. Raises _WrongError where it is none."""
        if not isinstance(node, ScalarNode) or is_null(node):
            raise _WrongError(f"expected {parameter.expected()}", node)
        try:
            return parameter.read(str(node.value))
        except ValueError as error:
            raise _WrongError(str(error), node) from None

    def finish(self, step: ParsedStep) -> Step:
        """Return the step with its defaults; what is required and missing is collected."""
        parameters = self.verbs[step.verb]
        for parameter in parameters.values():
            name = parameter.name
            if parameter.required and not step.values.get(name) and name not in step.mistaken:
                verb = step.verb.replace("_", "-")
                option = parameter.option
                example = f"- {verb}: {option.upper()}" if parameter.argument else f"- {verb}: {{{option}: …}}"
                self.problems.append((f"line {step.line}", f"{verb}: {option} is missing, as in {example}"))
        values = {
            name: step.values.get(name, parameter.default) for name, parameter in parameters.items() if name != "run"
        }
        return Step(step.verb, values, step.line)

    def apply_settings(self, settings: Sequence[str], steps: Sequence[ParsedStep]) -> None:
        """Replace single values by those of ``--set``; a list that is set more than once takes them all."""
        lists: set[tuple[int, str]] = set()
        for setting in settings:
            match = re.fullmatch(r"([\w-]+)\.([\w-]+)=(.*)", setting, re.DOTALL)
            where = f"--set {shorten(fold_whitespace(setting), 60)}"
            if match is None:
                self.problems.append((where, "expected STEP.OPTION=VALUE, as in filter.max-ppl=60"))
                continue
            try:
                self.set_value(self.find_step(match[1], steps), match[2].replace("_", "-"), match[3], lists)
            except ValueError as error:
                self.problems.append((where, str(error)))

    def find_step(self, name: str, steps: Sequence[ParsedStep]) -> ParsedStep:
        """Return the step of this verb, or of this number from 1 on. Raises ValueError where that is not one step."""
        if name.isdigit():
            if not 1 <= int(name) <= len(steps):
                raise ValueError(f"there is no step {name}; there are {len(steps)}")
            return steps[int(name) - 1]
        named = [step for step in steps if step.verb == name.replace("-", "_")]
        if not named:
            here = [step.verb.replace("_", "-") for step in steps]
            raise ValueError(f"the recipe has no step {name}{suggest(name, here) or '; it has ' + ', '.join(here)}")
        if len(named) > 1:
            numbers = [str(steps.index(step) + 1) for step in named]
            raise ValueError(
                f"{name} is step {' and '.join(numbers)}; name the number, as in {numbers[0]}.OPTION=VALUE"
            )
        return named[0]

    def set_value(self, step: ParsedStep, name: str, text: str, lists: set[tuple[int, str]]) -> None:
        """Set an option of a step from a text. ``lists`` are those set so far. Raises ValueError for a mistake."""
        options = self.options(step.verb)
        if name not in options:
            self.mistaken_verbs.append(step.verb)
            raise ValueError(self.explain_unknown(step.verb, name))
        parameter = options[name]
        step.mistaken.discard(parameter.name)
        if text == "null":
            step.values.pop(parameter.name, None)
            return
        try:
            value = parameter.read(text)
        except ValueError as error:
            step.mistaken.add(parameter.name)
            raise ValueError(f'{error}, found "{shorten(fold_whitespace(text), FOUND_CHARS)}"') from None
        key = (id(step), name)
        before = step.values.get(parameter.name, []) if key in lists else []
        lists.add(key)
        step.values[parameter.name] = [*before, value] if parameter.many else value


class _WrongError(Exception):
    """A value that its option does not take, with its node."""

    def __init__(self, text: str, node: Node):
        super().__init__(text)
        self.node = node
