"""YAML that means what it says, and nothing else."""

from __future__ import annotations

import pytest

from data_schema.errors import SchemaError
from data_schema.strict_yaml import MAX_BYTES, load_strict_yaml, parse_strict_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("yes", "yes"),
        ("On", "On"),
        ("True", "True"),
        ("0123", "0123"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-05", "2024-01-05"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("17", 17),
        ("-3", -3),
        ("1.5", 1.5),
        ("5.", 5.0),
        (".5", 0.5),
        ("1e-3", 1e-3),
        ("1.5E+3", 1500.0),
        ("'17'", "17"),
        ('"true"', "true"),
        ("[1, a]", [1, "a"]),
    ],
)
def test_plain_values(text, value):
    got = parse_strict_yaml(f"key: {text}")["key"]
    assert got == value
    assert type(got) is type(value)


def test_keys_are_what_was_written():
    assert parse_strict_yaml("NO: 1\n'01': 2\n<<: 3") == {"NO": 1, "01": 2, "<<": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", r"line 3, column 1: found the key 'a', which stands at line 1"),
        ("a:\n  b: 1\n  b: 2", "line 3, column 3: found the key 'b'"),
        ("a: &x 1\nb: *x", "line 1, column 4: found an anchor or a tag"),
        ("a: *x", "line 1, column 4: found an alias"),
        ("a: !!python/object/apply:os.system [ls]", "an anchor or a tag"),
        ("a: !custom 1", "an anchor or a tag"),
        ("a: !!str 1", "an anchor or a tag"),
        ("a: [1", "line 1"),
        ("a: 1\n b: 2", "line 2"),
        ("\ta: 1", "line 1"),
        ("a: " + "[" * 30 + "]" * 30, "nested more than 20"),
        ("[" * 20_000, "cannot be read as YAML"),
    ],
)
def test_refusals_name_the_place(text, message):
    with pytest.raises(SchemaError, match=message):
        parse_strict_yaml(text, source="study.yaml")


def test_an_alias_bomb_is_refused_at_its_first_anchor():
    bomb = "a: &a [x, x]\n" + "".join(
        f"{name}: &{name} [*{before}, *{before}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(SchemaError, match="line 1, column 4: found an anchor"):
        parse_strict_yaml(bomb)


def test_files(tmp_path):
    path = tmp_path / "study.yaml"
    with pytest.raises(SchemaError, match=r"study\.yaml cannot be read"):
        load_strict_yaml(path)
    path.write_bytes(b"\xef\xbb\xbfname: caf\xc3\xa9\n")
    assert load_strict_yaml(path) == {"name": "café"}
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(SchemaError, match=r"study\.yaml is not UTF-8"):
        load_strict_yaml(path)
    path.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(SchemaError, match="larger than"):
        load_strict_yaml(path)
