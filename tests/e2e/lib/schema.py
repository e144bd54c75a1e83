"""A judge of JSON by a JSON Schema (draft 2020-12), for the keywords that our schemas use. Any other is an error of the schema."""
import re

from expect import Failure

# Say something to people, or are used through $ref.
NOTES = {"$schema", "$defs", "title", "description"}
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def validate(value, schema):
    """Raises Failure with every reason why the value is not what the schema says."""
    problems = _problems(value, schema, schema, "$")
    if problems:
        raise Failure(f"{value!r} is not what the schema says:\n" + "\n".join(f"  {problem}" for problem in problems))


def _same(left, right):
    """JSON knows no `True == 1`."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def _is(value, name):
    return isinstance(value, TYPES[name]) and (name == "boolean" or not isinstance(value, bool))


def _resolve(reference, root):
    node = root
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def _one_of(value, branches, root, at):
    found = [_problems(value, branch, root, at) for branch in branches]
    fitting = sum(not problems for problems in found)
    if fitting == 1:
        return []
    if fitting:
        return [f"{at}: {fitting} branches of oneOf fit"]
    return [f"{at}: no branch of oneOf fits; the nearest says: {min(found, key=len)}"]


def _members(value, schema, root, at):
    properties = schema.get("properties", {})
    found = [f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value]
    for name, member in value.items():
        if name in properties:
            found += _problems(member, properties[name], root, f"{at}.{name}")
        elif schema.get("additionalProperties", True) is False:
            found.append(f"{at}: {name} is unknown")
    return found


def _problems(value, schema, root, at):
    found = []
    for keyword, wanted in schema.items():
        if keyword == "$ref":
            found += _problems(value, _resolve(wanted, root), root, at)
        elif keyword == "oneOf":
            found += _one_of(value, wanted, root, at)
        elif keyword == "type":
            found += [] if _is(value, wanted) else [f"{at}: no {wanted}"]
        elif keyword == "const":
            found += [] if _same(value, wanted) else [f"{at}: not {wanted!r}"]
        elif keyword == "enum":
            found += [] if any(_same(value, one) for one in wanted) else [f"{at}: none of {wanted!r}"]
        elif keyword == "minimum":
            found += [f"{at}: below {wanted}"] if _is(value, "integer") and value < wanted else []
        elif keyword == "minLength":
            found += [f"{at}: too short"] if isinstance(value, str) and len(value) < wanted else []
        elif keyword == "pattern":
            found += [f"{at}: no match of {wanted}"] if isinstance(value, str) and not re.search(wanted, value) else []
        elif keyword == "properties":
            found += _members(value, schema, root, at) if isinstance(value, dict) else []
        elif keyword == "items":
            members = enumerate(value) if isinstance(value, list) else ()
            found += [problem for n, member in members for problem in _problems(member, wanted, root, f"{at}[{n}]")]
        elif keyword not in NOTES | {"required", "additionalProperties"}:
            raise AssertionError(f"the schema has the keyword {keyword}, which this validator does not know")
    return found
