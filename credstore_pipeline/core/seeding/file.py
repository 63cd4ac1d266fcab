"""Further tags from an operator's YAML file; everything wrong is found at once, each with its line.

tags:
- name: Core
description: Core routers
color: "#112233"
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from credstore_pipeline.core.seeding.plan import SeedTag
from credstore_pipeline.core.target.models import application_tables, tables_by_name

DEFAULT_COLOR = "#6366F1"
FIELDS = ("name", "description", "color")
_TAGS = tables_by_name(application_tables("public"))["tags"].c
NAME_MAX = int(getattr(_TAGS.name.type, "length", 0))

Faults = list[str]


def read_seed_file(path: Path, taken: Iterable[str] = ()) -> tuple[tuple[SeedTag, ...], Faults]:
    """Read the tags of a file.

    Args:
        path: The file, UTF-8.
        taken: Names that a tag of the file may not have.

    Returns:
        The tags in the file's order, and what is wrong: `line 4: …`, never with a value of the file.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        return (), [f"the file cannot be read: {error.strerror}"]
    except UnicodeDecodeError:
        return (), ["the file is not UTF-8 text"]
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return (), [f"line {mark.line + 1 if mark else 1}: this is not YAML"]
    except yaml.YAMLError:
        return (), ["a character in it is not allowed in YAML"]
    faults: Faults = []
    tags = tuple(_tags(root, set(taken), faults))
    return tags, faults


def _tags(root: yaml.Node | None, taken: set[str], faults: Faults) -> Iterator[SeedTag]:
    entries = _mapping(root, ("tags",), faults) if root is not None else {}
    listed = entries.get("tags")
    if listed is None:
        faults.append("line 1: write `tags:` and a list below it")
        return
    if not isinstance(listed, yaml.SequenceNode):
        faults.append(f"{_line(listed)}: `tags` is no list")
        return
    for entry in listed.value:
        tag = _tag(entry, faults)
        if tag is not None and tag.name in taken:
            faults.append(f"{_line(entry)}: a tag of this name is seeded already")
        elif tag is not None:
            taken.add(tag.name)
            yield tag


def _tag(entry: yaml.Node, faults: Faults) -> SeedTag | None:
    before = len(faults)
    fields = _mapping(entry, FIELDS, faults)
    if "name" not in fields and len(faults) == before:
        faults.append(f"{_line(entry)}: the tag has no `name`")
    texts = {name: _text(name, node, faults) for name, node in fields.items()}
    name, color = texts.get("name"), texts.get("color", DEFAULT_COLOR)
    if name is not None and not 0 < len(name) <= NAME_MAX:
        faults.append(f"{_line(fields['name'])}: `name` has {len(name)} characters, 1 to {NAME_MAX} are allowed")
    if color is not None and not re.fullmatch("#[0-9A-Fa-f]{6}", color):
        faults.append(f'{_line(fields["color"])}: `color` is not `#` and six hexadecimal digits; quote it: "#112233"')
    if len(faults) > before or name is None or color is None:
        return None
    return SeedTag(name, texts.get("description"), color)


def _mapping(node: yaml.Node, known: tuple[str, ...], faults: Faults) -> dict[str, yaml.Node]:
    if not isinstance(node, yaml.MappingNode):
        faults.append(f"{_line(node)}: write {', '.join(f'`{name}:`' for name in known)} here")
        return {}
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.value not in known:
            faults.append(f"{_line(key)}: only {', '.join(f'`{name}`' for name in known)} can stand here")
        elif key.value in found:
            faults.append(f"{_line(key)}: `{key.value}` stands here twice")
        else:
            found[key.value] = value
    return found


def _text(name: str, node: yaml.Node, faults: Faults) -> str | None:
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null":
        hint = "; quote it, since # begins a comment" if name == "color" else ""
        faults.append(f"{_line(node)}: `{name}` is empty{hint}")
    elif not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
        faults.append(f"{_line(node)}: `{name}` is no text; quote it")
    elif "\0" in node.value or any(0xD800 <= ord(character) < 0xE000 for character in node.value):
        faults.append(f"{_line(node)}: `{name}` holds a character that PostgreSQL does not store")
    else:
        return str(node.value)
    return None


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
