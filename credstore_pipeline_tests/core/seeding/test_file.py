import pytest

from credstore_pipeline.core.seeding.file import read_seed_file
from credstore_pipeline.core.seeding.plan import SeedTag


@pytest.fixture
def read(tmp_path):
    def read(text, taken=("Routers",)):
        path = tmp_path / "seed.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_seed_file(path, taken)

    return read


def test_tags_are_read_in_order_with_the_applications_colour_where_none_is_given(read):
    tags, faults = read('tags:\n  - name: Core\n    description: 密\n    color: "#A1b2C3"\n  - {name: Edge}\n')
    assert faults == []
    assert tags == (SeedTag("Core", "密", "#A1b2C3"), SeedTag("Edge", None, "#6366F1"))


def test_an_empty_list_is_no_tags(read):
    assert read("tags: []\n") == ((), [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: write `tags:` and a list below it"),
        ("- name: Core\n", "line 1: write `tags:` here"),
        ("tag:\n  - name: Core\n", "line 1: only `tags` can stand here"),
        ("tags: Core\n", "line 1: `tags` is no list"),
        ("tags:\n  - Core\n", "line 2: write `name:`, `description:`, `color:` here"),
        ("tags:\n  - description: x\n", "line 2: the tag has no `name`"),
        ("tags:\n  - name: Core\n    colour: x\n", "line 3: only `name`, `description`, `color` can stand here"),
        ("tags:\n  - name: Core\n    name: Edge\n", "line 3: `name` stands here twice"),
        ("tags:\n  - name: 7\n", "line 2: `name` is no text; quote it"),
        ("tags:\n  - name: [a]\n", "line 2: `name` is no text; quote it"),
        ("tags:\n  - name: ''\n", "line 2: `name` has 0 characters, 1 to 50 are allowed"),
        (f"tags:\n  - name: {'x' * 51}\n", "line 2: `name` has 51 characters, 1 to 50 are allowed"),
        ('tags:\n  - name: "a\\0b"\n', "line 2: `name` holds a character that PostgreSQL does not store"),
        ("tags:\n  - name: Core\n    color: #112233\n", "line 3: `color` is empty; quote it, since # begins a comment"),
        ("tags:\n  - name: C\n    color: red\n", "line 3: `color` is not `#` and six hexadecimal digits"),
        ("tags:\n  - name: Routers\n", "line 2: a tag of this name is seeded already"),
        ("tags:\n  - name: A\n\n  - name: A\n", "line 4: a tag of this name is seeded already"),
        ("tags:\n  - name: A\n   color: x\n", "line 3: this is not YAML"),
        (b"tags: \xff\n", "the file is not UTF-8 text"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(read, text, told):
    _, faults = read(text)
    assert any(fault.startswith(told) for fault in faults), faults


def test_everything_wrong_is_said_at_once_and_no_value_shown(read):
    _, faults = read("tags:\n  - name: 12345678\n  - color: canary\n  - name: Core\n")
    assert [fault.partition(":")[0] for fault in faults] == ["line 2", "line 3", "line 3"]
    assert not any("canary" in fault or "12345678" in fault for fault in faults)


def test_a_file_that_cannot_be_read_is_named_so(tmp_path):
    assert read_seed_file(tmp_path / "none.yaml") == ((), ["the file cannot be read: No such file or directory"])
